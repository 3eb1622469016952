//! What the recording itself takes of the machine.

use serde::{Deserialize, Serialize};

use crate::KernelNanos;

/// So much was taken since the session began, of the collector as a whole: a daemon's sessions share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overhead {
    /// When it was so.
    pub at: KernelNanos,
    /// By the programs, on all processors together, estimated; `None` where that was not measured (yet).
    pub programs: Option<ProgramTime>,
    /// By the collector on processors, nanoseconds; what it took before the session began is not in it.
    pub cpu_nanos: u64,
    /// Resident memory of the collector at this moment; `None` where it is not known.
    pub resident_bytes: Option<u64>,
    /// Events of the session.
    pub events: u64,
}

/// What the kernel's account of the programs comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTime {
    /// How long they ran, nanoseconds.
    pub nanos: u64,
    /// How often.
    pub runs: u64,
}
