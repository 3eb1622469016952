//! `/api/v3`: answers in OTLP/JSON as Jaeger writes it, where what is zero or empty is left out.

use std::time::Duration;

use agentsight_ebpf::WallNanos;
use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};

use super::super::answer::Trouble;
use super::super::parameters::{ParameterError, Parameters};
use super::super::v1::Ask;
use super::find::{self, Conditions};
use crate::otlp::encode;
use crate::store::StoredSpan;

/// Jaeger's own, where nothing is asked for.
const TRACES: usize = 20;
const TRACES_MAX: usize = 1_000;

pub(super) fn services(ask: &Ask<'_>, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    Ok(json!({"services": ask.store.services()?}))
}

pub(super) fn operations(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let service = parameters.one("service")?.unwrap_or_default();
    let kind = parameters.one("span_kind")?;
    parameters.end()?;
    let operations = ask.store.operations(&service)?.into_iter().filter_map(|operation| {
        let name = super::legacy::kind_of(operation.kind);
        let is_meant = kind.as_deref().is_none_or(|kind| kind.is_empty() || kind == name);
        is_meant.then(|| json!({"name": operation.name, "spanKind": name}))
    });
    Ok(json!({"operations": operations.collect::<Value>()}))
}

pub(super) fn trace(ask: &Ask<'_>, id: &str, mut parameters: Parameters) -> Result<Value, Trouble> {
    // Hints for Jaeger's storages.
    for hint in ["start_time", "end_time", "raw_traces"] {
        parameters.one(hint)?;
    }
    parameters.end()?;
    let spans = find::finished(ask, find::trace_id(id)?)?;
    if spans.is_empty() { Err(Trouble::NotFound("trace")) } else { Ok(result(&[spans])) }
}

pub(super) fn traces(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let time = |name: &'static str, given: Option<String>| {
        let given = given.filter(|given| !given.is_empty()).ok_or(ParameterError::Missing(name))?;
        moment(&given).ok_or_else(|| ParameterError::Value { name, wanted: "a time as in RFC 3339".to_owned(), given })
    };
    let from = time("query.start_time_min", parameters.one("query.start_time_min")?)?;
    let until = time("query.start_time_max", parameters.one("query.start_time_max")?)?;
    let mut tags = Vec::new();
    if let Some(given) = parameters.one("query.attributes")? {
        tags = super::legacy::tags_of(&given, "query.attributes")?;
    }
    let depth = parameters.number("query.search_depth", 1, TRACES_MAX)?;
    let count = parameters.number("query.num_traces", 1, TRACES_MAX)?;
    parameters.one("query.raw_traces")?;
    let conditions = Conditions {
        service: parameters.one("query.service_name")?.filter(|text| !text.is_empty()),
        operation: parameters.one("query.operation_name")?.filter(|text| !text.is_empty()),
        from: Some(from),
        until: Some(until),
        shortest: duration("query.duration_min", parameters.one("query.duration_min")?)?,
        longest: duration("query.duration_max", parameters.one("query.duration_max")?)?,
        tags,
        limit: depth.or(count).unwrap_or(TRACES),
    };
    parameters.end()?;
    let found = find::find(ask, &conditions)?;
    if found.is_empty() { Err(Trouble::NotFound("trace")) } else { Ok(result(&found)) }
}

/// A duration as Go writes it (`1.5s`, `300ms`), or as people do.
pub(super) fn duration(name: &'static str, given: Option<String>) -> Result<Option<Duration>, ParameterError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(None) };
    let fraction = || {
        let (number, unit): (&str, f64) =
            [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)]
                .into_iter()
                .find_map(|(unit, seconds)| Some((given.strip_suffix(unit)?, seconds)))?;
        Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
    };
    let read = humantime::parse_duration(&given).ok().or_else(fraction);
    let wanted = || "a duration such as 1.5s or 300ms".to_owned();
    read.map(Some).ok_or_else(|| ParameterError::Value { name, wanted: wanted(), given: given.clone() })
}

