//! Signals as text, for the tests of the spans.

use std::collections::HashMap;

use agentsight_ebpf::{Event, WallNanos};
use expect_test::Expect;
use opentelemetry::trace::{SpanId, Status};

use super::Spans;
use super::model::{Attribute, Signal, Span, Value};
use crate::graph::fixture::{BASE, WALL, activities, events, session};
use crate::session::Session;

/// All spans and log records of these events; what lives 20 s after the root's fork is finished there.
pub(crate) fn signals(session: &Session, events: &[Event]) -> Vec<Signal> {
    let end = agentsight_ebpf::KernelNanos(BASE.0 + 20_000_000_000);
    let (activities, _) = activities(session, events, Some(end));
    let mut spans = Spans::new(session);
    let mut out = Vec::new();
    for activity in &activities {
        spans.translate(activity, &mut out);
    }
    out
}

pub(crate) fn spans_of(session: &Session, text: &str) -> Vec<Span> {
    let signals = signals(session, &events(text));
    signals.into_iter().filter_map(|it| if let Signal::Span(span) = it { Some(*span) } else { None }).collect()
}

/// What OpenTelemetry hears of `text`, in full.
pub(crate) fn check(text: &str, expect: &Expect) {
    check_with(&session(), text, expect);
}

pub(crate) fn check_with(session: &Session, text: &str, expect: &Expect) {
    expect.assert_eq(&render(&signals(session, &events(text))));
}

/// One line a span, one an attribute; span ids by the place of their span, others in full.
pub(crate) fn render(signals: &[Signal]) -> String {
    let spans = signals.iter().filter_map(|it| if let Signal::Span(span) = it { Some(span) } else { None });
    let places: HashMap<SpanId, usize> = spans.enumerate().map(|(place, span)| (span.id.span_id, place + 1)).collect();
    let place = |id: SpanId| places.get(&id).map_or_else(|| id.to_string(), |place| format!("#{place}"));
    let mut text = String::new();
    for signal in signals {
        match signal {
            Signal::Span(span) => {
                let parent = span.parent.map_or_else(|| "-".to_owned(), &place);
                let (id, times) = (place(span.id.span_id), times(span.start, span.end));
                text += &format!("{id} {} under {parent} {times} {}\n", span.name, status(&span.status));
                text += &format!("  trace {} state {:?}\n", span.id.trace_id, span.trace_state);
                text += &format!("  resource {:?}\n", span.resource.attributes);
                text += &attributes(&span.attributes, "  ");
                for link in &span.links {
                    text += &format!("  link to {} in {}\n", place(link.to.span_id), link.to.trace_id);
                    text += &attributes(&link.attributes, "    ");
                }
            }
            Signal::Draft(_) => {}
            Signal::Log(log) => {
                let span = log.span.map_or_else(|| "-".to_owned(), |span| place(span.span_id));
                text += &format!("log {} severity {} on {span}: {}\n", log.event_name.as_str(), log.severity, log.body);
                text += &attributes(&log.attributes, "  ");
            }
        }
    }
    text
}

fn attributes(attributes: &[Attribute], indent: &str) -> String {
    attributes.iter().map(|it| format!("{indent}{}={}\n", it.name.as_str(), value(&it.value))).collect()
}

fn value(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Texts(texts) => format!("{texts:?}"),
    }
}

fn times(start: WallNanos, end: WallNanos) -> String {
    let millis = |at: WallNanos| at.0.saturating_sub(WALL.0) / 1_000_000;
    format!("{}..{}", millis(start), millis(end))
}

fn status(status: &Status) -> String {
    match status {
        Status::Unset => "unset".to_owned(),
        Status::Ok => "ok".to_owned(),
        Status::Error { description } => format!("ERROR {description:?}"),
    }
}
