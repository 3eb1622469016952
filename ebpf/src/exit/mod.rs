//! A process ended: the typed event of `exit.bpf.c`.

use serde::{Deserialize, Serialize};

use crate::{ExecNumber, KernelNanos, ProcessKey};

/// The last thread of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When.
    pub at: KernelNanos,
    /// The process.
    pub process: ProcessKey,
    /// The image that it ended with.
    pub exec: ExecNumber,
    /// The wait status, as `waitpid` would give it: the exit code in bits 8 to 15, else the signal in
    /// bits 0 to 6 and the core-dump flag in bit 7.
    pub status: u32,
}

impl Exit {
    /// The exit code, where the process ended by itself.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        (self.signal().is_none()).then_some(self.status.to_le_bytes()[1])
    }

    /// The number of the signal that ended it.
    #[must_use]
    pub fn signal(&self) -> Option<u8> {
        match self.status.to_le_bytes()[0] & 0x7f {
            0 => None,
            signal => Some(signal),
        }
    }
}
