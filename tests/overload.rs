//! Nothing is lost silently: what was seen and what was said to be lost add up to what the kernel made.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::held::Held;
use agentsight_tests::programs::{self, python};
use agentsight_tests::run::Started;
use agentsight_tests::trace::{Span, Trace, Value};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(60);

/// Processes of the storm that only fork, and that execute too; both are prime.
const PLAIN: i64 = 251;
const EXECUTING: i64 = 241;

#[test]
fn while_the_collector_stands_still_what_was_seen_and_what_was_lost_are_what_was_made() {
    let trace = storm(&[], stand_still);
    assert_adds_up(&trace);
    // 4 KiB hold a few dozen of some thousand records.
    assert!(lost(&trace, "fork") > PLAIN, "{}", lost(&trace, "fork"));
}

#[test]
fn while_the_collector_stands_still_what_perf_buffers_passed_on_and_what_they_lost_are_what_was_made() {
    let trace = storm(&["--perf-buffer"], stand_still);
    assert_adds_up(&trace);
    // No buffer of a CPU is smaller than 64 KiB, which is a few hundred records.
    assert!(lost(&trace, "exit") > 0, "the storm should be larger than the buffers");
}

#[test]
fn while_the_collector_stumbles_what_was_seen_and_what_was_lost_are_what_was_made() {
    let trace = storm(&[], |collector, is_over| {
        wait_for("the end of the storm", LIMIT, || {
            collector.signal(Signal::SIGSTOP);
            thread::sleep(Duration::from_millis(30));
            collector.signal(Signal::SIGCONT);
            is_over().then_some(())
        });
    });
    assert_adds_up(&trace);
    let seen = trace.spans.iter().filter(|span| has_exit(span)).count();
    assert!(seen > 7, "the collector should have seen something between the stops");
}

#[test]
fn a_collector_is_ahead_of_those_whom_it_records_and_nobody_else_is() {
    let agentsight = Agentsight::as_root();
    let held = Held::start(&agentsight, &[], "exit 0");
    // Of each thread.
    let nice = |process: Pid| -> BTreeSet<i32> {
        let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it lives");
        let stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        let nice = |stat: String| stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok();
        stats.map(|stat| nice(stat).expect("Linux says it")).collect()
    };
    assert_eq!(nice(held.collector.0), BTreeSet::from([-5]));
    assert_eq!(nice(held.stub.id()), nice(Pid::this()));
    // Where the kernel divides the processors between sessions.
    let among_sessions = |process: Pid| fs::read_to_string(format!("/proc/{process}/autogroup")).ok();
    if let (Some(its), Some(callers)) = (among_sessions(held.collector.0), among_sessions(held.stub.id())) {
        assert!(its.ends_with(" nice -5\n"), "{its}");
        assert_eq!(Some(callers), among_sessions(Pid::this()), "the stub stays in its caller's session");
    }
    let _ = held.let_go().expect_code(0);
}

#[test]
fn ten_thousand_short_processes_fit_through_the_default_ring() {
    const COUNT: usize = 10_007;
    let script = format!("i=0; while [ $i -lt {COUNT} ]; do (:); i=$((i+1)); done");
    let traced = Agentsight::as_root().trace(&[], &["sh", "-c", &script]);
    let _ = traced.finished.expect_code(0);
    // So many do not fit in one trace: the root goes on in the next, and ends there.
    let short = |span: &&Span| span.text("agentsight.action") == "exec" && span.parent.is_some();
    assert_eq!(traced.trace.spans.iter().filter(short).count(), COUNT);
    assert!(traced.trace.spans.iter().filter(short).all(has_exit));
    assert!(traced.trace.logs.is_empty(), "{:?}", traced.trace.logs.first());
    for span in &traced.trace.spans {
        assert!(!span.attributes.keys().any(|name| name.starts_with("agentsight.loss.")), "{:?}", span.attributes);
    }
}

