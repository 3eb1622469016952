//! Spans, sessions and slices as JSON. The command line and the REST API say the same, by this module.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Map, Value, json};

use agentsight_ebpf::WallNanos;
use agentsight_semconv as semconv;

use crate::facts::{self, Facts};
use crate::query::moment::rfc3339;
use crate::query::slice::{Edge, Gap, Slice, edge_type};
use crate::session::SpanRef;
use crate::spans::model::SpanContent;
use crate::store::{SessionState, SessionSummary, StoredSpan};

/// A span: what questions ask about it on top, everything else below.
#[must_use]
pub fn span(found: &StoredSpan) -> Value {
    let span = &found.span;
    let facts = Facts::of(span);
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    };
    set("trace_id", hex::encode(&span.trace_id).into());
    set("span_id", hex::encode(&span.span_id).into());
    set("parent_id", id(&span.parent_span_id));
    set("session_id", facts.session.into());
    set("service", facts::service(&found.resource).into());
    set("name", span.name.clone().into());
    set("kind", kind(span).into());
    set("start", rfc3339(WallNanos(span.start_time_unix_nano)).into());
    set("end", rfc3339(WallNanos(span.end_time_unix_nano)).into());
    set("duration_nanos", span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano).into());
    set("status", if facts.failed { "error" } else { "ok" }.into());
    let message = span.status.as_ref().map(|status| status.message.as_str()).filter(|message| !message.is_empty());
    set("status_message", message.into());
    set("object", facts.object.into());
    set("action", facts.action.into());
    set("pid", facts.pid.into());
    set("executable", facts.executable.into());
    set("path", facts.path.into());
    set("host", facts.host.into());
    set("peer", facts.peer.into());
    set("port", facts.port.into());
    set("bytes", facts.bytes.into());
    set("attributes", attributes(&span.attributes));
    set("resource", attributes(&found.resource.attributes));
    // Jaeger gives them in an order of its own.
    let mut events: Vec<_> = span.events.iter().collect();
    events.sort_by(|one, other| (one.time_unix_nano, &one.name).cmp(&(other.time_unix_nano, &other.name)));
    let events = events.into_iter().map(|event| {
        let time = rfc3339(WallNanos(event.time_unix_nano));
        json!({"name": event.name, "time": time, "attributes": attributes(&event.attributes)})
    });
    set("events", events.collect());
    let links = span.links.iter().map(|link| {
        let mut object = Map::new();
        object.insert("trace_id".to_owned(), hex::encode(&link.trace_id).into());
        object.insert("span_id".to_owned(), hex::encode(&link.span_id).into());
        object.insert("type".to_owned(), edge_type(link).into());
        object.insert("attributes".to_owned(), attributes(&link.attributes));
        Value::Object(object)
    });
    set("links", links.collect());
    if span.dropped_links_count > 0 {
        set("dropped_links", span.dropped_links_count.into());
    }
    Value::Object(object)
}

/// A session, as a list has it.
#[must_use]
pub fn session(summary: &SessionSummary) -> Value {
    let (state, ended) = match summary.state {
        SessionState::Running => ("running", None),
        SessionState::Ended(moment) => ("ended", Some(moment)),
        SessionState::Abandoned => ("abandoned", None),
    };
    let mut object = Map::new();
    object.insert("id".to_owned(), summary.id.to_string().into());
    object.insert("trace_id".to_owned(), summary.trace_id.to_string().into());
    object.insert("started".to_owned(), rfc3339(summary.started).into());
    if let Some(ended) = ended {
        object.insert("ended".to_owned(), rfc3339(ended).into());
    }
    object.insert("state".to_owned(), state.into());
    object.insert("spans".to_owned(), summary.spans.into());
    if let Some(command) = summary.root.as_ref().map(|root| command(&root.span)) {
        object.insert("command".to_owned(), command.into());
    }
    Value::Object(object)
}

/// What a span moved: the runs of bytes as hex digits, and as text where they are UTF-8.
#[must_use]
pub fn content(content: &SpanContent) -> Value {
    let layout = &content.layout;
    let mut rest = content.bytes.as_slice();
    let runs = layout.runs.iter().map(|(offset, length)| {
        let length = usize::try_from(*length).map_or(rest.len(), |length| length.min(rest.len()));
        let (run, behind) = rest.split_at(length);
        rest = behind;
        let mut object = Map::new();
        object.insert("offset".to_owned(), (*offset).into());
        object.insert("hex".to_owned(), hex::encode(run).into());
        if let Ok(text) = std::str::from_utf8(run) {
            object.insert("text".to_owned(), text.into());
        }
        Value::Object(object)
    });
    let runs: Value = runs.collect();
    let holes = layout.holes.iter();
    let holes = holes.map(|hole| json!({"start": hole.range.start, "end": hole.range.end, "cause": hole.cause}));
    json!({
        "trace_id": content.trace_id.to_string(),
        "span_id": content.span_id.to_string(),
        "hash": content.hash.to_string(),
        "bytes": content.bytes.len(),
        "runs": runs,
        "holes": holes.collect::<Value>(),
        "redacted": layout.redacted.iter().map(|range| json!({"start": range.start, "end": range.end})).collect::<Value>(),
        "lost_chunks": layout.lost_chunks,
        "complete": layout.complete,
    })
}

