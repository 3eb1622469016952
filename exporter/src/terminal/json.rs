//! The session as one JSON object, for programs: every process and all that it did, nothing folded, nothing cut.
//!
//! Processes stand in the order of the tree, each with the span of its parent: a tree in a tree would have no bound.

use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use serde::Serialize;

use super::attribute::{double, int, is_set, text, texts};
use super::because::because;
use super::deed::{Deed, Deeds, Kind, link_type};
use super::escape::printable_json;
use super::family::Family;
use super::object::target;
use crate::spans::model::{Link, Span};

/// One line that ends with a newline.
#[must_use]
pub fn json(spans: &[Span], notes: &[String]) -> String {
    let family = Family::of(spans);
    let deeds = Deeds::of(spans, &family);
    let processes = in_order(&family).into_iter().map(|place| Process::of(&family, &deeds, place)).collect();
    let session_id = spans.iter().find_map(|span| text(&span.attributes, semconv::AGENTSIGHT_SESSION_ID));
    let summary = Summary { session_id, processes, notes };
    let text = serde_json::to_string(&summary).expect("no map in it has keys other than strings");
    printable_json(&text) + "\n"
}

#[derive(Serialize)]
struct Summary<'a> {
    session_id: Option<&'a str>,
    processes: Vec<Process<'a>>,
    /// What the tree has below it: loss, cost, delivery.
    notes: &'a [String],
}

#[derive(Serialize)]
struct Process<'a> {
    trace_id: String,
    span_id: String,
    /// Of the image that started this one.
    parent_span_id: Option<String>,
    name: &'a str,
    pid: Option<i64>,
    executable: Option<&'a str>,
    args: &'a [String],
    /// Nanoseconds since 1970.
    start_unix_nanos: u64,
    duration_seconds: f64,
    running: bool,
    exit_code: Option<i64>,
    /// `error.type`.
    error: Option<&'a str>,
    /// In order of time.
    did: Vec<Did<'a>>,
}

#[derive(Serialize)]
struct Did<'a> {
    /// `agentsight.action`, or the name of the call.
    action: &'a str,
    /// `agentsight.object.type`.
    object: &'a str,
    target: String,
    path: Option<&'a str>,
    new_path: Option<&'a str>,
    bytes_in: u64,
    bytes_out: u64,
    start_unix_nanos: u64,
    error: Option<&'a str>,
    span_ids: Vec<String>,
    /// In words, as in the tree.
    because: Vec<String>,
    causes: Vec<Caused<'a>>,
}

#[derive(Serialize)]
struct Caused<'a> {
    #[serde(rename = "type")]
    link_type: Option<&'a str>,
    confidence: Option<f64>,
    bytes: Option<i64>,
    trace_id: String,
    span_id: String,
    /// What of the cause was found again, and as what it stands here; absent where contents were not captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink_excerpt: Option<&'a str>,
}

impl<'a> Process<'a> {
    fn of(family: &Family<'a>, deeds: &Deeds<'a>, place: usize) -> Self {
        let member = &family.members[place];
        let (span, last) = (member.span, member.last());
        let is = |name| is_set(&last.attributes, name);
        let nanos = last.end.0.saturating_sub(last.start.0.min(span.start.0));
        Self {
            trace_id: span.id.trace_id.to_string(),
            span_id: span.id.span_id.to_string(),
            parent_span_id: member.parent.map(|parent| family.members[parent].span.id.span_id.to_string()),
            name: &span.name,
            pid: int(&span.attributes, semconv::PROCESS_PID),
            executable: text(&span.attributes, semconv::PROCESS_EXECUTABLE_PATH),
            args: texts(&span.attributes, semconv::PROCESS_COMMAND_ARGS),
            start_unix_nanos: span.start.0,
            duration_seconds: std::time::Duration::from_nanos(nanos).as_secs_f64(),
            running: is(semconv::AGENTSIGHT_SPAN_INCOMPLETE) || is(semconv::AGENTSIGHT_SPAN_PROMOTED),
            exit_code: int(&last.attributes, semconv::PROCESS_EXIT_CODE),
            error: text(&last.attributes, semconv::ERROR_TYPE),
            did: deeds.by(place).iter().map(|deed| Did::of(family, deeds, place, deed)).collect(),
        }
    }
}

