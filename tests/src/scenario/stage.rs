//! Where a scenario is run: its folder, the receiver that its spans go to, and the runs themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::parse::Scenario;
use crate::agentsight::{Agentsight, path_text};
use crate::collector::Collector;
use crate::deadline::wait_for;
use crate::directory::Directory;
use crate::executable;
use crate::programs::small_environment;
use crate::receiver::Receiver;
use crate::requirement::need_program;
use crate::run::{Finished, Started, run};
use crate::trace::Trace;
use crate::unprivileged;

/// No scenario takes longer, on a loaded or an emulated machine either.
const LIMIT: Duration = Duration::from_secs(300);
/// What `in.txt` is the beginning of.
const IN_TXT_SOURCE: &str = "/usr/include/stdio.h";
const IN_TXT_BYTES: usize = 3000;
const SECRET: &str = "hello secret-token-9f8e7d6c5b4a\n";

/// A place to run one scenario in.
#[derive(Debug)]
pub struct Stage<'a> {
    scenario: &'a Scenario,
    agentsight: Agentsight,
}

impl<'a> Stage<'a> {
    /// Makes one.
    ///
    /// # Panics
    /// When not run by root, who alone may trace.
    #[must_use]
    pub fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, agentsight: Agentsight::as_root() }
    }

    /// Runs the scenario by `agentsight run` in a fresh folder; what came over OTLP.
    ///
    /// # Panics
    /// When it takes too long, or AgentSight refuses.
    #[must_use]
    #[track_caller]
    pub fn run(&self) -> (Trace, Finished) {
        self.send(&["run"])
    }

    /// Runs it by `agentsight record`; what came over OTLP, and where the recording lies as long as this stage does.
    ///
    /// # Panics
    /// When it takes too long, or AgentSight refuses.
    #[must_use]
    #[track_caller]
    pub fn record(&self) -> (Trace, Finished, PathBuf) {
        let recording = self.agentsight.directory().join("run.agsr");
        let (trace, finished) = self.send(&["record", "-o", path_text(&recording)]);
        (trace, finished, recording)
    }

    /// Records it and sends it to a backend; what the recording replays to, which is what was sent.
    ///
    /// # Panics
    /// When it takes too long, or AgentSight refuses.
    #[must_use]
    #[track_caller]
    pub fn run_to(&self, endpoint: &str) -> Trace {
        let recording = self.agentsight.directory().join("run.agsr");
        let _ = self.send_to(&["record", "-o", path_text(&recording)], endpoint);
        Self::replay(&recording)
    }

    fn send(&self, action: &[&str]) -> (Trace, Finished) {
        let receiver = Receiver::start();
        let finished = self.send_to(action, &receiver.endpoint());
        (receiver.trace(), finished)
    }

    fn send_to(&self, action: &[&str], endpoint: &str) -> Finished {
        let folder = Directory::new();
        set_up(self.scenario, folder.path());
        let bash = need_program("bash", "bash");
        let own = ["--no-tree", "--no-self-telemetry", "--endpoint", endpoint];
        let options = self.scenario.options.iter().map(String::as_str);
        let program = ["--", path_text(&bash), "-c", &self.scenario.script];
        let arguments = action.iter().copied().chain(own).chain(options).chain(program);
        let mut command = self.agentsight.command(arguments);
        small_environment(&mut command);
        command.env("AGENTSIGHT_STORE", self.agentsight.directory().join("store")).current_dir(folder.path());
        let started = Started::new(&mut command);
        let stub = started.id();
        let finished = started.finish(LIMIT);
        // It delivers after the stub has ended, too.
        wait_for("the collector to have sent all", LIMIT, || Collector::of(stub).is_none().then_some(()));
        finished
    }
}

impl Stage<'_> {
    /// Replays a recording by a user without rights.
    ///
    /// # Panics
    /// When it does not replay.
    #[must_use]
    #[track_caller]
    pub fn replay(recording: &Path) -> Trace {
        let user = unprivileged::User::new();
        let readable = user.directory().join("run.agsr");
        fs::copy(recording, &readable).expect("the user's directory is writable");
        fs::set_permissions(&readable, fs::Permissions::from_mode(0o444)).expect("the copy is ours");
        let output = user.directory().join("replayed.jsonl");
        let arguments = ["replay", "--no-tree", "--output", path_text(&output), path_text(&readable)];
        let mut command: Command = user.agentsight(arguments);
        let finished = run(&mut command, LIMIT).expect_code(0);
        let text =
            fs::read_to_string(&output).unwrap_or_else(|error| panic!("no output ({error}): {}", finished.stderr));
        Trace::from_json_lines(&text).unwrap_or_else(|error| panic!("the replay's output is no OTLP: {error}"))
    }
}

/// Writes what a scenario finds in its folder.
fn set_up(scenario: &Scenario, folder: &Path) {
    let header = fs::read(IN_TXT_SOURCE).unwrap_or_else(|error| {
        panic!("scenarios read a part of {IN_TXT_SOURCE} ({error}): run `make deps`, or `apt-get install libc6-dev`")
    });
    let header = header.get(..IN_TXT_BYTES).expect("stdio.h is longer on every C library");
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        let parent = path.parent().expect("a file in a folder has a parent");
        fs::create_dir_all(parent).expect("the scenario's folder is writable");
        fs::write(&path, content).expect("the scenario's folder is writable");
        path
    };
    write("in.txt", header);
    write("secret.txt", SECRET.as_bytes());
    for file in &scenario.files {
        let path = write(&file.name, file.content.as_bytes());
        if file.content.starts_with("#!") {
            executable::write(path, &file.content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_the_two_files_and_those_of_the_scenario() {
        let text = "run: true\nfile a/b.sh:\n  #!/bin/sh\n  true\nread cat *";
        let folder = Directory::new();
        set_up(&Scenario::parse("x", text).unwrap(), folder.path());
        let length = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
        assert_eq!((length("in.txt"), length("secret.txt")), (3000, 32));
        let script = folder.join("a/b.sh");
        assert_eq!(fs::read_to_string(&script).unwrap(), "#!/bin/sh\ntrue\n");
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o111, 0o111);
    }
}
