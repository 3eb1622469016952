//! A traced shell that waits to be let go, so that a test can do something to its collector at a known moment.

use std::fs;
use std::time::Duration;

use crate::agentsight::{Agentsight, path_text};
use crate::collector::Collector;
use crate::deadline::wait_for;
use crate::run::{Finished, Started};

const LIMIT: Duration = Duration::from_secs(60);

/// The shell, under its stub. It says `ready` first.
#[derive(Debug)]
pub struct Held<'a> {
    agentsight: &'a Agentsight,
    /// `agentsight run`.
    pub stub: Started,
    /// Its collector.
    pub collector: Collector,
}

impl<'a> Held<'a> {
    /// Starts it with these options of `run`; once let go it does `then`.
    ///
    /// # Panics
    /// When it does not start in time.
    #[must_use]
    #[track_caller]
    pub fn start(agentsight: &'a Agentsight, options: &[&str], then: &str) -> Self {
        let directory = path_text(agentsight.directory().path());
        let script = format!(
            "cd {directory}; echo ready; : > ready; until [ -e go ]; do
                if [ -e do ]; then . ./do; rm do; fi; sleep 0.02; done; {then}"
        );
        let program = ["--", "sh", "-c", &script];
        let arguments = ["run", "--no-tree", "--no-self-telemetry"].iter().chain(options).chain(&program);
        let stub = Started::new(&mut agentsight.command(arguments));
        wait_for("the command", LIMIT, || agentsight.directory().join("ready").exists().then_some(()));
        let collector = Collector::wait_for(stub.id());
        Self { agentsight, stub, collector }
    }

    /// Lets the shell run this line, and waits until it has.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn command_does(&self, line: &str) {
        let place = |name| self.agentsight.directory().join(name);
        fs::write(place("do.new"), format!("{line}\n")).expect("the directory is ours");
        fs::rename(place("do.new"), place("do")).expect("the directory is ours");
        wait_for("the line to be run", LIMIT, || (!place("do").exists()).then_some(()));
    }

    /// Lets it go and waits for the stub's end.
    ///
    /// # Panics
    /// When that does not come in time.
    #[must_use]
    #[track_caller]
    pub fn let_go(self) -> Finished {
        fs::write(self.agentsight.directory().join("go"), "").expect("the directory is ours");
        self.stub.finish(LIMIT)
    }
}
