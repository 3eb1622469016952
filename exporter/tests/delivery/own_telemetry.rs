//! AgentSight's own metrics and traces, through the SDK's exporters over our channels.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use agentsight::otlp::settings::{Endpoint, Flags, Settings};
use agentsight::session::SessionId;
use agentsight::telemetry::{Account, Telemetry};
use agentsight_ebpf::{Event, KernelNanos, Loss, LossKind};
use agentsight_semconv::undeclared;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::Status;
use tracing_subscriber::layer::SubscriberExt;

use crate::certificate::Authority;
use crate::desk::{PATIENCE, endpoint};
use crate::grpc_receiver::GrpcReceiver;
use crate::http_receiver::{HttpReceiver, answer};
use crate::over_tls::{self, Clients};

/// Both signals to one endpoint of gRPC.
fn both(endpoint: Endpoint) -> Settings {
    Settings { traces: Some(endpoint.clone()), logs: None, metrics: Some(endpoint) }
}

/// What a user with these variables means, each signal at its own path.
fn http(url: &str) -> Settings {
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Settings::parse(&variables, &Flags::default(), |_| panic!("no files are named")).unwrap()
}

fn start(settings: &Settings) -> Telemetry {
    let account = Account::default();
    account.count_event(&Event::Loss(Loss { at: KernelNanos(1), kind: LossKind::Fork, count: 23 }));
    Telemetry::start(settings, Some(SessionId([1; 16])), &account).unwrap()
}

/// The spans of a collector in small, with a complaint inside.
fn work(telemetry: &Telemetry) {
    let subscriber = tracing_subscriber::registry().with(telemetry.traces());
    tracing::subscriber::with_default(subscriber, || {
        let _collector = tracing::info_span!(target: "agentsight::collector", "collector").entered();
        tracing::warn!(target: "agentsight::collector", error = "no space", "the store does not take spans");
        for part in ["trace", "deliver"] {
            tracing::info_span!(target: "agentsight::collector", "part", otel.name = part).in_scope(|| {});
        }
        tracing::info_span!(target: "h2::client", "somebody else's").in_scope(|| {});
    });
}

/// Off the runtime's threads, as the collector does it.
async fn end(telemetry: Telemetry, limit: Duration) -> Duration {
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        telemetry.end(limit);
        begun.elapsed()
    })
    .await
    .unwrap()
}

/// What a run leaves at a receiver.
async fn run(settings: &Settings) {
    let telemetry = start(settings);
    work(&telemetry);
    end(telemetry, PATIENCE).await;
}

fn attribute<'a>(resource: &'a Resource, name: &str) -> &'a str {
    let found = resource.attributes.iter().find(|attribute| attribute.key == name);
    match found.unwrap().value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{name} is {other:?}"),
    }
}

#[track_caller]
fn assert_metrics(request: &ExportMetricsServiceRequest) {
    assert_eq!(request.resource_metrics.len(), 1);
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    assert_eq!(attribute(resource, "service.name"), "agentsight");
    assert_eq!(attribute(resource, "agentsight.session.id"), "01".repeat(16));
    let mut names: BTreeSet<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    let mut lost_forks = None;
    for metric in request.resource_metrics[0].scope_metrics.iter().flat_map(|scope| &scope.metrics) {
        names.insert(&metric.name);
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{} is no sum", metric.name) };
        for point in &sum.data_points {
            names.extend(point.attributes.iter().map(|attribute| attribute.key.as_str()));
            if metric.name == "agentsight.events.lost" && format!("{:?}", point.attributes).contains("\"fork\"") {
                lost_forks = point.value;
            }
        }
    }
    assert_eq!(undeclared(names.iter().copied()), [""; 0]);
    assert!(names.contains("agentsight.events") && names.contains("process.cpu.time"), "{names:?}");
    assert_eq!(lost_forks, Some(number_data_point::Value::AsInt(23)));
}

#[track_caller]
fn assert_spans<'a>(requests: impl IntoIterator<Item = &'a ExportTraceServiceRequest>) {
    let groups: Vec<_> = requests.into_iter().flat_map(|request| &request.resource_spans).collect();
    for group in &groups {
        assert_eq!(attribute(group.resource.as_ref().unwrap(), "service.name"), "agentsight");
    }
    let spans: Vec<&Span> = groups.iter().flat_map(|group| &group.scope_spans).flat_map(|scope| &scope.spans).collect();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["collector", "deliver", "trace"]));
    let root = spans.iter().find(|span| span.name == "collector").unwrap();
    assert!(root.parent_span_id.is_empty());
    for span in spans.iter().filter(|span| span.name != "collector") {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&root.trace_id, &root.span_id), "{}", span.name);
    }
    for span in spans {
        assert_eq!(undeclared(span.attributes.iter().map(|attribute| attribute.key.as_str())), [""; 0]);
        assert!(span.events.is_empty(), "what is logged goes to the log: {:?}", span.events);
    }
}

