//! A daemon of a test's own: its own socket, store and supervisor, and rules that name programs of the test alone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agentsight::{Agentsight, path_text};
use crate::executable;
use crate::run::{Finished, Started};

const LIMIT: Duration = Duration::from_secs(60);

/// The daemon, and what it tells its supervisor.
#[derive(Debug)]
pub struct Daemon<'a> {
    agentsight: &'a Agentsight,
    process: Option<Started>,
    id: Pid,
    notices: UnixDatagram,
    /// Everything that it has told so far, line by line.
    pub told: Vec<String>,
}

impl<'a> Daemon<'a> {
    /// Starts it with this configuration, and these arguments, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    #[track_caller]
    pub fn start(agentsight: &'a Agentsight, config: &str, arguments: &[&str]) -> Self {
        Self::start_by(&[], agentsight, config, arguments)
    }

    /// Starts it by another program, which is given the daemon's command line after these words.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    #[track_caller]
    pub fn start_by(by: &[&str], agentsight: &'a Agentsight, config: &str, arguments: &[&str]) -> Self {
        let mut daemon = Self::launch(by, agentsight, config, arguments);
        daemon.wait_to_be_told("READY=1");
        daemon
    }

    /// As [`start_by`](Self::start_by), without waiting for anything: at any moment from now on it may be killed.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn launch(by: &[&str], agentsight: &'a Agentsight, config: &str, arguments: &[&str]) -> Self {
        let directory = agentsight.directory();
        // Other users must reach the socket.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        configure(agentsight, config);
        let supervisor = directory.join("notify.sock");
        let _none_yet = fs::remove_file(&supervisor);
        let notices = UnixDatagram::bind(&supervisor).expect("the directory is ours");
        let file = directory.join("agentsight.yaml");
        let mut command = agentsight.command(["daemon", "--config", path_text(&file)].iter().chain(arguments));
        if let [program, words @ ..] = by {
            let mut outer = Command::new(program);
            outer.args(words).arg(command.get_program()).args(command.get_args());
            outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = outer;
        }
        command.env("NOTIFY_SOCKET", &supervisor).env("WATCHDOG_USEC", "200000");
        let process = Started::new(&mut command);
        let id = process.id();
        Self { agentsight, process: Some(process), id, notices, told: Vec::new() }
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> Pid {
        self.id
    }

    /// Waits until it tells its supervisor a line that begins so; returns that line.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_to_be_told(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut bytes = [0; 4096];
        let mut found = None;
        while found.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not tell {beginning}; it told {:?}", self.told);
            self.notices.set_read_timeout(Some(left)).expect("the time is not zero");
            let Ok(length) = self.notices.recv(&mut bytes) else { continue };
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            found = text.lines().find(|line| line.starts_with(beginning)).map(str::to_owned);
            self.told.extend(text.lines().map(str::to_owned));
        }
        found.unwrap_or_default()
    }

    /// Gives it another configuration and tells it so; returns the status that it is ready with.
    ///
    /// # Panics
    /// When it does not answer.
    #[track_caller]
    pub fn reload(&mut self, config: &str) -> String {
        configure(self.agentsight, config);
        self.signal(Signal::SIGHUP);
        self.wait_to_be_told("RELOADING=1");
        self.wait_to_be_told("STATUS=")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.id, signal).expect("it runs");
    }

    /// Ends it in peace.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop(mut self) -> Finished {
        self.signal(Signal::SIGTERM);
        self.process.take().expect("it is ended once").finish(LIMIT)
    }

    /// Ends it at once.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.process.take().expect("it is ended once").finish(LIMIT);
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        self.process.take().expect("it is ended once").finish(LIMIT)
    }

    /// Where `run` finds it.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.agentsight.directory().join("daemon.sock")
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            let _already_gone = kill(self.id, Signal::SIGKILL);
            let _ = process.finish(LIMIT);
        }
    }
}

fn configure(agentsight: &Agentsight, config: &str) {
    let (file, new) = (agentsight.directory().join("agentsight.yaml"), agentsight.directory().join("new.yaml"));
    fs::write(&new, config).expect("the directory is ours");
    fs::rename(new, file).expect("the directory is ours");
}

/// A shell under a name that no other program of this machine has, for rules to find.
#[derive(Debug)]
pub struct Agent {
    /// Its file.
    pub path: PathBuf,
}

impl Agent {
    /// One called `name`, in this directory.
    ///
    /// # Panics
    /// When it cannot be copied there.
    #[must_use]
    pub fn new(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        executable::copy("/bin/sh", &path);
        Self { path }
    }

    /// Runs this script until the test lets go of it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(&self, script: &str) -> Alive {
        let mut command = self.command(["-c", script]);
        // The end of its input is the end of it, whatever becomes of the test.
        Alive(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it is a shell"))
    }

    /// With these arguments.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments);
        command
    }
}

/// A running agent; its input is closed, and its end waited for, when it is dropped. Its script should read.
#[derive(Debug)]
pub struct Alive(Child);

impl Alive {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _already_reaped = self.0.wait();
    }
}
