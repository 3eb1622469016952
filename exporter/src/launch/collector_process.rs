//! Starting the collector: directly where the caller is root, else through sudo, asked once, on the terminal.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Uid;

use crate::channel::{self, CHANNEL_VERSION, ChannelError, ToStub};

/// The collector could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not root, and no sudo to become it.
    #[error(
        "tracing needs root for its collector, and sudo is not installed (not in PATH)\n\
         Install sudo, or run agentsight as root"
    )]
    NoSudo,
    /// sudo said no, or the user did.
    #[error(
        "sudo did not start the collector ({status})\n\
         Tracing needs root for its collector alone; the command would have run as you. \
         Ask for the right to run agentsight by sudo, or run it as root"
    )]
    Refused {
        /// sudo's exit status.
        status: ExitStatus,
    },
    /// sudo stands between us and its command's standard input and output, and leaves with the collector's parent.
    #[error(
        "sudo started the collector, but lies between its standard input and output and this process\n\
         It does that where its rules record what programs read and write; an administrator can exempt this one:\n\
         Defaults!{own} !log_input, !log_output"
    )]
    Recorded {
        /// This program's file.
        own: PathBuf,
    },
    /// The collector ended before it said anything.
    #[error("the collector ended before tracing began ({0})")]
    Silent(ExitStatus),
    /// It was started and said nothing.
    #[error(
        "the collector was started and did not answer within {}; the command was not started",
        humantime::format_duration(*limit)
    )]
    Mute {
        /// What it was given.
        limit: Duration,
    },
    /// This binary could not be found again.
    #[error("agentsight could not find its own program file: {0}")]
    OwnPath(#[source] io::Error),
    /// It could not be executed.
    #[error("{program} could not be started: {reason}")]
    Spawn {
        /// sudo or ourselves.
        program: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The socket broke.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// Another version was started.
    #[error("sudo started another version of agentsight (its channel has version {0})")]
    Version(u32),
}

/// Starts the collector and returns when it has said hello: until then sudo may be asking for a password; without
/// sudo, or after it, it has `limit`.
pub(super) fn start(limit: Duration) -> Result<UnixStream, StartError> {
    let own = env::current_exe().map_err(StartError::OwnPath)?;
    let through_sudo = !Uid::effective().is_root();
    let mut command = if through_sudo {
        let mut sudo = Command::new(find_sudo().ok_or(StartError::NoSudo)?);
        sudo.args(["-p", "[sudo] password for %p, to let AgentSight trace: ", "--"]).arg(&own);
        sudo
    } else {
        Command::new(&own)
    };
    command.arg("collector").arg("--for").arg(std::process::id().to_string());

    // The settings travel over the channel, flags applied; the SDK in the collector would read these beside them. Sudo
    // removes them anyway.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        command.env_remove(name);
    }

    let (ours, theirs) = UnixStream::pair().map_err(ChannelError::from)?;
    let theirs = OwnedFd::from(theirs);
    let theirs_too = theirs.try_clone().map_err(ChannelError::from)?;
    let program = PathBuf::from(command.get_program());
    let mut child = command
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::from(theirs_too))
        .spawn()
        .map_err(|reason| StartError::Spawn { program, reason })?;
    // The command still holds our copies of the collector's end: with them open, its end could not be seen.
    drop(command);
    wait_for_hello(&ours, &mut child, through_sudo.then_some(&own), limit)?;
    Ok(ours)
}

fn wait_for_hello(
    ours: &UnixStream,
    child: &mut Child,
    by_sudo: Option<&PathBuf>,
    limit: Duration,
) -> Result<(), StartError> {
    // Somebody may be looking for a password as long as sudo runs; after that there is nothing to wait for.
    let mut deadline = by_sudo.is_none().then(|| Instant::now() + limit);
    while !is_readable(ours) {
        if deadline.is_none() && child.try_wait().map_err(ChannelError::from)?.is_some() {
            deadline = Some(Instant::now() + limit);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            // If it is late and not dead, it finds its channel closed.
            return Err(StartError::Mute { limit });
        }
    }
    match channel::receive::<ToStub>(ours)? {
        Some(ToStub::Hello { version: CHANNEL_VERSION }) => {
            // The collector has detached itself: what is left is its parent, or sudo, on the way out.
            let status = child.wait().map_err(ChannelError::from)?;
            if status.success() { Ok(()) } else { Err(StartError::Silent(status)) }
        }
        Some(ToStub::Hello { version }) => Err(StartError::Version(version)),
        Some(_) | None => {
            let status = child.wait().map_err(ChannelError::from)?;
            Err(match by_sudo {
                Some(own) if status.success() => StartError::Recorded { own: own.clone() },
                Some(_) => StartError::Refused { status },
                None => StartError::Silent(status),
            })
        }
    }
}

/// Waits for a moment; an error or the end is something to read too.
fn is_readable(socket: &UnixStream) -> bool {
    let mut descriptors = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::from(100_u8)).is_ok_and(|ready| ready > 0)
}

fn find_sudo() -> Option<PathBuf> {
    let folders = env::split_paths(&env::var_os("PATH")?).collect::<Vec<_>>();
    folders.iter().map(|folder| folder.join("sudo")).find(|path| Path::is_file(path))
}
