//! A span or a log record as the store keeps it: the OTLP message, and the columns to find it by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::otlp::encode;
use crate::spans::model::{self, Signal};

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

/// What is stored of one signal: its OTLP message, and who emitted it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub(super) message: Message,
    /// An encoded OTLP resource, shared with other rows.
    pub(super) resource: Arc<[u8]>,
}

/// The OTLP message of one signal.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    /// A span.
    Span(Span),
    /// A log record.
    Log(LogRecord),
}

/// What table `signal` has in columns of its own.
pub(super) struct Columns<'a> {
    pub(super) kind: Kind,
    pub(super) trace_id: Option<&'a [u8]>,
    pub(super) span_id: Option<&'a [u8]>,
    pub(super) parent_id: Option<&'a [u8]>,
    pub(super) start: WallNanos,
    pub(super) end: WallNanos,
    pub(super) name: &'a str,
}

impl Row {
    /// An OTLP span.
    #[must_use]
    pub fn of_span(span: Span, resource: &Resource) -> Self {
        Self { message: Message::Span(span), resource: resource.encode_to_vec().into() }
    }

    /// An OTLP log record.
    #[must_use]
    pub fn of_log(log: LogRecord, resource: &Resource) -> Self {
        Self { message: Message::Log(log), resource: resource.encode_to_vec().into() }
    }
}

impl Message {
    pub(super) fn columns(&self) -> Columns<'_> {
        match self {
            Self::Span(span) => Columns {
                kind: Kind::Span,
                trace_id: given(&span.trace_id),
                span_id: given(&span.span_id),
                parent_id: given(&span.parent_span_id),
                start: WallNanos(span.start_time_unix_nano),
                end: WallNanos(span.end_time_unix_nano),
                name: &span.name,
            },
            Self::Log(log) => Columns {
                kind: Kind::Log,
                trace_id: given(&log.trace_id),
                span_id: given(&log.span_id),
                parent_id: None,
                start: WallNanos(log.time_unix_nano),
                end: WallNanos(log.time_unix_nano),
                name: &log.event_name,
            },
        }
    }

    /// The message's bytes, in place of what the buffer has.
    pub(super) fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        let encoded = match self {
            Self::Span(span) => span.encode(buffer),
            Self::Log(log) => log.encode(buffer),
        };
        encoded.expect("a vector has room");
    }
}

fn given(id: &[u8]) -> Option<&[u8]> {
    (!id.is_empty()).then_some(id)
}

/// Signals of the pipeline as rows; the resource that many share is encoded once.
#[derive(Default)]
pub(super) struct Rows {
    last: Option<(Arc<model::Resource>, Arc<[u8]>)>,
}

impl Rows {
    /// `None` for what is not sent.
    pub(super) fn row(&mut self, signal: &Signal) -> Option<Row> {
        match signal {
            Signal::Span(span) => {
                let resource = self.encoded(&span.resource);
                Some(Row { message: Message::Span(encode::span(span)), resource })
            }
            Signal::Log(log) => {
                let resource = self.encoded(&log.resource);
                Some(Row { message: Message::Log(encode::log_record(log)), resource })
            }
            Signal::Draft(_) | Signal::Content(_) => None,
        }
    }

    pub(super) fn encoded(&mut self, resource: &Arc<model::Resource>) -> Arc<[u8]> {
        match &self.last {
            Some((known, encoded)) if Arc::ptr_eq(known, resource) => Arc::clone(encoded),
            _ => {
                let encoded: Arc<[u8]> = encode::resource(resource).encode_to_vec().into();
                self.last = Some((Arc::clone(resource), Arc::clone(&encoded)));
                encoded
            }
        }
    }
}
