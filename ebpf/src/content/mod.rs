//! Payload: what calls moved, as it left the kernel, and as it leaves the capture.
//!
//! [`Chunk`] is raw and may hold secrets: it is never recorded, stored or sent, and has no serialized form. [`Content`] is
//! what the capture makes of a burst's chunks: put together, with every hole said, and redacted.

mod automaton;
mod glob;
mod network;
mod policy;
pub(crate) mod wire;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{BurstId, Direction, Doer, KernelNanos};

pub use automaton::{Automaton, AutomatonError};
pub use glob::{Glob, GlobError};
pub use network::{Host, Network, NetworkError, Subnet};
pub use policy::{Budgets, CapturePolicy, PolicyError, StreamKind};

/// A part of what one call moved.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// When the call ended.
    pub at: KernelNanos,
    /// Who made it.
    pub by: Doer,
    /// The burst that the call was counted in.
    pub burst: BurstId,
    /// Whether the bytes went in or out.
    pub direction: Direction,
    /// Counts the chunks of one open file and direction, up by one.
    pub sequence: u64,
    /// What the whole call moved, as a range of the stream or file in bytes.
    pub call: Range<u64>,
    /// Where the first byte stands in the stream or file.
    pub offset: u64,
    /// May be empty, where nothing of the call could be copied.
    pub bytes: Vec<u8>,
    /// Why what follows these bytes is missing, up to the next chunk or the call's end; `None` where nothing is.
    pub missing: Option<Missing>,
}

/// Secrets are not redacted yet: the bytes are counted, never shown.
impl fmt::Debug for Chunk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Chunk")
            .field("at", &self.at)
            .field("burst", &self.burst)
            .field("sequence", &self.sequence)
            .field("call", &self.call)
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// A budget was spent.
    Budget,
    /// The ring had no room for the chunk.
    RingFull,
    /// The memory could not be read, or the call had no buffer.
    Unreadable,
}

/// What one burst moved, redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// When it was complete: not after the burst's end.
    pub at: KernelNanos,
    /// Who moved it.
    pub by: Doer,
    /// The burst.
    pub burst: BurstId,
    /// Whether the bytes went in or out.
    pub direction: Direction,
    /// The bytes that are known, by their place, ascending, apart.
    pub runs: Vec<ContentRun>,
    /// What was moved and is not known, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holes: Vec<ContentHole>,
    /// What was redacted: places in the stream or file, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Range<u64>>,
    /// Chunks that were made and did not come.
    #[serde(default)]
    pub lost_chunks: u64,
    /// Whether nothing may follow the last byte.
    pub complete: bool,
}

/// Bytes without a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRun {
    /// Where the first stands in the stream or file.
    pub offset: u64,
    /// Never empty.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

impl ContentRun {
    /// The range in the stream or file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.bytes.len() as u64)
    }
}

/// Bytes that were moved and are not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentHole {
    /// The range in the stream or file.
    pub range: Range<u64>,
    /// Why.
    pub cause: Missing,
}
