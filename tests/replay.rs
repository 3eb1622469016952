//! A recording made live, replayed by a user without rights: the same spans with the same ids, to the last attribute.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::daemon::Daemon;
use agentsight_tests::programs::{self, python};
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use agentsight_tests::trace::Trace;
use agentsight_tests::unprivileged;

#[test]
fn a_shell_pipeline_replays_to_the_spans_of_the_live_run() {
    assert_same_after_replay(&["sh", path_text(&programs::path("pipeline.sh"))], 7);
}

#[test]
fn a_python_multiprocessing_program_replays_to_the_spans_of_the_live_run() {
    assert_same_after_replay(&[python(), path_text(&programs::path("multiprocessing_pool.py"))], 0);
}

#[test]
fn a_node_program_replays_to_the_spans_of_the_live_run() {
    let node = need_program("node", "nodejs");
    assert_same_after_replay(&[path_text(&node), path_text(&programs::path("children.js"))], 0);
}

#[test]
fn a_parallel_make_replays_to_the_spans_of_the_live_run() {
    let project = programs::c_project();
    assert_same_after_replay(&["make", "--silent", "-j4", "-C", path_text(project.path())], 0);
}

#[test]
fn what_was_recorded_by_the_daemon_replays_to_the_spans_of_the_live_run() {
    let (agentsight, user) = (Agentsight::as_root(), unprivileged::User::new());
    let daemon = Daemon::start(&agentsight, "self_telemetry: false\n", &[]);
    let [recording, live] = ["run.agsr", "live.jsonl"].map(|name| user.directory().join(name));
    let arguments = ["record", "--no-tree", "-o", path_text(&recording), "--output", path_text(&live), "--"];
    // It goes on for longer than until the daemon next reads both clocks.
    let program = ["/bin/sh", "-c", "/bin/echo one; /bin/sleep 1.3; /bin/echo two"];
    let mut command = user.agentsight(arguments.iter().chain(&program));
    let limit = Duration::from_secs(60);
    let finished = run(command.env("AGENTSIGHT_SOCKET", daemon.socket()), limit).expect_code(0);
    let live = agentsight.read(&live, &finished);
    live.assert_whole();
    assert_replays_to(live, &recording, &agentsight);
    let _ = daemon.stop().expect_code(0);
}

#[track_caller]
fn assert_same_after_replay(program: &[&str], code: i32) {
    let agentsight = Agentsight::as_root();
    let recording = agentsight.directory().join("run.agsr");
    let live = agentsight.directory().join("live.jsonl");
    let arguments = ["record", "--no-tree", "-o", path_text(&recording), "--output", path_text(&live), "--"];
    let finished = agentsight.run(arguments.iter().chain(program)).expect_code(code);
    let live = agentsight.read(&live, &finished);
    live.assert_whole();
    assert_replays_to(live, &recording, &agentsight);
}

#[track_caller]
fn assert_replays_to(live: Trace, recording: &Path, agentsight: &Agentsight) {
    let user = unprivileged::User::new();
    let readable = user.directory().join("run.agsr");
    fs::copy(recording, &readable).expect("the user's directory is writable");
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o444)).expect("the copy is ours");
    let output = user.directory().join("replayed.jsonl");
    let mut command: Command = user.agentsight(["replay", "--output", path_text(&output), path_text(&readable)]);
    let finished = run(&mut command, Duration::from_secs(60)).expect_code(0);
    let replayed = agentsight.read(&output, &finished);

    let (live, replayed) = (live.sorted(), replayed.sorted());
    assert!(replayed == live, "the replay has\n{replayed}\nthe live run had\n{live}");
    assert_shows_every_image(&finished.stdout, &live);
}

/// The tree has a line with the process id for each image.
#[track_caller]
fn assert_shows_every_image(tree: &str, trace: &Trace) {
    let mut images: BTreeMap<i64, usize> = BTreeMap::new();
    for span in trace.processes().spans {
        *images.entry(span.int("process.pid").expect("every image has a process id")).or_default() += 1;
    }
    for (process, images) in images {
        let column = format!("  {process}  ");
        let lines = tree.lines().filter(|line| line.contains(&column)).count();
        assert_eq!(lines, images, "lines and images of process {process} in\n{tree}");
    }
}