fn moment(text: &str) -> Option<WallNanos> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok().map(WallNanos)
}

fn result(traces: &[Vec<StoredSpan>]) -> Value {
    let mut groups: Vec<(&StoredSpan, Vec<Value>)> = Vec::new();
    for trace in traces {
        let first = groups.len();
        for found in trace {
            // Jaeger keeps traces apart.
            match groups[first..].iter_mut().find(|(known, _)| known.resource == found.resource) {
                Some((_, spans)) => spans.push(span(&found.span)),
                None => groups.push((found, vec![span(&found.span)])),
            }
        }
    }
    let scope = encode::scope();
    let groups = groups.into_iter().map(|(found, spans)| {
        json!({
            "resource": {"attributes": attributes(&found.resource.attributes)},
            "scopeSpans": [{"scope": {"name": scope.name, "version": scope.version}, "spans": spans}],
        })
    });
    json!({"result": {"resourceSpans": groups.collect::<Value>()}})
}

fn span(span: &Span) -> Value {
    let mut object = Object::default();
    object.set("traceId", hex::encode(&span.trace_id));
    object.set("spanId", hex::encode(&span.span_id));
    object.set("traceState", span.trace_state.as_str());
    object.set("parentSpanId", hex::encode(&span.parent_span_id));
    object.set("flags", span.flags);
    object.set("name", span.name.as_str());
    object.set("kind", span.kind);
    object.set("startTimeUnixNano", span.start_time_unix_nano.to_string());
    object.set("endTimeUnixNano", span.end_time_unix_nano.to_string());
    object.set("attributes", attributes(&span.attributes));
    object.set("droppedAttributesCount", span.dropped_attributes_count);
    let events = span.events.iter().map(|event| {
        let mut object = Object::default();
        object.set("timeUnixNano", event.time_unix_nano.to_string());
        object.set("name", event.name.as_str());
        object.set("attributes", attributes(&event.attributes));
        object.set("droppedAttributesCount", event.dropped_attributes_count);
        object.value()
    });
    object.set("events", events.collect::<Value>());
    object.set("droppedEventsCount", span.dropped_events_count);
    let links = span.links.iter().map(|link| {
        let mut object = Object::default();
        object.set("traceId", hex::encode(&link.trace_id));
        object.set("spanId", hex::encode(&link.span_id));
        object.set("traceState", link.trace_state.as_str());
        object.set("attributes", attributes(&link.attributes));
        object.set("droppedAttributesCount", link.dropped_attributes_count);
        object.set("flags", link.flags);
        object.value()
    });
    object.set("links", links.collect::<Value>());
    object.set("droppedLinksCount", span.dropped_links_count);
    let mut status = Object::default();
    if let Some(given) = &span.status {
        status.set("message", given.message.as_str());
        status.set("code", given.code);
    }
    let mut value = object.value();
    value["status"] = status.value();
    value
}

/// A JSON object without what is zero or empty.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_nothing = match &value {
            Value::String(text) => text.is_empty(),
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        if !is_nothing {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn value(self) -> Value {
        Value::Object(self.0)
    }
}

fn attributes(attributes: &[KeyValue]) -> Value {
    attributes.iter().map(|pair| json!({"key": pair.key, "value": value(pair.value.as_ref())})).collect()
}

fn value(given: Option<&AnyValue>) -> Value {
    match given.and_then(|given| given.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => json!({"stringValue": text}),
        Some(any_value::Value::BoolValue(truth)) => json!({"boolValue": truth}),
        Some(any_value::Value::IntValue(number)) => json!({"intValue": number.to_string()}),
        Some(any_value::Value::DoubleValue(number)) => json!({"doubleValue": super::double(*number)}),
        Some(any_value::Value::ArrayValue(list)) => {
            json!({"arrayValue": {"values": list.values.iter().map(|one| value(Some(one))).collect::<Value>()}})
        }
        _ => json!({}),
    }
}
