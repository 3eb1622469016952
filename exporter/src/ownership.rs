//! One session owns a process: every collector tells whoever asks what it traces, and ends a session when root says so.
//!
//! Each listens on a socket in `/run/agentsight`. A client says one line, [`Question`], and is answered with the id of
//! the session that owns the process, or an empty line. Everybody may ask about themselves: the kernel says who they
//! are. Only root may ask about, or end, another.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_ebpf::Tgid;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::session::SessionId;

/// Where collectors can be asked.
pub(crate) const RUN_DIR: &str = "/run/agentsight";
/// A collector that hangs must not hold up who asks it, nor a client that says nothing the collector.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest line is an id of 32 digits; what is longer is no answer and no question.
const LINE_BYTES_MAX: u64 = 64;

/// The socket of a collector; dropping it removes the file.
#[derive(Debug)]
pub struct Ownership {
    path: PathBuf,
}

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Do you trace me?
    Own,
    /// Do you trace this process?
    Of(Tgid),
    /// If you trace this process, end its session.
    End(Tgid),
}

impl Question {
    fn line(self) -> String {
        match self {
            Self::Own => "own\n".to_owned(),
            Self::Of(process) => format!("of {}\n", process.0),
            Self::End(process) => format!("end {}\n", process.0),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let process = |text: &str| text.parse().ok().map(Tgid);
        match line.trim_end().split_once(' ') {
            None if line.trim_end() == "own" => Some(Self::Own),
            Some(("of", id)) => process(id).map(Self::Of),
            Some(("end", id)) => process(id).map(Self::End),
            _ => None,
        }
    }
}

/// What a collector does with questions.
pub trait Owner: Send + 'static {
    /// The session that traces a process.
    fn owner_of(&self, process: Tgid) -> Option<SessionId>;
    /// End the session that traces a process.
    fn end_of(&self, process: Tgid);
}

impl Ownership {
    /// Answers for the sessions of this process, on a thread of its own.
    ///
    /// # Errors
    /// The folder or the socket could not be made.
    pub fn answer(owner: impl Owner) -> io::Result<Self> {
        Self::answer_in(Path::new(RUN_DIR), owner)
    }

    fn answer_in(dir: &Path, owner: impl Owner) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        remove_stale(dir);
        let path = dir.join(socket_of(std::process::id()));
        let listener = UnixListener::bind(&path)?;
        // Anybody may ask: the answer concerns the asker alone.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
        thread::Builder::new().name("ownership".to_owned()).spawn(move || {
            for asker in listener.incoming().flatten() {
                // A client that went away has no use for the answer.
                let _ = answer(&asker, &owner);
            }
        })?;
        Ok(Self { path })
    }
}

fn answer(asker: &UnixStream, owner: &impl Owner) -> io::Result<()> {
    asker.set_read_timeout(Some(PATIENCE))?;
    asker.set_write_timeout(Some(PATIENCE))?;
    let peer = getsockopt(asker, PeerCredentials)?;
    let is_root = peer.uid() == 0;
    let question = Question::parse(&read_line(asker)?);
    let about = match question {
        Some(Question::Own) => u32::try_from(peer.pid()).ok().map(Tgid),
        Some(Question::Of(process) | Question::End(process)) => is_root.then_some(process),
        None => None,
    };
    let session = about.and_then(|process| owner.owner_of(process));
    if let (Some(_), Some(Question::End(process))) = (session, question) {
        owner.end_of(process);
    }
    let line = session.map_or_else(|| "\n".to_owned(), |session| format!("{session}\n"));
    (&*asker).write_all(line.as_bytes())
}

