//! Waiting for the command while passing on signals and what the collector sends.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::ear::{Ear, Silence};
use super::outputs::Outputs;
use super::signals::{self, Signals};
use crate::channel::{ToCollector, ToStub};

/// How long, past `--linger`, the stub waits for the collector's last word.
const SUMMARY_LIMIT: Duration = Duration::from_secs(2);

/// A linger of centuries is as good as one of a year, which can be added to any moment.
const LINGER_MAX: Duration = Duration::from_secs(365 * 86_400);

/// What is said when all is over.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// Sentences, in the order in which they came.
    pub(super) notices: Vec<String>,
    /// The tree.
    pub(super) summary: String,
}

/// The stub's main loop.
pub(super) struct Waiter<'a> {
    pub(super) signals: &'a Signals,
    pub(super) collector: Option<Ear>,
    pub(super) outputs: &'a mut Outputs,
    pub(super) words: LastWords,
}

impl Waiter<'_> {
    /// Until the command has ended; its exit code as a shell would give it.
    pub(super) fn wait_for_command(&mut self, command: Pid) -> u8 {
        loop {
            if let Some(code) = reap(command) {
                return code;
            }
            self.wait_once(None);
            self.signals.pass_on(command);
        }
    }

    /// While a running tree is traced: until it has ended, or the user wants no more.
    pub(super) fn wait_for_user(&mut self) {
        while self.collector.is_some() && !self.signals.ask_to_end() {
            self.wait_once(None);
        }
    }

    /// After the command: until the collector has finished, or `linger` and a little more are over.
    pub(super) fn wait_for_collector(&mut self, linger: Duration) {
        let limit = Instant::now() + linger.min(LINGER_MAX) + SUMMARY_LIMIT;
        if let Some(collector) = &self.collector {
            collector.tell(&ToCollector::End);
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
            if self.signals.ask_to_end() {
                return;
            }
        }
    }

    fn wait_once(&mut self, limit: Option<Duration>) {
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            // Rounded up: a wait of 0 ms until the limit would spin.
            PollTimeout::try_from(limit + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut descriptors = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
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
        let Some(collector) = &mut self.collector else { return };
        let (messages, end) = collector.hear();
        for message in messages {
            match message {
                ToStub::Output { file, bytes } => {
                    if let Err(error) = self.outputs.write(file, &bytes) {
                        self.words.notices.push(format!("agentsight: {error}"));
                    }
                }
                ToStub::Notice { message } => self.words.notices.push(format!("agentsight: {message}")),
                ToStub::Summary { text } => self.words.summary = text,
                ToStub::Failed { message } => self.tracing_stopped(&message),
                ToStub::Finished => self.collector = None,
                ToStub::Hello { .. } | ToStub::Attached | ToStub::Started { .. } | ToStub::Answer(_) => {}
            }
        }
        if end == Err(Silence) && self.collector.is_some() {
            self.tracing_stopped("the collector ended");
        }
    }

    fn tracing_stopped(&mut self, why: &str) {
        self.collector = None;
        self.words.notices.push(format!(
            "agentsight: tracing stopped at {}: {why}. The command was not touched; \
             what was stored before is kept and is sent by the next collector",
            utc_time_of_day(SystemTime::now())
        ));
    }
}

/// The command's exit code, once it has one. A command that was stopped stops us too.
fn reap(command: Pid) -> Option<u8> {
    loop {
        match waitpid(command, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::Exited(_, code)) => return Some(code.to_le_bytes()[0]),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Some(128 + (signal as i32).to_le_bytes()[0]),
            Ok(WaitStatus::Stopped(_, signal)) => signals::stop_like(signal),
            Err(Errno::EINTR) => {}
            Err(_) => return Some(1),
            Ok(_) => return None,
        }
    }
}

fn utc_time_of_day(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    let mut text = String::new();
    let _ = write!(text, "{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60);
    text
}
