//! OTLP/gRPC: one unary call, its status read by the OTLP specification's table.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::client::ClientError;
use super::grpc_only::{GrpcOnly, NoGrpc};
use super::outcome::{Outcome, chain, printable, retry};
use super::request::Request;
use super::settings::{Compression, Endpoint};

/// A channel, with what goes along with each call.
#[derive(Debug)]
pub struct GrpcClient {
    channel: Channel,
    metadata: MetadataMap,
    timeout: Duration,
    compression: Option<CompressionEncoding>,
}

impl GrpcClient {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let timeout = Duration::from_millis(endpoint.timeout_millis);
        Ok(Self {
            channel: channel(endpoint)?,
            metadata: metadata(endpoint)?,
            timeout,
            compression: match endpoint.compression {
                Compression::None => None,
                Compression::Gzip => Some(CompressionEncoding::Gzip),
                Compression::Zstd => Some(CompressionEncoding::Zstd),
            },
        })
    }

    pub(super) async fn send(&self, request: &Request) -> Outcome {
        match tokio::time::timeout(self.timeout, self.export(request)).await {
            Ok(Ok((rejected, message))) => {
                Outcome::Delivered { rejected: u64::try_from(rejected).unwrap_or(0), message: printable(&message) }
            }
            Ok(Err(status)) => read_status(&status),
            Err(_) => retry(format!("no answer within {:?}", self.timeout)),
        }
    }

    async fn export(&self, request: &Request) -> Result<(i64, String), Status> {
        match request {
            Request::Traces(traces) => {
                let mut client = TraceServiceClient::new(GrpcOnly(self.channel.clone()));
                if let Some(encoding) = self.compression {
                    client = client.send_compressed(encoding).accept_compressed(encoding);
                }
                let answer = client.export(self.with_metadata(traces.clone())).await?.into_inner();
                Ok(answer.partial_success.map(|told| (told.rejected_spans, told.error_message)).unwrap_or_default())
            }
            Request::Logs(logs) => {
                let mut client = LogsServiceClient::new(GrpcOnly(self.channel.clone()));
                if let Some(encoding) = self.compression {
                    client = client.send_compressed(encoding).accept_compressed(encoding);
                }
                let answer = client.export(self.with_metadata(logs.clone())).await?.into_inner();
                let told = answer.partial_success.map(|told| (told.rejected_log_records, told.error_message));
                Ok(told.unwrap_or_default())
            }
        }
    }

    fn with_metadata<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}

/// A channel to the endpoint, with its TLS; it connects when it is used.
pub(crate) fn channel(endpoint: &Endpoint) -> Result<Channel, ClientError> {
    connect_lazily(endpoint)
        .map_err(|error| ClientError::Grpc { url: endpoint.shown_url().to_owned(), reason: chain(&error) })
}

fn connect_lazily(endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
    let timeout = Duration::from_millis(endpoint.timeout_millis);
    let mut channel = tonic::transport::Endpoint::from_shared(endpoint.url.clone())?
        .user_agent(concat!("agentsight/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(timeout);
    if endpoint.url.starts_with("https://") {
        let mut tls = ClientTlsConfig::new();
        tls = match &endpoint.tls.authorities {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(&pem.0)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = &endpoint.tls.identity {
            tls = tls.identity(Identity::from_pem(&certificate.0, &key.0));
        }
        channel = channel.tls_config(tls)?;
    }
    Ok(channel.connect_lazy())
}

/// The endpoint's headers.
pub(crate) fn metadata(endpoint: &Endpoint) -> Result<MetadataMap, ClientError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in endpoint.headers.iter() {
        let bad = || ClientError::Header { url: endpoint.shown_url().to_owned(), name: name.to_owned() };
        let key = AsciiMetadataKey::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        metadata.insert(key, AsciiMetadataValue::try_from(value).map_err(|_| bad())?);
    }
    Ok(metadata)
}

/// What the client library says when its connection task is gone; it has no code for that.
const NOT_READY: &str = "Service was not ready";

/// What it says of an answer that it cannot read, under a code as if the backend had refused the request.
const UNREADABLE: [&str; 2] = ["protocol error: ", "failed to decode Protobuf message"];

fn read_status(status: &Status) -> Outcome {
    // A status with a source was made on this side: the connection failed, the backend said nothing.
    if let Some(source) = std::error::Error::source(status) {
        if let Some(stranger) = source.downcast_ref::<NoGrpc>() {
            return stranger.outcome();
        }
        return retry(chain(source).trim_start_matches("transport error: "));
    }
    if status.message().starts_with(NOT_READY) || UNREADABLE.iter().any(|said| status.message().starts_with(said)) {
        return retry(printable(status.message()));
    }
    let reason = match status.message() {
        "" => format!("{:?}", status.code()),
        message => format!("{:?}: {}", status.code(), printable(message)),
    };
    let after = status.get_details_retry_info().map(|info| info.retry_delay.unwrap_or_default());
    match status.code() {
        Code::ResourceExhausted if after.is_none() => Outcome::TooLarge { reason },
        // What tonic's servers answer to a request above their limit; the same again would get the same again.
        Code::OutOfRange if status.message().contains("too large") => Outcome::TooLarge { reason },
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Outcome::Retry { after, reason },
        Code::Unimplemented => Outcome::NotTaken { reason },
        Code::Unauthenticated | Code::PermissionDenied => Outcome::Locked { reason },
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Internal => Outcome::Refused { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn exactly_the_specifications_codes_are_tried_again() {
        let retried: Vec<_> = (0..=16)
            .map(Code::from_i32)
            .filter(|code| matches!(read_status(&Status::new(*code, "")), Outcome::Retry { .. }))
            .collect();
        let expected = [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
        ];
        assert_eq!(retried, expected);
    }

    #[test]
    fn exhaustion_is_tried_again_only_when_the_backend_says_when() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
        let told = Status::with_error_details(Code::ResourceExhausted, "quota", details);
        let Outcome::Retry { after, .. } = read_status(&told) else { panic!("not tried again") };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert!(matches!(read_status(&Status::resource_exhausted("too big")), Outcome::TooLarge { .. }));
    }
}
