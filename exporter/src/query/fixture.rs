//! Spans made by hand, as the pipeline says them: small enough to see what leads where.

use std::sync::Arc;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::memory::Memory;
use crate::session::{SessionId, SpanRef};
use crate::store::StoredSpan;

pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const BEGIN: u64 = 1_790_000_000_000_000_000;
pub(crate) const SESSION: SessionId = SessionId([5; 16]);

pub(crate) fn id(number: u8) -> SpanRef {
    SpanRef { trace_id: TraceId::from_bytes([1; 16]), span_id: SpanId::from_bytes([0, 0, 0, 0, 0, 0, 0, number]) }
}

/// A span from one millisecond to another, under the span of number `parent` (0: none).
pub(crate) fn span(number: u8, parent: u8, name: &str, (from, to): (u64, u64)) -> Span {
    let reference = id(number);
    let session = ("agentsight.session.id", SESSION.to_string());
    Span {
        trace_id: reference.trace_id.to_bytes().to_vec(),
        span_id: reference.span_id.to_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { id(parent).span_id.to_bytes().to_vec() },
        name: name.to_owned(),
        kind: 1,
        start_time_unix_nano: BEGIN + from * MILLI,
        end_time_unix_nano: BEGIN + to * MILLI,
        attributes: vec![key_value(session.0, text(&session.1))],
        status: Some(Status::default()),
        ..Span::default()
    }
}

pub(crate) trait With: Sized {
    fn says(self, name: &str, value: &str) -> Self;
    fn counts(self, name: &str, value: i64) -> Self;
    fn admits(self, name: &str) -> Self;
    fn because(self, kind: &str, cause: u8, confidence: f64) -> Self;
    fn image(self, pid: i64, executable: &str) -> Self;
    fn burst(self, pid: i64, executable: &str, action: &str, path: &str) -> Self;
}

impl With for Span {
    fn says(mut self, name: &str, value: &str) -> Self {
        self.attributes.push(key_value(name, text(value)));
        self
    }

    fn counts(mut self, name: &str, value: i64) -> Self {
        self.attributes.push(key_value(name, any_value::Value::IntValue(value)));
        self
    }

    fn admits(mut self, name: &str) -> Self {
        self.attributes.push(key_value(name, any_value::Value::BoolValue(true)));
        self
    }

    fn because(mut self, kind: &str, cause: u8, confidence: f64) -> Self {
        let cause = id(cause);
        self.links.push(Link {
            trace_id: cause.trace_id.to_bytes().to_vec(),
            span_id: cause.span_id.to_bytes().to_vec(),
            attributes: vec![
                key_value("agentsight.link.type", text(kind)),
                key_value("agentsight.link.confidence", any_value::Value::DoubleValue(confidence)),
                key_value("agentsight.link.bytes", any_value::Value::IntValue(47)),
            ],
            ..Link::default()
        });
        self
    }

    fn image(self, pid: i64, executable: &str) -> Self {
        self.says("agentsight.object.type", "process")
            .says("agentsight.action", "exec")
            .counts("process.pid", pid)
            .says("process.executable.name", executable)
            .says("process.executable.path", &format!("/usr/bin/{executable}"))
    }

    fn burst(self, pid: i64, executable: &str, action: &str, path: &str) -> Self {
        self.says("agentsight.object.type", "file")
            .says("agentsight.action", action)
            .counts("process.pid", pid)
            .says("process.executable.name", executable)
            .says("file.path", path)
            .counts("agentsight.io.bytes", 47)
    }
}

/// The reference case: an agent calls an API with a stale id, because it had read a file that a cache refresher was rewriting.
pub(crate) fn stale_id() -> Vec<Span> {
    let connection = |span: Span, action: &str| {
        span.says("agentsight.object.type", "tcp")
            .says("agentsight.action", action)
            .counts("process.pid", 101)
            .says("process.executable.name", "python3")
            .says("server.address", "api.example.com")
            .counts("server.port", 443)
            .says("network.peer.address", "10.0.0.7")
            .counts("network.peer.port", 443)
    };
    vec![
        span(1, 0, "sh", (0, 900)).image(100, "sh"),
        span(2, 1, "python3 agent.py", (10, 800)).image(101, "python3"),
        span(3, 1, "refresh", (5, 700)).image(102, "refresh").because("join", 9, 1.0),
        span(4, 3, "write config.json", (20, 30)).burst(102, "refresh", "write", "/srv/config.json"),
        span(5, 2, "read config.json", (40, 41))
            .burst(101, "python3", "read", "/srv/config.json")
            .because("file", 4, 0.95),
        connection(span(6, 2, "connect api.example.com:443", (50, 300)), "connect").because("dns", 8, 0.9),
        connection(span(7, 6, "write api.example.com:443", (60, 61)), "write").because("flow", 5, 0.5),
        span(8, 2, "resolve api.example.com", (45, 46))
            .says("agentsight.object.type", "dns")
            .says("agentsight.action", "resolve")
            .counts("process.pid", 101)
            .says("dns.question.name", "api.example.com"),
        span(9, 3, "sleep", (31, 690)).image(103, "sleep"),
        connection(span(10, 6, "read api.example.com:443", (80, 90)), "read"),
        span(11, 2, "write report.txt", (100, 101))
            .burst(101, "python3", "write", "/srv/report.txt")
            .because("flow", 10, 0.5)
            .because("flow", 5, 0.5),
        Span {
            status: Some(Status { code: 2, message: "exit code 1".to_owned() }),
            ..span(12, 1, "false", (500, 501))
        }
        .image(104, "false"),
    ]
}

pub(crate) fn found(span: Span) -> StoredSpan {
    let resource = Resource { attributes: vec![key_value("service.name", text("agent"))], ..Resource::default() };
    StoredSpan { span, resource: Arc::new(resource) }
}

pub(crate) fn memory(spans: impl IntoIterator<Item = Span>) -> Memory {
    let mut memory = Memory::default();
    spans.into_iter().for_each(|span| memory.add(found(span)));
    memory
}

pub(crate) fn key_value(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}
