//! Transfers over an open file, counted in the kernel: the typed event of `burst.bpf.c`.
//!
//! A burst is what one image moved over one open file in one direction without a pause or a change of meaning. The
//! kernel alone cuts bursts and numbers them. Each is said twice: when it begins, and, with its sums, when it ends.

use serde::{Deserialize, Serialize};

use crate::{Doer, KernelNanos, OpenId};

/// Which burst: numbers count up per open file over both directions and all images, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BurstId {
    /// The open file.
    pub open: OpenId,
    /// Its number.
    pub number: u32,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Into the image: read, recv.
    In,
    /// Out of the image: write, send.
    Out,
}

/// A burst begins: its first call has moved something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstBegin {
    /// When it was noticed: the end of the first call.
    pub at: KernelNanos,
    /// Who; the thread is that of the first call.
    pub by: Doer,
    /// Which burst.
    pub burst: BurstId,
    /// Which way.
    pub direction: Direction,
    /// Of an input the end of its first call, of an output the beginning.
    pub first: KernelNanos,
    /// Offset of its first byte: in the file, or in the stream since it was first seen.
    pub offset: u64,
    /// Of an input that is a new source of its image (rule 9 of the graph): the image's number of sources, this one included.
    pub source: Option<u32>,
    /// Of an output: the image has new sources since this output's last burst began.
    pub flow: Option<FlowPoint>,
    /// It is through a mapping (`mmap`): what was really moved is not seen, only what may have been.
    pub mapped: bool,
}

/// What an image had taken in since it was last asked: its sources numbered `before + 1 ..= now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPoint {
    /// The image's number of sources when it was last asked.
    pub before: u32,
    /// Now.
    pub now: u32,
}

/// A burst ended, with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstEnd {
    /// When that was noticed.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// Which burst.
    pub burst: BurstId,
    /// Which way.
    pub direction: Direction,
    /// As when it began.
    pub first: KernelNanos,
    /// Of an input the end of its last call, of an output the beginning.
    pub last: KernelNanos,
    /// Bytes moved.
    pub bytes: u64,
    /// Calls that moved them.
    pub operations: u64,
    /// How long those calls took, together, nanoseconds; of inputs 0 where that is not measured.
    pub wait_nanos: u64,
    /// Least offset touched.
    pub offset: u64,
    /// Offset behind the greatest touched.
    pub end: u64,
    /// Not every byte between the two was touched.
    pub sparse: bool,
    /// Several threads took part.
    pub threads: bool,
    /// It went on over what would have cut it, to keep the number of bursts bounded.
    pub coalesced: bool,
    /// Failed calls among it (`EAGAIN` and the like aside).
    pub errors: u32,
    /// Payload of it was taken, or would have been but for a budget: what no chunk brings is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captured: bool,
    /// Why it ended.
    pub cut: Cut,
}

/// Why a burst ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Its open file was used in the other direction.
    Direction,
    /// Nothing for a second.
    Idle,
    /// A minute old.
    Age,
    /// Another open file or process used its object.
    OtherParty,
    /// What was taken in may have led to what went out: a flow point.
    Flow,
    /// Its open file was closed.
    Close,
    /// Its image ended.
    Exit,
    /// The session ended.
    Session,
}

/// Bytes that the kernel moved from one open file to another (`copy_file_range`, `sendfile`, `splice`, `tee`, `FICLONE`),
/// counted in both bursts as well; said when one of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// When.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// The burst that read.
    pub from: BurstId,
    /// The burst that wrote.
    pub to: BurstId,
    /// How many bytes.
    pub bytes: u64,
}
