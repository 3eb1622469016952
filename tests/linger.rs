//! Descendants that outlive the command are followed for `--linger`, and the caller waits no longer than that.

use std::fs;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::terminal::Terminal;
use agentsight_tests::trace::{Span, Trace, Value};

/// What starting and the summary take, on a loaded machine, beside what is lingered.
const SLACK: Duration = Duration::from_secs(15);

#[test]
fn without_descendants_nobody_lingers() {
    let (_, took) = timed(&["--linger", "1h"], "true; exit 3", 3);
    assert!(took < SLACK, "took {took:?}");
}

#[test]
fn a_descendant_that_ends_in_time_is_waited_for_and_no_longer() {
    let (trace, took) = timed(&["--linger", "1h"], "sh -c 'sleep 0.4; exit 9' & exit 3", 3);
    assert!(took > Duration::from_millis(400) && took < SLACK, "took {took:?}");
    trace.assert_whole();
    assert_eq!(of_script(&trace, "sleep 0.4; exit 9").int("process.exit.code"), Some(9), "{trace}");
}

#[test]
fn a_descendant_that_goes_on_is_shown_as_incomplete_and_the_caller_is_let_go() {
    let (trace, took) = timed(&["--linger", "500ms"], "sleep 20.5 & echo $! & exit 3", 3);
    assert!(took < SLACK, "took {took:?}");
    trace.assert_whole();
    let sleep = trace.only("sleep");
    assert!(is_incomplete(sleep) && !sleep.attributes.contains_key("process.exit.code"), "{trace}");
    assert_eq!(trace.roots()[0].int("process.exit.code"), Some(3));
    assert!(sleep.end_nanos - trace.roots()[0].end_nanos >= 400_000_000, "it was followed for the time of lingering");
}

#[test]
fn a_daemon_in_a_session_of_its_own_is_followed_under_whoever_forked_it() {
    // Forked twice, in a session of its own, and its parent gone: nothing but the forks say whose it is.
    let script = "(setsid -f sh -c 'sleep 0.3; exit 5' >/dev/null 2>&1 </dev/null); exit 3";
    let (trace, _) = timed(&["--linger", "1h"], script, 3);
    trace.assert_whole();
    let daemon = of_script(&trace, "sleep 0.3; exit 5");
    assert_eq!(daemon.int("process.exit.code"), Some(5), "{trace}");
    assert!(trace.span(daemon.parent.as_deref().unwrap_or_default()).is_some(), "{trace}");
}

#[test]
fn a_daemon_that_stays_is_incomplete_too_and_the_tree_counts_it() {
    let agentsight = Agentsight::as_root();
    let script = "setsid -f sleep 20.5 >/dev/null 2>&1 </dev/null; exit 3";
    let finished = agentsight.run(["run", "--tree", "--linger", "300ms", "--", "sh", "-c", script]).expect_code(3);
    assert!(finished.stderr.contains("still running when --linger was over"), "{}", finished.stderr);
}

#[test]
fn ctrl_c_ends_the_lingering_and_the_exit_code_stays_the_commands() {
    let agentsight = Agentsight::as_root();
    let script = "sleep 20.5 & echo let go; exit 3";
    let command = agentsight.command(["run", "--no-tree", "--linger", "1h", "--", "sh", "-c", script]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("let go");
    // Until the stub has seen the command's end, a Ctrl-C is the command's.
    wait_for("the stub to linger", SLACK, || has_no_child(terminal.leader()).then_some(()));
    terminal.type_text("\x03");
    let _ = terminal.end().expect_code(3);
}

/// Traces a shell script, which gives this code, and says how long that took.
#[track_caller]
fn timed(options: &[&str], script: &str, code: i32) -> (Trace, Duration) {
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    // What outlives the command must not hold the pipes that this test reads.
    let script = format!("exec >/dev/null 2>&1; {script}");
    let program = ["--", "sh", "-c", &script];
    let begun = Instant::now();
    let run_it = ["run", "--no-tree", "--output", path_text(&output)];
    let arguments = run_it.iter().chain(options).chain(&program);
    let finished: Finished = run(&mut agentsight.command(arguments), SLACK * 2).expect_code(code);
    (agentsight.read(&output, &finished), begun.elapsed())
}

/// The last image that has this script among its arguments.
#[track_caller]
fn of_script<'a>(trace: &'a Trace, script: &str) -> &'a Span {
    let all = trace.spans.iter().filter(|span| span.texts("process.command_args").last() == Some(&script));
    let found = all.max_by_key(|span| span.start_nanos);
    found.unwrap_or_else(|| panic!("nobody has the script {script} in\n{trace}"))
}

fn is_incomplete(span: &Span) -> bool {
    span.attributes.get("agentsight.span.incomplete") == Some(&Value::Bool(true))
}

fn has_no_child(parent: i32) -> bool {
    fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).is_ok_and(|children| children.is_empty())
}
