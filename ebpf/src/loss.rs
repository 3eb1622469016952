//! What was made and could not be delivered, by kind and reason.

use serde::{Deserialize, Serialize};

use crate::KernelNanos;

/// So many more events of one kind were lost since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was noticed.
    pub at: KernelNanos,
    /// What was lost.
    pub kind: LossKind,
    /// How many, since the last report of this kind.
    pub count: u64,
}

/// What can be lost. The first three are events that the ring had no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// A fork event.
    Fork,
    /// An exec event.
    Exec,
    /// An exit event.
    Exit,
    /// A process that the map of traced processes had no room for: it and its descendants are unseen.
    Process,
    /// A process that was already running when its tree was attached to: it is followed, but not described.
    Snapshot,
    /// What an open file is: the bursts over it have no object.
    Open,
    /// A transfer that could not be counted, or a record of a burst.
    Burst,
    /// Outcome of a `connect`.
    Connect,
    /// A DNS message.
    Dns,
    /// A change of a name or of the metadata of a file.
    Change,
    /// A signal, a wait, a passed descriptor or another single call.
    Call,
    /// A chunk of captured payload.
    Content,
    /// A run of a program that the kernel skipped (`recursion_misses`).
    Missed,
    /// A record that could not be decoded.
    Undecodable,
}

impl LossKind {
    /// Every kind, in the order of the kernel's counters.
    pub const ALL: [Self; 14] = [
        Self::Fork,
        Self::Exec,
        Self::Exit,
        Self::Process,
        Self::Snapshot,
        Self::Open,
        Self::Burst,
        Self::Connect,
        Self::Dns,
        Self::Change,
        Self::Call,
        Self::Content,
        Self::Missed,
        Self::Undecodable,
    ];

    /// How many of them the programs count themselves, from the first on.
    pub const COUNTED_BY_PROGRAMS: usize = 12;
}
