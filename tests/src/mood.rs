//! How a receiver answers that is not well: slowly, not now, never, or with what is no answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// How requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Everything is taken at once.
    #[default]
    Well,
    /// Everything is taken, and answered so much later: past the sender's patience, it has taken what the sender believes lost.
    Slow(Duration),
    /// Taken after this: RESOURCE_EXHAUSTED with RetryInfo, or 503 with Retry-After, in whole seconds.
    Busy(Duration),
    /// A proxy's page in place of an answer: 502 with HTML.
    BadGateway,
    /// UNAVAILABLE, or 503 without a word.
    Unavailable,
    /// Credentials are refused: UNAUTHENTICATED, or 401.
    Locked,
    /// What came is refused for good: INVALID_ARGUMENT, or 400 with bytes that are no message.
    Refusing,
    /// Somebody else listens there: 200 with a page.
    Page,
    /// An answer in the right form with the wrong bytes: 200 of gRPC with noise, or 503 with noise.
    Noise,
}

impl Mood {
    /// The answer in place of taking what came.
    pub(crate) fn refusal(self, is_grpc: bool) -> Option<Response> {
        let grpc = |code, text: &str| Status::new(code, text).into_http::<Body>();
        let http = |status: StatusCode, text: &'static str| (status, text).into_response();
        Some(match (self, is_grpc) {
            (Self::Well | Self::Slow(_), _) => return None,
            (Self::Busy(after), true) => {
                let details = ErrorDetails::with_retry_info(Some(after));
                Status::with_error_details(Code::ResourceExhausted, "busy", details).into_http()
            }
            (Self::Busy(after), false) => {
                let seconds = after.as_secs().to_string();
                (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)], "busy").into_response()
            }
            (Self::BadGateway, _) => {
                let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
                (StatusCode::BAD_GATEWAY, [(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
            (Self::Unavailable, true) => grpc(Code::Unavailable, "starting"),
            (Self::Unavailable, false) => http(StatusCode::SERVICE_UNAVAILABLE, ""),
            (Self::Locked, true) => grpc(Code::Unauthenticated, "who are you?"),
            (Self::Locked, false) => http(StatusCode::UNAUTHORIZED, "who are you?"),
            (Self::Refusing, true) => grpc(Code::InvalidArgument, "no"),
            (Self::Refusing, false) => http(StatusCode::BAD_REQUEST, "\u{1b}[31m\u{0}no"),
            (Self::Noise, is_grpc) => {
                let (status, kind) = match is_grpc {
                    true => (StatusCode::OK, "application/grpc"),
                    false => (StatusCode::SERVICE_UNAVAILABLE, "application/x-protobuf"),
                };
                let noise: Vec<u8> = (0..=255).rev().collect();
                (status, [(header::CONTENT_TYPE, kind)], noise).into_response()
            }
            (Self::Page, _) => {
                let page = "<!DOCTYPE html><title>Log in to this network</title>";
                (StatusCode::OK, [(header::CONTENT_TYPE, "text/html")], page).into_response()
            }
        })
    }

    /// How long the answer to what was taken is in coming.
    pub(crate) fn wait(self) -> Option<Duration> {
        if let Self::Slow(wait) = self { Some(wait) } else { None }
    }
}

/// The mood of the moment, and how often it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moods(Arc<Mutex<(Mood, usize)>>);

impl Moods {
    pub(crate) fn set(&self, mood: Mood) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = mood;
    }

    pub(crate) fn next(&self) -> Mood {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.1 += 1;
        now.0
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
