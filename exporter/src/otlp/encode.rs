//! Our spans and log records as OTLP messages. Pure; the same input always gives the same bytes.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1 as otlp_logs;
use opentelemetry_proto::tonic::resource::v1 as otlp_resource;
use opentelemetry_proto::tonic::trace::v1 as otlp_trace;

use crate::session::SpanRef;
use crate::spans::model::{Attribute, Link, LogRecord, Resource, Span, SpanEvent, Value};

/// W3C trace flag: we record everything that we see, so whatever we send was sampled.
const SAMPLED: u32 = 0x01;

/// A span.
#[must_use]
pub fn span(span: &Span) -> otlp_trace::Span {
    otlp_trace::Span {
        trace_id: span.id.trace_id.to_bytes().to_vec(),
        span_id: span.id.span_id.to_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        flags: SAMPLED,
        name: span.name.to_string(),
        kind: kind(&span.kind) as i32,
        start_time_unix_nano: span.start.0,
        end_time_unix_nano: span.end.0,
        attributes: attributes(&span.attributes),
        dropped_attributes_count: span.dropped_attributes,
        events: span.events.iter().map(event).collect(),
        dropped_events_count: span.dropped_events,
        links: span.links.iter().map(link).collect(),
        dropped_links_count: span.dropped_links,
        status: Some(status(&span.status)),
    }
}

/// A log record.
#[must_use]
pub fn log_record(log: &LogRecord) -> otlp_logs::LogRecord {
    let (trace_id, span_id) = match log.span {
        Some(SpanRef { trace_id, span_id }) => (trace_id.to_bytes().to_vec(), span_id.to_bytes().to_vec()),
        None => Default::default(),
    };
    otlp_logs::LogRecord {
        time_unix_nano: log.at.0,
        observed_time_unix_nano: log.at.0,
        severity_number: log.severity.into(),
        severity_text: severity_text(log.severity).to_owned(),
        body: Some(text(&log.body)),
        attributes: attributes(&log.attributes),
        dropped_attributes_count: 0,
        flags: if log.span.is_some() { SAMPLED } else { 0 },
        trace_id,
        span_id,
        event_name: log.event_name.as_str().to_owned(),
    }
}

/// A resource.
#[must_use]
pub fn resource(resource: &Resource) -> otlp_resource::Resource {
    let attributes = resource.attributes.iter().map(|(name, value)| key_value(name, text(value))).collect();
    otlp_resource::Resource { attributes, dropped_attributes_count: 0, entity_refs: Vec::new() }
}

/// Who made the signals: AgentSight itself, whatever their resource.
#[must_use]
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "agentsight".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
    }
}

fn kind(kind: &SpanKind) -> otlp_trace::span::SpanKind {
    match kind {
        SpanKind::Internal => otlp_trace::span::SpanKind::Internal,
        SpanKind::Server => otlp_trace::span::SpanKind::Server,
        SpanKind::Client => otlp_trace::span::SpanKind::Client,
        SpanKind::Producer => otlp_trace::span::SpanKind::Producer,
        SpanKind::Consumer => otlp_trace::span::SpanKind::Consumer,
    }
}

fn status(status: &Status) -> otlp_trace::Status {
    use otlp_trace::status::StatusCode;
    let (code, message) = match status {
        Status::Unset => (StatusCode::Unset, String::new()),
        Status::Ok => (StatusCode::Ok, String::new()),
        Status::Error { description } => (StatusCode::Error, description.to_string()),
    };
    otlp_trace::Status { message, code: code as i32 }
}

