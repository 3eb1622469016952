//! Committed recordings replay, without root and on any machine, to the committed texts beside them.
//!
//! `make snapshots` writes the texts anew; tests/recordings/README.md says how a recording is made.

use std::collections::BTreeSet;

use agentsight_tests::recordings::{all, path, replay};
use agentsight_tests::trace::Span;
use expect_test::expect_file;

#[test]
fn a_pipeline_replays_to_its_text() {
    assert_replays("pipeline");
}

#[test]
fn a_python_multiprocessing_program_replays_to_its_text() {
    assert_replays("multiprocessing_pool");
}

#[test]
fn a_node_program_replays_to_its_text() {
    assert_replays("node_children");
}

#[test]
fn a_parallel_make_replays_to_its_text() {
    assert_replays("make");
}

#[test]
fn an_agent_that_changes_traceparent_replays_to_its_text() {
    assert_replays("traceparent");
}

#[test]
fn oddities_replay_to_their_text() {
    assert_replays("oddities");
}

#[test]
fn a_run_that_fills_several_traces_replays_to_its_text() {
    assert_replays("segments");
}

#[test]
fn a_run_that_lost_events_replays_to_a_text_that_says_so() {
    assert_replays("overload");
}

#[test]
fn a_run_whose_contents_were_captured_replays_to_its_text() {
    assert_replays("contents");
    let trace = replay(&path("contents"));
    let request = |span: &&Span| span.name == "write tcp" && span.text("agentsight.content.text").starts_with("POST");
    let request = trace.spans.iter().find(request).expect("what was sent is there");
    let sent = request.text("agentsight.content.text");
    assert!(sent.contains("Bearer ****") && !sent.contains("Qw9Zx8"), "{sent}");
    let found = request.links.iter().find(|link| link.attributes.contains_key("agentsight.link.match.kind"));
    let found = found.unwrap_or_else(|| panic!("no link with evidence:\n{trace}"));
    let read = trace.span(&found.span_id).expect("the cause is there");
    assert_eq!(read.name, "read config.json");
    assert_eq!(found.attributes["agentsight.link.match.excerpt"].to_string(), "\"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\"");
    // The text is whole, and the hash that of the bytes.
    let sum = "2d867369769a692549d797c362180afbb6cf130ab51484eb5d6e5e45543bc416";
    assert_eq!(read.text("agentsight.content.hash"), sum);
    let copied = trace.only("write copy.json");
    assert_eq!(copied.int("agentsight.content.missing_bytes"), copied.int("agentsight.io.bytes"));
}

#[test]
fn a_tree_that_was_attached_to_replays_to_its_text() {
    assert_replays("attached");
}

#[test]
fn every_recording_replays_twice_to_the_same_spans_with_the_same_ids() {
    for recording in all() {
        assert_eq!(replay(&recording), replay(&recording), "{}", recording.display());
    }
}

#[test]
fn every_recording_is_one_of_these_tests() {
    let known = [
        "attached",
        "contents",
        "make",
        "multiprocessing_pool",
        "node_children",
        "oddities",
        "overload",
        "pipeline",
        "segments",
        "traceparent",
    ];
    assert_eq!(all().into_iter().collect::<BTreeSet<_>>(), known.map(path).into_iter().collect());
}

#[track_caller]
fn assert_replays(name: &str) {
    let trace = replay(&path(name));
    assert_eq!(trace.faults(&trace.outside_parents()), [], "{trace}");
    expect_file![path(name).with_extension("txt")].assert_eq(&format!(
        "{}\n{}",
        trace.snapshot(),
        trace.ids_and_times()
    ));
}
