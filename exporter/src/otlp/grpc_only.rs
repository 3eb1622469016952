//! A channel that passes on answers in gRPC alone. A proxy's page or a web server's is an error here, so that it is not taken for
//! a backend's verdict on what was sent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::Channel;

use super::outcome::{Outcome, retry};

/// The channel.
#[derive(Clone, Debug)]
pub(super) struct GrpcOnly(pub(super) Channel);

/// Somebody answered, in HTTP alone.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {status} without gRPC")]
pub(super) struct NoGrpc {
    status: StatusCode,
}

impl NoGrpc {
    /// What came of the request: whoever answered did not take it, and did not look at it either.
    pub(super) fn outcome(&self) -> Outcome {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Outcome::Locked { reason: self.to_string() }
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => retry(self.to_string()),
            _ => Outcome::NotTaken { reason: format!("{self}: this is no OTLP/gRPC receiver") },
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl GrpcService<Body> for GrpcOnly {
    type ResponseBody = Body;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        GrpcService::poll_ready(&mut self.0, context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = GrpcService::call(&mut self.0, request);
        Box::pin(async move {
            let answer = answer.await?;
            if is_grpc(&answer) { Ok(answer) } else { Err(NoGrpc { status: answer.status() }.into()) }
        })
    }
}

fn is_grpc(answer: &Response<Body>) -> bool {
    let headers = answer.headers();
    let is_type = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    is_type || headers.contains_key("grpc-status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_proxy_is_no_verdict_on_what_was_sent() {
        let of = |code| NoGrpc { status: StatusCode::from_u16(code).unwrap() }.outcome();
        for code in [429, 500, 502, 503, 504] {
            assert!(matches!(of(code), Outcome::Retry { .. }), "{code}");
        }
        for code in [200, 301, 400, 404] {
            assert!(matches!(of(code), Outcome::NotTaken { .. }), "{code}");
        }
        assert!(matches!(of(401), Outcome::Locked { .. }));
    }
}
