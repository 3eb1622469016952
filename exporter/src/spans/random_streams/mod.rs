//! What holds for every stream of events, tried on thousands of random ones: with losses, repetitions,
//! wrong order and plain nonsense. A failing seed is printed; the same seed gives the same stream.

mod data;
mod random;
mod stream;

use std::collections::{HashMap, HashSet};

use agentsight_ebpf::{Event, KernelNanos};
use agentsight_semconv::{self as semconv, AGENTSIGHT_LINK_TYPE, AGENTSIGHT_LOSS, value};
use opentelemetry::trace::SpanId;
use prost::Message;

use super::Spans;
use super::model::{Attribute, Link, Signal, Span, Value};
use crate::graph::fixture::{BASE, session};
use crate::graph::{Activity, Graph, ImageId, Load, Parent};
use crate::otlp::encode;
use crate::session::{SegmentLimits, SpanRef};
use crate::terminal::{self, TreeStyle};
use random::Random;
use stream::stream;

/// Spans that programs name in `TRACEPARENT`; the last is of the session's own trace.
const NAMED: [&str; 3] = [
    "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00000000000000a1-01",
    "00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-00000000000000a2-00",
    "00-11111111111111111111111111111111-00000000000000a3-01",
];

struct Run {
    limits: SegmentLimits,
    activities: Vec<Activity>,
    signals: Vec<Signal>,
    /// How many signals there were after each event: where a death can cut the stream.
    cuts: Vec<usize>,
}

/// One trace for all, or as good as one for each span.
fn limits(random: &mut Random) -> SegmentLimits {
    let default = SegmentLimits::default();
    SegmentLimits {
        spans: random.of(&[default.spans, default.spans, 1, 2, 3, 10]),
        bytes: random.of(&[default.bytes, default.bytes, 1, 2_000, 9_000]),
        age_nanos: random.of(&[default.age_nanos, 0, 2_000_000_000]),
    }
}

fn run(events: &[Event], limits: SegmentLimits) -> Run {
    let mut session = session();
    session.options.segment = limits;
    session.options.content_on_spans = true;
    let (mut graph, mut spans) = (Graph::new(&session), Spans::new(&session));
    let (mut activities, mut signals, mut cuts) = (Vec::new(), Vec::new(), Vec::new());
    let mut translated = 0;
    let mut translate = |activities: &[Activity]| {
        for activity in &activities[translated..] {
            spans.translate(activity, &mut signals);
        }
        translated = activities.len();
        cuts.push(signals.len());
    };
    for event in events {
        graph.apply(event, &mut activities);
        translate(&activities);
    }
    graph.finish(KernelNanos(BASE.0 + 3_000_000_000_000), &mut activities);
    assert_eq!(graph.process_count(), 0);
    translate(&activities);
    Run { limits, activities, signals, cuts }
}

