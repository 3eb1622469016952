//! A real Jaeger with its traces in memory, started for one test on free ports.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::backend::{Running, cached, folder, free_ports};
use crate::deadline::wait_for;
use crate::directory::Directory;
use crate::http::get;
use crate::trace::Trace;

/// A Jaeger that answers.
#[derive(Debug)]
pub struct Jaeger {
    otlp_grpc: u16,
    otlp_http: u16,
    query: u16,
    _process: Running,
    _directory: Directory,
}

impl Jaeger {
    /// Starts one, and waits until it takes spans.
    ///
    /// # Panics
    /// When it cannot be built or does not come up; the message has its log.
    #[must_use]
    pub fn start() -> Self {
        let binary = cached("jaeger");
        let directory = Directory::new();
        let log = directory.join("jaeger.log");
        let [otlp_grpc, otlp_http, query, query_grpc, health] = free_ports();
        let mut command = Command::new(binary);
        command.arg("--config").arg(folder("jaeger").join("config.yaml"));
        for (name, port) in [
            ("JAEGER_OTLP_GRPC_PORT", otlp_grpc),
            ("JAEGER_OTLP_HTTP_PORT", otlp_http),
            ("JAEGER_QUERY_PORT", query),
            ("JAEGER_QUERY_GRPC_PORT", query_grpc),
            ("JAEGER_HEALTH_PORT", health),
        ] {
            command.env(name, port.to_string());
        }
        let output = File::create(&log).expect("the test's directory is writable");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let mut process = Running(command.spawn().expect("the Jaeger that was built can be started"));
        wait_for("Jaeger to be ready", Duration::from_secs(60), || {
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("Jaeger ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            get(health, "/status").filter(|(code, body)| *code == 200 && body.contains("StatusOK"))
        });
        Self { otlp_grpc, otlp_http, query, _process: process, _directory: directory }
    }

    /// Where it takes OTLP/gRPC.
    #[must_use]
    pub fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_grpc)
    }

    /// Where it takes OTLP/HTTP; `/v1/traces` is for the sender to add.
    #[must_use]
    pub fn http_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_http)
    }

    /// The port of its page and its API.
    #[must_use]
    pub fn query_port(&self) -> u16 {
        self.query
    }

    /// The trace of this id as soon as it has `count` spans.
    ///
    /// # Panics
    /// When it has not after 20 s; the message has what was there.
    #[must_use]
    #[track_caller]
    pub fn trace(&self, id: &str, count: usize) -> Trace {
        self.wait_for_spans(id, count, |trace| trace)
    }

    /// The processes of the trace of this id, and the spans of other programs, as soon as these are `count`.
    ///
    /// # Panics
    /// When they are not after 20 s; the message has what was there.
    #[must_use]
    #[track_caller]
    pub fn processes(&self, id: &str, count: usize) -> Trace {
        self.wait_for_spans(id, count, |trace| trace.processes())
    }

    #[track_caller]
    fn wait_for_spans(&self, id: &str, count: usize, of: impl Fn(Trace) -> Trace) -> Trace {
        let mut seen = Trace::default();
        let begun = std::time::Instant::now();
        while seen.spans.len() < count {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "Jaeger should have {count} spans of trace {id}, it has\n{seen}"
            );
            std::thread::sleep(Duration::from_millis(50));
            seen = of(self.trace_now(id).unwrap_or_default());
        }
        seen
    }

    /// What it has of a trace now, by its stable API `/api/v3`; `None` when it knows of none.
    ///
    /// # Panics
    /// When it does not answer in OTLP.
    #[must_use]
    pub fn trace_now(&self, id: &str) -> Option<Trace> {
        let (code, body) = get(self.query, &format!("/api/v3/traces/{id}")).expect("Jaeger answers while it runs");
        if code == 404 {
            return None;
        }
        assert_eq!(code, 200, "Jaeger's answer: {body}");
        let mut trace = Trace::default();
        // A long answer comes in several JSON objects.
        for answer in serde_json::Deserializer::from_str(&body).into_iter::<serde_json::Value>() {
            let answer = answer.expect("Jaeger answers in JSON");
            trace.add(&answer["result"]).expect("Jaeger answers in OTLP");
        }
        Some(trace)
    }
}
