//! The life of processes on this kernel, over both ways out of it: the ring buffer, and the perf buffers of old kernels.
//!
//! `make test-kernels` runs these on other kernels, in a virtual machine that has little besides sh and coreutils: no
//! other program may be used here.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::executable;
use agentsight_tests::kernel::preempts_programs;
use agentsight_tests::process_tree::{Image, of_trace};
use agentsight_tests::programs;
use agentsight_tests::run::{Finished, Started};
use agentsight_tests::trace::{Log, Span, Trace};
use expect_test::expect;

/// Emulated machines are slow, and slower still where others work beside them.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
enum Carrier {
    RingBuffer,
    PerfBuffers,
}

impl Carrier {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::RingBuffer => &[],
            Self::PerfBuffers => &["--perf-buffer"],
        }
    }
}

#[test]
fn every_life_is_seen_over_the_ring_buffer() {
    assert_lives(Carrier::RingBuffer);
}

#[test]
fn every_life_is_seen_over_perf_buffers() {
    assert_lives(Carrier::PerfBuffers);
}

#[test]
fn a_foreign_context_behind_a_large_environment_is_adopted_over_the_ring_buffer() {
    assert_adopted(Carrier::RingBuffer);
}

#[test]
fn a_foreign_context_behind_a_large_environment_is_adopted_over_perf_buffers() {
    assert_adopted(Carrier::PerfBuffers);
}

#[test]
fn long_arguments_and_deep_paths_are_whole_or_say_what_is_missing_over_the_ring_buffer() {
    assert_sizes(Carrier::RingBuffer);
}

#[test]
fn long_arguments_and_deep_paths_are_whole_or_say_what_is_missing_over_perf_buffers() {
    assert_sizes(Carrier::PerfBuffers);
}

#[test]
fn a_storm_over_the_ring_buffer_is_whole() {
    assert_storm(Carrier::RingBuffer);
}

#[test]
fn a_storm_over_perf_buffers_is_whole() {
    assert_storm(Carrier::PerfBuffers);
}

#[test]
fn a_tree_that_runs_already_is_seen_to_its_end_over_the_ring_buffer() {
    assert_attached(Carrier::RingBuffer);
}

#[test]
fn a_tree_that_runs_already_is_seen_to_its_end_over_perf_buffers() {
    assert_attached(Carrier::PerfBuffers);
}

