//! Jaeger's older API, which has no promise and is what most clients call: its own model of spans, times in microseconds.

use std::collections::BTreeMap;

use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use super::super::answer::Trouble;
use super::super::parameters::{ParameterError, Parameters};
use super::super::v1::Ask;
use super::find::{self, Conditions, kind_name};
use super::v3::duration;
use crate::facts;
use crate::otlp::encode;
use crate::query::memory::{id_of, parent_of, reference};
use crate::session::SpanRef;
use crate::store::StoredSpan;

/// Jaeger's own, where nothing is asked for.
const TRACES: usize = 100;
const TRACES_MAX: usize = 1_000;
const LOOK_BACK_NANOS: u64 = 2 * 24 * 3_600 * 1_000_000_000;

pub(super) fn services(ask: &Ask<'_>, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let services = ask.store.services()?;
    Ok(listed(services.iter().map(|service| Value::from(service.as_str())).collect()))
}

pub(super) fn operation_names(ask: &Ask<'_>, service: &str, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let mut names: Vec<String> = ask.store.operations(service)?.into_iter().map(|operation| operation.name).collect();
    names.dedup();
    let list: Vec<Value> = names.into_iter().map(Value::from).collect();
    let mut answer = listed(list);
    if answer["data"].as_array().is_some_and(Vec::is_empty) {
        answer["data"] = Value::Null;
    }
    Ok(answer)
}

pub(super) fn operations(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let service = parameters.one("service")?.filter(|service| !service.is_empty());
    let service = service.ok_or(ParameterError::Missing("service"))?;
    let kind = parameters.one("spanKind")?.filter(|kind| !kind.is_empty());
    parameters.end()?;
    let operations = ask.store.operations(&service)?.into_iter().filter_map(|operation| {
        let name = kind_of(operation.kind);
        kind.as_deref().is_none_or(|kind| kind == name).then(|| json!({"name": operation.name, "spanKind": name}))
    });
    Ok(listed(operations.collect()))
}

pub(super) fn trace(ask: &Ask<'_>, id: &str, mut parameters: Parameters) -> Result<Value, Trouble> {
    for hint in ["start", "end", "raw", "prettyPrint"] {
        parameters.one(hint)?;
    }
    parameters.end()?;
    let spans = find::finished(ask, find::trace_id(id)?)?;
    if spans.is_empty() { Err(Trouble::NotFound("trace")) } else { Ok(data(vec![trace_value(&spans)])) }
}

pub(super) fn traces(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let ids = parameters.all("traceID");
    for unused in ["lookback", "raw", "prettyPrint"] {
        parameters.one(unused)?;
    }
    let mut tags = Vec::new();
    for given in parameters.all("tag") {
        let wanted = || "NAME:VALUE".to_owned();
        let pair = given.split_once(':').filter(|(name, _)| !name.is_empty());
        let (name, value) =
            pair.ok_or_else(|| ParameterError::Value { name: "tag", wanted: wanted(), given: given.clone() })?;
        tags.push((name.to_owned(), value.to_owned()));
    }
    for given in parameters.all("tags") {
        tags.extend(tags_of(&given, "tags")?);
    }
    let now = ask.clock().now.0;
    let micros = |given: Option<u64>, usual: u64| given.map_or(usual, |micros| micros.saturating_mul(1_000));
    let conditions = Conditions {
        service: parameters.one("service")?.filter(|service| !service.is_empty()),
        operation: parameters.one("operation")?.filter(|operation| !operation.is_empty()),
        from: Some(WallNanos(micros(parameters.number("start", 0, u64::MAX)?, now.saturating_sub(LOOK_BACK_NANOS)))),
        until: Some(WallNanos(micros(parameters.number("end", 0, u64::MAX)?, now))),
        shortest: duration("minDuration", parameters.one("minDuration")?)?,
        longest: duration("maxDuration", parameters.one("maxDuration")?)?,
        tags,
        limit: parameters.number("limit", 1, TRACES_MAX)?.unwrap_or(TRACES),
    };
    parameters.end()?;
    if !ids.is_empty() {
        let mut found = Vec::new();
        for id in ids.iter().take(TRACES_MAX) {
            let spans = find::finished(ask, find::trace_id(id)?)?;
            found.extend((!spans.is_empty()).then(|| trace_value(&spans)));
        }
        return Ok(data(found));
    }
    if conditions.service.is_none() {
        return Err(ParameterError::Missing("service").into());
    }
    Ok(data(find::find(ask, &conditions)?.iter().map(|spans| trace_value(spans)).collect()))
}

pub(super) fn dependencies(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
    parameters.one("service")?;
    let until =
        parameters.number("endTs", 0, u64::MAX)?.map_or(ask.clock().now.0, |millis| millis.saturating_mul(1_000_000));
    let back = parameters.number("lookback", 0, u64::MAX)?.unwrap_or(DAY_MILLIS).saturating_mul(1_000_000);
    parameters.end()?;
    let found = ask.store.dependencies(WallNanos(until.saturating_sub(back)), WallNanos(until))?;
    let calls =
        found.into_iter().map(|((parent, child), count)| json!({"parent": parent, "child": child, "callCount": count}));
    Ok(data(calls.collect()))
}

