//! An OTLP/gRPC receiver that answers as a test says and remembers what it saw.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

pub(crate) type Answer = Result<ExportTraceServiceResponse, Status>;
type Policy = Box<dyn FnMut(usize, &ExportTraceServiceRequest) -> Answer + Send>;

/// One call for traces.
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) metadata: MetadataMap,
    pub(crate) request: ExportTraceServiceRequest,
    pub(crate) was_taken: bool,
}

pub(crate) struct GrpcReceiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    metrics: Metrics,
    task: AbortHandle,
}

impl GrpcReceiver {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        Self::answering(|_, _| Ok(ExportTraceServiceResponse::default())).await
    }

    /// Answers the call number `n` (from 0) by a policy.
    pub(crate) async fn answering(
        policy: impl FnMut(usize, &ExportTraceServiceRequest) -> Answer + Send + 'static,
    ) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), None, policy).await
    }

    pub(crate) async fn listening(
        listener: TcpListener,
        tls: Option<ServerTlsConfig>,
        policy: impl FnMut(usize, &ExportTraceServiceRequest) -> Answer + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
        let seen = Arc::default();
        let logs = Arc::default();
        let metrics = Metrics::default();
        let traces = Traces { seen: Arc::clone(&seen), policy: Mutex::new(Box::new(policy)) };
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let server = server
            .add_service(
                TraceServiceServer::new(traces)
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd),
            )
            .add_service(LogsServiceServer::new(Logs(Arc::clone(&logs))))
            .add_service(
                MetricsServiceServer::new(metrics.clone())
                    .accept_compressed(CompressionEncoding::Gzip)
                    .accept_compressed(CompressionEncoding::Zstd),
            );
        let task = tokio::spawn(server.serve_with_incoming(incoming)).abort_handle();
        Self { address, seen, logs, metrics, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn logs(&self) -> Vec<ExportLogsServiceRequest> {
        self.logs.lock().unwrap().clone()
    }

    /// All calls for metrics, refused ones too.
    pub(crate) fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.metrics.seen.lock().unwrap().clone()
    }

    /// From now on metrics are answered with this.
    pub(crate) fn refuse_metrics(&self, status: Status) {
        *self.metrics.refusal.lock().unwrap() = Some(status);
    }

    /// The numbers of the spans that were taken, in order.
    pub(crate) fn taken(&self) -> Vec<u64> {
        self.seen().iter().filter(|seen| seen.was_taken).flat_map(|seen| numbers(&seen.request)).collect()
    }
}

impl Drop for GrpcReceiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn partial(rejected_spans: i64, message: &str) -> ExportTraceServiceResponse {
    let partial_success = ExportTracePartialSuccess { rejected_spans, error_message: message.to_owned() };
    ExportTraceServiceResponse { partial_success: Some(partial_success) }
}

/// The numbers that the spans of a request have as ids.
pub(crate) fn numbers(request: &ExportTraceServiceRequest) -> Vec<u64> {
    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    scopes
        .flat_map(|scope| &scope.spans)
        .map(|span| u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap()))
        .collect()
}

struct Traces {
    seen: Arc<Mutex<Vec<Seen>>>,
    policy: Mutex<Policy>,
}

#[tonic::async_trait]
impl TraceService for Traces {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let mut seen = self.seen.lock().unwrap();
        let answer = (self.policy.lock().unwrap())(seen.len(), &request);
        seen.push(Seen { at: Instant::now(), metadata, request, was_taken: answer.is_ok() });
        answer.map(Response::new)
    }
}

struct Logs(Arc<Mutex<Vec<ExportLogsServiceRequest>>>);

#[tonic::async_trait]
impl LogsService for Logs {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[derive(Clone, Default)]
struct Metrics {
    seen: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    refusal: Arc<Mutex<Option<Status>>>,
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.seen.lock().unwrap().push(request.into_inner());
        let refusal = self.refusal.lock().unwrap().clone();
        refusal.map_or_else(|| Ok(Response::new(ExportMetricsServiceResponse::default())), Err)
    }
}
