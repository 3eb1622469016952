//! The daemon's door: a unix socket that everybody may connect to, to have a process of their own traced, or to ask about
//! what was.
//!
//! Whoever connects is a stranger: they have so long for one request of so many bytes, and only so many may be at it at
//! once. What comes of the request is decided by the loop; questions are answered at the desk, without it.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use agentsight_ebpf::Tgid;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::admission::Peer;
use super::desk::Desk;
use crate::channel::{self, CHANNEL_VERSION, Request, ToCollector, ToStub};
use crate::collector::queue::Inlet;
use crate::collector::sessions::Input;
use crate::inquiry::Inquiry;
use crate::session::UserId;

/// From connecting to the whole request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Certificates and headers take some ten kilobytes.
const REQUEST_BYTES_MAX: u32 = 1 << 20;
/// Who connects while so many others have not said what they want is turned away.
const STRANGERS_MAX: usize = 64;

/// Somebody who wants something traced, and the way to them.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) request: Box<Request>,
    pub(crate) socket: UnixStream,
}

/// What a stranger turned out to want.
enum Wish {
    Tracing(Caller),
    Answers { user: UserId, first: Box<Inquiry>, socket: UnixStream },
}

/// The door, open; dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
}

impl Door {
    /// Opens it. The caller makes sure that no other daemon has it open.
    pub(crate) fn open(path: &Path, to: Inlet<Input>, desk: Arc<Desk>) -> io::Result<Self> {
        // What lies there is a dead daemon's; anything but a socket is somebody's file.
        match fs::symlink_metadata(path) {
            Ok(found) if std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there and no socket")),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        thread::Builder::new().name("door".to_owned()).spawn(move || listen(&listener, &to, &desk))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn listen(listener: &UnixListener, to: &Inlet<Input>, desk: &Arc<Desk>) {
    let strangers = Arc::new(AtomicUsize::new(0));
    for socket in listener.incoming() {
        let Ok(socket) = socket else {
            // Out of descriptors, say: it would fail again at once.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if strangers.load(Ordering::Relaxed) >= STRANGERS_MAX {
            continue;
        }
        strangers.fetch_add(1, Ordering::Relaxed);
        let (to, desk, strangers) = (to.clone(), Arc::clone(desk), Arc::clone(&strangers));
        let spawned = thread::Builder::new().name("stranger".to_owned()).spawn(move || {
            let wish = greet(socket);
            strangers.fetch_sub(1, Ordering::Relaxed);
            // Whoever breaks off has nobody to be told.
            match wish {
                Ok(Some(Wish::Tracing(caller))) => drop(to.send(Input::Call(caller))),
                Ok(Some(Wish::Answers { user, first, socket })) => drop(desk.serve(&socket, user, *first)),
                Ok(None) | Err(_) => {}
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a caller was turned away");
        }
    }
}

fn greet(socket: UnixStream) -> Result<Option<Wish>, channel::ChannelError> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let credentials = getsockopt(&socket.as_fd(), PeerCredentials).map_err(io::Error::from)?;
    let process = Tgid(u32::try_from(credentials.pid()).unwrap_or(0));
    channel::send(&socket, &ToStub::Hello { version: CHANNEL_VERSION })?;
    match channel::receive_within(&socket, REQUEST_BYTES_MAX) {
        Ok(Some(ToCollector::Request(request))) => {
            socket.set_read_timeout(None)?;
            socket.set_write_timeout(None)?;
            let peer = Peer { process, uid: credentials.uid() };
            Ok(Some(Wish::Tracing(Caller { peer, request, socket })))
        }
        Ok(Some(ToCollector::Question(first))) => {
            Ok(Some(Wish::Answers { user: UserId(credentials.uid()), first, socket }))
        }
        // Somebody who only asks whether a daemon is there (doctor).
        Ok(_) => Ok(None),
        Err(error) => {
            channel::send(&socket, &ToStub::Failed { message: error.to_string() })?;
            Ok(None)
        }
    }
}