impl<'a> Did<'a> {
    fn of(family: &Family<'a>, deeds: &Deeds<'a>, place: usize, deed: &Deed<'a>) -> Self {
        let first = deed.spans.first().map(|span| deeds.connection_of(span));
        let (attributes, action, target) = match (deed.kind, first) {
            (Kind::Change(event), _) => (event.attributes.as_slice(), event.name.as_str(), String::new()),
            (_, Some(span)) => {
                let action = text(&span.attributes, semconv::AGENTSIGHT_ACTION).unwrap_or_default();
                (span.attributes.as_slice(), action, target(deeds, span))
            }
            (_, None) => (&[][..], "", String::new()),
        };
        let of = |name: Name| text(attributes, name);
        Self {
            action,
            object: deed.object(),
            target,
            path: of(semconv::FILE_PATH),
            new_path: of(semconv::AGENTSIGHT_FILE_NEW_PATH),
            bytes_in: deed.received,
            bytes_out: deed.sent,
            start_unix_nanos: deed.at.0,
            error: deed.error,
            span_ids: deed.spans.iter().map(|span| span.id.span_id.to_string()).collect(),
            because: because(deeds, family, place, deed),
            causes: deed.links().map(Caused::of).collect(),
        }
    }
}

impl<'a> Caused<'a> {
    fn of(link: &'a Link) -> Self {
        Self {
            link_type: link_type(link),
            confidence: double(&link.attributes, semconv::AGENTSIGHT_LINK_CONFIDENCE),
            bytes: int(&link.attributes, semconv::AGENTSIGHT_LINK_BYTES),
            trace_id: link.to.trace_id.to_string(),
            span_id: link.to.span_id.to_string(),
            excerpt: text(&link.attributes, semconv::AGENTSIGHT_LINK_MATCH_EXCERPT),
            sink_excerpt: text(&link.attributes, semconv::AGENTSIGHT_LINK_MATCH_SINK_EXCERPT),
        }
    }
}

/// Parents before their children, those in order of start.
fn in_order(family: &Family<'_>) -> Vec<usize> {
    let mut order = Vec::new();
    let mut pending: Vec<usize> = family.roots.iter().rev().copied().collect();
    while let Some(place) = pending.pop() {
        order.push(place);
        pending.extend(family.members[place].children.iter().rev());
    }
    order
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;

    #[test]
    fn every_process_has_what_it_did_and_from_which_spans_that_followed() {
        let text = "
            0 clock
            0 root 100
            1 exec 100 /bin/sh sh
            2 fork 100 101
            3 exec 101 /bin/cat cat in.txt
            4 open 101 #1 file /home/me/in.txt
            4 open 101 #2 pipe 7
            5 in 101 #1.1 0..47 source 1
            6 out 101 #2.1 0..47 flow 0..1
            7 exit 101 1
            8 exit 100 0
            20s tick
        ";
        let json = json(&spans_of(&session(), text), &["nothing lost".to_owned()]);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        expect![[r#"
            {
              "notes": [
                "nothing lost"
              ],
              "processes": [
                {
                  "args": [
                    "sh"
                  ],
                  "did": [],
                  "duration_seconds": 0.008,
                  "error": null,
                  "executable": "/bin/sh",
                  "exit_code": 0,
                  "name": "sh",
                  "parent_span_id": null,
                  "pid": 100,
                  "running": false,
                  "span_id": "6fb6096f42eddb81",
                  "start_unix_nanos": 1767225600000000000,
                  "trace_id": "11111111111111111111111111111111"
                },
                {
                  "args": [
                    "cat",
                    "in.txt"
                  ],
                  "did": [
                    {
                      "action": "read",
                      "because": [],
                      "bytes_in": 47,
                      "bytes_out": 0,
                      "causes": [],
                      "error": null,
                      "new_path": null,
                      "object": "file",
                      "path": "/home/me/in.txt",
                      "span_ids": [
                        "5687b4285b58b34a"
                      ],
                      "start_unix_nanos": 1767225600005000000,
                      "target": "in.txt"
                    },
                    {
                      "action": "write",
                      "because": [
                        "← had read in.txt"
                      ],
                      "bytes_in": 0,
                      "bytes_out": 47,
                      "causes": [
                        {
                          "bytes": null,
                          "confidence": 0.5,
                          "span_id": "5687b4285b58b34a",
                          "trace_id": "11111111111111111111111111111111",
                          "type": "flow"
                        }
                      ],
                      "error": null,
                      "new_path": null,
                      "object": "pipe",
                      "path": null,
                      "span_ids": [
                        "8724260761f969aa"
                      ],
                      "start_unix_nanos": 1767225600006000000,
                      "target": "pipe"
                    }
                  ],
                  "duration_seconds": 0.005,
                  "error": "1",
                  "executable": "/bin/cat",
                  "exit_code": 1,
                  "name": "cat",
                  "parent_span_id": "6fb6096f42eddb81",
                  "pid": 101,
                  "running": false,
                  "span_id": "1122df6dd6d30d58",
                  "start_unix_nanos": 1767225600002000000,
                  "trace_id": "11111111111111111111111111111111"
                }
              ],
              "session_id": "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
            }
        "#]]
        .assert_eq(&format!("{value:#}\n"));
    }

    #[test]
    fn a_session_without_spans_is_an_object_all_the_same() {
        assert_eq!(json(&[], &[]), "{\"session_id\":null,\"processes\":[],\"notes\":[]}\n");
    }
}
