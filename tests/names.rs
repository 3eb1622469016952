//! The registry and what is emitted are the same: nothing undeclared goes out, and no declared name is there for nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use agentsight_semconv::{lookup, undeclared, unseen};
use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::recordings::{all, replay};
use agentsight_tests::trace::Trace;

/// Declared names that neither the recordings nor the live run below can show, each with the test that sees it.
const SEEN_ELSEWHERE: [(&str, &str); 14] = [
    ("container.id", "docker"),
    ("container.runtime.name", "docker"),
    ("container.image.name", "docker"),
    ("k8s.pod.uid", "spans::container::tests"),
    ("agentsight.loss.process", "spans::loss::tests"),
    ("agentsight.loss.snapshot", "spans::loss::tests"),
    ("agentsight.loss.open", "spans::loss::tests"),
    ("agentsight.loss.burst", "spans::loss::tests"),
    ("agentsight.loss.connect", "spans::loss::tests"),
    ("agentsight.loss.dns", "spans::loss::tests"),
    ("agentsight.loss.change", "spans::loss::tests"),
    ("agentsight.loss.call", "spans::loss::tests"),
    ("agentsight.loss.missed", "spans::loss::tests"),
    ("agentsight.loss.undecodable", "spans::loss::tests"),
];

#[test]
fn no_recording_replays_to_an_undeclared_name() {
    for recording in all() {
        assert_eq!(undeclared(replay(&recording).names()), [""; 0], "{}", recording.display());
    }
}

#[test]
fn a_live_run_sends_no_undeclared_name_about_the_command_or_about_itself() {
    let sent = live();
    assert_eq!(undeclared(sent.names()), [""; 0], "{sent}");
}

#[test]
fn every_declared_name_is_seen_by_a_test() {
    let traces: Vec<Trace> = all().iter().map(|recording| replay(recording)).chain([live()]).collect();
    let here: BTreeSet<&str> = traces.iter().flat_map(Trace::names).collect();
    let elsewhere: BTreeSet<&str> = SEEN_ELSEWHERE.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        unseen(here.union(&elsewhere).copied()),
        [""; 0],
        "declared, but seen by no test: emit it, or take it out of semconv/model"
    );
    let both: Vec<_> = here.intersection(&elsewhere).collect();
    assert!(both.is_empty(), "take these out of SEEN_ELSEWHERE, they are seen here: {both:?}");
    assert!(
        elsewhere.iter().all(|name| lookup(name).is_some()),
        "SEEN_ELSEWHERE names what is not declared: {elsewhere:?}"
    );
}

/// A run sent to a receiver: spans, log records, and AgentSight's own telemetry.
fn live() -> Trace {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let script = programs::path("pipeline.sh");
    let program = ["--", "sh", path_text(&script)];
    let endpoint = receiver.endpoint();
    let options = ["run", "--no-tree", "--protocol", "grpc", "--endpoint", &endpoint];
    let _ = agentsight.run(options.iter().chain(&program)).expect_code(7);
    // AgentSight's own telemetry comes last, when the command's is through.
    wait_for("AgentSight's own metrics", Duration::from_secs(20), || {
        Some(receiver.trace()).filter(|trace| !trace.metrics.is_empty())
    })
}
