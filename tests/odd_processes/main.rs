//! Processes that are born, run and end in odd ways: what each must look like is a text.
//!
//! Each program is in `programs/odd`, compiled when its test runs, and prints what wait() says, so that a text is checked
//! against the kernel's own word too.

mod birth;
mod ending;
mod image;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, Traced, path_text};
use agentsight_tests::programs::{path, small_environment};
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;
use agentsight_tests::trace::Span;
use regex::Regex;

/// The parent that `environment` names in its TRACEPARENT.
const ELSEWHERE: &str = "0123456789abcdef";

/// A compiled odd program, in the directory that it will run in.
struct Odd {
    agentsight: Agentsight,
    name: &'static str,
}

/// Compiles `programs/odd/NAME.c`.
#[track_caller]
fn odd(name: &'static str) -> Odd {
    compile(name, &["-pthread"])
}

#[track_caller]
fn compile(name: &'static str, options: &[&str]) -> Odd {
    let agentsight = Agentsight::as_root();
    // Not in the directory of the test's own files, so that a program may be another user's to run.
    fs::create_dir(agentsight.directory().join("here")).expect("the directory is ours");
    let mut compiler = Command::new(need_program("gcc", "gcc"));
    let source = path("odd").join(name).with_extension("c");
    // Static: a program finds no libraries below a root of its own.
    compiler.args(["-O1", "-Wall", "-static", "-o"]).arg(agentsight.directory().join("here").join(name)).arg(source);
    let _ = run(compiler.args(options), Duration::from_secs(60)).expect_code(0);
    Odd { agentsight, name }
}

impl Odd {
    fn directory(&self) -> std::path::PathBuf {
        self.agentsight.directory().join("here")
    }

    /// Traces the program, run in its directory; the trace is that of the processes alone.
    #[track_caller]
    fn trace(&self, arguments: &[&str]) -> Traced {
        let program = format!("./{}", self.name);
        let command: Vec<&str> = [program.as_str()].iter().chain(arguments).copied().collect();
        self.trace_command(&command)
    }

    #[track_caller]
    fn trace_command(&self, command: &[&str]) -> Traced {
        let output = self.agentsight.directory().join("trace.jsonl");
        let start = ["run", "--no-tree", "--output", path_text(&output), "--"];
        let mut run_it = self.agentsight.command(start.iter().chain(command));
        small_environment(&mut run_it);
        run_it.env("AGENTSIGHT_STORE", self.agentsight.directory().join("store")).current_dir(self.directory());
        let finished = run(&mut run_it, Duration::from_secs(120));
        let trace = self.agentsight.read(&output, &finished);
        trace.assert_whole_under(&[ELSEWHERE]);
        assert_eq!(trace.roots().iter().filter(|root| root.parent.is_none()).count(), 1, "{trace}");
        assert!(!finished.stderr.contains("lost"), "something was lost:\n{}", finished.stderr);
        Traced { trace: trace.processes(), finished }
    }

    /// The outline of a run, and below it what the program printed.
    #[track_caller]
    fn outline(&self, traced: &Traced) -> String {
        let working_directory = format!("process.working_directory = {:?}", path_text(&self.directory()));
        let said = |line: &&str| line.trim() != working_directory;
        let outline = traced.trace.outline(Path::new("/nowhere"));
        let outline: Vec<&str> = outline.lines().filter(said).collect();
        let text = format!("{}\n--\n{}", outline.join("\n"), traced.finished.stdout);
        // Which descriptors are free hangs on what the test was started with.
        let descriptor = Regex::new("/dev/fd/[0-9]+").expect("the pattern is a constant");
        descriptor.replace_all(&text.replace(path_text(&self.directory()), "$DIR"), "/dev/fd/…").into_owned()
    }

    /// Traces the program and holds its outline against the text.
    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32, expected: &expect_test::Expect) -> Traced {
        let traced = self.trace(arguments);
        assert_eq!(traced.finished.code(), code, "{}", traced.finished.stderr);
        expected.assert_eq(&self.outline(&traced));
        traced
    }
}

/// Asserts that the command's children ended as it has printed that wait() said, in the order in which they began.
#[track_caller]
fn assert_ended_as_wait_said(traced: &Traced) {
    let root = traced.trace.roots()[0];
    let end = |span: &Span| match (span.int("process.exit.code"), span.text("error.type")) {
        (Some(code), _) => format!("code {code}"),
        (None, signal) => signal.to_owned(),
    };
    let seen: Vec<String> = traced.trace.children(&root.id).into_iter().map(end).collect();
    let said: Vec<&str> =
        traced.finished.stdout.lines().map(|line| if line == "signal 15" { "SIGTERM" } else { line }).collect();
    assert_eq!(seen, said);
}
