//! The one type that crosses from the kernel to the graph.

use serde::{Deserialize, Serialize};

use crate::{
    BurstBegin, BurstEnd, Call, Change, Chunk, Close, Connect, Content, Copied, Dns, Exec, Exit, Fork, KernelNanos,
    Kill, Loss, Open, Overhead, Pass, Wait, WallNanos,
};

/// One statement: of the kernel (fork, open, burst, …), of the capture about itself (loss), or of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A process was created.
    Fork(Fork),
    /// A process replaced its image.
    Exec(Box<Exec>),
    /// A process was already running when its tree was taken into the session: what it is then, as if it had just exec'd.
    Snapshot(Box<Exec>),
    /// The last thread of a process ended.
    Exit(Exit),
    /// An open file came into sight.
    Open(Box<Open>),
    /// An open file is gone.
    Close(Close),
    /// Transfers over an open file begin.
    BurstBegin(BurstBegin),
    /// Transfers over an open file ended.
    BurstEnd(BurstEnd),
    /// Bytes went from one open file to another inside the kernel.
    Copied(Copied),
    /// A `connect` has its outcome.
    Connect(Box<Connect>),
    /// A DNS message was sent or received.
    Dns(Box<Dns>),
    /// A name or the metadata of a file was changed.
    Change(Box<Change>),
    /// A signal was sent.
    Kill(Kill),
    /// A parent heard of a child's end.
    Wait(Wait),
    /// A descriptor was passed.
    Pass(Pass),
    /// Another call that an audit wants to know of.
    Call(Box<Call>),
    /// Payload as it left the kernel: it ends in the capture, and has no serialized form.
    #[serde(skip)]
    Chunk(Box<Chunk>),
    /// The payload of a burst, redacted; it comes right before the burst's end.
    Content(Box<Content>),
    /// Events that were made and not delivered.
    Loss(Loss),
    /// What the recording takes of the machine.
    Overhead(Overhead),
    /// Time has reached this point: nothing earlier is still to come.
    Tick(Tick),
    /// What the kernel clock reads in wall-clock time.
    Clock(Clock),
}

/// The passing of time, so that the pure stages need no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Now.
    pub at: KernelNanos,
}

/// One reading of both clocks at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The kernel clock.
    pub at: KernelNanos,
    /// The wall clock.
    pub wall: WallNanos,
}

impl Event {
    /// When it happened, on the kernel clock.
    #[must_use]
    pub fn at(&self) -> KernelNanos {
        match self {
            Self::Fork(event) => event.at,
            Self::Exec(event) | Self::Snapshot(event) => event.at,
            Self::Exit(event) => event.at,
            Self::Open(event) => event.at,
            Self::Close(event) => event.at,
            Self::BurstBegin(event) => event.at,
            Self::BurstEnd(event) => event.at,
            Self::Copied(event) => event.at,
            Self::Connect(event) => event.at,
            Self::Dns(event) => event.at,
            Self::Change(event) => event.at,
            Self::Kill(event) => event.at,
            Self::Wait(event) => event.at,
            Self::Pass(event) => event.at,
            Self::Call(event) => event.at,
            Self::Chunk(event) => event.at,
            Self::Content(event) => event.at,
            Self::Loss(event) => event.at,
            Self::Overhead(event) => event.at,
            Self::Tick(event) => event.at,
            Self::Clock(event) => event.at,
        }
    }
}
