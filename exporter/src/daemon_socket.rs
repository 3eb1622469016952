//! Finding the daemon of this host, where there is one: it traces, and answers, without sudo.

use std::env;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::channel::{self, CHANNEL_VERSION, ToStub};

/// Where it is found.
pub const DEFAULT_SOCKET: &str = "/run/agentsight/daemon.sock";
/// The variable that names another place, for the daemon and for whoever looks for it.
pub const SOCKET_VARIABLE: &str = "AGENTSIGHT_SOCKET";

/// Where the daemon of this host is found, unless the caller knows better.
#[must_use]
pub fn path() -> PathBuf {
    env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| DEFAULT_SOCKET.into(), PathBuf::from)
}

/// What is at the daemon's socket.
#[derive(Debug)]
pub enum Found {
    /// A daemon that understands us, and the way to it.
    Daemon(UnixStream),
    /// Nobody.
    Nobody,
    /// Somebody who is not a daemon that we can use; why.
    Stranger(String),
}

/// Looks for it; whoever is there has `limit` to say hello.
#[must_use]
pub fn find(limit: Duration) -> Found {
    match UnixStream::connect(path()) {
        Ok(socket) => greet(socket, limit).unwrap_or_else(Found::Stranger),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Found::Nobody
        }
        Err(error) => Found::Stranger(error.to_string()),
    }
}

fn greet(socket: UnixStream, limit: Duration) -> Result<Found, String> {
    let credentials = getsockopt(&socket, PeerCredentials).map_err(|error| error.desc().to_owned())?;
    if credentials.uid() != 0 {
        return Err(format!("whoever listens there is user {} and not root", credentials.uid()));
    }
    socket.set_read_timeout(Some(limit)).map_err(|error| error.to_string())?;
    match channel::receive::<ToStub>(&socket) {
        Ok(Some(ToStub::Hello { version: CHANNEL_VERSION })) => Ok(Found::Daemon(socket)),
        Ok(Some(ToStub::Hello { version })) => Err(format!(
            "it is of another version of agentsight (its channel has version {version}, ours {CHANNEL_VERSION}): \
             restart it after an upgrade"
        )),
        Ok(Some(_)) => Err("it says no hello".to_owned()),
        Ok(None) => Err("it has too many callers at the moment".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
