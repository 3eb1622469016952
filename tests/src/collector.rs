//! The privileged half of a running `agentsight run`, found from outside, to be killed, stopped and looked at.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline::wait_for;

/// A collector's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector(pub Pid);

impl Collector {
    /// The one that serves this stub, once it has detached itself, where there is one now.
    #[must_use]
    pub fn of(stub: Pid) -> Option<Self> {
        let is_its = |pid: &Pid| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // With a 0 after each word.
            words.ends_with(format!("\0collector\0--for\0{stub}\0").as_bytes())
        };
        let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
        ids.filter(is_its).find(|pid| session(*pid) == Some(*pid)).map(Self)
    }

    /// The one that serves this stub, as soon as there is one.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    #[track_caller]
    pub fn wait_for(stub: Pid) -> Self {
        wait_for("the collector", Duration::from_secs(30), || Self::of(stub))
    }

    /// Sends it a signal; nothing happens when it has ended.
    pub fn signal(self, signal: Signal) {
        let _already_gone = kill(self.0, signal);
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_for_end(self) {
        wait_for("the collector's end", Duration::from_secs(60), || session(self.0).is_none().then_some(()));
    }
}

/// The session of a process that lives: the leader of its own, once it has detached itself.
fn session(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses: state, parent, process group, session.
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    let is_alive = fields.next().is_some_and(|state| state != "Z" && state != "X");
    let session = fields.nth(2)?.parse().ok()?;
    is_alive.then_some(Pid::from_raw(session))
}
