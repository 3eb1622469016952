//! A trace as a backend or a file holds it, read back without any of the code that wrote it.

mod check;
mod names;
mod otlp_json;
mod outline;
mod processes;
mod segments;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use check::Fault;
pub use otlp_json::ParseError;

/// Spans and log records, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// All spans; of several traces, maybe.
    pub spans: Vec<Span>,
    /// All log records.
    pub logs: Vec<Log>,
    /// All metrics' points.
    pub metrics: Vec<Point>,
}

/// Attributes by name.
pub type Attributes = BTreeMap<String, Value>;

/// One span. Ids are lower-case hex digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub id: String,
    /// 16 digits.
    pub parent: Option<String>,
    /// W3C trace state.
    pub trace_state: String,
    /// The name.
    pub name: String,
    /// OTLP's number: 1 is INTERNAL.
    pub kind: u64,
    /// Since 1970.
    pub start_nanos: u64,
    /// Since 1970.
    pub end_nanos: u64,
    /// Attributes.
    pub attributes: Attributes,
    /// Events in order.
    pub events: Vec<Event>,
    /// Links in order.
    pub links: Vec<Link>,
    /// OTLP's number: 0 unset, 1 ok, 2 error.
    pub status_code: u64,
    /// The status' description.
    pub status_message: String,
    /// Attributes of the resource it belongs to.
    pub resource: Attributes,
}

/// A span event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Since 1970.
    pub at_nanos: u64,
    /// Attributes.
    pub attributes: Attributes,
}

/// A span link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// Attributes.
    pub attributes: Attributes,
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Its event name.
    pub event_name: String,
    /// OTLP's number: 9 is INFO.
    pub severity: u64,
    /// The sentence.
    pub body: String,
    /// Attributes.
    pub attributes: Attributes,
    /// 16 hex digits, or nothing.
    pub span_id: String,
}

/// One point of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The metric's name.
    pub metric: String,
    /// The point's attributes, and those of its resource.
    pub attributes: Attributes,
    /// A sum's or gauge's value; a histogram's number of values.
    pub value: f64,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Values in order.
    List(Vec<Value>),
}

impl Trace {
    /// The span of this id.
    #[must_use]
    pub fn span(&self, id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.id == id)
    }

    /// The children of a span in the order of their start.
    #[must_use]
    pub fn children(&self, id: &str) -> Vec<&Span> {
        let mut children: Vec<_> = self.spans.iter().filter(|span| span.parent.as_deref() == Some(id)).collect();
        children.sort_by_key(|span| (span.start_nanos, &span.id));
        children
    }

    /// Spans whose parent is not among them, in the order of their start.
    #[must_use]
    pub fn roots(&self) -> Vec<&Span> {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.id.as_str()).collect();
        let is_here = |parent: &str| ids.contains(parent);
        let is_root = |span: &&Span| !span.parent.as_deref().is_some_and(is_here);
        let mut roots: Vec<_> = self.spans.iter().filter(is_root).collect();
        roots.sort_by_key(|span| (span.start_nanos, &span.id));
        roots
    }

    /// The only span of this name.
    ///
    /// # Panics
    /// When there is none, or several.
    #[must_use]
    #[track_caller]
    pub fn only(&self, name: &str) -> &Span {
        let found: Vec<_> = self.spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans named `{name}` in\n{self}");
        found[0]
    }

    /// The spans of the session that `other`'s spans are of: without AgentSight's own, and those of other programs.
    ///
    /// # Panics
    /// When `other` is empty.
    #[must_use]
    pub fn only_session_of(&self, other: &Self) -> Self {
        let session = other.spans.first().expect("the other trace has spans").text("agentsight.session.id");
        let spans = self.spans.iter().filter(|span| span.text("agentsight.session.id") == session).cloned().collect();
        Self { spans, ..Self::default() }
    }

    /// The spans of one trace alone.
    #[must_use]
    pub fn of_id(&self, trace_id: &str) -> Self {
        let spans = self.spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect();
        Self { spans, ..Self::default() }
    }

    /// The same spans in the order of their ids, to compare sets.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.spans.sort_by(|a, b| (&a.trace_id, &a.id).cmp(&(&b.trace_id, &b.id)));
        self
    }
}

impl Span {
    /// The text of an attribute; empty where it is missing or none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.attributes.get(name) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The integer of an attribute.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// The texts of an attribute that is a list; empty where it is missing.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let Some(Value::List(values)) = self.attributes.get(name) else { return Vec::new() };
        values
            .iter()
            .filter_map(|value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
            .collect()
    }
}

impl Link {
    /// Whether `agentsight.link.type` is this.
    #[must_use]
    pub fn is(&self, link_type: &str) -> bool {
        matches!(self.attributes.get("agentsight.link.type"), Some(Value::Text(text)) if text == link_type)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}
