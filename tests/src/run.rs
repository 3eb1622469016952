//! Runs a program to its end with a time limit, and keeps what it wrote.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to standard error; bytes that are no UTF-8 are replaced.
    pub stderr: String,
}

impl Finished {
    /// The exit code as a shell gives it: 128 + n for signal n.
    ///
    /// # Panics
    /// Never: a finished program has a code or a signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        exit_code(self.status)
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// When it was another; the message has all that the program wrote.
    #[must_use]
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "unexpected exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// The exit code as a shell gives it: 128 + n for signal n.
///
/// # Panics
/// Never: a finished program has a code or a signal.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("a finished program has one of both")
}

/// Runs `command` in a process group of its own, with no standard input, for at most `limit`.
///
/// # Panics
/// When it cannot be started, or is not done in time: its process group is killed then.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    Started::new(command).finish(limit)
}

/// A program that runs in a process group of its own, with no standard input.
#[derive(Debug)]
pub struct Started {
    id: u32,
    name: String,
    status: Receiver<ExitStatus>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Started {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn new(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = read_to_end(child.stdout.take().expect("it is piped"));
        let stderr = read_to_end(child.stderr.take().expect("it is piped"));
        Self { id: child.id(), name: format!("{command:?}"), status: wait(child), stdout, stderr }
    }

    /// Its process id.
    ///
    /// # Panics
    /// Never: a process id fits in 31 bits.
    #[must_use]
    pub fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.id).expect("a process id fits in 31 bits"))
    }

    /// Waits until it has ended, for at most `limit`.
    ///
    /// # Panics
    /// When it is not done in time: its process group is killed then.
    #[must_use]
    #[track_caller]
    pub fn finish(self, limit: Duration) -> Finished {
        let ended = self.status.recv_timeout(limit);
        if ended.is_err() {
            // The group is of our making and its leader is not yet reaped, so its id cannot be another's.
            let _already_gone = killpg(self.id(), Signal::SIGKILL);
        }
        // A descendant that left the group may hold the pipes open: what was written until now is all we wait for.
        let grace = Duration::from_secs(5);
        let text = |bytes: Receiver<Vec<u8>>| {
            let mut all = Vec::new();
            while let Ok(more) = bytes.recv_timeout(grace) {
                all.extend(more);
            }
            String::from_utf8_lossy(&all).into_owned()
        };
        let (stdout, stderr, name) = (text(self.stdout), text(self.stderr), self.name);
        match ended {
            Ok(status) => Finished { status, stdout, stderr },
            Err(_) => panic!("{name} was not done after {limit:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"),
        }
    }
}

/// Reads in a thread of its own, so that a full pipe blocks nobody; the channel closes at end of file.
pub(crate) fn read_to_end(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let status = child.wait().expect("a child that we started can be waited for");
        // The receiver may have given up.
        let _ = sender.send(status);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_code_are_kept() {
        let finished = run(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(20)).expect_code(3);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_signal_counts_as_128_and_its_number() {
        assert_eq!(run(&mut shell("kill -TERM $$"), Duration::from_secs(20)).code(), 143);
    }

    #[test]
    #[should_panic(expected = "was not done after")]
    fn a_program_that_hangs_is_killed_and_said() {
        run(&mut shell("echo hanging; exec sleep 60"), Duration::from_millis(200));
    }
}
