//! Every class of events on this kernel, over both ways out of it: one scenario that has them all, and their links.
//!
//! `make test-kernels` runs this on other kernels; `kernels/initrd.sh` says which programs there are.

use std::path::Path;

use agentsight_tests::scenario::{self, Scenario, Stage};

#[test]
fn every_class_of_events_is_seen_and_linked_over_the_ring_buffer() {
    holds(&[]);
}

#[test]
fn every_class_of_events_is_seen_and_linked_over_perf_buffers() {
    holds(&["--perf-buffer"]);
}

#[track_caller]
fn holds(carrier: &[&str]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/event_classes.scenario");
    let mut scenario = Scenario::read(&file).unwrap_or_else(|error| panic!("{error}"));
    // Loading takes an emulated machine half a minute, and more beside other work.
    let options = ["--start-limit", "4m"].iter().chain(carrier);
    scenario.options.extend(options.map(|&option| option.to_owned()));
    let (trace, finished) = Stage::new(&scenario).run();
    let failures: Vec<_> = scenario::failures(&scenario, &trace).iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "\n{}\nAgentSight said: {}", failures.join("\n"), finished.stderr);
}
