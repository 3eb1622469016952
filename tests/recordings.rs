//! Committed recordings replay, without root and on any machine, to the committed texts beside them.
//!
//! `make snapshots` writes the texts anew; tests/recordings/README.md says how a recording is made.

use std::collections::BTreeSet;

use agentsight_tests::recordings::{all, path, replay};
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
