//! Every file of `scenarios/`, judged by its committed recording: without root, on any machine.
//!
//! `make scenario-recordings` makes the recordings anew.

use agentsight_tests::recordings::{of_scenario, replay};
use agentsight_tests::scenario::{self, Failure, Scenario, own_folder};

include!(concat!(env!("OUT_DIR"), "/scenario_recordings.rs"));

#[track_caller]
fn holds(file: &str) {
    let scenario = Scenario::read(&own_folder().join(file)).unwrap_or_else(|error| panic!("{error}"));
    let recording = of_scenario(file);
    assert!(recording.is_file(), "no recording of {file}: `make scenario-recordings` makes it");
    let failures: Vec<_> = scenario::failures(&scenario, &replay(&recording)).iter().map(Failure::to_string).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
