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

/// Moves `in.bin` by the kernel's own hand: from a file to a pipe, from pipe to pipe, from file to file, and into memory.
const WITHOUT_BUFFER: &str = r#"
import mmap, os
source = os.open("in.bin", os.O_RDONLY)
read, write = os.pipe()
os.sendfile(write, source, 0, 3000)
further, last = os.pipe()
os.splice(read, last, 3000)
os.lseek(source, 0, os.SEEK_SET)
os.copy_file_range(source, os.open("out.bin", os.O_WRONLY | os.O_CREAT), 3000)
mapped = os.open("mapped.bin", os.O_RDONLY)
mmap.mmap(mapped, 3000, prot=mmap.PROT_READ)[:]
"#;

#[test]
fn calls_without_a_buffer_of_the_callers_say_that_what_they_moved_is_not_known() {
    let agentsight = Agentsight::as_root();
    for name in ["in.bin", "mapped.bin"] {
        fs::write(agentsight.directory().join(name), [b'x'; 3000]).expect("the directory is ours");
    }
    let program = format!("import os\nos.chdir({:?})\n{WITHOUT_BUFFER}", path_text(agentsight.directory().path()));
    let options = ["--no-daemon", "--capture", "*.bin", "--capture-pipes"];
    let traced = agentsight.trace(&options, &[python(), "-S", "-c", &program]);
    let _ = traced.finished.expect_code(0);
    let trace = traced.trace;
    let layouts = store::layouts(&agentsight);
    let said = |span: &Span| {
        let layout = layouts.get(&span.id).unwrap_or_else(|| panic!("{} says nothing\n{trace}", span.name));
        assert_eq!(span.int("agentsight.content.bytes"), Some(0), "{}\n{trace}", span.name);
        assert_eq!(span.int("agentsight.content.missing_bytes"), Some(3000), "{}\n{trace}", span.name);
        assert_eq!(causes(layout), ["unreadable"], "{}", span.name);
        let shown = agentsight.run(["content", &span.id]).expect_code(0).stdout;
        assert!(shown.contains("3000 bytes missing: they could not be read where they were"), "{shown}");
    };
    let moved = |span: &&Span| span.int("agentsight.io.bytes") == Some(3000);
    let mut names: Vec<&str> = Vec::new();
    for span in trace.spans.iter().filter(moved) {
        said(span);
        names.push(&span.name);
    }
    names.sort_unstable();
    let expected =
        ["read in.bin", "read in.bin", "read mapped.bin", "read pipe", "write out.bin", "write pipe", "write pipe"];
    assert_eq!(names, expected, "{trace}");
}