#[track_caller]
fn assert_lives(carrier: Carrier) {
    let script = programs::path("lifecycle.sh");
    let (trace, finished) = observe(carrier, &["sh", path_text(&script)], |_| ());
    let finished = finished.expect_code(42);
    let tree = of_trace(&trace);
    expect![[r#"
        sh lifecycle.sh → 42
          /bin/false → 1
          /bin/true first → 0
          /bin/true second → 0
          /bin/true → 0
          env A=1 /bin/true → exec
            /bin/true → 0
          sh -c exit 7 → 7
          sh -c kill -KILL $$ → SIGKILL
          sh lifecycle.sh → 3
          sh lifecycle.sh → 4
            /bin/true grandchild → 0
    "#]]
    .assert_eq(&ends(&tree).replace(path_text(&script), "lifecycle.sh"));
    let root = trace.roots()[0];
    assert_eq!(finished.stdout.trim(), format!("00-{}-{}-01", root.trace_id, root.id));
}

#[track_caller]
fn assert_adopted(carrier: Carrier) {
    let (foreign_trace, foreign_span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    // Names sort, so that the last string of the environment is the one that is looked for.
    let many = (0..2_900).map(|n| format!("A{n:04}=x ")).collect::<String>();
    let script = format!("exec env {many} TRACEPARENT=00-{foreign_trace}-{foreign_span}-01 /bin/true");
    let (trace, finished) = observe(carrier, &["sh", "-c", &script], |_| ());
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let adopted = of_file(&trace, "true");
    assert_eq!((adopted.trace_id.as_str(), adopted.parent.as_deref()), (foreign_trace, Some(foreign_span)), "{trace}");
}

#[track_caller]
fn assert_sizes(carrier: Carrier) {
    let long: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let agentsight = Agentsight::as_root();
    let deep = copy_of_true(agentsight.directory().path(), 30);
    let too_deep = copy_of_true(agentsight.directory().path(), 45);

    let arguments: Vec<&str> = ["/bin/true"].into_iter().chain(long.iter().map(String::as_str)).collect();
    let (trace, finished) = observe(carrier, &arguments, |_| ());
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let span = trace.roots()[0];
    let kept = span.texts("process.command_args");
    assert!(kept.len() > 2_000, "{}", kept.len());
    let (cut, whole) = kept.split_last().expect("there are many");
    assert!(whole[1..].iter().zip(&long).all(|(seen, given)| seen == given), "{kept:?}");
    assert!(long[whole.len() - 1].starts_with(cut), "{cut}");
    let total = arguments.iter().map(|argument| argument.len() + 1).sum::<usize>();
    assert_eq!(span.int("agentsight.process.args.total_bytes"), i64::try_from(total).ok());
    assert_eq!(span.texts("agentsight.truncated"), ["process.command_args"]);

    let (trace, finished) = observe(carrier, &[path_text(&deep)], |command| {
        command.current_dir(deep.parent().expect("it is in a directory"));
    });
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let span = trace.roots()[0];
    assert_eq!(span.text("process.executable.path"), path_text(&deep));
    assert_eq!(span.text("process.working_directory"), path_text(deep.parent().expect("it is in a directory")));

    let (trace, finished) = observe(carrier, &[path_text(&too_deep)], |_| ());
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let span = trace.roots()[0];
    let seen = span.text("process.executable.path");
    assert!(seen.starts_with('…') && path_text(&too_deep).ends_with(&seen['…'.len_utf8()..]), "{seen}");
    assert_eq!(span.texts("agentsight.truncated"), ["process.executable.path", "agentsight.process.requested_path"]);
}

#[track_caller]
fn assert_attached(carrier: Carrier) {
    let agentsight = Agentsight::as_root();
    let (output, said) = (agentsight.directory().join("trace.jsonl"), agentsight.directory().join("stderr"));
    let script = "(echo started; read _; /bin/true child; exit 3); /bin/true second; exit 7";
    let mut command = Command::new("sh");
    let mut tree =
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("every Unix has sh");
    let mut line = String::new();
    let stdout = tree.stdout.as_mut().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("the shell says that it has started");

    let pid = tree.id().to_string();
    let options = ["attach", "--no-tree", "--start-limit", "4m", "--output", path_text(&output), "--pid", &pid];
    let mut command = agentsight.command(options.iter().chain(carrier.options()));
    let file = File::create(&said).expect("the test's directory is writable");
    let mut attach = command.stderr(file).spawn().expect("agentsight starts");
    wait_for("agentsight to trace the tree", LIMIT, || {
        let said = fs::read_to_string(&said).expect("it was created");
        assert!(attach.try_wait().expect("it is our child").is_none(), "attach ended early: {said}");
        said.contains("tracing process").then_some(())
    });
    drop(tree.stdin.take());
    assert_eq!(tree.wait().expect("it is our child").code(), Some(7));
    let status = wait_for("agentsight to end with the tree", LIMIT, || attach.try_wait().expect("it is our child"));
    let said = fs::read_to_string(&said).expect("it was created");
    assert!(status.success(), "{said}");

    let lines = fs::read_to_string(&output).expect("attach writes its output");
    let trace = Trace::from_json_lines(&lines).expect("the output is OTLP");
    expect![[r#"
        sh -c SCRIPT → 7
          /bin/true second → 0
          sh -c SCRIPT → 3
            /bin/true child → 0
    "#]]
    .assert_eq(&ends(&of_trace(&trace)).replace(script, "SCRIPT"));
}

/// Forks on all CPUs at once: what one CPU says of a child must not come before what another says of its parent.
#[track_caller]
fn assert_storm(carrier: Carrier) {
    let child = "for j in 1 2 3 4 5 6 7; do /bin/true $j; done; exit 5";
    let script = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do sh -c '{child}' & done; wait");
    let (trace, finished) = observe(carrier, &["sh", "-c", &script], |_| ());
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    // Where programs can be preempted, the kernel skips those on system calls at times, which is said; the lives are whole.
    let is_said = |log: &Log| log.attributes.contains_key("agentsight.loss.missed");
    assert!(trace.logs.iter().all(|log| preempts_programs() && is_said(log)), "{:?}", trace.logs);
    let tree = of_trace(&trace);
    assert_eq!(tree.children.len(), 13, "{tree}");
    for child in &tree.children {
        assert_eq!((child.end.to_string().as_str(), child.children.len()), ("→ 5", 7), "{tree}");
        assert!(child.children.iter().all(|leaf| leaf.end.to_string() == "→ 0"), "{tree}");
    }
}

fn observe(carrier: Carrier, program: &[&str], adjust: impl Fn(&mut Command)) -> (Trace, Finished) {
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    let run_to_file = ["run", "--no-tree", "--start-limit", "4m", "--output", path_text(&output)];
    let mut command = agentsight.command(run_to_file.iter().chain(carrier.options()).chain(&["--"]).chain(program));
    programs::small_environment(&mut command);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
    adjust(&mut command);
    let started = Started::new(&mut command);
    let stub = started.id();
    let finished = started.finish(LIMIT);
    // On a slow machine it delivers after the command has ended, too.
    wait_for("the collector to have written all", LIMIT, || Collector::of(stub).is_none().then_some(()));
    (agentsight.read(&output, &finished), finished)
}

/// The tree without the names of files, in the order of what is left: which shell `sh` is differs from machine to machine.
fn ends(image: &Image) -> String {
    let mut children: Vec<String> = image.children.iter().map(ends).collect();
    children.sort();
    let children = children.concat().lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!("{} {}\n{children}", image.arguments.join(" "), image.end)
}

fn of_file<'a>(trace: &'a Trace, name: &str) -> &'a Span {
    let mut found = trace.spans.iter().filter(|span| span.text("process.executable.name") == name);
    found.next().unwrap_or_else(|| panic!("no span of {name} in\n{trace}"))
}

/// A copy of /bin/true that has `depth` components in its path.
fn copy_of_true(under: &Path, depth: usize) -> PathBuf {
    let mut directory = under.to_owned();
    while directory.components().count() < depth {
        directory.push("a_directory_whose_name_is_somewhat_long");
    }
    fs::create_dir_all(&directory).expect("the test's directory is writable");
    let copy = directory.join("deep_true");
    executable::copy("/bin/true", &copy);
    copy
}