fn stand_still(collector: Collector, is_over: &dyn Fn() -> bool) {
    collector.signal(Signal::SIGSTOP);
    wait_for("the end of the storm", LIMIT, || is_over().then_some(()));
    collector.signal(Signal::SIGCONT);
}

/// Runs the storm through the smallest ring, and `disturb` meanwhile with the collector and a look at whether the
/// storm is over.
fn storm(carrier: &[&str], disturb: impl FnOnce(Collector, &dyn Fn() -> bool)) -> Trace {
    let agentsight = Agentsight::as_root();
    let place = |name| agentsight.directory().join(name);
    let (output, program) = (place("trace.jsonl"), programs::path("storm.py"));
    // Nothing is sent while it lives, however slow the machine: then the end would be a span of its own.
    let options = ["--no-tree", "--live-after", "1h", "--ring-bytes", "4096", "--output", path_text(&output), "--"];
    let (plain, executing) = (PLAIN.to_string(), EXECUTING.to_string());
    let program = [python(), path_text(&program), &plain, &executing];
    let mut command = agentsight.command(["run"].iter().chain(carrier).chain(&options).chain(&program));
    let stub = Started::new(command.current_dir(agentsight.directory().path()));
    wait_for("the program", LIMIT, || place("ready").exists().then_some(()));
    let collector = Collector::wait_for(stub.id());
    fs::write(place("go"), "").expect("the directory is ours");
    disturb(collector, &|| place("stormed").exists());
    fs::write(place("end"), "").expect("the directory is ours");
    let finished = stub.finish(LIMIT).expect_code(0);
    assert_eq!(finished.stdout, format!("{} {EXECUTING}\n", PLAIN + EXECUTING));
    agentsight.read(&output, &finished)
}

/// Here a process has one span at most, and what its span lacks tells which of its records were lost.
#[track_caller]
fn assert_adds_up(trace: &Trace) {
    let count = |has: fn(&Span) -> bool| {
        let images = trace.spans.iter().filter(|span| span.text("agentsight.object.type") == "process");
        i64::try_from(images.filter(|span| has(span)).count()).expect("a trace has fewer spans")
    };
    let sums = [("fork", count(has_fork)), ("exec", count(has_exec)), ("exit", count(has_exit))]
        .map(|(kind, seen)| (kind, seen + lost(trace, kind)));
    // And one of each for the program itself.
    let made = [("fork", PLAIN + EXECUTING + 1), ("exec", EXECUTING + 1), ("exit", PLAIN + EXECUTING + 1)];
    assert_eq!(sums, made, "seen + lost, and made");
    for kind in ["fork", "exec", "exit"] {
        let name = format!("agentsight.loss.{kind}");
        let logged: i64 = trace.logs.iter().filter_map(|log| int(log.attributes.get(&name))).sum();
        assert_eq!(logged, lost(trace, kind), "{name} of the log records");
    }
}

/// A process whose fork was lost hangs where the kernel said it did later, which is less certain.
fn has_fork(span: &Span) -> bool {
    !span.attributes.contains_key("agentsight.parent.confidence")
}

fn has_exec(span: &Span) -> bool {
    span.int("agentsight.process.exec_number") > Some(0) && span.attributes.contains_key("process.executable.path")
}

fn has_exit(span: &Span) -> bool {
    span.attributes.contains_key("process.exit.code")
}

/// What the span of the program, the root, says was lost.
#[track_caller]
fn lost(trace: &Trace, kind: &str) -> i64 {
    let pids: Vec<_> = trace.spans.iter().map(|span| span.int("process.pid")).collect();
    let is_root = |span: &&Span| has_exec(span) && !pids.contains(&span.int("process.parent_pid"));
    let root = trace.spans.iter().find(is_root).expect("the root's span is there");
    root.int(&format!("agentsight.loss.{kind}")).unwrap_or(0)
}

fn int(value: Option<&Value>) -> Option<i64> {
    if let Some(Value::Int(value)) = value { Some(*value) } else { None }
}
