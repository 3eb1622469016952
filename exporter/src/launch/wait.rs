//! Waiting for the command while passing on signals and what the collector sends.

use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::outputs::Outputs;
use crate::channel::{self, ToCollector, ToStub};

/// How long, past `--linger`, the stub waits for the collector's last word.
const SUMMARY_LIMIT: Duration = Duration::from_secs(2);

/// Everything that another process may send to the stub in place of the command.
const FORWARDED: [Signal; 13] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGIO,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGURG,
];

/// What is said when all is over.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// Sentences, in the order in which they came.
    pub(super) notices: Vec<String>,
    /// The tree.
    pub(super) summary: String,
}

/// The signals of the stub, taken from a descriptor, so that nothing runs in signal context.
#[derive(Debug)]
pub(super) struct Signals {
    descriptor: SignalFd,
    /// The mask that the caller had, for the command.
    pub(super) original: SigSet,
}

impl Signals {
    /// From here on signals wait in the descriptor.
    pub(super) fn take() -> nix::Result<Self> {
        let mut taken = SigSet::empty();
        for signal in FORWARDED.into_iter().chain([Signal::SIGCHLD, Signal::SIGTTOU]) {
            taken.add(signal);
        }
        let original = SigSet::thread_get_mask()?;
        taken.thread_block()?;
        let descriptor = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { descriptor, original })
    }
}

/// The stub's main loop.
pub(super) struct Waiter<'a> {
    pub(super) command: Pid,
    pub(super) signals: &'a Signals,
    pub(super) collector: Option<UnixStream>,
    pub(super) outputs: &'a mut Outputs,
    pub(super) words: LastWords,
}

impl Waiter<'_> {
    /// Until the command has ended; its exit code as a shell would give it.
    pub(super) fn wait_for_command(&mut self) -> u8 {
        loop {
            if let Some(code) = self.reap() {
                return code;
            }
            self.wait_once(None);
            self.pass_signals_on();
        }
    }

    /// After the command: until the collector has finished, or `linger` and a little more are over.
    pub(super) fn wait_for_collector(&mut self, linger: Duration) {
        let limit = Instant::now() + linger + SUMMARY_LIMIT;
        if let Some(collector) = &self.collector {
            // If it cannot be told it is gone, which the next read shows.
            let _ = channel::send(collector, &ToCollector::CommandEnded);
        }
        while self.collector.is_some() {
            let now = Instant::now();
            if now >= limit {
                self.words.notices.push(
                    "agentsight: the collector is still at work; it delivers what it has and ends by itself".to_owned(),
                );
                return;
            }
            self.wait_once(Some(limit - now));
            while let Ok(Some(info)) = self.signals.descriptor.read_signal() {
                // The user has had enough.
                if info.ssi_signo == Signal::SIGINT as u32 || info.ssi_signo == Signal::SIGTERM as u32 {
                    return;
                }
            }
        }
    }

    fn wait_once(&mut self, limit: Option<Duration>) {
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            // Rounded up: a wait of 0 ms until the limit would spin.
            PollTimeout::try_from(limit + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut descriptors = vec![PollFd::new(self.signals.descriptor.as_fd(), PollFlags::POLLIN)];
        if let Some(collector) = &self.collector {
            descriptors.push(PollFd::new(collector.as_fd(), PollFlags::POLLIN));
        }
        let ready = poll(&mut descriptors, timeout).unwrap_or(0) > 0
            && descriptors.get(1).and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
        if ready {
            self.hear_collector();
        }
    }

    fn hear_collector(&mut self) {
        let Some(collector) = &self.collector else { return };
        match channel::receive(collector) {
            Ok(Some(ToStub::Output { file, bytes })) => {
                if let Err(error) = self.outputs.write(file, &bytes) {
                    self.words.notices.push(format!("agentsight: {error}"));
                }
            }
            Ok(Some(ToStub::Notice { message })) => self.words.notices.push(format!("agentsight: {message}")),
            Ok(Some(ToStub::Summary { text })) => self.words.summary = text,
            Ok(Some(ToStub::Finished)) => self.collector = None,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                self.collector = None;
                self.words.notices.push(format!(
                    "agentsight: tracing stopped at {}: the collector ended. The command was not touched; \
                     what was stored before is kept and is sent by the next collector",
                    utc_time_of_day(SystemTime::now())
                ));
            }
        }
    }

    /// Signals from the terminal reach the command by themselves: it is in the same process group. Those that a
    /// process sent to the stub alone are meant for the command.
    fn pass_signals_on(&self) {
        while let Ok(Some(info)) = self.signals.descriptor.read_signal() {
            let Ok(signal) = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL).and_then(Signal::try_from) else {
                continue;
            };
            let from_a_process = info.ssi_code <= 0 && info.ssi_pid != 0;
            let from_the_command = i32::try_from(info.ssi_pid) == Ok(self.command.as_raw());
            if FORWARDED.contains(&signal) && from_a_process && !from_the_command {
                let _ = kill(self.command, signal);
            }
        }
    }

    fn reap(&self) -> Option<u8> {
        loop {
            match waitpid(self.command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Exited(_, code)) => return Some(code.to_le_bytes()[0]),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Some(128 + (signal as i32).to_le_bytes()[0]),
                // A stopped command is a stopped job: the shell waits for us, so we stop too, and it wakes the group.
                Ok(WaitStatus::Stopped(..)) => {
                    let _ = raise(Signal::SIGSTOP);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return Some(1),
                Ok(_) => return None,
            }
        }
    }
}

fn utc_time_of_day(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    let mut text = String::new();
    let _ = write!(text, "{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
    text
}
