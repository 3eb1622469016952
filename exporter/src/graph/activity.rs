//! What the graph says: the one type that crosses from the graph to the spans.

use std::sync::Arc;

use agentsight_ebpf::{Exit, KernelNanos, Loss};

use super::{Image, ImageId, Trace};

/// One thing that happened, with its meaning.
///
/// Every image begins once, then either ends, or is promoted and later exits.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// An image will have a span: from here on others may name it as their parent.
    ImageBegan(Box<Image>),
    /// An image ended that nothing was sent of yet.
    ImageEnded(Box<Ended>),
    /// An image outlived `live_after`: it is sent while it runs.
    ImagePromoted(Box<Promoted>),
    /// A promoted image ended.
    ImageExited(Box<Ended>),
    /// Events were lost.
    Lost(Lost),
}

/// An image at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The image.
    pub image: Image,
    /// When it ended, never before its start.
    pub at: KernelNanos,
    /// How.
    pub ending: Ending,
}

/// How an image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process ended.
    Exited(Exit),
    /// The process replaced it by the image `into`.
    Replaced {
        /// The image that follows.
        into: ImageId,
    },
    /// The session ended first: what became of it is not known.
    Incomplete,
}

/// An image in the middle of its life.
#[derive(Clone, Debug, PartialEq)]
pub struct Promoted {
    /// The image.
    pub image: Image,
    /// Now, never before its start.
    pub at: KernelNanos,
}

/// Events were lost, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What was lost.
    pub loss: Loss,
    /// The session's root image, once there is one.
    pub root: Option<ImageId>,
    /// The session's own trace.
    pub trace: Arc<Trace>,
}
