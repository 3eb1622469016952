//! Every file of `scenarios/`: traced live, sent over OTLP, and judged; recorded, and replayed without rights.
//!
//! `SCENARIO_RUNS=10` repeats the live run. `SCENARIOS=DIR` judges the files of another folder.
//! `SCENARIO_RECORDINGS=DIR` keeps each recording there.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use agentsight_tests::scenario::{self, Account, Scenario, Stage, all_in, own_folder};
use agentsight_tests::trace::Trace;

include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

#[test]
fn every_scenario_of_the_folder_is_a_test() {
    let there: Vec<_> = read(&own_folder()).into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(there, GENERATED, "cargo should have made a test of each file: `touch tests/build.rs`");
}

#[test]
fn scenarios_of_another_folder_hold() {
    let Some(folder) = env::var_os("SCENARIOS").map(PathBuf::from) else {
        eprintln!("NOT RUN: no folder of other scenarios is named by SCENARIOS");
        return;
    };
    let mistakes: Vec<_> = read(&folder).iter().flat_map(mistakes).collect();
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[track_caller]
fn holds(file: &str) {
    let scenario = Scenario::read(&own_folder().join(file)).unwrap_or_else(|error| panic!("{error}"));
    let mistakes = mistakes(&scenario);
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

/// Everything that is wrong with the runs of a scenario, a run that was like another one left out.
fn mistakes(scenario: &Scenario) -> Vec<String> {
    let stage = Stage::new(scenario);
    let mut mistakes = BTreeSet::new();
    let (recorded, finished, recording) = stage.record();
    let edges = scenario::edges(scenario, &Account::of(&recorded));
    mistakes.extend(judge(scenario, &recorded, "recorded", &finished.stderr));
    let replayed = Stage::replay(&recording);
    // What was sent is what the recording says, ids included; so no line needs judging again.
    if of_session(&replayed) != of_session(&recorded) {
        mistakes.insert(format!("{}: the replay has\n{replayed}\nthe live run had\n{recorded}", scenario.name));
    }
    keep(&recording, scenario);
    for number in 1..=runs() {
        let (trace, finished) = stage.run();
        mistakes.extend(judge(scenario, &trace, &format!("run {number}"), &finished.stderr));
        let others = scenario::edges(scenario, &Account::of(&trace));
        let differences = scenario::differences(&edges, &others).into_iter();
        mistakes.extend(differences.map(|difference| {
            format!("{}: always: expected: a second run gives the same edges\n    found: {difference}", scenario.name)
        }));
    }
    mistakes.into_iter().collect()
}

fn judge(scenario: &Scenario, trace: &Trace, which: &str, stderr: &str) -> Vec<String> {
    if trace.spans.is_empty() {
        return vec![format!("{}: {which}: no spans came; AgentSight said: {stderr}", scenario.name)];
    }
    let said = scenario::failures(scenario, trace).into_iter().map(|failure| format!("{failure}\n    in: {which}"));
    said.collect()
}

fn of_session(trace: &Trace) -> Trace {
    Trace { spans: trace.clone().sorted().spans, ..Trace::default() }
}

fn keep(recording: &Path, scenario: &Scenario) {
    if let Some(folder) = env::var_os("SCENARIO_RECORDINGS").map(PathBuf::from) {
        fs::create_dir_all(&folder).expect("the folder for recordings can be made");
        let file = folder.join(&scenario.name).with_extension("agsr");
        fs::copy(recording, file).expect("the folder for recordings is writable");
    }
}

fn runs() -> usize {
    let Ok(text) = env::var("SCENARIO_RUNS") else { return 1 };
    text.parse().unwrap_or_else(|_| panic!("SCENARIO_RUNS should be a number, it is `{text}`"))
}

fn read(folder: &Path) -> Vec<Scenario> {
    all_in(folder).unwrap_or_else(|error| panic!("{error}"))
}
