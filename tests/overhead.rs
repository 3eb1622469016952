//! What recording takes of the machine, as every trace says it of itself.

use std::time::Instant;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::trace::{Span, Value};

const PREFIX: &str = "agentsight.overhead.";
const TURNS: u32 = 300;

#[test]
fn the_root_says_what_the_programs_the_collector_and_its_memory_took() {
    let agentsight = Agentsight::as_root();
    let begun = Instant::now();
    let script = format!("i=0; while [ $i -lt {TURNS} ]; do /bin/cat /etc/passwd > /dev/null; i=$((i+1)); done");
    let trace = agentsight.trace(&[], &["sh", "-c", &script]).trace;
    let processors = std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64);
    let most = begun.elapsed().as_secs_f64() * processors;

    let root = trace.roots()[0];
    let programs = double(root, "programs.time");
    assert!(programs > 0.0 && programs < most, "{programs} s in the programs: {root:?}");
    // A fork, an exec, an exit, and dozens of system calls for each turn.
    assert!(int(root, "programs.runs") > i64::from(10 * TURNS), "{root:?}");
    let collector = double(root, "cpu.time");
    assert!(collector > 0.0 && collector < most, "{collector} s on processors: {root:?}");
    assert!(int(root, "memory") > 1_000_000, "a Rust program with SQLite needs a megabyte: {root:?}");
    // The three, and a file each that was opened, read and closed.
    assert!(int(root, "events") > i64::from(6 * TURNS), "{root:?}");
    let others = trace.spans.iter().filter(|span| span.id != root.id);
    let told = others.filter(|span| span.attributes.keys().any(|name| name.starts_with(PREFIX)));
    assert_eq!(told.count(), 0, "it is said of what is not the root's process too");
}

fn double(span: &Span, name: &str) -> f64 {
    match span.attributes.get(&format!("{PREFIX}{name}")) {
        Some(Value::Double(value)) => *value,
        other => panic!("{name} is {other:?}: {span:?}"),
    }
}

fn int(span: &Span, name: &str) -> i64 {
    span.int(&format!("{PREFIX}{name}")).unwrap_or_else(|| panic!("no {name}: {span:?}"))
}
