//! How an end is said: status, `error.type`, and the names of signals.

use std::borrow::Cow;

use agentsight_ebpf::Exit;
use opentelemetry::trace::Status;

/// An end that is an error.
pub(super) struct Failure {
    /// `error.type`: the exit code in decimal, or the signal's name.
    pub(super) error_type: String,
    pub(super) status: Status,
}

/// What an exit other than 0 is called; `None` for success.
pub(super) fn failure(exit: &Exit) -> Option<Failure> {
    match (exit.signal(), exit.code()) {
        (Some(signal), _) => {
            let name = signal_name(signal);
            Some(Failure { status: Status::error(format!("killed by {name}")), error_type: name.into_owned() })
        }
        (None, Some(code @ 1..)) => {
            Some(Failure { status: Status::error(format!("exit code {code}")), error_type: code.to_string() })
        }
        (None, Some(0) | None) => None,
    }
}

/// By number, as x86 and arm64 have them: the traced machine's, not those of the machine that replays.
pub(super) fn signal_name(signal: u8) -> Cow<'static, str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    /// The first that glibc leaves to programs.
    const REAL_TIME_FIRST: u8 = 34;
    match NAMES.get(usize::from(signal).wrapping_sub(1)) {
        Some(name) => (*name).into(),
        None if signal >= REAL_TIME_FIRST => format!("SIGRTMIN+{}", signal - REAL_TIME_FIRST).into(),
        None => format!("SIG{signal}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_kill_lists() {
        let numbers = [1, 9, 15, 16, 31, 32, 34, 64];
        let names = numbers.map(signal_name);
        assert_eq!(
            names,
            ["SIGHUP", "SIGKILL", "SIGTERM", "SIGSTKFLT", "SIGSYS", "SIG32", "SIGRTMIN+0", "SIGRTMIN+30"]
        );
    }
}
