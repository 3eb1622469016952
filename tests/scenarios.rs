//! Every file of `scenarios/`: traced live, sent over OTLP, and judged; recorded, and replayed without rights.
//!
//! `SCENARIO_RUNS=10` repeats the live run. `SCENARIOS=DIR` judges the files of another folder.
//! `SCENARIO_RECORDINGS=DIR` keeps each recording there.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use agentsight_tests::scenario::{self, Account, Failure, Scenario, Stage, all_in, own_folder};
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
    // A relative path starts at the top of the repository, not where cargo starts the test.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mistakes: Vec<_> = read(&folder).iter().flat_map(mistakes).collect();
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[track_caller]
fn holds(file: &str) {
    let scenario = Scenario::read(&own_folder().join(file)).unwrap_or_else(|error| panic!("{error}"));
    let mistakes = mistakes(&scenario);
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

/// Everything that is wrong with the runs of a scenario, each thing once, with the runs that it was in.
fn mistakes(scenario: &Scenario) -> Vec<String> {
    let stage = Stage::new(scenario);
    let mut mistakes = Mistakes::default();
    let (recorded, finished, recording) = stage.record();
    let edges = scenario::edges(scenario, &Account::of(&recorded));
    mistakes.judge(scenario, &recorded, "recorded", &finished.stderr);
    let replayed = Stage::replay(&recording);
    // What was sent is what the recording says, ids included; so no line needs judging again.
    if of_session(&replayed) != of_session(&recorded) {
        let found = vec![format!("the replay has\n{replayed}\nthe live run had\n{recorded}")];
        mistakes.add("replayed", always(scenario, "a recording replays to the spans of the live run", found));
    }
    keep(&recording, scenario);
    for number in 1..=runs() {
        let (trace, finished) = stage.run();
        let which = format!("run {number}");
        mistakes.judge(scenario, &trace, &which, &finished.stderr);
        let found = scenario::differences(&edges, &scenario::edges(scenario, &Account::of(&trace)));
        if !found.is_empty() {
            mistakes.add(&which, always(scenario, "a second run gives the same edges", found));
        }
    }
    if !mistakes.0.is_empty() && !finished.stderr.is_empty() {
        let found = vec![finished.stderr];
        mistakes.add("recorded", always(scenario, "nothing on standard error (a hint, no rule)", found));
    }
    mistakes.0.into_iter().map(|(_, (failure, runs))| format!("{failure}\n    in: {}", runs.join(", "))).collect()
}

/// By place and line or rule: how it failed first, and in which runs.
#[derive(Default)]
struct Mistakes(BTreeMap<(String, String), (Failure, Vec<String>)>);

impl Mistakes {
    fn judge(&mut self, scenario: &Scenario, trace: &Trace, which: &str, stderr: &str) {
        if trace.spans.is_empty() {
            self.add(which, always(scenario, "spans come", vec![format!("none; AgentSight said: {stderr}")]));
            return;
        }
        for failure in scenario::failures(scenario, trace) {
            self.add(which, failure);
        }
    }

    fn add(&mut self, which: &str, failure: Failure) {
        let key = (failure.place.clone(), failure.expected.clone());
        let (_, runs) = self.0.entry(key).or_insert_with(|| (failure, Vec::new()));
        if runs.last().is_none_or(|last| last != which) {
            runs.push(which.to_owned());
        }
    }
}

fn always(scenario: &Scenario, rule: &str, found: Vec<String>) -> Failure {
    Failure { place: format!("{}: always", scenario.name), expected: rule.to_owned(), found }
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
