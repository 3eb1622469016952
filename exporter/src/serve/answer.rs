//! Answers as HTTP: JSON bodies, and errors with a reason.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::parameters::ParameterError;
use crate::query::SourceError;
use crate::query::words::WordError;
use crate::store::StoreError;

/// An answer's body is in memory as a whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// No token, or a wrong one.
    #[error(
        "this takes the token: send the header \"Authorization: Bearer TOKEN\"; `agentsight serve` says which file it is in"
    )]
    Unauthorized,
    /// The token has not the right.
    #[error(
        "contents take a token of their own: start `agentsight serve` with --content-token-file FILE, and send the token that is in it"
    )]
    Forbidden,
    /// No such path.
    #[error("there is nothing here: /api/v1/openapi.json says what there is")]
    NoSuchPath,
    /// Only reading is possible.
    #[error("the API is read-only: use GET")]
    Method,
    /// A parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// No such span, trace or session.
    #[error("there is no such {0} here")]
    NotFound(&'static str),
    /// It takes too long.
    #[error("the answer takes longer than {0} s: ask for less, such as a shorter time")]
    TooLong(u64),
    /// It takes too much.
    #[error("{0}")]
    TooMuch(String),
    /// Our own.
    #[error("the store could not be asked: {0}")]
    Store(String),
}

impl Trouble {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::TooMuch(_) => StatusCode::UNPROCESSABLE_ENTITY,
            // The question was understood, and is too large for the time there is: the same again would fare no better.
            Self::TooLong(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NoSuchPath => "no_such_path",
            Self::Method => "method_not_allowed",
            Self::Parameter(_) => "bad_parameter",
            Self::NotFound(_) => "not_found",
            Self::TooLong(_) => "too_long",
            Self::TooMuch(_) => "too_much",
            Self::Store(_) => "store",
        }
    }

    /// In the form that AgentSight's own API has.
    pub(super) fn answer(&self) -> Answer {
        self.finish(&json!({"error": {"reason": self.reason(), "message": self.to_string()}}))
    }

    /// In the form of Jaeger's `/api/v3`.
    pub(super) fn jaeger_v3(&self) -> Answer {
        self.finish(&json!({"error": {"httpCode": self.status().as_u16(), "message": self.to_string()}}))
    }

    /// In the form of Jaeger's older API.
    pub(super) fn jaeger(&self) -> Answer {
        let errors = json!([{"code": self.status().as_u16(), "msg": self.to_string()}]);
        self.finish(&json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}))
    }

    fn finish(&self, body: &Value) -> Answer {
        let mut answer = with_status(self.status(), body);
        let headers = answer.headers_mut();
        match self {
            Self::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD")),
            _ => None,
        };
        answer
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::TooMuch(message) => Self::TooMuch(message),
            SourceError::TooLong => Self::TooLong(0),
            SourceError::Store(error) => error.into(),
            SourceError::Backend { .. } => Self::Store(error.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<WordError> for Trouble {
    fn from(error: WordError) -> Self {
        Self::Parameter(error.into())
    }
}

/// A body of JSON.
pub(super) fn json_answer(body: &Value) -> Answer {
    with_status(StatusCode::OK, body)
}

fn with_status(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
