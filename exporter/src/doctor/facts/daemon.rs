//! Whether the daemon is there, and understands us.

use std::path::PathBuf;
use std::time::Duration;

use crate::daemon_socket::{self, Found};

/// What is at the daemon's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Daemon {
    pub(in crate::doctor) socket: PathBuf,
    pub(in crate::doctor) answer: Answer,
}

/// Who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Answer {
    /// Nobody.
    Nobody,
    /// A daemon of our version.
    Hello,
    /// Somebody who is of no use to us; why.
    Unusable(String),
}

/// A daemon greets at once, unless its host is drowning.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn ask() -> Daemon {
    let answer = match daemon_socket::find(PATIENCE) {
        Found::Nobody => Answer::Nobody,
        Found::Daemon(_) => Answer::Hello,
        Found::Stranger(why) => Answer::Unusable(why),
    };
    Daemon { socket: daemon_socket::path(), answer }
}
