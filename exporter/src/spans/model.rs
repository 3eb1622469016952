//! A span and a log record, as OpenTelemetry says them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use agentsight_ebpf::{ContentHole, WallNanos};
use agentsight_semconv::Name;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use serde::{Deserialize, Serialize};

use crate::content::ContentHash;
use crate::session::SpanRef;

/// What the pipeline emits.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// A finished span, to be sent once.
    Span(Box<Span>),
    /// A log record.
    Log(Box<LogRecord>),
    /// What a later collector has to send, should this one die before it does; nothing that is sent now.
    Draft(Box<Draft>),
    /// What a span's calls moved; for the store alone.
    Content(Box<SpanContent>),
}

/// The span that is yet to come of something that is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its first span: what the draft is filed under.
    pub of: SpanRef,
    /// The span as it would be sent if nothing more were heard of it, in place of any earlier draft; it ends as
    /// soon as it has begun, as nobody knows better yet. `None` when there is nothing left to come.
    pub span: Option<Span>,
}

/// One span, complete: nothing is added after it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Trace and span id.
    pub id: SpanRef,
    /// The parent's span id, in the same trace.
    pub parent: Option<SpanId>,
    /// W3C trace state that came with an adopted parent; empty otherwise.
    pub trace_state: String,
    /// The name.
    pub name: Cow<'static, str>,
    /// INTERNAL for images.
    pub kind: SpanKind,
    /// First moment.
    pub start: WallNanos,
    /// Last moment.
    pub end: WallNanos,
    /// Attributes, in the order in which they were set.
    pub attributes: Vec<Attribute>,
    /// How many attributes the limit cost.
    pub dropped_attributes: u32,
    /// Span events in order of time.
    pub events: Vec<SpanEvent>,
    /// How many events the limit cost.
    pub dropped_events: u32,
    /// Links to causes.
    pub links: Vec<Link>,
    /// How many links the limit cost.
    pub dropped_links: u32,
    /// Unset, or Error with a description.
    pub status: Status,
    /// Who emitted it, shared between spans.
    pub resource: Arc<Resource>,
}

/// A name that the registry declares, with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The declared name.
    pub name: Name,
    /// The value.
    pub value: Value,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(Cow<'static, str>),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Strings in order.
    Texts(Vec<String>),
}

/// Something that happened at one moment of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// Its name, declared in the registry.
    pub name: Name,
    /// When.
    pub at: WallNanos,
    /// Attributes.
    pub attributes: Vec<Attribute>,
}

/// A link from an effect back to its cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The cause.
    pub to: SpanRef,
    /// `agentsight.link.type` and the like.
    pub attributes: Vec<Attribute>,
}

/// A log record, joined to a span where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened.
    pub at: WallNanos,
    /// Severity number of the OpenTelemetry log data model (9 = INFO, 13 = WARN, 17 = ERROR).
    pub severity: u8,
    /// The event's name, declared in the registry.
    pub event_name: Name,
    /// One sentence for a person.
    pub body: String,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// The span it belongs to.
    pub span: Option<SpanRef>,
    /// Who emitted it.
    pub resource: Arc<Resource>,
}

/// The captured bytes of one span, redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContent {
    /// The span's trace.
    pub trace_id: TraceId,
    /// The span's id within it.
    pub span_id: SpanId,
    /// What the bytes are called by.
    pub hash: ContentHash,
    /// The runs, one after another.
    pub bytes: Vec<u8>,
    /// Where they stood.
    pub layout: ContentLayout,
}

/// Where bytes stood in the stream or file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentLayout {
    /// Offset and length in bytes of each run, ascending, apart.
    pub runs: Vec<(u64, u64)>,
    /// What was moved and is not known, ascending.
    pub holes: Vec<ContentHole>,
    /// What was redacted: places in the stream or file, ascending.
    pub redacted: Vec<Range<u64>>,
    /// Chunks that were made and did not come.
    pub lost_chunks: u64,
    /// Whether nothing may follow the last byte.
    pub complete: bool,
}

/// Resource attributes: `service.*`, `host.*`, `os.*`, and whatever `OTEL_RESOURCE_ATTRIBUTES` of the traced process names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// By name.
    pub attributes: BTreeMap<String, String>,
}
