//! Signals as text, for the tests of the spans.

use std::collections::HashMap;
use std::sync::Arc;

use agentsight_ebpf::{
    BurstId, Captured, Cut, Direction, Event, FileId, FileKind, Inet, KernelNanos, Object, OpenId, Protocol,
    RegularFile, WallNanos,
};
use expect_test::Expect;
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::Spans;
use super::model::{Attribute, Signal, Span, Value};
use crate::graph::fixture::{BASE, WALL, activities, events, session};
use crate::graph::{Activity, Image, Part, Place, Sums, Transfer, Under};
use crate::session::Session;

/// All spans and log records of these events; what lives 20 s after the root's fork is finished there.
pub(crate) fn signals(session: &Session, events: &[Event]) -> Vec<Signal> {
    let end = KernelNanos(BASE.0 + 20_000_000_000);
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

/// An image that runs this program, and nothing more.
pub(crate) fn image(path: &str) -> Arc<Image> {
    images(&format!("0 clock\n0 root 100\n1 exec 100 {path} {path}")).remove(&100).unwrap()
}

/// The last image of each process in `text`, by process id.
pub(crate) fn images(text: &str) -> HashMap<u32, Arc<Image>> {
    let (activities, _) = activities(&session(), &events(text), None);
    let began =
        activities.iter().filter_map(|it| if let Activity::ImageBegan(image) = it { Some(image) } else { None });
    began.map(|image| (image.id.process.tgid.0, Arc::new((**image).clone()))).collect()
}

/// What OpenTelemetry hears of these activities, without what all spans say of their process, trace and resource.
pub(crate) fn check_activities(activities: &[Activity], expect: &Expect) {
    check_activities_with(&session(), activities, expect);
}

pub(crate) fn check_activities_with(session: &Session, activities: &[Activity], expect: &Expect) {
    let mut spans = Spans::new(session);
    let mut out = Vec::new();
    activities.iter().for_each(|activity| spans.translate(activity, &mut out));
    let common =
        ["trace ", "resource ", "agentsight.session.id", "agentsight.lineage", "process.", "agentsight.process."];
    let says = |line: &&str| !common.iter().any(|it| line.strip_prefix("  ").is_some_and(|line| line.starts_with(it)));
    let text = render(&out);
    expect.assert_eq(&text.lines().filter(says).map(|line| format!("{line}\n")).collect::<String>());
}

/// The spans that these activities become.
pub(crate) fn spans_of_activities(activities: &[Activity]) -> Vec<Span> {
    let mut spans = Spans::new(&session());
    let mut out = Vec::new();
    activities.iter().for_each(|activity| spans.translate(activity, &mut out));
    out.into_iter().filter_map(|it| if let Signal::Span(span) = it { Some(*span) } else { None }).collect()
}

/// So many milliseconds after the root's fork.
pub(crate) fn at(millis: u64) -> KernelNanos {
    KernelNanos(BASE.0 + millis * 1_000_000)
}

/// The span of `image` in the trace that it belongs to.
pub(crate) fn own_span(image: &Image) -> Place {
    Place { trace: Arc::clone(&image.trace), part: Part::Original, start: image.start }
}

/// A file of this path with nothing special about it.
pub(crate) fn file(path: &str, inode: u64) -> Arc<Object> {
    Arc::new(Object::File(Box::new(RegularFile {
        id: FileId { device: 8 << 20 | 1, inode, generation: 7 },
        kind: FileKind::Regular,
        path: Captured::whole(path),
        unlinked: false,
        created: false,
        truncated: false,
    })))
}

/// A TCP socket of 127.0.0.1, port 40000, connected to port 8080.
pub(crate) fn tcp() -> Arc<Object> {
    Arc::new(Object::Inet(Box::new(Inet {
        inode: 48_213,
        netns: 4_026_531_840,
        protocol: Protocol::Tcp,
        local: "127.0.0.1:40000".parse().unwrap(),
        remote: Some("127.0.0.1:8080".parse().unwrap()),
    })))
}

/// 47 bytes in one call, from 3 to 5 ms, under the image's own span.
pub(crate) fn transfer(image: &Arc<Image>, direction: Direction, object: Arc<Object>) -> Transfer {
    Transfer {
        id: BurstId { open: OpenId(5), number: 1 },
        image: Arc::clone(image),
        under: Under::Image(own_span(image)),
        direction,
        object,
        epoch: 0,
        start: at(3),
        end: at(5),
        sums: Sums { bytes: 47, operations: 1, end: 47, ..Sums::default() },
        cut: Some(Cut::Close),
        mapped: false,
        found: false,
        promised: false,
        content: None,
        causes: Vec::new(),
        causes_dropped: 0,
    }
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
                let kind = if span.kind == SpanKind::Internal { String::new() } else { format!(" {:?}", span.kind) };
                text += &format!("{id} {}{kind} under {parent} {times} {}\n", span.name, status(&span.status));
                text += &format!("  trace {} state {:?}\n", span.id.trace_id, span.trace_state);
                text += &format!("  resource {:?}\n", span.resource.attributes);
                text += &attributes(&span.attributes, "  ");
                for event in &span.events {
                    text += &format!("  event {} at {}\n", event.name.as_str(), millis(event.at));
                    text += &attributes(&event.attributes, "    ");
                }
                for link in &span.links {
                    text += &format!("  link to {} in {}\n", place(link.to.span_id), link.to.trace_id);
                    text += &attributes(&link.attributes, "    ");
                }
                for (count, what) in [(span.dropped_events, "events"), (span.dropped_links, "links")] {
                    text += &if count > 0 { format!("  {count} more {what}\n") } else { String::new() };
                }
            }
            Signal::Draft(_) | Signal::Content(_) => {}
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
        Value::Text(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Texts(texts) => format!("{texts:?}"),
    }
}

fn times(start: WallNanos, end: WallNanos) -> String {
    format!("{}..{}", millis(start), millis(end))
}

fn millis(at: WallNanos) -> u64 {
    at.0.saturating_sub(WALL.0) / 1_000_000
}

fn status(status: &Status) -> String {
    match status {
        Status::Unset => "unset".to_owned(),
        Status::Ok => "ok".to_owned(),
        Status::Error { description } => format!("ERROR {description:?}"),
    }
}
