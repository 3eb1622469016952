//! The privileged half of `run`: a process in a session of its own that sees, understands, stores and sends.
//!
//! It may crash, hang or be killed: the command does not notice. Its order: detach, hear the request, attach, give up
//! privileges, and only then make threads.

pub(crate) mod begin;
pub(crate) mod deliver;
pub(crate) mod drain;
pub(crate) mod heap;
pub(crate) mod host;
pub(crate) mod hosts;
pub(crate) mod lifetime;
pub(crate) mod priority;
pub(crate) mod privileges;
pub(crate) mod queue;
pub(crate) mod recorder;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod shelf;
pub(crate) mod stub;
pub(crate) mod summary;
mod target;
pub(crate) mod work;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::channel::{self, CHANNEL_VERSION, ToCollector, ToStub};
use crate::session::UserId;

/// `agentsight collector --for PID`: the channel to the stub is standard input and output.
#[must_use]
pub fn run(stub: u32) -> ExitCode {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("agentsight: the collector is started by `agentsight run`, as root");
        return ExitCode::from(2);
    }
    match converse(stub) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the collector ends");
            ExitCode::FAILURE
        }
    }
}

/// What ends a collector early; the stub sees its end of the channel close.
#[derive(Debug, thiserror::Error)]
enum CollectorError {
    #[error("the collector could not leave its caller's session: {0}")]
    Detach(#[source] nix::Error),
    #[error(transparent)]
    Channel(#[from] channel::ChannelError),
    #[error("the collector's channel could not be set up: {0}")]
    Socket(#[from] io::Error),
    #[error("the collector's channel is not a socket of the process that it was started for: {0}")]
    Peer(&'static str),
}

fn converse(stub: u32) -> Result<(), CollectorError> {
    heap::share();
    close_what_was_inherited();
    // Out of the caller's session and of sudo's hands: a Ctrl-C, a closed terminal or the end of sudo is not ours.
    // The hangup that ends a pseudo-terminal of sudo's may come before we are out of its session.
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    hangup.thread_block().map_err(CollectorError::Detach)?;
    nix::unistd::daemon(false, true).map_err(CollectorError::Detach)?;
    priority::raise();
    // The caller's mask may be stricter, and others must find our socket.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let (hears, speaks) = take_channel()?;
    let asked_by = check_peer(&hears, stub)?;
    channel::send(&speaks, &ToStub::Hello { version: CHANNEL_VERSION })?;
    let Some(ToCollector::Request(request)) = channel::receive(&hears)? else { return Ok(()) };
    if let Err(error) = serve::serve((stub, asked_by), &request, hears, &speaks) {
        channel::send(&speaks, &ToStub::Failed { message: error.to_string() })?;
    }
    Ok(())
}

/// Whoever may start the collector by sudo could otherwise point it at another user's process: the kernel remembers
/// who made the socket pair, and sudo who called it. Says who made it.
fn check_peer(channel: &UnixStream, stub: u32) -> Result<UserId, CollectorError> {
    let made_by = getsockopt(channel, PeerCredentials).map_err(|_| CollectorError::Peer("it is no socket"))?;
    if u32::try_from(made_by.pid()) != Ok(stub) {
        return Err(CollectorError::Peer("another process made it"));
    }
    let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
    if caller.is_some_and(|uid| uid != made_by.uid()) && made_by.uid() != 0 {
        return Err(CollectorError::Peer("another user made it"));
    }
    Ok(UserId(made_by.uid()))
}

/// Where the caller is root no sudo closes its descriptors, and the reader of a pipe among them would wait for us.
fn close_what_was_inherited() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let inherited: Vec<RawFd> = open
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in inherited {
        // The folder's own descriptor is among them, and closed already.
        let _ = nix::unistd::close(descriptor);
    }
}

/// Takes standard input and output as the channel and leaves /dev/null in their place, on standard error too: a
/// caller's pipe must not stay open because we do.
fn take_channel() -> io::Result<(UnixStream, UnixStream)> {
    let hears = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let speaks = UnixStream::from(io::stdout().as_fd().try_clone_to_owned()?);
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(null.as_fd())?;
    nix::unistd::dup2_stdout(null.as_fd())?;
    if std::env::var_os("AGENTSIGHT_LOG").is_none() {
        nix::unistd::dup2_stderr(null.as_fd())?;
    }
    debug_assert!(hears.as_raw_fd() > 2 && speaks.as_raw_fd() > 2);
    Ok((hears, speaks))
}
