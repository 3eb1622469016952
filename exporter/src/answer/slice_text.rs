//! A slice as a tree of text: each span once, under the edge with the best evidence; other edges refer to it.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use agentsight_ebpf::WallNanos;

use super::json::gap_text;
use crate::facts::Facts;
use crate::query::moment::Clock;
use crate::query::slice::{Edge, Evidence, PARENT, PART, Slice, Way};
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
            let found = edge.and_then(|edge| edge.evidence.as_ref()).map(|it| format!("  [{}]", found_again(it)));
            let _ = writeln!(text, "{}  (see its other place)", found.unwrap_or_default());
            continue;
        }
        let _ = writeln!(text, "{}", evidence(node_facts(slice, place, clock), edge, way));
        let edges: Vec<usize> = behind.get(&node.id).map_or_else(Vec::new, |edges| {
            // Who did it is said by name and number on each line: a parent that stands elsewhere is not repeated.
            let is_told = |number: &usize| {
                let edge = &slice.edges[*number];
                let next = places.get(&far(edge, way)).map(|place| &slice.nodes[*place]);
                edge.kind != PARENT || next.is_some_and(|next| next.via == Some(*number))
            };
            edges.iter().copied().filter(is_told).collect()
        });
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
        told.extend(edge.evidence.as_ref().map(found_again));
    }
    format!("  [{}]", told.join(", "))
}

/// `"priority_folder_id": 7` at 24 came out as `folder=7` at 113.
fn found_again(evidence: &Evidence) -> String {
    let Evidence { excerpt, sink_excerpt, source_offset, sink_offset, .. } = evidence;
    let changed = if sink_excerpt == excerpt { String::new() } else { format!("as `{}` ", printable(sink_excerpt)) };
    format!("`{}` at {source_offset} came out {changed}at {sink_offset}", printable(excerpt))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use jiff::tz::TimeZone;
    use opentelemetry_proto::tonic::common::v1::any_value;

    use super::*;
    use crate::query::fixture::{id, key_value, memory, stale_id, text};
    use crate::query::slice::{Reach, slice};

    #[test]
    fn the_reference_case_is_told_as_a_tree() {
        let clock = Clock { now: WallNanos(crate::query::fixture::BEGIN), zone: TimeZone::UTC };
        let why = slice(&mut memory(stale_id()), &[id(7)], Way::Why, Reach::default()).unwrap();
        expect![[r#"
            write api.example.com:443  [python3 101, 14:13:20.060, 0000000000000007]
            ├─ parent: connect api.example.com:443  [python3 101, 14:13:20.050, 0000000000000006, 10 ms before]
            │  ├─ parent: python3 agent.py  [python3 101, 14:13:20.010, 0000000000000002, 40 ms before]
            │  │  └─ parent: sh  [sh 100, 14:13:20.000, 0000000000000001, 10 ms before]
            │  └─ dns 0.9: resolve api.example.com  [14:13:20.045, 0000000000000008, 47 B, 4 ms before]
            └─ flow 0.5: read config.json  [python3 101, 14:13:20.040, 0000000000000005, 47 B, 19 ms before]
               └─ file 0.95: write config.json  [refresh 102, 14:13:20.020, 0000000000000004, 47 B, 10 ms before]
                  └─ parent: refresh  [refresh 102, 14:13:20.005, 0000000000000003, 15 ms before]
        "#]]
        .assert_eq(&slice_text(&why, Way::Why, &clock));
        let impact = slice(&mut memory(stale_id()), &[id(4)], Way::Impact, Reach::default()).unwrap();
        expect![[r#"
            write config.json  [refresh 102, 14:13:20.020, 0000000000000004]
            └─ file 0.95: read config.json  [python3 101, 14:13:20.040, 0000000000000005, 47 B, 10 ms after]
               ├─ flow 0.5: write api.example.com:443  [python3 101, 14:13:20.060, 0000000000000007, 47 B, 19 ms after]
               └─ flow 0.5: write report.txt  [python3 101, 14:13:20.100, 000000000000000b, 47 B, 59 ms after]
        "#]]
        .assert_eq(&slice_text(&impact, Way::Impact, &clock));
    }

    #[test]
    fn bytes_that_were_found_again_are_told_with_their_places() {
        let clock = Clock { now: WallNanos(crate::query::fixture::BEGIN), zone: TimeZone::UTC };
        let mut spans = stale_id();
        let request = spans.iter_mut().find(|span| span.name == "write api.example.com:443").unwrap();
        let int = any_value::Value::IntValue;
        request.links[0].attributes.extend([
            key_value("agentsight.link.match.kind", text("value")),
            key_value("agentsight.link.match.source.offset", int(24)),
            key_value("agentsight.link.match.sink.offset", int(113)),
            key_value("agentsight.link.match.excerpt", text("\"priority_folder_id\": 7\u{1b}")),
            key_value("agentsight.link.match.sink.excerpt", text("folder=7")),
        ]);
        let why = slice(&mut memory(spans), &[id(7)], Way::Why, Reach { depth: 1, ..Reach::default() }).unwrap();
        expect![[r#"
            write api.example.com:443  [python3 101, 14:13:20.060, 0000000000000007]
            ├─ parent: connect api.example.com:443  [python3 101, 14:13:20.050, 0000000000000006, 10 ms before]
            └─ flow 0.5: read config.json  [python3 101, 14:13:20.040, 0000000000000005, 47 B, 19 ms before, `"priority_folder_id": 7\e` at 24 came out as `folder=7` at 113]

            there is more beyond the limits of this question (--depth, --spans)
        "#]].assert_eq(&slice_text(&why, Way::Why, &clock));
    }
}
