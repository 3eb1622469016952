//! What the graph says: the one type that crosses from the graph to the spans.

use std::sync::Arc;

use agentsight_ebpf::{Exit, KernelNanos, Loss, Overhead};

use super::transfer::{Account, Connection, ConnectionAt, ConnectionContinued, Resolution, Transfer};
use super::{Image, ImageId, Parent, Part, Trace};

/// One thing that happened, with its meaning.
///
/// Every image begins once, then either ends, or is promoted and later exits. From its beginning on it may be
/// continued, even past its end, once in each later segment.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// An image will have a span: from here on others may name it as their parent.
    ImageBegan(Box<Image>),
    /// An image ended that nothing was sent of yet.
    ImageEnded(Box<Ended>),
    /// An image outlived `live_after`: it is sent while it runs.
    ImagePromoted(Box<Promoted>),
    /// An image will have a second span, in a later trace, for what hangs under it there.
    ImageContinued(Box<Continued>),
    /// A promoted image ended.
    ImageExited(Box<Exited>),
    /// Something that is said already is linked to this burst, which has not left: it will have a span, and this is what
    /// is known of it.
    TransferPromised(Box<Transfer>),
    /// A burst ended.
    Transferred(Box<Transfer>),
    /// A connection will have a span: from here on its bursts may name it as their parent.
    ConnectionBegan(Box<Connection>),
    /// A connection will have a second span, in a later trace, for the bursts that hang under it there.
    ConnectionContinued(Box<ConnectionContinued>),
    /// A connection outlived `live_after`: it is sent while it is open.
    ConnectionPromoted(Box<ConnectionAt>),
    /// A connection ended.
    ConnectionEnded(Box<ConnectionAt>),
    /// A name was looked up.
    Resolved(Box<Resolution>),
    /// What the recording has taken of the machine so far.
    Overhead(Overhead),
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
    /// What it did.
    pub account: Account,
}

/// A promoted image at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Exited {
    /// The image, with the causes that were found since it was promoted.
    pub image: Image,
    /// When it ended, never before its start.
    pub at: KernelNanos,
    /// How.
    pub ending: Ending,
    /// What it did; of a promoted image, since it was promoted.
    pub account: Account,
    /// The span of it that its `exit` hangs under, its newest.
    pub under: Place,
}

/// One of the spans that an image has.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The trace that it is in.
    pub trace: Arc<Trace>,
    /// Which of the image's it is.
    pub part: Part,
    /// Where it starts.
    pub start: KernelNanos,
}

/// An image that goes on in another trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Continued {
    /// The image, as in the trace that it belongs to.
    pub image: Image,
    /// Where it goes on.
    pub place: Place,
    /// What it hangs under there: a live ancestor, or nothing.
    pub parent: Parent,
    /// The image is promoted and lives, and its `exit` will hang here.
    pub exits_here: bool,
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
    /// The span of it that its `exit` would hang under.
    pub newest: Place,
    /// What it did so far.
    pub account: Account,
}

/// Events were lost, and whom it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What was lost.
    pub loss: Loss,
    /// The session's root image, once there is one.
    pub root: Option<ImageId>,
    /// The root's trace; the session's current one, where there is no root.
    pub trace: Arc<Trace>,
}
