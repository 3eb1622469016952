//! One destination's connection: takes a request, says what became of it. It never tries twice by itself.

use super::grpc::GrpcClient;
use super::http::HttpClient;
use super::outcome::Outcome;
use super::request::Request;
use super::settings::{Endpoint, Protocol};

/// A client for one endpoint. Connects when it first sends, and again when the connection broke.
#[derive(Debug)]
pub enum Client {
    /// OTLP/gRPC.
    Grpc(Box<GrpcClient>),
    /// OTLP/HTTP, binary or JSON.
    Http(Box<HttpClient>),
}

/// Why an endpoint's settings make no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The gRPC library refuses the URL or the certificates.
    #[error("cannot use {url} over gRPC: {reason}")]
    Grpc {
        /// The endpoint.
        url: String,
        /// The library's answer.
        reason: String,
    },
    /// The HTTP library refuses the URL or the certificates.
    #[error("cannot use {url} over HTTP: {reason}")]
    Http {
        /// The endpoint.
        url: String,
        /// The library's answer.
        reason: String,
    },
    /// A header that cannot be sent.
    #[error("cannot send the header {name} to {url}")]
    Header {
        /// The endpoint.
        url: String,
        /// The header's name.
        name: String,
    },
}

impl Client {
    /// For one endpoint. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a library refuses what the settings say; certificates are looked at more closely here.
    pub fn new(endpoint: &Endpoint) -> Result<Self, ClientError> {
        Ok(match endpoint.protocol {
            Protocol::Grpc => Self::Grpc(Box::new(GrpcClient::new(endpoint)?)),
            Protocol::HttpProtobuf | Protocol::HttpJson => Self::Http(Box::new(HttpClient::new(endpoint)?)),
        })
    }

    /// Sends one request and waits for the answer, no longer than the endpoint's timeout.
    pub async fn send(&self, request: &Request) -> Outcome {
        match self {
            Self::Grpc(client) => client.send(request).await,
            Self::Http(client) => client.send(request).await,
        }
    }
}
