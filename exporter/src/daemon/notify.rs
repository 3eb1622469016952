//! Telling systemd how we are: the datagrams of sd_notify(3), and its watchdog. Without systemd nothing is said.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// A supervisor that does not read must not hold up the daemon for longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What becomes of a word for which the supervisor's queue has no room at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It waits a little.
    Important,
    /// It is left out: another one follows.
    Passing,
}

/// The way to whoever supervises us.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often a sign of life is due, where one is.
    watchdog: Option<Duration>,
    last_sign: Option<Instant>,
}

impl Notifier {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; a socket that cannot be had is as good as none.
    pub(crate) fn from_environment() -> Self {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        let to = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok((socket, address(&path)?))
        });
        let to = to.inspect_err(|error| tracing::warn!(%error, "NOTIFY_SOCKET cannot be used")).ok();
        Self { to, watchdog: watchdog(), last_sign: None }
    }

    /// Everything is in place.
    pub(crate) fn ready(&self, status: &str) {
        self.say(Word::Important, &format!("READY=1\nSTATUS={status}"));
    }

    /// The configuration is read again; [`ready`](Self::ready) ends it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        self.say(Word::Important, &format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.say(Word::Important, "STOPPING=1");
    }

    /// For whoever asks systemd.
    pub(crate) fn status(&self, status: &str) {
        self.say(Word::Passing, &format!("STATUS={status}"));
    }

    /// A sign of life, where one is due. To be called by the loop that does the work, never from a thread of its own.
    pub(crate) fn show_life(&mut self) {
        let Some(interval) = self.watchdog else { return };
        if self.last_sign.is_none_or(|last| last.elapsed() >= interval) {
            self.last_sign = Some(Instant::now());
            self.say(Word::Passing, "WATCHDOG=1");
        }
    }

    fn say(&self, word: Word, text: &str) {
        let Some((socket, address)) = &self.to else { return };
        let sent =
            socket.set_nonblocking(word == Word::Passing).and_then(|()| socket.send_to_addr(text.as_bytes(), address));
        if let Err(error) = sent
            && (word == Word::Important || error.kind() != io::ErrorKind::WouldBlock)
        {
            tracing::warn!(%error, "systemd could not be told {text:?}");
        }
    }
}

fn address(path: &OsStr) -> io::Result<SocketAddr> {
    match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    }
}

/// Half of the time after which systemd loses patience, as sd_watchdog_enabled(3) advises.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|_| is_ours).map(|patience| Duration::from_micros(patience / 2))
}
