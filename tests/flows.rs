//! Real programs under AgentSight and `strace -f -yy` at once: what flows between two processes by files, pipes and
//! sockets is in the exported graph, and nothing more.
//!
//! strace runs inside the trace, so that process ids are the same; its own process is left out. What it cannot tell for
//! sure (two that wrote at once, a file that was there before) may be in the graph and need not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::directory::Directory;
use agentsight_tests::flow::Flow;
use agentsight_tests::programs::{self, small_environment};
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Started, run};
use agentsight_tests::scenario::Account;
use agentsight_tests::strace::{FLOW_CALLS, flows};
use agentsight_tests::trace::{Span, Trace};

const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn the_flows_of_a_git_clone_and_commit_are_those_that_strace_sees() {
    let folder = Directory::new();
    let git = need_program("git", "git");
    let source = folder.join("source");
    fs::create_dir(&source).expect("the test's folder is writable");
    for file in ["first.txt", "second.txt"] {
        fs::write(source.join(file), format!("{file}\n").repeat(200)).expect("the test's folder is writable");
    }
    for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message", "first"]] {
        let mut command = Command::new(&git);
        command.args(arguments).current_dir(&source);
        surroundings(&mut command, &folder);
        let _ = run(&mut command, LIMIT).expect_code(0);
    }
    assert_same_flows(&["sh", path_text(&programs::path("clone_and_commit.sh"))], &folder, 5);
}

#[test]
fn the_flows_of_a_python_program_with_sqlite_and_children_are_those_that_strace_sees() {
    assert_same_flows(&[programs::python(), path_text(&programs::path("ledger.py"))], &Directory::new(), 5);
}

#[test]
fn the_flows_of_an_npm_script_with_node_children_are_those_that_strace_sees() {
    let npm = need_program("npm", "npm");
    let _ = need_program("node", "nodejs");
    let folder = Directory::new();
    for file in fs::read_dir(programs::path("npm_build")).expect("the program is part of the repository") {
        let file = file.expect("the repository can be read");
        fs::copy(file.path(), folder.join(&file.file_name().to_string_lossy())).expect("the test's folder is writable");
    }
    assert_same_flows(&[path_text(&npm), "run", "--silent", "build"], &folder, 5);
}

/// Both see the same, and strace at least so many flows that are certain.
#[track_caller]
fn assert_same_flows(program: &[&str], folder: &Directory, least: usize) {
    let before = files_below(folder.path());
    let scratch = Directory::new();
    let log = scratch.join("strace.txt");
    let strace = need_program("strace", "strace");
    let witness = [path_text(&strace), "-f", "-q", "-yy", "-s", "0", "-e", FLOW_CALLS, "-o", path_text(&log), "--"];
    let trace = traced(&witness.into_iter().chain(program.iter().copied()).collect::<Vec<_>>(), folder);
    let text = fs::read_to_string(&log).unwrap_or_else(|error| panic!("strace wrote no log: {error}"));
    let witnessed = flows(&text, folder.path(), before);
    let named = |flows: &BTreeSet<Flow>| {
        flows.iter().map(|flow| format!("  {}\n", described(&trace, flow))).collect::<String>()
    };
    assert!(
        witnessed.certain.len() >= least,
        "strace should have seen {least} flows or more:\n{}",
        named(&witnessed.certain)
    );
    let account = Account::of(&trace);
    let is_strace = |pid: u32| {
        let of_pid = |name: &str| {
            let mut all = trace.spans.iter().filter(|span| span.int("process.pid") == Some(i64::from(pid)));
            all.any(|span| span.text("process.executable.name") == name)
        };
        of_pid("strace") && !text.lines().any(|line| line.starts_with(&format!("{pid} ")))
    };
    let mut seen = account.flows();
    seen.retain(|flow| !is_strace(flow.writer) && !is_strace(flow.reader));
    let differences = witnessed.differences(&seen);
    assert!(
        differences.is_empty(),
        "{}\nAgentSight saw\n{}strace saw for certain\n{}and perhaps\n{}",
        differences.join("\n"),
        named(&seen),
        named(&witnessed.certain),
        named(&witnessed.possible.difference(&witnessed.certain).cloned().collect())
    );
}

/// Traces a program in `folder`, and gives what came over OTLP.
fn traced(program: &[&str], folder: &Directory) -> Trace {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let endpoint = receiver.endpoint();
    let own = ["run", "--no-tree", "--no-self-telemetry", "--endpoint", &endpoint, "--"];
    let mut command = agentsight.command(own.iter().chain(program));
    surroundings(&mut command, folder);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store")).current_dir(folder.path());
    let started = Started::new(&mut command);
    let stub = started.id();
    let _ = started.finish(LIMIT).expect_code(0);
    // It delivers after the stub has ended, too.
    wait_for("the collector to have sent all", LIMIT, || Collector::of(stub).is_none().then_some(()));
    receiver.trace()
}

/// Nothing of the caller's settings, and a home of the test's own.
fn surroundings(command: &mut Command, home: &Directory) {
    small_environment(command);
    command.env("HOME", home.path()).env("GIT_CONFIG_NOSYSTEM", "1");
    for (name, value) in [("NAME", "A Test"), ("EMAIL", "test@example.org")] {
        command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
    }
    command.env("npm_config_update_notifier", "false").env("npm_config_offline", "true");
    // strace cannot see what goes by io_uring.
    command.env("UV_USE_IO_URING", "0");
}

/// The paths of all files below a folder.
fn files_below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in fs::read_dir(folder).expect("the test's folder can be read") {
        let path = file.expect("the test's folder can be read").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.insert(path_text(&path).to_owned());
        }
    }
    found
}

fn described(trace: &Trace, flow: &Flow) -> String {
    let command = |pid: u32| {
        let is_its = |span: &&Span| span.int("process.pid") == Some(i64::from(pid));
        let last = trace.spans.iter().rfind(|span| is_its(span) && span.text("agentsight.action") == "exec");
        let arguments = last.map_or_else(String::new, |span| span.texts("process.command_args").join(" "));
        arguments.chars().take(60).collect::<String>()
    };
    format!("{flow}: `{}` -> `{}`", command(flow.writer), command(flow.reader))
}
