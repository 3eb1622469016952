//! One test's store with one session in it, and rows to put there.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agentsight::otlp::Backoff;
use agentsight::otlp::sender::{Progress, Sender, SenderOptions, SenderState};
use agentsight::otlp::settings::{Endpoint, Flags, Settings};
use agentsight::session::{CallerContext, Session, SessionId, SessionOptions};
use agentsight::store::{BatchLimit, DestinationId, Kind, Lock, Row, SettingsJson, Store};
use agentsight_ebpf::WallNanos;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

/// Long enough for anything on a loopback; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Desk {
    dir: PathBuf,
    pub(crate) store: Store,
    pub(crate) session: SessionId,
    _lock: Lock,
}

impl Desk {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("agentsight-delivery-{}-{number}", std::process::id()));
        let mut store = Store::open(&dir).unwrap();
        let session = session(1);
        let lock = store.begin_session(&session, None, WallNanos(1)).unwrap();
        Self { dir, store, session: session.id, _lock: lock }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn destination(&mut self, kind: Kind, endpoint: &Endpoint) -> DestinationId {
        let settings = SettingsJson(serde_json::to_string(endpoint).unwrap());
        self.store.add_destination(self.session, kind, &settings).unwrap()
    }

    /// Appends spans with these numbers as ids, under a resource named `service`.
    pub(crate) fn append(&mut self, service: &str, numbers: impl IntoIterator<Item = u64>) {
        let rows: Vec<_> =
            numbers.into_iter().map(|number| Row::of_span(span(number, "work"), &resource(service))).collect();
        self.store.append_rows(self.session, rows).unwrap();
    }

    pub(crate) async fn sender(&self, id: DestinationId) -> Sender {
        Sender::start(&self.dir, id, options()).await.unwrap().unwrap()
    }

    /// Sends the spans 1 to `count` to an endpoint, until all is done with or the backend will not have them.
    pub(crate) async fn deliver(&mut self, count: u64, endpoint: &Endpoint) -> Progress {
        let id = self.destination(Kind::Span, endpoint);
        self.append("test", 1..=count);
        self.sender(id).await.drain(PATIENCE).await
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Impatient, so that no test waits; a signal that is not taken is tried again after a second.
pub(crate) fn options() -> SenderOptions {
    SenderOptions {
        limit: BatchLimit { bytes: 3 << 20, rows: 1_000 },
        backoff: Backoff {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(20),
            not_taken: Duration::from_secs(1),
        },
    }
}

pub(crate) fn session(number: u8) -> Session {
    Session {
        id: SessionId([number; 16]),
        trace_id: TraceId::from_bytes([7; 16]),
        id_key: [9; 16],
        boot_id: "boot".to_owned(),
        host: Default::default(),
        caller: CallerContext::default(),
        options: SessionOptions::default(),
    }
}

pub(crate) fn span(number: u64, name: &str) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: number.to_be_bytes().to_vec(),
        name: name.to_owned(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    }
}

pub(crate) fn log(body: &str) -> LogRecord {
    LogRecord { time_unix_nano: 1, body: Some(text(body)), ..LogRecord::default() }
}

pub(crate) fn resource(service: &str) -> Resource {
    let name = KeyValue { key: "service.name".to_owned(), value: Some(text(service)), ..KeyValue::default() };
    Resource { attributes: vec![name], ..Resource::default() }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

/// The traces endpoint that a user with these variables means.
pub(crate) fn endpoint(url: &str, variables: &[(&str, &str)]) -> Endpoint {
    endpoint_with_files(url, variables, &[])
}

pub(crate) fn endpoint_with_files(url: &str, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Endpoint {
    let mut environment: std::collections::BTreeMap<_, _> =
        variables.iter().map(|(name, value)| (format!("OTEL_EXPORTER_OTLP_{name}"), value.to_string())).collect();
    environment.insert("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url.to_owned());
    let settings = Settings::parse(&environment, &Flags::default(), |path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path).unwrap();
        Ok(found.1.as_bytes().to_vec())
    });
    settings.unwrap().traces.unwrap()
}

/// Waits until the sender's state is like this.
pub(crate) async fn until(sender: &Sender, is_wanted: impl Fn(&SenderState) -> bool) -> Progress {
    let mut progress = sender.progress();
    let found = tokio::time::timeout(PATIENCE, progress.wait_for(|now| is_wanted(&now.state))).await;
    found.expect("the sender never got there").unwrap().clone()
}
