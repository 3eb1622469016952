//! The program under test: the built binary, with a store of its own for each test.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::directory::Directory;
use crate::requirement::need_root;
use crate::run::{Finished, run};
use crate::trace::Trace;

/// No traced program of these tests takes longer, on a loaded machine of two cores either.
const LIMIT: Duration = Duration::from_secs(120);

/// AgentSight with a store, and a place for files, of its own.
#[derive(Debug)]
pub struct Agentsight {
    directory: Directory,
}

/// A traced command.
#[derive(Debug)]
pub struct Traced {
    /// What `--output` holds.
    pub trace: Trace,
    /// How `agentsight run` ended.
    pub finished: Finished,
}

impl Agentsight {
    /// One that may trace.
    ///
    /// # Panics
    /// When not run by root.
    #[must_use]
    pub fn as_root() -> Self {
        need_root();
        Self::without_rights()
    }

    /// One for what needs no rights: replay, and being refused.
    #[must_use]
    pub fn without_rights() -> Self {
        Self { directory: Directory::new() }
    }

    /// The test's own directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// `agentsight` with these arguments, in an environment without anything of OpenTelemetry's.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("AGENTSIGHT_STORE", self.directory.join("store"));
        // The daemon of this machine, if it has one, is no concern of the tests'.
        command.env("AGENTSIGHT_SOCKET", self.directory.join("daemon.sock"));
        without_opentelemetry(&mut command);
        command
    }

    /// Runs `agentsight` with these arguments to its end.
    ///
    /// # Panics
    /// When it takes longer than any test's program should.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        run(&mut self.command(arguments), LIMIT)
    }

    /// Traces `program` by `agentsight run` with `options`, and reads its `--output`.
    ///
    /// # Panics
    /// When it takes too long, or the output is no OTLP.
    #[track_caller]
    pub fn trace(&self, options: &[&str], program: &[&str]) -> Traced {
        let output = self.directory.join("trace.jsonl");
        let mut arguments = vec!["run", "--no-tree", "--output", path_text(&output)];
        arguments.extend(options);
        arguments.push("--");
        arguments.extend(program);
        let finished = self.run(arguments);
        Traced { trace: self.read(&output, &finished), finished }
    }

    /// Records and sends `program` by `agentsight record` with `options` and `environment`; the spans that were sent
    /// are those that the recording replays to.
    ///
    /// # Panics
    /// When it takes too long, or the recording does not replay.
    #[track_caller]
    pub fn record(&self, options: &[&str], environment: &[(&str, &str)], program: &[&str]) -> Traced {
        let recording = self.directory.join("run.agsr");
        let record = ["record", "--no-tree", "-o", path_text(&recording)];
        let mut command = self.command(record.iter().chain(options).chain(&["--"]).chain(program));
        let finished = run(command.envs(environment.iter().copied()), LIMIT);
        let output = self.directory.join("replayed.jsonl");
        let replayed = self.run(["replay", "--no-tree", "--output", path_text(&output), path_text(&recording)]);
        assert_eq!(
            replayed.code(),
            0,
            "{}
recorded with
{}",
            replayed.stderr,
            finished.stderr
        );
        Traced { trace: self.read(&output, &replayed), finished }
    }

    /// Whether these bytes are anywhere in the files of the store.
    ///
    /// # Panics
    /// When the store's folder cannot be read.
    #[must_use]
    pub fn store_holds(&self, bytes: &str) -> bool {
        let Ok(files) = fs::read_dir(self.directory.join("store")) else { return false };
        files.flatten().any(|file| {
            // A file may go between the listing and the reading.
            fs::read(file.path()).is_ok_and(|content| contains(&content, bytes.as_bytes()))
        })
    }

    /// Reads OTLP/JSON lines.
    ///
    /// # Panics
    /// When there are none, or they are no OTLP; the message has what the program said.
    #[track_caller]
    #[must_use]
    pub fn read(&self, output: &Path, finished: &Finished) -> Trace {
        let text = fs::read_to_string(output)
            .unwrap_or_else(|error| panic!("no output in {}: {error}\n{}", output.display(), finished.stderr));
        Trace::from_json_lines(&text).unwrap_or_else(|error| panic!("{} is no OTLP: {error}\n{text}", output.display()))
    }
}

/// Whether `needle`, which is not empty, is in `hay`.
#[must_use]
pub fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// Removes what would join the traced program to a trace, or send it anywhere.
pub fn without_opentelemetry(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("OTEL_") || ["TRACEPARENT", "TRACESTATE", "BAGGAGE"].contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
}

/// A path as the text that an argument list takes.
///
/// # Panics
/// When it is no UTF-8; the tests make no such paths.
#[must_use]
pub fn path_text(path: &Path) -> &str {
    path.to_str().expect("the tests make paths of UTF-8 alone")
}

/// The binary: `AGENTSIGHT_BIN`, or built here once per test binary, beside it.
///
/// # Panics
/// When it cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| env::var_os("AGENTSIGHT_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // target/PROFILE/deps/TEST: a test crate cannot depend on another crate's binary, so ask cargo for it, of the same profile.
    let test = env::current_exe().expect("Linux knows a process's executable");
    let profile = test.ancestors().nth(2).expect("cargo puts test binaries two folders below the target folder");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, because with one package alone cargo unifies features otherwise, and would compile dependencies again.
    cargo.args(["build", "--quiet", "--workspace", "--bin", "agentsight", "--target-dir"]).arg(target);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // Cargo describes the test's own package to it; a build script that looks at that (ring's) would run again, and all that
    // stands on it would be compiled again, at each change from here to a shell and back.
    for (name, _) in env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
    }) {
        cargo.env_remove(name);
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().unwrap_or_else(|error| panic!("cannot start cargo to build agentsight: {error}"));
    assert!(status.success(), "agentsight does not build; run `make build` to see why");
    profile.join("agentsight")
}