fn for_many_streams(claim: impl Fn(&[Event], &Run)) {
    for seed in 0..300 {
        let mut random = Random(seed);
        let events = stream(&mut random);
        let limits = limits(&mut random);
        let claims = std::panic::AssertUnwindSafe(|| claim(&events, &run(&events, limits)));
        if let Err(panic) = std::panic::catch_unwind(claims) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn spans_of(run: &Run) -> impl Iterator<Item = &Span> {
    run.signals.iter().filter_map(|it| if let Signal::Span(span) = it { Some(&**span) } else { None })
}

fn action(span: &Span) -> &str {
    let action = span.attributes.iter().find(|it| it.name == semconv::AGENTSIGHT_ACTION);
    action.map_or("", |it| if let Value::Text(action) = &it.value { action } else { "" })
}

fn named_by_programs() -> HashSet<SpanId> {
    NAMED.iter().map(|value| SpanId::from_hex(&value[36..52]).unwrap()).collect()
}

#[test]
fn every_parent_is_sent_in_the_same_trace_or_was_adopted() {
    for_many_streams(|_, run| {
        let sent: HashSet<_> = spans_of(run).map(|span| span.id).collect();
        let adopted = named_by_programs();
        for span in spans_of(run) {
            let Some(parent) = span.parent else { continue };
            let in_trace = sent.iter().any(|id| id.span_id == parent && id.trace_id == span.id.trace_id);
            assert!(in_trace || adopted.contains(&parent), "{} under {parent}", span.name);
            assert_ne!(parent, span.id.span_id);
        }
    });
}

#[test]
fn every_link_points_at_a_span_that_is_sent_or_that_a_program_named() {
    for_many_streams(|_, run| {
        let sent: HashSet<_> = spans_of(run).map(|span| span.id).collect();
        let named = named_by_programs();
        for link in spans_of(run).flat_map(|span| &span.links) {
            assert!(sent.contains(&link.to) || named.contains(&link.to.span_id), "{:?}", link.to);
        }
    });
}

#[test]
fn no_id_is_given_twice_and_no_span_ends_before_it_starts() {
    for_many_streams(|_, run| {
        let mut ids = HashSet::new();
        for span in spans_of(run) {
            assert!(ids.insert(span.id.span_id), "{} twice", span.name);
            assert!(span.start <= span.end, "{}", span.name);
        }
    });
}

#[test]
fn every_image_begins_once_and_then_ends_once() {
    for_many_streams(|_, run| {
        let mut stages: HashMap<ImageId, &str> = HashMap::new();
        for activity in &run.activities {
            let (image, before, after) = match activity {
                Activity::ImageContinued(it) => {
                    assert!(stages.contains_key(&it.image.id), "{} goes on before it begins", it.image.id);
                    assert!(!it.exits_here || stages[&it.image.id] == "promoted");
                    continue;
                }
                Activity::ImageBegan(image) => (image.id, None, "begun"),
                Activity::ImagePromoted(it) => (it.image.id, Some("begun"), "promoted"),
                Activity::ImageEnded(it) => (it.image.id, Some("begun"), "ended"),
                Activity::ImageExited(it) => (it.image.id, Some("promoted"), "ended"),
                _ => continue,
            };
            assert_eq!(stages.insert(image, after), before, "{image}");
        }
        assert!(stages.values().all(|stage| *stage == "ended"));
    });
}

#[test]
fn every_loss_is_logged_and_none_is_said_twice_on_spans() {
    for_many_streams(|events, run| {
        let lost = events.iter().filter_map(|it| if let Event::Loss(loss) = it { Some(loss.count) } else { None });
        let logs =
            run.signals.iter().filter(|it| matches!(it, Signal::Log(log) if log.event_name == AGENTSIGHT_LOSS)).count();
        assert_eq!(logs, lost.clone().count());
        let on_spans = spans_of(run).flat_map(|span| &span.attributes);
        let on_spans =
            on_spans.filter(|it| it.name.as_str().starts_with("agentsight.loss.")).map(|it| match it.value {
                Value::Int(count) => i128::from(count),
                _ => panic!("{it:?}"),
            });
        assert!(on_spans.sum::<i128>() <= lost.map(i128::from).sum());
    });
}

/// Edges that say what happened to a process, not where bytes or decisions went, may go both ways between two images.
const CONTROL: [&str; 3] = [value::link_type::SIGNAL, value::link_type::JOIN, value::link_type::EXPLICIT];

/// Edges that bytes go along, between bursts, connections and look-ups; `flow` has a rule of its own.
const DATA: [&str; 8] = [
    value::link_type::FILE,
    value::link_type::PIPE,
    value::link_type::UNIX,
    value::link_type::TCP,
    value::link_type::UDP,
    value::link_type::FD,
    value::link_type::SHM,
    value::link_type::DNS,
];

fn link_type(link: &Link) -> &str {
    let of_type = link.attributes.iter().find(|it| it.name == AGENTSIGHT_LINK_TYPE).map(|it| &it.value);
    let Some(Value::Text(text)) = of_type else { panic!("{link:?} has no type") };
    text
}

#[test]
fn nothing_is_its_own_cause_however_far_back() {
    for_many_streams(|_, run| {
        let mut causes: HashMap<SpanRef, Vec<SpanRef>> = HashMap::new();
        for span in spans_of(run) {
            let parent = span.parent.map(|span_id| SpanRef { trace_id: span.id.trace_id, span_id });
            let links = span.links.iter().filter(|link| !CONTROL.contains(&link_type(link))).map(|link| link.to);
            causes.insert(span.id, links.chain(parent).collect());
        }
        // What has no cause left that is not settled is settled; a circle never is.
        let mut settled: HashSet<SpanRef> = HashSet::new();
        loop {
            let is_settled = |it: &SpanRef| settled.contains(it) || !causes.contains_key(it);
            let new: Vec<_> = causes
                .iter()
                .filter(|(effect, causes)| !settled.contains(effect) && causes.iter().all(is_settled))
                .map(|(effect, _)| *effect)
                .collect();
            if new.is_empty() {
                break;
            }
            settled.extend(new);
        }
        let circle: Vec<_> = spans_of(run).filter(|span| !settled.contains(&span.id)).map(|it| &it.name).collect();
        assert!(circle.is_empty(), "{circle:?}");
    });
}

#[test]
fn no_cause_comes_after_its_effect() {
    for_many_streams(|_, run| {
        let sent: HashMap<SpanRef, &Span> = spans_of(run).map(|span| (span.id, span)).collect();
        for effect in sent.values() {
            for link in &effect.links {
                // Each trace has a reading of the clocks of its own: between two of them a step of the wall clock shows.
                let Some(cause) = sent.get(&link.to).filter(|it| it.id.trace_id == effect.id.trace_id) else {
                    continue;
                };
                // Rule 1: what was taken in is over when what it may have led to begins, but for the nanosecond that every
                // span is given at least.
                let is_in_order = match link_type(link) {
                    value::link_type::FLOW => cause.end.0 <= effect.start.0.saturating_add(1),
                    kind if DATA.contains(&kind) => cause.start <= effect.end,
                    _ => true,
                };
                assert!(is_in_order, "{} {:?} of {}", cause.name, link_type(link), effect.name);
            }
        }
    });
}

#[test]
fn the_same_events_give_the_same_signals() {
    for_many_streams(|events, first| assert!(first.signals == run(events, first.limits).signals));
}

#[test]
fn no_trace_has_more_spans_than_it_may() {
    for_many_streams(|_, run| {
        let mut counts: HashMap<_, u64> = HashMap::new();
        spans_of(run).for_each(|span| *counts.entry(span.id.trace_id).or_default() += 1);
        for (trace, count) in counts {
            // A span and what it hangs under, an image's and a connection's, have to go somewhere, and the root to the trace that it was promised in.
            let promised = u64::from(trace == session().trace_id);
            assert!(count <= run.limits.spans.max(3) + promised, "{count} in {trace}, {:?}", run.limits);
        }
    });
}

#[test]
fn every_image_is_reached_over_parents_and_segments_from_a_root() {
    for_many_streams(|_, run| {
        let sent: HashMap<SpanRef, &Span> = spans_of(run).map(|span| (span.id, span)).collect();
        let adopted = named_by_programs();
        let roots: HashSet<SpanId> = run
            .activities
            .iter()
            .filter_map(|it| if let Activity::ImageBegan(image) = it { Some(image) } else { None })
            .filter(|image| image.parent == Parent::None)
            .map(|image| super::SpanIds::new(&session()).image(image.id, super::Part::Original, image.trace.segment))
            .collect();
        for span in spans_of(run) {
            let mut at = span;
            for _ in 0..=sent.len() {
                at = match at.parent {
                    Some(parent) if adopted.contains(&parent) => break,
                    Some(parent) => sent[&SpanRef { trace_id: at.id.trace_id, span_id: parent }],
                    None if at.name == "continue" => sent[&at.links[0].to],
                    None => break,
                };
            }
            assert!(at.parent.is_some_and(|it| adopted.contains(&it)) || roots.contains(&at.id.span_id), "{}", at.name);
        }
    });
}

#[test]
fn whenever_the_collector_dies_what_is_sent_later_makes_the_traces_whole() {
    for_many_streams(|_, run| {
        let mut random = Random(run.signals.len() as u64);
        let bursts = spans_of(run).filter(|span| matches!(action(span), value::action::READ | value::action::WRITE));
        let bursts: HashSet<SpanRef> = bursts.map(|span| span.id).collect();
        for _ in 0..20 {
            let before = &run.signals[..random.of(&run.cuts)];
            let mut drafts: HashMap<SpanRef, &Span> = HashMap::new();
            let mut sent: HashSet<SpanRef> = HashSet::new();
            let mut all: Vec<&Span> = Vec::new();
            for signal in before {
                match signal {
                    Signal::Span(span) => all.push(span),
                    Signal::Draft(draft) => match &draft.span {
                        Some(span) => drop(drafts.insert(draft.of, span)),
                        None => assert!(drafts.remove(&draft.of).is_some(), "what ended was not open"),
                    },
                    Signal::Log(_) | Signal::Content(_) => {}
                }
            }
            all.extend(drafts.values());
            assert!(all.iter().all(|span| sent.insert(span.id)), "an id is there twice");
            let adopted = named_by_programs();
            for span in &all {
                let parent = span.parent.filter(|parent| !adopted.contains(parent));
                let parent = parent.map(|span_id| SpanRef { trace_id: span.id.trace_id, span_id });
                assert!(parent.is_none_or(|parent| sent.contains(&parent)), "{} is an orphan", span.name);
                // A burst that went on at the death is gone with its sums.
                let may_be_gone = |to: &SpanRef| adopted.contains(&to.span_id) || bursts.contains(to);
                let mut links = span.links.iter().map(|link| link.to).filter(|to| !may_be_gone(to));
                assert!(links.all(|to| sent.contains(&to)), "{} links to nothing", span.name);
            }
        }
        let left = run.signals.iter().filter_map(|it| if let Signal::Draft(draft) = it { Some(draft) } else { None });
        let last: HashMap<SpanRef, bool> = left.map(|draft| (draft.of, draft.span.is_none())).collect();
        assert!(last.values().all(|closed| *closed), "something is open after the end");
    });
}

#[test]
fn a_span_is_never_larger_than_was_reckoned_with() {
    for_many_streams(|_, run| {
        let mut loads = Vec::new();
        for activity in &run.activities {
            match activity {
                Activity::ImageEnded(it) => loads.push(Load::of_image(&it.image) + Load::of_account(&it.account)),
                Activity::ImagePromoted(it) => loads.push(Load::of_image(&it.image) + Load::of_account(&it.account)),
                Activity::ImageContinued(it) => loads.push(Load::of_continuation(&it.image)),
                Activity::ImageExited(it) => loads.push(Load::of_exit(&it.image, &it.account)),
                Activity::Transferred(it) => {
                    let content = it.content.as_ref().map_or_else(Load::default, |_| Load::of_content(true));
                    loads.push(Load::of_transfer(&it.image, &it.object, &it.causes) + content);
                }
                Activity::ConnectionPromoted(it) => loads.push(Load::of_connection(&it.connection)),
                Activity::ConnectionEnded(it) if it.close_under.is_some() => loads.push(Load::of_close(&it.connection)),
                Activity::ConnectionEnded(it) => loads.push(Load::of_connection(&it.connection)),
                Activity::ConnectionContinued(it) => loads.push(Load::of_connection_continuation(&it.connection)),
                Activity::Resolved(it) => loads.push(Load::of_resolution(&it.image, &it.name, it.answers.len())),
                Activity::ImageBegan(_)
                | Activity::TransferPromised(_)
                | Activity::ConnectionBegan(_)
                | Activity::Overhead(_)
                | Activity::Lost(_) => {}
            }
        }
        assert_eq!(loads.len(), spans_of(run).count());
        for (load, span) in loads.iter().zip(spans_of(run)) {
            let mut span = span.clone();
            let beside = ["agentsight.loss.", "agentsight.overhead."];
            span.attributes.retain(|it| !beside.iter().any(|prefix| it.name.as_str().starts_with(prefix)));
            let bytes = encode::span(&span).encoded_len() as u64;
            assert!(bytes <= load.bytes, "{bytes} bytes, {} were reckoned with: {span:?}", load.bytes);
            if std::env::var_os("SLACK").is_some() {
                println!("SLACK {} {} {}", span.name, bytes, load.bytes - bytes);
            }
        }
    });
}

#[test]
fn any_session_can_be_drawn_and_nothing_in_it_drives_the_terminal() {
    for_many_streams(|_, run| {
        let spans: Vec<Span> = spans_of(run).cloned().collect();
        let drawn = terminal::tree(&spans, TreeStyle { width: 60, colour: false }, &[]);
        assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "{drawn:?}");
        let json = terminal::json(&spans, &[]);
        assert!(json.trim_end().chars().all(|c| !c.is_control()), "{json:?}");
        let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(summary["session_id"].is_null(), spans.is_empty());
    });
}

#[test]
fn what_was_captured_comes_right_after_its_span_which_names_it() {
    let mut count = 0;
    for_many_streams(|_, run| {
        for (before, signal) in run.signals.iter().zip(&run.signals[1..]) {
            let Signal::Content(content) = signal else { continue };
            let Signal::Span(span) = before else { panic!("{before:?}") };
            let of = SpanRef { trace_id: content.trace_id, span_id: content.span_id };
            let hash = span.attributes.iter().find(|it| it.name == semconv::AGENTSIGHT_CONTENT_HASH);
            assert_eq!((span.id, &hash.unwrap().value), (of, &Value::Text(content.hash.to_string().into())));
            assert_eq!(content.bytes.len() as u64, content.layout.runs.iter().map(|(_, length)| length).sum::<u64>());
        }
    });
    for seed in 0..300 {
        let signals = run(&stream(&mut Random(seed)), SegmentLimits::default()).signals;
        let links = signals.iter().filter_map(|it| if let Signal::Span(span) = it { Some(&span.links) } else { None });
        let is_evidence = |it: &Attribute| it.name == semconv::AGENTSIGHT_LINK_MATCH_EXCERPT;
        count += links.flatten().filter(|link| link.attributes.iter().any(is_evidence)).count();
    }
    assert!(count > 20, "the streams have {count} matches, too few to prove anything");
}
