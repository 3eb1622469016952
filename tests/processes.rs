//! Real programs, traced by AgentSight and, on a second run, by `strace -f`: both must see the same tree.
//!
//! Every process is there once, under the one that forked it, with its arguments and the way it ended.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::directory::Directory;
use agentsight_tests::process_tree::{Image, of_trace};
use agentsight_tests::programs::{python, small_environment};
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use agentsight_tests::{programs, strace};

#[test]
fn a_shell_pipeline_is_seen_as_strace_sees_it() {
    assert_same_tree(&["sh", path_text(&programs::path("pipeline.sh"))], Directory::new, 7);
}

#[test]
fn a_python_multiprocessing_program_is_seen_as_strace_sees_it() {
    assert_same_tree(&[python(), path_text(&programs::path("multiprocessing_pool.py"))], Directory::new, 0);
}

#[test]
fn a_node_program_with_children_is_seen_as_strace_sees_it() {
    let node = need_program("node", "nodejs");
    assert_same_tree(&[path_text(&node), path_text(&programs::path("children.js"))], Directory::new, 0);
}

#[test]
fn a_parallel_make_of_a_c_project_is_seen_as_strace_sees_it() {
    let _ = need_program("gcc", "gcc");
    assert_same_tree(&[path_text(&need_program("make", "make")), "-j4"], programs::c_project, 0);
}

#[track_caller]
fn assert_same_tree(program: &[&str], fresh_directory: impl Fn() -> Directory, code: i32) {
    let (expected, witnessed) = strace::observe(program, fresh_directory().path(), small_environment);
    let witnessed = witnessed.expect_code(code);
    let (seen, finished) = observe(program, fresh_directory().path());
    let finished = finished.expect_code(code);
    // stderr is not compared: strace's and AgentSight's own words are there.
    assert_eq!(finished.stdout, witnessed.stdout, "the program did not do the same under both");
    assert!(expected.count() > 5, "the program should start processes:\n{expected}");
    assert!(
        seen == expected,
        "AgentSight saw\n{seen}\nstrace saw\n{expected}\nonly by one:\n{}",
        difference(&seen, &expected)
    );
}

fn observe(program: &[&str], directory: &Path) -> (Image, agentsight_tests::run::Finished) {
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    let mut command: Command =
        agentsight.command(["run", "--no-tree", "--output", path_text(&output), "--"].iter().chain(program));
    small_environment(&mut command);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store")).current_dir(directory);
    let finished = run(&mut command, Duration::from_secs(300));
    (of_trace(&agentsight.read(&output, &finished)), finished)
}

/// Lines that one tree has more often than the other.
fn difference(seen: &Image, expected: &Image) -> String {
    let (seen, expected) = (seen.to_string(), expected.to_string());
    let lacks = |text: &str, line: &str, than: &str| {
        text.lines().filter(|&other| other == line).count() > than.lines().filter(|&other| other == line).count()
    };
    let only_seen =
        seen.lines().filter(|line| lacks(&seen, line, &expected)).map(|line| format!("  AgentSight: {line}\n"));
    let only_expected =
        expected.lines().filter(|line| lacks(&expected, line, &seen)).map(|line| format!("  strace:     {line}\n"));
    only_seen.chain(only_expected).collect()
}
