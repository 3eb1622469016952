//! `agentsight daemon`: every agent on this host, by rules; and `run` without sudo, through a socket.
//!
//! One loop does all that is decided ([`service`]); threads only bring it what the kernel, callers and signals say. It
//! has the same sessions as the collector of `run`, and many of them.

mod admission;
mod beginning;
mod config;
mod desk;
mod ending;
mod glob;
mod load;
mod notify;
mod only_one;
mod rules;
mod scalar;
mod service;
mod settle;
mod signals;
pub(crate) mod socket;
mod succession;

use std::path::Path;

use nix::unistd::Uid;

pub use config::{Config, schema};
pub use load::ConfigError;
pub use only_one::LockError;
pub use service::ServiceError;
pub use settle::{Overrides, SettleError};

use crate::daemon_socket::DEFAULT_SOCKET;
use notify::Notifier;
use service::Service;

/// The daemon could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Not root.
    #[error("the daemon traces every user's processes and keeps the store: it is started as root (sudo, or systemd)")]
    NotRoot,
    /// The configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] SettleError),
    /// There is another daemon.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Signals could not be held.
    #[error("signals could not be held for the loop that hears them: {0}")]
    Signals(#[source] nix::Error),
    /// The service.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// It could not start, or the kernel's ring could not be read any more.
pub fn run(overrides: &Overrides) -> Result<(), DaemonError> {
    if !Uid::effective().is_root() {
        return Err(DaemonError::NotRoot);
    }
    crate::collector::heap::share();
    // Others must find the socket, whatever the starter's mask.
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let settled = settle::settle(overrides, Path::new(DEFAULT_SOCKET))?;
    let _only_one = only_one::take(&settled.socket)?;
    crate::collector::priority::raise();
    let held = signals::hold().map_err(DaemonError::Signals)?;
    let mut notifier = Notifier::from_environment();
    let (mut service, inputs) = Service::start(settled)?;
    service.open_up(held)?;
    let worked = service.work(&inputs, overrides, &mut notifier);
    notifier.stopping();
    service.end(&inputs);
    Ok(worked?)
}

/// Reads and checks the configuration, and does nothing with it.
///
/// # Errors
/// It cannot be used.
pub fn check(overrides: &Overrides) -> Result<(), SettleError> {
    settle::settle(overrides, Path::new(DEFAULT_SOCKET)).map(drop)
}