/// A slice: spans, edges and gaps.
#[must_use]
pub fn slice(slice: &Slice) -> Value {
    let nodes = slice.nodes.iter().map(|node| {
        let mut object = span(&node.found);
        object["depth"] = node.depth.into();
        object["flows"] = node.flows.into();
        object
    });
    json!({
        "focus": slice.focus.iter().map(|id| reference(*id)).collect::<Value>(),
        "spans": nodes.collect::<Value>(),
        "edges": slice.edges.iter().map(edge).collect::<Value>(),
        "gaps": slice.gaps.iter().map(gap).collect::<Value>(),
        "cut": slice.cut,
    })
}

/// What a process image was started with, as a person reads it; else the span's name.
#[must_use]
pub fn command(span: &Span) -> String {
    let arguments = facts::attribute(span, semconv::PROCESS_COMMAND_ARGS.as_str()).and_then(|it| it.value.as_ref());
    let Some(any_value::Value::ArrayValue(list)) = arguments else { return span.name.clone() };
    let words: Vec<&str> = list.values.iter().filter_map(facts::text).collect();
    if words.is_empty() { span.name.clone() } else { words.join(" ") }
}

/// One sentence on a gap.
#[must_use]
pub fn gap_text(gap: &Gap) -> String {
    match gap {
        Gap::Missing { id, kind } => format!(
            "span {} of trace {}, to which a {kind} edge leads, is not here: it is another program's, not stored yet, or discarded",
            id.span_id, id.trace_id
        ),
        Gap::DroppedLinks { id, count } => {
            format!("span {} has {count} more causes, which its links leave out", id.span_id)
        }
        Gap::Coalesced(id) => {
            format!(
                "span {} is what should have been several bursts: what is before and behind it is blurred",
                id.span_id
            )
        }
        Gap::Found(id) => {
            format!(
                "the open file of span {} is older than the tracing or came from outside: what went before is unknown",
                id.span_id
            )
        }
        Gap::Incomplete(id) => format!("the tracing ended before span {} did", id.span_id),
        Gap::Blind { id, by } => format!("the image of span {} used {by}, where not everything is seen", id.span_id),
        Gap::Lost(loss) => {
            let counts: Vec<String> = loss.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            format!("session {} lost events: {}", loss.session, counts.join(", "))
        }
    }
}

fn gap(gap: &Gap) -> Value {
    let (kind, id) = match gap {
        Gap::Missing { id, .. } => ("missing", Some(id)),
        Gap::DroppedLinks { id, .. } => ("dropped_links", Some(id)),
        Gap::Coalesced(id) => ("coalesced", Some(id)),
        Gap::Found(id) => ("found", Some(id)),
        Gap::Incomplete(id) => ("incomplete", Some(id)),
        Gap::Blind { id, .. } => ("blind", Some(id)),
        Gap::Lost(_) => ("lost", None),
    };
    let mut object = json!({"kind": kind, "text": gap_text(gap)});
    if let Some(id) = id {
        object["span"] = reference(*id);
    }
    object
}

fn edge(edge: &Edge) -> Value {
    let mut object = json!({
        "type": edge.kind,
        "cause": reference(edge.cause),
        "effect": reference(edge.effect),
        "confidence": edge.confidence,
        "lag_nanos": edge.lag_nanos,
        "asserted": edge.asserted,
    });
    if let Some(bytes) = edge.bytes {
        object["bytes"] = bytes.into();
    }
    if let Some(evidence) = &edge.evidence {
        object["match"] = json!({
            "kind": evidence.kind,
            "source_offset": evidence.source_offset,
            "sink_offset": evidence.sink_offset,
            "bytes": evidence.bytes,
            "coverage": evidence.coverage,
            "hash": evidence.hash,
            "excerpt": evidence.excerpt,
            "sink_excerpt": evidence.sink_excerpt,
        });
    }
    object
}

fn reference(id: SpanRef) -> Value {
    json!({"trace_id": id.trace_id.to_string(), "span_id": id.span_id.to_string()})
}

fn id(bytes: &[u8]) -> Value {
    if bytes.iter().all(|byte| *byte == 0) { Value::Null } else { hex::encode(bytes).into() }
}

fn kind(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Unspecified => "unspecified",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let pairs = attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute.value.as_ref())));
    Value::Object(pairs.collect())
}

fn value(given: Option<&AnyValue>) -> Value {
    match given.and_then(|given| given.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone().into(),
        Some(any_value::Value::BoolValue(truth)) => (*truth).into(),
        Some(any_value::Value::IntValue(number)) => (*number).into(),
        Some(any_value::Value::DoubleValue(number)) => (*number).into(),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().map(|one| value(Some(one))).collect(),
        Some(any_value::Value::KvlistValue(list)) => attributes(&list.values),
        Some(any_value::Value::BytesValue(bytes)) => hex::encode(bytes).into(),
        _ => Value::Null,
    }
}
