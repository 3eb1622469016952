//! One daemon per host: whoever holds the lock beside the socket.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;

/// There is another one, or nobody can tell.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs.
    #[error(
        "another daemon of AgentSight runs on this host (it holds {path})\n\
         One is enough: give it more rules and reload it (systemctl reload agentsight), or stop it first"
    )]
    Taken {
        /// The lock.
        path: PathBuf,
    },
    /// The lock could not be made.
    #[error("{path} cannot be made: {reason}")]
    Refused {
        /// The lock.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct OnlyOne {
    _lock: Flock<File>,
}

/// Takes the lock that belongs to `socket`, in its folder, which is made where it is missing.
pub(crate) fn take(socket: &Path) -> Result<OnlyOne, LockError> {
    let path = socket.with_extension("lock");
    let refused = |reason| LockError::Refused { path: path.clone(), reason };
    if let Some(dir) = socket.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(refused)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW)
        .open(&path)
        .map_err(refused)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(OnlyOne { _lock: lock }),
        Err((_, Errno::EAGAIN)) => Err(LockError::Taken { path }),
        Err((_, errno)) => Err(refused(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;

    #[test]
    fn there_is_one_at_a_time_and_the_next_may_follow_it() {
        let scratch = Scratch::new();
        let socket = scratch.path().join("run/daemon.sock");
        let first = take(&socket).expect("nobody has it");
        assert!(matches!(take(&socket), Err(LockError::Taken { .. })));
        drop(first);
        assert!(take(&socket).is_ok());
    }
}
