//! One session owns a process: every collector tells whoever asks whether it traces them.
//!
//! Each listens on a socket in `/run/agentsight`. A client connects and says nothing: the kernel says who it is, and
//! the answer is the id of the session that owns it, or an empty line.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use agentsight_ebpf::Tgid;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::session::SessionId;

/// Where collectors can be asked.
pub(crate) const RUN_DIR: &str = "/run/agentsight";
/// A collector that hangs must not hold up who asks it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The socket of a collector; dropping it removes the file.
#[derive(Debug)]
pub struct Ownership {
    path: PathBuf,
}

impl Ownership {
    /// Answers, on a thread of its own, for a session; `owns` is asked about the one who connected.
    ///
    /// # Errors
    /// The folder or the socket could not be made.
    pub fn answer(session: SessionId, owns: impl Fn(Tgid) -> bool + Send + 'static) -> io::Result<Self> {
        Self::answer_in(Path::new(RUN_DIR), session, owns)
    }

    fn answer_in(dir: &Path, session: SessionId, owns: impl Fn(Tgid) -> bool + Send + 'static) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        remove_stale(dir);
        let path = dir.join(format!("{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path)?;
        // Anybody may ask: the answer concerns the asker alone.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        thread::Builder::new().name("ownership".to_owned()).spawn(move || {
            for asker in listener.incoming().flatten() {
                let owned = getsockopt(&asker, PeerCredentials)
                    .ok()
                    .and_then(|peer| u32::try_from(peer.pid()).ok())
                    .is_some_and(|pid| owns(Tgid(pid)));
                let answer = if owned { format!("{session}\n") } else { "\n".to_owned() };
                let _ = asker.set_write_timeout(Some(PATIENCE)).and_then(|()| (&asker).write_all(answer.as_bytes()));
            }
        })?;
        Ok(Self { path })
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The session that traces this process, if one does.
#[must_use]
pub fn find_owner() -> Option<SessionId> {
    find_owner_in(Path::new(RUN_DIR))
}

fn find_owner_in(dir: &Path) -> Option<SessionId> {
    sockets(dir).find_map(|path| ask(&path).ok().flatten())
}

fn ask(path: &Path) -> io::Result<Option<SessionId>> {
    let collector = UnixStream::connect(path)?;
    collector.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    // 32 digits and a newline; what is longer is no answer.
    BufReader::new(collector.take(64)).read_line(&mut answer)?;
    Ok(SessionId::try_from(answer.trim().to_owned()).ok())
}

fn sockets(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
}

/// A collector that was killed leaves its socket behind.
fn remove_stale(dir: &Path) {
    for path in sockets(dir) {
        if UnixStream::connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId([7; 16]);

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("agentsight-ownership-{name}-{}", std::process::id()))
    }

    #[test]
    fn only_a_collector_that_owns_the_asker_says_so_and_the_socket_goes_with_it() {
        let dir = scratch("owns");
        assert_eq!(find_owner_in(&dir), None);
        let own_id = std::process::id();
        let owner = Ownership::answer_in(&dir, SESSION, move |asker| asker == Tgid(own_id)).expect("a socket");
        assert_eq!(find_owner_in(&dir), Some(SESSION));
        drop(owner);
        assert_eq!(find_owner_in(&dir), None);

        let _stranger = Ownership::answer_in(&dir, SESSION, |_| false).expect("a socket");
        assert_eq!(find_owner_in(&dir), None);
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn a_dead_collectors_socket_is_no_answer_and_is_removed_by_the_next() {
        let dir = scratch("stale");
        fs::create_dir_all(&dir).expect("a folder");
        let stale = dir.join("1.sock");
        drop(UnixListener::bind(&stale).expect("a socket"));
        assert_eq!(find_owner_in(&dir), None);
        let _next = Ownership::answer_in(&dir, SESSION, |_| false).expect("a socket");
        assert!(!stale.exists());
        let _ = fs::remove_dir_all(dir);
    }
}
