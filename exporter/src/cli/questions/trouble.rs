//! Why a question has no answer, said so that a person can mend it.

use std::io;
use std::path::PathBuf;

use agentsight::query::SourceError;
use agentsight::query::words::WordError;
use agentsight::store::{PlaceError, StoreError};

use super::super::send::SendError;
use agentsight::otlp::settings::SettingsError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Word(#[from] WordError),
    #[error(
        "nothing has been traced on this machine yet: there is no store in {0:?}\nTrace something: agentsight run -- COMMAND"
    )]
    NoStore(PathBuf),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Unclear(String),
    #[error("the answer could not be written: {0}")]
    Output(#[from] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Trouble {
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> u8 {
        if matches!(self, Self::NotFound(_) | Self::Send(_)) { 1 } else { 2 }
    }

    /// For a person who typed `agentsight COMMAND`.
    pub(super) fn told(&self, command: &str) -> String {
        if self.is_refusal() {
            return format!(
                "the store is root's alone, so that no agent can rewrite its own trace: use `sudo agentsight {command} …`, or --store FILE with a copy of it; where the daemon runs, it answers you about your own sessions"
            );
        }
        self.to_string()
    }

    pub(super) fn is_refusal(&self) -> bool {
        let Self::Store(StoreError::Place(error)) = self else { return false };
        match error {
            PlaceError::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            // It is well in place, and root's: what is wrong is who asks.
            PlaceError::Owner { owner: 0, .. } => true,
            _ => false,
        }
    }
}