#[track_caller]
fn assert_all(receiver: &GrpcReceiver) {
    let metrics = receiver.metrics();
    assert_eq!(metrics.len(), 1);
    assert_metrics(&metrics[0]);
    assert_spans(receiver.seen().iter().map(|seen| &seen.request));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_one_trace_arrive_over_grpc() {
    for compression in ["none", "gzip", "zstd"] {
        let receiver = GrpcReceiver::start().await;
        let variables = [("PROTOCOL", "grpc"), ("COMPRESSION", compression), ("HEADERS", "authorization=Bearer%20x")];
        run(&both(endpoint(&receiver.url(), &variables))).await;
        assert_all(&receiver);
        assert!(receiver.seen().iter().all(|seen| seen.metadata.get("authorization").unwrap() == "Bearer x"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_one_trace_arrive_over_http_each_at_its_path() {
    let receiver = HttpReceiver::answering(|_| answer("200 OK", &["content-type: application/x-protobuf"], "")).await;
    run(&http(&receiver.url())).await;
    let seen = receiver.seen();
    let of = |path: &str| seen.iter().filter(|seen| seen.path == path).map(|seen| seen.body.as_slice()).collect();
    let (metrics, traces): (Vec<&[u8]>, Vec<&[u8]>) = (of("/v1/metrics"), of("/v1/traces"));
    assert_eq!(metrics.len(), 1);
    assert_metrics(&ExportMetricsServiceRequest::decode(metrics[0]).unwrap());
    let traces: Vec<_> = traces.into_iter().map(|body| ExportTraceServiceRequest::decode(body).unwrap()).collect();
    assert_spans(&traces);
    assert_eq!(seen.len(), metrics.len() + traces.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_the_users_own_is_trusted_with_metrics_and_traces_too() {
    let authority = Authority::new();
    let receiver = over_tls::grpc(&authority, Clients::Any).await;
    run(&both(over_tls::trusting(&format!("https://{}", receiver.address), "grpc", &authority))).await;
    assert_all(&receiver);
    let receiver = over_tls::http(&authority, Clients::Any).await;
    run(&both(over_tls::trusting(&format!("https://{}", receiver.address), "http/protobuf", &authority))).await;
    assert_eq!(receiver.seen().len(), 2);
}

/// Three exports in a row.
async fn flush_twice_and_end(settings: &Settings) {
    let telemetry = start(settings);
    let telemetry = tokio::task::spawn_blocking(move || {
        telemetry.flush();
        telemetry.flush();
        telemetry
    });
    end(telemetry.await.unwrap(), PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_backend_that_takes_no_metrics_is_asked_once() {
    let receiver = GrpcReceiver::start().await;
    receiver.refuse_metrics(Status::unimplemented("unknown service opentelemetry…MetricsService"));
    flush_twice_and_end(&both(endpoint(&receiver.url(), &[("PROTOCOL", "grpc")]))).await;
    assert_eq!(receiver.metrics().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_backend_that_takes_no_metrics_is_asked_once() {
    let receiver = HttpReceiver::answering(|_| answer("404 Not Found", &[], "404 page not found")).await;
    flush_twice_and_end(&http(&receiver.url())).await;
    assert_eq!(receiver.seen().iter().filter(|seen| seen.path == "/v1/metrics").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_in_trouble_is_asked_each_time() {
    let receiver = GrpcReceiver::start().await;
    receiver.refuse_metrics(Status::invalid_argument("not this one"));
    flush_twice_and_end(&both(endpoint(&receiver.url(), &[("PROTOCOL", "grpc")]))).await;
    assert_eq!(receiver.metrics().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_never_answers_holds_nobody_up() {
    // Accepted by the kernel, never by a program.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for settings in [both(endpoint(&url, &[("PROTOCOL", "grpc")])), http(&url)] {
        let telemetry = start(&settings);
        work(&telemetry);
        let took = end(telemetry, Duration::from_millis(200)).await;
        // The exporters' own limit is 10 s.
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_there_is_nothing_to_wait_for() {
    let telemetry = start(&Settings::default());
    assert!(telemetry.traces::<tracing_subscriber::Registry>().is_none());
    assert!(end(telemetry, PATIENCE).await < PATIENCE);
}
