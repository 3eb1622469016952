//! The stub's signals: taken from a descriptor, so that nothing runs in signal context, and passed on where they are
//! meant for the command.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{Pid, getpgid, getpgrp, getpid, getppid, getsid};

/// Everything that another process may send to the stub in place of the command.
const FORWARDED: [Signal; 16] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGPWR,
    Signal::SIGIO,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGWINCH,
    Signal::SIGURG,
];

/// Between a sender of `kill 0` and the command there are not more ancestors.
const ANCESTORS_MAX: usize = 64;

/// Where the stub's signals wait.
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
        // Without SIGTTOU the last words would stop us where a command died with the terminal in its own hands.
        for signal in FORWARDED.into_iter().chain([Signal::SIGCHLD, Signal::SIGTTOU]) {
            taken.add(signal);
        }
        let original = SigSet::thread_get_mask()?;
        taken.thread_block()?;
        let descriptor = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { descriptor, original })
    }

    /// Readable when a signal waits.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Passes on what is meant for the command.
    pub(super) fn pass_on(&self, command: Pid) {
        while let Some((signal, info)) = self.next() {
            if FORWARDED.contains(&signal) && is_meant_for(command, signal, &info) {
                // It may have ended just now.
                let _ = kill(command, signal);
            }
        }
    }

    /// Takes all that wait; true when one of them says that the user has had enough.
    pub(super) fn ask_to_end(&self) -> bool {
        let mut asked = false;
        while let Some((signal, _)) = self.next() {
            asked |= matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT);
        }
        asked
    }

    fn next(&self) -> Option<(Signal, siginfo)> {
        loop {
            let info = self.descriptor.read_signal().ok().flatten()?;
            let number = i32::try_from(info.ssi_signo).map_err(|_| Errno::EINVAL);
            if let Ok(signal) = number.and_then(Signal::try_from) {
                return Some((signal, info));
            }
        }
    }
}

/// The command was stopped: a stopped job is one that our shell waits for no longer, so we stop too, and it wakes the
/// whole group.
///
/// SIGSTOP does not come from the terminal. Whoever sends it to the command may wake the command alone, and we would
/// sleep on; so then we stop only where a shell with job control watches us.
pub(super) fn stop_like(stopped_by: Signal) {
    if stopped_by != Signal::SIGSTOP || is_a_shells_job() {
        let _ = raise(Signal::SIGSTOP);
    }
}

/// What the terminal sends to its foreground reaches the command by itself: it is in our process group. What a process
/// sent to us alone is meant for the command, and whether it was sent to our group nobody can tell; then the command
/// gets it twice, unless it comes from its own descendants (`kill 0`).
fn is_meant_for(command: Pid, signal: Signal, info: &siginfo) -> bool {
    let is_from_a_process = info.ssi_code <= 0 && info.ssi_pid != 0;
    if is_from_a_process {
        let sender = i32::try_from(info.ssi_pid).map_or(command, Pid::from_raw);
        return !descends_from(sender, command);
    }
    // A terminal that hangs up tells the session's leader alone, SIGHUP and SIGCONT (tty_signal_session_leader() in
    // drivers/tty/tty_jobctrl.c); that would be the command if we were not there.
    matches!(signal, Signal::SIGHUP | Signal::SIGCONT) && getsid(None) == Ok(getpid())
}

fn descends_from(process: Pid, ancestor: Pid) -> bool {
    let line = std::iter::successors(Some(process), |process| parent(*process));
    line.take(ANCESTORS_MAX).any(|process| process == ancestor)
}

fn parent(process: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, parentheses too; after the last one come the state and the parent.
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let parent = String::from_utf8_lossy(after_name).split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent > 1).then_some(Pid::from_raw(parent))
}

/// A shell with job control is of our session and has put us into a process group of our own.
fn is_a_shells_job() -> bool {
    let shell = getppid();
    getsid(Some(shell)) == getsid(None) && getpgid(Some(shell)) != Ok(getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_descends_from_itself_and_its_parent_and_from_nobody_else() {
        let (own, shell) = (getpid(), getppid());
        assert!(descends_from(own, own) && descends_from(own, shell));
        assert!(!descends_from(shell, own));
        assert!(!descends_from(own, Pid::from_raw(i32::MAX)));
    }
}
