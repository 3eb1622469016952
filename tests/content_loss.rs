//! A stream that is captured waits for nobody: while the collector stands still the traced program goes on, and what the ring
//! had no room for is said, so that what is known and what is missing are what was moved.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs::python;
use agentsight_tests::run::Started;
use agentsight_tests::store;
use agentsight_tests::trace::{Span, Trace};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
/// So much goes through the pipe.
const MOVED: i64 = 64 << 20;
/// The kernel's ring for contents: a small part of that.
const RING_BYTES: i64 = 1 << 20;

/// Says when it has begun, waits to be let go, pours, and says when it is done.
const POUR: &str = r#"
import os, sys, time
text = b"".join(b"line %d of what is moved\n" % number for number in range(4000))[:1 << 16]
count = int(sys.argv[1]) // len(text)
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    while os.read(read, 1 << 16): pass
    os._exit(0)
os.close(read)
open("ready", "w").close()
while not os.path.exists("go"): time.sleep(0.01)
for _ in range(count): assert os.write(write, text) == len(text)
os.close(write); os.waitpid(child, 0)
open("poured", "w").close()
"#;

#[test]
fn a_captured_stream_never_waits_for_the_collector_and_what_is_missing_is_said() {
    let agentsight = Agentsight::as_root();
    let place = |name| agentsight.directory().join(name);
    let output = place("trace.jsonl");
    let (ring, all) = (RING_BYTES.to_string(), (16 * MOVED).to_string());
    let options = ["run", "--no-tree", "--no-daemon", "--live-after", "1h", "--output", path_text(&output)];
    let capture = ["--capture-pipes", "--content-ring-bytes", &ring, "--capture-burst-bytes", &all];
    let moved = MOVED.to_string();
    let program = ["--capture-session-bytes", &all, "--", python(), "-S", "-c", POUR, &moved];
    let mut command = agentsight.command(options.iter().chain(&capture).chain(&program));
    let stub = Started::new(command.current_dir(agentsight.directory().path()));
    wait_for("the program", LIMIT, || place("ready").exists().then_some(()));
    let collector = Collector::wait_for(stub.id());
    collector.signal(Signal::SIGSTOP);
    fs::write(place("go"), "").expect("the directory is ours");
    // Nobody reads the ring meanwhile: whoever waited for that would wait for ever.
    wait_for("the end of the stream", LIMIT, || place("poured").exists().then_some(()));
    collector.signal(Signal::SIGCONT);
    let finished = stub.finish(LIMIT).expect_code(0);
    let trace = agentsight.read(&output, &finished);

    for action in ["write", "read"] {
        let (known, missing) = sums(&trace, action);
        assert_eq!(known + missing, MOVED, "{action}: {known} known, {missing} missing\n{trace}");
        // Both ends of the pipe share the ring, and a record has a little more than its bytes.
        assert!(missing > MOVED - RING_BYTES, "{action}: {missing} missing\n{trace}");
    }
    assert!(sums(&trace, "write").0 + sums(&trace, "read").0 > RING_BYTES / 2, "what fitted in is there\n{trace}");
    let causes: BTreeSet<String> = store::layouts(&agentsight).values().flat_map(causes).collect();
    assert_eq!(causes, BTreeSet::from(["ring_full".to_owned()]));
}

/// What is known and what is missing of the bursts over the pipe, which together moved all of it.
#[track_caller]
fn sums(trace: &Trace, action: &str) -> (i64, i64) {
    let int = |span: &Span, name: &str| span.int(name).unwrap_or(0);
    let is_it =
        |span: &&Span| span.text("agentsight.object.type") == "pipe" && span.text("agentsight.action") == action;
    let bursts: Vec<&Span> = trace.spans.iter().filter(is_it).collect();
    let sum = |name: &str| bursts.iter().map(|span| int(span, name)).sum::<i64>();
    assert_eq!(sum("agentsight.io.bytes"), MOVED, "{action}\n{trace}");
    (sum("agentsight.content.bytes"), sum("agentsight.content.missing_bytes"))
}

fn causes(layout: &Value) -> Vec<String> {
    let holes = layout["holes"].as_array().cloned().unwrap_or_default();
    holes.iter().map(|hole| hole["cause"].as_str().expect("each hole has one").to_owned()).collect()
}