/// `{"name": "value", …}`.
pub(super) fn tags_of(given: &str, name: &'static str) -> Result<Vec<(String, String)>, ParameterError> {
    let wanted = || "a JSON object with strings for values".to_owned();
    let read: Result<BTreeMap<String, String>, _> = serde_json::from_str(given);
    let tags = read.map_err(|_| ParameterError::Value { name, wanted: wanted(), given: given.to_owned() })?;
    Ok(tags.into_iter().collect())
}

/// The name of a kind; empty where there is none.
pub(super) fn kind_of(number: i32) -> &'static str {
    SpanKind::try_from(number).ok().and_then(kind_name).unwrap_or_default()
}

fn listed(list: Vec<Value>) -> Value {
    json!({"total": list.len(), "data": list, "limit": 0, "offset": 0, "errors": null})
}

/// Jaeger counts lists of names, and neither traces nor dependencies.
fn data(list: Vec<Value>) -> Value {
    json!({"data": list, "total": 0, "limit": 0, "offset": 0, "errors": null})
}

fn trace_value(found: &[StoredSpan]) -> Value {
    let mut processes: Vec<&Resource> = Vec::new();
    let mut spans = Vec::new();
    for found in found {
        let known = processes.iter().position(|resource| **resource == *found.resource);
        let number = known.unwrap_or_else(|| {
            processes.push(&found.resource);
            processes.len() - 1
        });
        spans.push(span_value(&found.span, &format!("p{}", number + 1)));
    }
    let processes = processes.into_iter().enumerate().map(|(number, resource)| {
        let others = resource.attributes.iter().filter(|attribute| attribute.key != "service.name");
        let mut tags: Vec<Value> = others.map(tag).collect();
        sort(&mut tags);
        (format!("p{}", number + 1), json!({"serviceName": facts::service(resource).unwrap_or_default(), "tags": tags}))
    });
    let id = found.first().map(|found| hex::encode(&found.span.trace_id));
    json!({"traceID": id, "spans": spans, "processes": processes.collect::<Value>(), "warnings": null})
}

fn span_value(span: &Span, process: &str) -> Value {
    let mut tags: Vec<Value> = span.attributes.iter().map(tag).collect();
    let scope = encode::scope();
    let mut add = |key: &str, kind: &str, value: Value| tags.push(json!({"key": key, "type": kind, "value": value}));
    add("otel.scope.name", "string", scope.name.into());
    add("otel.scope.version", "string", scope.version.into());
    if let Some(kind) = kind_name(span.kind()) {
        add("span.kind", "string", kind.into());
    }
    if facts::failed(span) {
        add("error", "bool", true.into());
        add("otel.status_code", "string", "ERROR".into());
    }
    if let Some(status) = span.status.as_ref().filter(|status| !status.message.is_empty()) {
        add("otel.status_description", "string", status.message.as_str().into());
    }
    if !span.trace_state.is_empty() {
        add("w3c.tracestate", "string", span.trace_state.as_str().into());
    }
    sort(&mut tags);
    let logs = span.events.iter().map(|event| {
        let mut fields: Vec<Value> = event.attributes.iter().map(tag).collect();
        if !event.name.is_empty() {
            fields.push(json!({"key": "event", "type": "string", "value": event.name}));
        }
        sort(&mut fields);
        json!({"timestamp": event.time_unix_nano / 1_000, "fields": fields})
    });
    json!({
        "traceID": hex::encode(&span.trace_id),
        "spanID": hex::encode(&span.span_id),
        "operationName": span.name,
        "references": references(span),
        "startTime": span.start_time_unix_nano / 1_000,
        "duration": span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000,
        "tags": tags,
        "logs": logs.collect::<Value>(),
        "processID": process,
        "warnings": null,
    })
}

/// The parent, unless a link says more of it, and each link.
fn references(span: &Span) -> Value {
    let one = |kind: &str, id: SpanRef| json!({"refType": kind, "traceID": id.trace_id.to_string(), "spanID": id.span_id.to_string()});
    let linked: Vec<SpanRef> = span.links.iter().filter_map(|link| reference(&link.trace_id, &link.span_id)).collect();
    let parent = parent_of(span).filter(|parent| !linked.contains(parent) && Some(*parent) != id_of(span));
    let parent = parent.map(|parent| one("CHILD_OF", parent));
    parent.into_iter().chain(linked.into_iter().map(|id| one("FOLLOWS_FROM", id))).collect()
}

fn tag(attribute: &KeyValue) -> Value {
    let (kind, value): (&str, Value) = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => ("string", text.as_str().into()),
        Some(any_value::Value::BoolValue(truth)) => ("bool", (*truth).into()),
        Some(any_value::Value::IntValue(number)) => ("int64", (*number).into()),
        Some(any_value::Value::DoubleValue(number)) => ("float64", super::double(*number)),
        // A list is its JSON, as text.
        Some(any_value::Value::ArrayValue(list)) => {
            ("string", list.values.iter().map(plain).collect::<Value>().to_string().into())
        }
        _ => ("string", "".into()),
    };
    json!({"key": attribute.key, "type": kind, "value": value})
}

fn plain(value: &AnyValue) -> Value {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => text.as_str().into(),
        Some(any_value::Value::BoolValue(truth)) => (*truth).into(),
        Some(any_value::Value::IntValue(number)) => (*number).into(),
        Some(any_value::Value::DoubleValue(number)) => super::double(*number),
        _ => Value::Null,
    }
}

fn sort(tags: &mut [Value]) {
    tags.sort_by(|one, other| one["key"].as_str().cmp(&other["key"].as_str()));
}
