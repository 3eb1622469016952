//! What must hold of every trace, whatever the scenario: no circles, causes before effects, nothing twice, nothing missing.

use std::collections::BTreeSet;

use super::account::{Account, At, is_process};
use super::acyclic::circle;
use super::links::Link;
use super::near_miss::{doing, link};
use crate::trace::{Attributes, Span, Value};

/// Links that point up the tree by nature.
const POINT_UP: [&str; 2] = ["join", "signal"];
/// Links whose cause must have begun before their effect ends. (`copy` is not: there one call is both ends.)
const DATA: [&str; 6] = ["file", "pipe", "unix", "tcp", "udp", "shm"];
/// Links that may join two processes.
const OF_PROCESSES: [&str; 5] = ["signal", "join", "exec", "lineage", "segment"];

/// Says each place where a rule is broken.
type Find = fn(&Account<'_>) -> Vec<String>;

/// A rule that a trace breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// Where it is broken.
    pub found: String,
}

/// Every place where a rule is broken.
#[must_use]
pub fn broken_rules(account: &Account<'_>) -> Vec<Broken> {
    let rules: [(&'static str, Find); 8] = [
        ("parents and links, `join` and `signal` aside, go round in no circle", circles),
        ("the cause of a `flow` link ends before its effect starts", late_flows),
        ("the cause of a data link starts before its effect ends", late_data),
        ("no link joins two process spans, but signal, join, exec, lineage and segment", process_links),
        ("every parent is exported, those adopted aside", missing_parents),
        ("the cause of every link is exported, `explicit` ones aside", missing_causes),
        ("nothing is exported twice: no span id, no link", twins),
        ("nothing is lost", losses),
    ];
    rules
        .into_iter()
        .flat_map(|(rule, find)| find(account).into_iter().map(move |found| Broken { rule, found }))
        .collect()
}

fn circles(account: &Account<'_>) -> Vec<String> {
    let all = 0..account.trace.spans.len();
    let parents = all.filter_map(|at| Some((account.principal(account.parent(at)?), account.principal(at))));
    // A span that only goes on with another is the same place as that one.
    let parents = parents.filter(|(parent, child)| parent != child);
    let links = account.links.iter().filter(|link| !POINT_UP.contains(&link.link_type) && link.link_type != "segment");
    let links = links.filter_map(|link| Some((link.cause?, link.effect)));
    let arrows: Vec<_> = parents.chain(links).collect();
    let circle = circle(account.trace.spans.len(), &arrows);
    let said = |circle: Vec<At>| circle.into_iter().map(|at| doing(account, at)).collect::<Vec<_>>().join(" -> ");
    circle.map(said).into_iter().collect()
}

fn late_flows(account: &Account<'_>) -> Vec<String> {
    let is_late = |cause: &Span, effect: &Span| cause.end_nanos > effect.start_nanos;
    late(account, &["flow"], is_late, |cause, effect| {
        format!("the cause ends {} ns after its effect starts", cause.end_nanos - effect.start_nanos)
    })
}

fn late_data(account: &Account<'_>) -> Vec<String> {
    let is_late = |cause: &Span, effect: &Span| cause.start_nanos >= effect.end_nanos;
    late(account, &DATA, is_late, |cause, effect| {
        format!("the cause starts {} ns after its effect ends", cause.start_nanos - effect.end_nanos)
    })
}

fn late(
    account: &Account<'_>,
    types: &[&str],
    is_late: impl Fn(&Span, &Span) -> bool,
    how: impl Fn(&Span, &Span) -> String,
) -> Vec<String> {
    let of_type = account.links.iter().filter(|link| types.contains(&link.link_type));
    let late = of_type.filter_map(|found| {
        let (cause, effect) = (account.span(found.cause?), account.span(found.effect));
        is_late(cause, effect).then(|| format!("{}: {}", link(account, found), how(cause, effect)))
    });
    late.collect()
}

fn process_links(account: &Account<'_>) -> Vec<String> {
    let is_wrong = |link: &&Link<'_>| {
        let both =
            link.cause.is_some_and(|cause| is_process(account.span(cause))) && is_process(account.span(link.effect));
        both && !OF_PROCESSES.contains(&link.link_type)
    };
    account.links.iter().filter(is_wrong).map(|found| link(account, found)).collect()
}

fn missing_parents(account: &Account<'_>) -> Vec<String> {
    let is_orphan = |&at: &At| {
        let span = account.span(at);
        let is_adopted = is_process(span) && span.links.iter().any(|link| link.is("lineage"));
        span.parent.is_some() && account.parent(at).is_none() && !is_adopted
    };
    let said = |at: At| {
        let parent = account.span(at).parent.as_deref().unwrap_or_default();
        format!("{}: its parent {parent} is not in its trace", doing(account, at))
    };
    (0..account.trace.spans.len()).filter(is_orphan).map(said).collect()
}

fn missing_causes(account: &Account<'_>) -> Vec<String> {
    let is_lost = |link: &&Link<'_>| link.cause.is_none() && link.link_type != "explicit";
    account.links.iter().filter(is_lost).map(|found| link(account, found)).collect()
}

fn twins(account: &Account<'_>) -> Vec<String> {
    let mut ids = BTreeSet::new();
    let spans = (0..account.trace.spans.len()).filter(|&at| !ids.insert(&account.span(at).id));
    let spans: Vec<_> =
        spans.map(|at| format!("span id {} again: {}", account.span(at).id, doing(account, at))).collect();
    let mut pairs = BTreeSet::new();
    let links = account.links.iter().filter(|found| {
        let names = found.names;
        let cause = found.cause.ok_or((&names.trace_id, &names.span_id));
        !pairs.insert((found.link_type, found.effect, cause))
    });
    let links = links.map(|found| format!("again: {}", link(account, found)));
    spans.into_iter().chain(links).collect()
}

fn losses(account: &Account<'_>) -> Vec<String> {
    let trace = account.trace;
    let of_spans = trace.spans.iter().flat_map(|span| {
        let events = span.events.iter().map(|event| &event.attributes);
        std::iter::once(&span.attributes).chain(events).map(|attributes| (span.name.as_str(), attributes))
    });
    let of_logs = trace.logs.iter().map(|log| (log.event_name.as_str(), &log.attributes));
    of_spans.chain(of_logs).flat_map(|(name, attributes)| lost(name, attributes)).collect()
}

fn lost(name: &str, attributes: &Attributes) -> Vec<String> {
    let is_loss = |(key, value): &(&String, &Value)| key.starts_with("agentsight.loss") && **value != Value::Int(0);
    attributes.iter().filter(is_loss).map(|(key, value)| format!("{name}: {key} = {value}")).collect()
}
