//! The one type that crosses from the kernel to the graph.

use serde::{Deserialize, Serialize};

use crate::{Exec, Exit, Fork, KernelNanos, Loss, WallNanos};

/// One statement: of the kernel (fork, exec, exit), of the capture about itself (loss), or of time.
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
    /// Events that were made and not delivered.
    Loss(Loss),
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
            Self::Loss(event) => event.at,
            Self::Tick(event) => event.at,
            Self::Clock(event) => event.at,
        }
    }
}
