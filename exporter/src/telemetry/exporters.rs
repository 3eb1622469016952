//! The SDK's OTLP exporters over our own channels and connection pools, so that TLS, headers and limits are set up in
//! one place.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_otlp::{
    Compression as SdkCompression, ExporterBuildError, MetricExporter, Protocol as SdkProtocol, SpanExporter,
    WithExportConfig, WithHttpConfig, WithTonicConfig,
};

use crate::otlp::client::ClientError;
use crate::otlp::settings::{Compression, Endpoint, Protocol};
use crate::otlp::{grpc, http};

/// There is no exporter for an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The endpoint.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The SDK refused what the endpoint says.
    #[error("AgentSight's own telemetry cannot be sent to {url}: {source}")]
    Build {
        /// The endpoint.
        url: String,
        /// The SDK's reason.
        source: ExporterBuildError,
    },
}

/// The same chain of calls for two builders that have no trait in common.
macro_rules! build {
    ($exporter:ty, $endpoint:expr) => {{
        let endpoint: &Endpoint = $endpoint;
        let failed = |source| ExporterError::Build { url: endpoint.shown_url().to_owned(), source };
        match endpoint.protocol {
            Protocol::Grpc => {
                let mut builder = <$exporter>::builder()
                    .with_tonic()
                    .with_channel(grpc::channel(endpoint)?)
                    .with_timeout(Duration::from_millis(endpoint.timeout_millis))
                    .with_metadata(grpc::metadata(endpoint)?);
                if let Some(compression) = compression(endpoint.compression) {
                    builder = builder.with_compression(compression);
                }
                builder.build().map_err(failed)
            }
            // The SDK sends protobuf; a backend that takes JSON takes that too, by the specification.
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                let mut builder = <$exporter>::builder()
                    .with_http()
                    .with_http_client(http::pool(endpoint)?)
                    .with_protocol(SdkProtocol::HttpBinary)
                    .with_endpoint(endpoint.url.clone())
                    .with_timeout(Duration::from_millis(endpoint.timeout_millis))
                    .with_headers(headers(endpoint));
                if let Some(compression) = compression(endpoint.compression) {
                    builder = builder.with_compression(compression);
                }
                builder.build().map_err(failed)
            }
        }
    }};
}

pub(super) fn metrics(endpoint: &Endpoint) -> Result<MetricExporter, ExporterError> {
    build!(MetricExporter, endpoint)
}

pub(super) fn spans(endpoint: &Endpoint) -> Result<SpanExporter, ExporterError> {
    build!(SpanExporter, endpoint)
}

fn compression(compression: Compression) -> Option<SdkCompression> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some(SdkCompression::Gzip),
        Compression::Zstd => Some(SdkCompression::Zstd),
    }
}

fn headers(endpoint: &Endpoint) -> HashMap<String, String> {
    endpoint.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
