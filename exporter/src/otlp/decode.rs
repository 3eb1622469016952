//! OTLP spans back to ours: what the registry does not declare is left out, for nothing of ours could read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentsight_ebpf::WallNanos;
use agentsight_semconv::lookup;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as otlp_resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use crate::query::memory::reference;
use crate::spans::model::{Attribute, Link, Resource, Span, SpanEvent, Value};

/// A span; `None` where its ids are none.
#[must_use]
pub fn span(span: &otlp::Span, resource: &otlp_resource::Resource) -> Option<Span> {
    let parent: Option<[u8; 8]> = span.parent_span_id.as_slice().try_into().ok();
    let links = span.links.iter().filter_map(|link| {
        Some(Link { to: reference(&link.trace_id, &link.span_id)?, attributes: attributes(&link.attributes) })
    });
    let events = span.events.iter().filter_map(|event| {
        let name = lookup(&event.name)?.name;
        Some(SpanEvent { name, at: WallNanos(event.time_unix_nano), attributes: attributes(&event.attributes) })
    });
    Some(Span {
        id: reference(&span.trace_id, &span.span_id)?,
        parent: parent.map(SpanId::from_bytes).filter(|parent| *parent != SpanId::INVALID),
        trace_state: span.trace_state.clone(),
        name: span.name.clone().into(),
        kind: kind(span.kind()),
        start: WallNanos(span.start_time_unix_nano),
        end: WallNanos(span.end_time_unix_nano),
        attributes: attributes(&span.attributes),
        dropped_attributes: span.dropped_attributes_count,
        events: events.collect(),
        dropped_events: span.dropped_events_count,
        links: links.collect(),
        dropped_links: span.dropped_links_count,
        status: status(span.status.as_ref()),
        resource: Arc::new(self::resource(resource)),
    })
}

fn resource(resource: &otlp_resource::Resource) -> Resource {
    let text = |attribute: &KeyValue| match &attribute.value.as_ref()?.value {
        Some(any_value::Value::StringValue(text)) => Some((attribute.key.clone(), text.clone())),
        _ => None,
    };
    Resource { attributes: resource.attributes.iter().filter_map(text).collect::<BTreeMap<_, _>>() }
}

fn attributes(attributes: &[KeyValue]) -> Vec<Attribute> {
    let declared = |attribute: &KeyValue| {
        Some(Attribute { name: lookup(&attribute.key)?.name, value: value(attribute.value.as_ref()?)? })
    };
    attributes.iter().filter_map(declared).collect()
}

fn value(value: &AnyValue) -> Option<Value> {
    Some(match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Value::Text(text.clone().into()),
        any_value::Value::IntValue(number) => Value::Int(*number),
        any_value::Value::DoubleValue(number) => Value::Double(*number),
        any_value::Value::BoolValue(truth) => Value::Bool(*truth),
        any_value::Value::ArrayValue(list) => {
            let texts = list.values.iter().filter_map(|value| match &value.value {
                Some(any_value::Value::StringValue(text)) => Some(text.clone()),
                _ => None,
            });
            Value::Texts(texts.collect())
        }
        _ => return None,
    })
}

fn kind(kind: otlp::span::SpanKind) -> SpanKind {
    match kind {
        otlp::span::SpanKind::Unspecified | otlp::span::SpanKind::Internal => SpanKind::Internal,
        otlp::span::SpanKind::Server => SpanKind::Server,
        otlp::span::SpanKind::Client => SpanKind::Client,
        otlp::span::SpanKind::Producer => SpanKind::Producer,
        otlp::span::SpanKind::Consumer => SpanKind::Consumer,
    }
}

fn status(status: Option<&otlp::Status>) -> Status {
    match status {
        Some(status) if status.code == otlp::status::StatusCode::Error as i32 => Status::error(status.message.clone()),
        Some(status) if status.code == otlp::status::StatusCode::Ok as i32 => Status::Ok,
        _ => Status::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::encode;
    use crate::otlp::encode::tests::rich_span;

    #[test]
    fn a_span_of_ours_comes_back_as_it_was() {
        let ours = rich_span();
        assert_eq!(span(&encode::span(&ours), &encode::resource(&ours.resource)), Some(ours));
    }

    #[test]
    fn a_span_without_ids_is_none() {
        assert_eq!(span(&otlp::Span::default(), &otlp_resource::Resource::default()), None);
    }
}
