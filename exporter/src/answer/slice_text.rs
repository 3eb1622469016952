//! A slice as a tree of text: each span once, under the edge with the best evidence; other edges refer to it.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use agentsight_ebpf::WallNanos;

use super::json::gap_text;
use crate::facts::Facts;
use crate::query::moment::Clock;
use crate::query::slice::{Edge, PART, Slice, Way};
use crate::session::SpanRef;
use crate::terminal::{duration, printable};

/// The tree, then the gaps. Each line ends with a newline.
#[must_use]
pub fn slice_text(slice: &Slice, way: Way, clock: &Clock) -> String {
    let places: HashMap<SpanRef, usize> =
        slice.nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect();
    // The edges behind each span, the surest first, as they were found.
    let mut behind: HashMap<SpanRef, Vec<usize>> = HashMap::new();
    for (number, edge) in slice.edges.iter().enumerate() {
        behind.entry(near(edge, way)).or_default().push(number);
    }
    let mut text = String::new();
    let mut pending: Vec<(usize, Option<usize>, String, String)> = Vec::new();
    for place in (0..slice.nodes.len()).rev().filter(|place| slice.nodes[*place].via.is_none()) {
        pending.push((place, None, String::new(), String::new()));
    }
    while let Some((place, via, branch, below)) = pending.pop() {
        let node = &slice.nodes[place];
        let edge = via.map(|via| &slice.edges[via]);
        let is_repeated = via.is_some() && node.via != via;
        let _ = write!(text, "{branch}{}", edge.map(edge_text).unwrap_or_default());
        text.push_str(&printable(&node.found.span.name));
        if is_repeated {
            text.push_str("  (see its other place)\n");
            continue;
        }
        let _ = writeln!(text, "{}", evidence(node_facts(slice, place, clock), edge, way));
        let edges: Vec<usize> = behind.get(&node.id).cloned().unwrap_or_default();
        for (index, number) in edges.iter().enumerate().rev() {
            let Some(next) = places.get(&far(&slice.edges[*number], way)) else { continue };
            let (own, under) = if index + 1 == edges.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            pending.push((*next, Some(*number), format!("{below}{own}"), format!("{below}{under}")));
        }
    }
    if slice.cut {
        text.push_str("\nthere is more beyond the limits of this question (--depth, --spans)\n");
    }
    for (number, gap) in slice.gaps.iter().enumerate() {
        text.push_str(if number == 0 { "\nwhere the evidence has gaps:\n" } else { "" });
        let _ = writeln!(text, "- {}", printable(&gap_text(gap)));
    }
    text
}

/// The end of an edge from which the walk came.
fn near(edge: &Edge, way: Way) -> SpanRef {
    if way == Way::Why { edge.effect } else { edge.cause }
}

fn far(edge: &Edge, way: Way) -> SpanRef {
    if way == Way::Why { edge.cause } else { edge.effect }
}

fn edge_text(edge: &Edge) -> String {
    let kind = printable(&edge.kind);
    if edge.confidence < 1.0 { format!("{kind} {}: ", edge.confidence) } else { format!("{kind}: ") }
}

fn node_facts(slice: &Slice, place: usize, clock: &Clock) -> Vec<String> {
    let span = &slice.nodes[place].found.span;
    let facts = Facts::of(span);
    let mut told = Vec::new();
    if let (Some(executable), Some(pid)) = (facts.executable, facts.pid) {
        told.push(format!("{} {pid}", printable(executable)));
    }
    if facts.failed {
        let message = span.status.as_ref().map(|status| status.message.as_str()).unwrap_or_default();
        told.push(if message.is_empty() { "error".to_owned() } else { printable(message).into_owned() });
    }
    told.push(clock.time_of_day(WallNanos(span.start_time_unix_nano)));
    told.push(hex::encode(&span.span_id));
    told
}

fn evidence(mut told: Vec<String>, edge: Option<&Edge>, way: Way) -> String {
    if let Some(edge) = edge {
        if let Some(bytes) = edge.bytes {
            told.push(format!("{bytes} B"));
        }
        let time = duration(Duration::from_nanos(edge.lag_nanos.unsigned_abs()));
        match (edge.lag_nanos, way) {
            _ if edge.kind == PART => {}
            (0.., Way::Why) => told.push(format!("{time} before")),
            (0.., Way::Impact) => told.push(format!("{time} after")),
            (_, _) => told.push("at the same time".to_owned()),
        }
        if edge.asserted {
            told.push("says the program".to_owned());
        }
    }
    format!("  [{}]", told.join(", "))
}
