//! A span or a log record as the store keeps it: the OTLP message, and the columns to find it by.

use std::fmt;
use std::str::FromStr;

use agentsight_ebpf::WallNanos;
use agentsight_semconv::value::object_type;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::facts::Facts;
use crate::otlp::encode;
use crate::spans::model::Signal;

/// The two kinds of signal; each has its own destinations, for a backend may take one and not the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Spans.
    Span,
    /// Log records.
    Log,
}

impl Kind {
    /// As the database says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "span" => Ok(Self::Span),
            "log" => Ok(Self::Log),
            other => Err(format!("unknown kind of signal {other:?}")),
        }
    }
}

/// What is stored of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub(super) kind: Kind,
    pub(super) trace_id: Option<Vec<u8>>,
    pub(super) span_id: Option<Vec<u8>>,
    pub(super) parent_id: Option<Vec<u8>>,
    pub(super) start: WallNanos,
    pub(super) end: WallNanos,
    pub(super) name: String,
    pub(super) resource: Vec<u8>,
    pub(super) encoded: Vec<u8>,
    /// Of spans.
    pub(super) questions: Option<Questions>,
}

/// What questions ask about a span, as the columns of table `span` have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Questions {
    pub(super) object: Option<String>,
    pub(super) action: Option<String>,
    pub(super) pid: Option<i64>,
    pub(super) executable: Option<String>,
    pub(super) path: Option<String>,
    pub(super) host: Option<String>,
    pub(super) peer: Option<String>,
    pub(super) port: Option<i64>,
    pub(super) bytes: Option<i64>,
    pub(super) failed: bool,
    pub(super) lossy: bool,
    /// The protocol's number for the span's kind.
    pub(super) kind: i32,
    /// Trace and span id of each cause that is linked to.
    pub(super) causes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Questions {
    pub(super) fn of(span: &Span) -> Self {
        let facts = Facts::of(span);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            object: owned(facts.object),
            action: owned(facts.action),
            pid: facts.pid,
            executable: owned(facts.executable),
            path: owned(facts.path),
            host: owned(facts.host),
            peer: owned(facts.peer),
            port: facts.port,
            bytes: facts.bytes,
            failed: facts.failed,
            lossy: facts.lossy,
            kind: span.kind,
            causes: span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect(),
        }
    }
}

impl Questions {
    /// It is about something else than a file or a process.
    pub(super) fn is_rare(&self) -> bool {
        !matches!(self.object.as_deref(), None | Some(object_type::FILE | object_type::PROCESS))
    }
}

impl Row {
    /// A signal of the pipeline; `None` for what is not sent.
    #[must_use]
    pub fn of(signal: &Signal) -> Option<Self> {
        match signal {
            Signal::Span(span) => Some(Self::of_span(&encode::span(span), &encode::resource(&span.resource))),
            Signal::Log(log) => Some(Self::of_log(&encode::log_record(log), &encode::resource(&log.resource))),
            Signal::Draft(_) | Signal::Content(_) => None,
        }
    }

    /// An OTLP span.
    #[must_use]
    pub fn of_span(span: &Span, resource: &Resource) -> Self {
        Self {
            kind: Kind::Span,
            trace_id: given(&span.trace_id),
            span_id: given(&span.span_id),
            parent_id: given(&span.parent_span_id),
            start: WallNanos(span.start_time_unix_nano),
            end: WallNanos(span.end_time_unix_nano),
            name: span.name.clone(),
            resource: resource.encode_to_vec(),
            encoded: span.encode_to_vec(),
            questions: Some(Questions::of(span)),
        }
    }

    /// An OTLP log record.
    #[must_use]
    pub fn of_log(log: &LogRecord, resource: &Resource) -> Self {
        Self {
            kind: Kind::Log,
            trace_id: given(&log.trace_id),
            span_id: given(&log.span_id),
            parent_id: None,
            start: WallNanos(log.time_unix_nano),
            end: WallNanos(log.time_unix_nano),
            name: log.event_name.clone(),
            resource: resource.encode_to_vec(),
            encoded: log.encode_to_vec(),
            questions: None,
        }
    }
}

fn given(id: &[u8]) -> Option<Vec<u8>> {
    (!id.is_empty()).then(|| id.to_vec())
}
