//! A real OTLP receiver inside the test: gRPC and HTTP/protobuf on one port, keeping what it is sent.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use axum::body::Bytes;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response as HttpResponse;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use crate::mood::{Mood, Moods};
use crate::trace::Trace;

/// A receiver that runs until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    kept: Kept,
    moods: Moods,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What came, as OTLP/JSON requests in the order of their coming.
type Kept = Arc<Mutex<Vec<serde_json::Value>>>;

impl Receiver {
    /// Starts one on a free loopback port.
    ///
    /// # Panics
    /// When the machine has no port or thread to give.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts one on this loopback port; on a free one for 0.
    ///
    /// # Panics
    /// When the port is taken, or the machine has no thread to give.
    #[must_use]
    pub fn start_on(port: u16) -> Self {
        let (kept, moods) = (Kept::default(), Moods::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell_port, told_port) = std::sync::mpsc::channel();
        let service = service(&kept).layer(from_fn_with_state(moods.clone(), by_mood));
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs nothing that can be missing");
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
                let port = listener.local_addr().expect("a listener has an address").port();
                tell_port.send(port).expect("the test waits for the port");
                let serve = axum::serve(listener, service);
                tokio::select! {
                    served = async { serve.await } => served.expect("serving on loopback goes on"),
                    _ = stopped => {}
                }
            });
        });
        let port = told_port.recv().expect("the receiver's thread says its port");
        Self { port, kept, moods, stop: Some(stop), thread: Some(thread) }
    }

    /// How it answers from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.moods.set(mood);
    }

    /// How many requests came, however they were answered.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.moods.requests()
    }

    /// Where it takes OTLP by either protocol.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection off, gives the port back, and says what had come by then.
    ///
    /// # Panics
    /// When what was sent is no OTLP.
    #[must_use]
    pub fn stop(mut self) -> Trace {
        self.end();
        self.trace()
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It may have panicked, which the test has seen by what did not arrive.
            let _ = thread.join();
        }
    }

    /// All spans and log records so far.
    ///
    /// # Panics
    /// When what was sent is no OTLP.
    #[must_use]
    pub fn trace(&self) -> Trace {
        let mut trace = Trace::default();
        for request in self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            trace.add(request).expect("what was decoded as OTLP is OTLP");
        }
        trace
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

/// Answers in the mood of the moment, before or in place of taking what came.
async fn by_mood(State(moods): State<Moods>, request: HttpRequest, next: Next) -> HttpResponse {
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    let mood = moods.next();
    match mood.refusal(is_grpc) {
        Some(answer) => answer,
        None => {
            let answer = next.run(request).await;
            if let Some(wait) = mood.wait() {
                tokio::time::sleep(wait).await;
            }
            answer
        }
    }
}

fn service(kept: &Kept) -> axum::Router {
    let both = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];
    let traces =
        both.into_iter().fold(TraceServiceServer::new(Keeper(kept.clone())), TraceServiceServer::accept_compressed);
    let logs =
        both.into_iter().fold(LogsServiceServer::new(Keeper(kept.clone())), LogsServiceServer::accept_compressed);
    let metrics =
        both.into_iter().fold(MetricsServiceServer::new(Keeper(kept.clone())), MetricsServiceServer::accept_compressed);
    let http = axum::Router::new()
        .route("/v1/traces", post(take_http::<ExportTraceServiceRequest>))
        .route("/v1/logs", post(take_http::<ExportLogsServiceRequest>))
        .route("/v1/metrics", post(take_http::<ExportMetricsServiceRequest>))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(kept.clone());
    tonic::service::Routes::new(traces).add_service(logs).add_service(metrics).into_axum_router().merge(http)
}

struct Keeper(Kept);

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        keep(&self.0, &request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        keep(&self.0, &request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        keep(&self.0, &request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// OTLP/HTTP. An empty protobuf answer says that all was accepted.
async fn take_http<R: Message + Default + serde::Serialize>(
    State(kept): State<Kept>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(header::HeaderName, &'static str); 1]) {
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("identity");
    let mut plain = Vec::new();
    let read = match coding {
        "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain),
        "zstd" => zstd::Decoder::new(&body[..]).and_then(|mut decoder| decoder.read_to_end(&mut plain)),
        _ => (&body[..]).read_to_end(&mut plain),
    };
    let is_protobuf = headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "application/x-protobuf");
    let status = match (is_protobuf, read, R::decode(&plain[..])) {
        (true, Ok(_), Ok(request)) => {
            keep(&kept, &request);
            StatusCode::OK
        }
        (false, ..) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, [(header::CONTENT_TYPE, "application/x-protobuf")])
}

fn keep(kept: &Kept, request: &impl serde::Serialize) {
    let json = serde_json::to_value(request).expect("an OTLP message has a JSON form");
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(json);
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::agentsight::without_opentelemetry;
    use crate::backend::cached;
    use crate::jaeger::Jaeger;
    use crate::programs;
    use crate::run::run;

    /// A span of OpenTelemetry's own SDK, sent to `endpoint`, and its trace id.
    fn send(endpoint: &str) -> String {
        let mut command = Command::new(cached("python-sdk"));
        command.arg(programs::path("instrumented.py")).args(["app", "true"]);
        without_opentelemetry(&mut command);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
        let finished = run(&mut command, Duration::from_secs(60)).expect_code(0);
        finished.stdout.split(' ').nth(2).unwrap().to_owned()
    }

    #[test]
    fn a_span_of_the_sdk_is_read_alike_from_here_and_from_jaeger() {
        let (receiver, jaeger) = (Receiver::start(), Jaeger::start());
        let here = send(&receiver.endpoint());
        let there = send(&jaeger.http_endpoint());
        let (here, there) = (receiver.trace().of_id(&here), jaeger.trace(&there, 1));
        here.assert_whole();
        assert_eq!(here.snapshot(), there.snapshot());
        assert_eq!(here.spans[0].resource, there.spans[0].resource);
    }
}