fn event(event: &SpanEvent) -> otlp_trace::span::Event {
    otlp_trace::span::Event {
        time_unix_nano: event.at.0,
        name: event.name.as_str().to_owned(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: 0,
    }
}

fn link(link: &Link) -> otlp_trace::span::Link {
    otlp_trace::span::Link {
        trace_id: link.to.trace_id.to_bytes().to_vec(),
        span_id: link.to.span_id.to_bytes().to_vec(),
        trace_state: String::new(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: 0,
        flags: SAMPLED,
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    attributes.iter().map(|attribute| key_value(attribute.name.as_str(), value(&attribute.value))).collect()
}

fn key_value(name: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.to_string()),
        Value::Int(number) => any_value::Value::IntValue(*number),
        // JSON has no such numbers, and backends that store JSON lose or refuse them.
        Value::Double(number) if !number.is_finite() => any_value::Value::StringValue(number.to_string()),
        Value::Double(number) => any_value::Value::DoubleValue(*number),
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Texts(texts) => {
            any_value::Value::ArrayValue(ArrayValue { values: texts.iter().map(|one| text(one)).collect() })
        }
    };
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}

/// The short names of the log data model's six ranges.
fn severity_text(number: u8) -> &'static str {
    match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::borrow::Cow;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use agentsight_ebpf::WallNanos;
    use agentsight_semconv as semconv;
    use opentelemetry::trace::{SpanId, TraceId};
    use prost::Message;

    use super::*;
    use crate::spans::model::Signal;

    fn reference(number: u8) -> SpanRef {
        SpanRef { trace_id: TraceId::from_bytes([number; 16]), span_id: SpanId::from_bytes([number; 8]) }
    }

    fn attribute(name: semconv::Name, value: Value) -> Attribute {
        Attribute { name, value }
    }

    /// A span that uses every field.
    pub(in crate::otlp) fn rich_span() -> Span {
        Span {
            id: reference(1),
            parent: Some(SpanId::from_bytes([2; 8])),
            trace_state: "vendor=1".to_owned(),
            name: Cow::Borrowed("make all"),
            kind: SpanKind::Internal,
            start: WallNanos(1_700_000_000_000_000_001),
            end: WallNanos(1_700_000_000_000_000_002),
            attributes: vec![
                attribute(semconv::PROCESS_COMMAND_ARGS, Value::Texts(vec!["make".to_owned(), "all".to_owned()])),
                attribute(semconv::PROCESS_EXIT_CODE, Value::Int(2)),
            ],
            dropped_attributes: 3,
            events: vec![SpanEvent {
                name: semconv::AGENTSIGHT_LOSS,
                at: WallNanos(1_700_000_000_000_000_001),
                attributes: Vec::new(),
            }],
            dropped_events: 4,
            links: vec![Link {
                to: reference(5),
                attributes: vec![
                    attribute(semconv::AGENTSIGHT_LINK_TYPE, Value::Text("exec".into())),
                    attribute(semconv::AGENTSIGHT_LINK_CONFIDENCE, Value::Double(0.5)),
                    attribute(semconv::AGENTSIGHT_ASSERTED, Value::Bool(true)),
                ],
            }],
            dropped_links: 6,
            status: Status::error("exit code 2"),
            resource: Arc::new(Resource {
                attributes: BTreeMap::from([("service.name".to_owned(), "make".to_owned())]),
            }),
        }
    }

    pub(in crate::otlp) fn log() -> LogRecord {
        LogRecord {
            at: WallNanos(1_700_000_000_000_000_003),
            severity: 13,
            event_name: semconv::AGENTSIGHT_LOSS,
            body: "3 events were lost".to_owned(),
            attributes: Vec::new(),
            span: Some(reference(1)),
            resource: Arc::default(),
        }
    }

    pub(in crate::otlp) fn signals() -> Vec<Signal> {
        vec![Signal::Span(Box::new(rich_span())), Signal::Log(Box::new(log()))]
    }

    #[test]
    fn ids_flags_and_counts_are_where_the_protocol_has_them() {
        let span = span(&rich_span());
        assert_eq!((span.trace_id.as_slice(), span.span_id.as_slice()), (&[1; 16][..], &[1; 8][..]));
        assert_eq!(span.parent_span_id, [2; 8]);
        assert_eq!((span.flags, span.links[0].flags), (1, 1));
        assert_eq!((span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count), (3, 4, 6));
    }

    #[test]
    fn a_root_has_no_parent_id_rather_than_one_of_zeros() {
        let root = Span { parent: None, ..rich_span() };
        assert!(span(&root).parent_span_id.is_empty());
    }

    #[test]
    fn a_log_record_without_a_span_has_no_ids() {
        let lonely = log_record(&LogRecord { span: None, ..log() });
        assert_eq!((lonely.trace_id.len(), lonely.span_id.len(), lonely.flags), (0, 0, 0));
        assert_eq!(lonely.severity_text, "WARN");
    }

    #[test]
    fn numbers_that_json_lacks_are_said_in_words() {
        let told = value(&Value::Double(f64::NAN));
        assert_eq!(told.value, Some(any_value::Value::StringValue("NaN".to_owned())));
    }

    #[test]
    fn a_span_read_back_and_written_again_is_the_same_bytes() {
        let bytes = span(&rich_span()).encode_to_vec();
        let again = otlp_trace::Span::decode(bytes.as_slice()).expect("our own bytes").encode_to_vec();
        assert_eq!(again, bytes);
    }
}