fn read_line(from: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(from.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The session that traces this process, if one does.
#[must_use]
pub fn find_owner() -> Option<SessionId> {
    find(Path::new(RUN_DIR), Question::Own)
}

/// The session that traces `process`; only root is told.
#[must_use]
pub fn find_owner_of(process: Tgid) -> Option<SessionId> {
    find(Path::new(RUN_DIR), Question::Of(process))
}

/// The session of another collector than this process that traces `process`.
pub(crate) fn find_other_owner_of(process: Tgid) -> Option<SessionId> {
    let own = socket_of(std::process::id());
    find_among(sockets(Path::new(RUN_DIR)).filter(|path| !path.ends_with(&own)), Question::Of(process))
}

/// Ends the session that traces `process`, as root; the processes go on. Returns the session, if there was one.
#[must_use]
pub fn end_session_of(process: Tgid) -> Option<SessionId> {
    find(Path::new(RUN_DIR), Question::End(process))
}

fn find(dir: &Path, question: Question) -> Option<SessionId> {
    find_among(sockets(dir), question)
}

fn find_among(sockets: impl Iterator<Item = PathBuf>, question: Question) -> Option<SessionId> {
    // All are asked before any is heard, so that those who hang take their time together.
    let asked: Vec<UnixStream> = sockets.filter_map(|path| ask(&path, question).ok()).collect();
    let deadline = Instant::now() + PATIENCE;
    asked.iter().find_map(|collector| hear(collector, deadline).ok().flatten())
}

fn ask(path: &Path, question: Question) -> io::Result<UnixStream> {
    let mut collector = UnixStream::connect(path)?;
    collector.set_write_timeout(Some(PATIENCE))?;
    collector.write_all(question.line().as_bytes())?;
    Ok(collector)
}

fn hear(collector: &UnixStream, deadline: Instant) -> io::Result<Option<SessionId>> {
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    collector.set_read_timeout(Some(left))?;
    Ok(SessionId::try_from(read_line(collector)?.trim().to_owned()).ok())
}

/// The sockets of collectors, living and dead.
pub(crate) fn sockets(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    // The daemon's own socket lies here too, and speaks otherwise.
    let is_a_collectors =
        |path: &Path| path.file_stem().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    entries.filter(move |path| path.extension().is_some_and(|extension| extension == "sock") && is_a_collectors(path))
}

fn socket_of(collector: u32) -> String {
    format!("{collector}.sock")
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const SESSION: SessionId = SessionId([7; 16]);

    struct OwnerOf {
        process: Option<Tgid>,
        ended: Arc<AtomicBool>,
    }

    impl OwnerOf {
        fn new(process: Option<Tgid>) -> Self {
            Self { process, ended: Arc::default() }
        }
    }

    impl Owner for OwnerOf {
        fn owner_of(&self, process: Tgid) -> Option<SessionId> {
            (self.process == Some(process)).then_some(SESSION)
        }

        fn end_of(&self, _process: Tgid) {
            self.ended.store(true, Ordering::Release);
        }
    }

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("agentsight-ownership-{name}-{}", std::process::id()))
    }

    #[test]
    fn only_a_collector_that_owns_the_asker_says_so_and_the_socket_goes_with_it() {
        let dir = scratch("owns");
        assert_eq!(find(&dir, Question::Own), None);
        let own_id = Tgid(std::process::id());
        let owner = Ownership::answer_in(&dir, OwnerOf::new(Some(own_id))).expect("a socket");
        assert_eq!(find(&dir, Question::Own), Some(SESSION));
        assert_eq!(find(&dir, Question::Of(Tgid(1))), None);
        drop(owner);
        assert_eq!(find(&dir, Question::Own), None);

        let _stranger = Ownership::answer_in(&dir, OwnerOf::new(None)).expect("a socket");
        assert_eq!(find(&dir, Question::Own), None);
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn only_root_may_end_a_session_and_only_that_of_its_process() {
        let dir = scratch("ends");
        let owner = OwnerOf::new(Some(Tgid(42)));
        let ended = Arc::clone(&owner.ended);
        let _owner = Ownership::answer_in(&dir, owner).expect("a socket");
        assert_eq!(find(&dir, Question::End(Tgid(41))), None);
        assert!(!ended.load(Ordering::Acquire));
        let is_root = nix::unistd::Uid::effective().is_root();
        assert_eq!(find(&dir, Question::End(Tgid(42))), is_root.then_some(SESSION));
        assert_eq!(ended.load(Ordering::Acquire), is_root);
        let _ = fs::remove_dir_all(dir);
    }

    #[test]
    fn a_dead_collectors_socket_is_no_answer_and_is_removed_by_the_next() {
        let dir = scratch("stale");
        fs::create_dir_all(&dir).expect("a folder");
        let stale = dir.join("1.sock");
        drop(UnixListener::bind(&stale).expect("a socket"));
        assert_eq!(find(&dir, Question::Own), None);
        let _next = Ownership::answer_in(&dir, OwnerOf::new(None)).expect("a socket");
        assert!(!stale.exists());
        let _ = fs::remove_dir_all(dir);
    }
}
