//! The edges that are not a parent: links from an effect back to its cause.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use agentsight_ebpf::{BurstId, Direction, Object, OpenId};

use super::{Image, ImageId, Trace};
use crate::content::{ContentHash, Likeness};
use crate::session::SpanRef;

/// One cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// What kind of edge.
    pub kind: CauseKind,
    /// How sure it is.
    pub confidence: Confidence,
    /// The cause itself.
    pub target: Target,
    /// Bytes that went along the edge, where it carries bytes.
    pub bytes: Option<u64>,
    /// Of a `flow` the bytes that were found again, where contents were captured and some were.
    pub matched: Option<Box<Match>>,
}

/// Bytes of a cause that stand in its effect too: the best of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// In what way they are alike.
    pub likeness: Likeness,
    /// Where in the cause's stream or file.
    pub source: Range<u64>,
    /// Where in the effect's; of an image in its arguments, each with a byte after it.
    pub sink: Range<u64>,
    /// Compared bytes, normalised.
    pub bytes: u64,
    /// The share of the cause's compared bytes that came out, of 1; all evidence together.
    pub coverage: f64,
    /// Of the compared bytes.
    pub hash: ContentHash,
    /// What stands there in the cause, for people: without secrets, one line, at most 80 characters.
    pub source_text: String,
    /// What stands there in the effect, in the same way.
    pub sink_text: String,
}

/// The kinds of edges, as `agentsight.link.type` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// The image that this one replaced.
    Exec,
    /// The image that started this one, whose parent is a span of another program.
    Lineage,
    /// A span that the data itself names: asserted by the program, not seen.
    Explicit,
    /// The span that the same process had in a session whose collector died.
    Segment,
    /// A write whose bytes this read saw.
    File,
    /// The source of bytes that the kernel copied.
    Copy,
    /// A write into the pipe that this read emptied.
    Pipe,
    /// What the peer of a unix socket sent.
    Unix,
    /// What the peer of a TCP connection on this host sent, or the connect that this accept answered.
    Tcp,
    /// A datagram from a sender on this host.
    Udp,
    /// Where a descriptor was passed from.
    Fd,
    /// A process that maps the same memory for writing.
    Shm,
    /// What the image had taken in before it did this.
    Flow,
    /// The query whose answer named this address.
    Dns,
    /// The sender of a signal.
    Signal,
    /// The child whose exit this process waited for.
    Join,
}

/// What a link points at.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// An image.
    Image {
        /// Which.
        id: ImageId,
        /// The trace that its span is in.
        trace: Arc<Trace>,
        /// The name of its executable, for people.
        name: Option<String>,
    },
    /// A burst.
    Burst {
        /// Which.
        id: BurstId,
        /// Whose.
        image: Arc<Image>,
        /// Which way it went.
        direction: Direction,
        /// What it moved from or to, for its id and for people.
        object: Arc<Object>,
        /// The trace that its span is in.
        trace: Arc<Trace>,
        /// How long before the effect it happened, nanoseconds.
        before_nanos: u64,
    },
    /// The span of a connection.
    Connection {
        /// The socket.
        open: OpenId,
        /// Whose.
        image: Arc<Image>,
        /// The trace that its span is in.
        trace: Arc<Trace>,
    },
    /// The span of a look-up.
    Resolution {
        /// The burst that the query was in.
        query: BurstId,
        /// Tells the queries of that burst apart.
        number: u32,
        /// Whose.
        image: Arc<Image>,
        /// The trace that its span is in.
        trace: Arc<Trace>,
        /// The name asked for.
        name: String,
    },
    /// A span of another program.
    Foreign(SpanRef),
}

impl Target {
    /// This image.
    pub(super) fn image(image: &Image) -> Self {
        Self::Image {
            id: image.id,
            trace: Arc::clone(&image.trace),
            name: image.executable_name().map(Cow::into_owned),
        }
    }

    /// What people call it, where that is known.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Image { name, .. } => name.as_deref(),
            Self::Resolution { name, .. } => Some(name),
            Self::Burst { .. } | Self::Connection { .. } | Self::Foreign(_) => None,
        }
    }
}

/// How sure an edge is, in hundredths: 100 is seen, less is inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confidence(u8);

impl Confidence {
    /// The kernel said so.
    pub const CERTAIN: Self = Self(100);
    /// A fork that was not seen: taken from a later statement about the process.
    pub const UNSEEN_FORK: Self = Self(90);

    /// A process found running: its parent may be an ancestor that took it over.
    pub const SNAPSHOT: Self = Self(90);

    /// The same version of a file, though not surely the same bytes; or the same addresses.
    pub const BY_VERSION: Self = Self(95);

    /// Both went on at the same time, or something in between was lost, or came from before the tracing.
    pub const UNORDERED: Self = Self(80);

    /// Memory of a file that the one may have written and the other may have read.
    pub const SHARED_MEMORY: Self = Self(60);

    /// What a thread had taken in before it did something else.
    pub const SAME_THREAD: Self = Self(50);

    /// What another thread had taken in.
    pub const OTHER_THREAD: Self = Self(30);

    /// A name's answer, and a connection to the address in it.
    pub const ANSWERED: Self = Self(90);

    /// Of a fraction of 1, to the nearest hundredth; above 0.
    pub(super) fn of_fraction(fraction: f64) -> Self {
        // A cast of a number within these bounds loses nothing but its fraction, which is 0.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Self((fraction * 100.0).round().clamp(1.0, 100.0) as u8)
    }

    /// Between 0 and 1.
    #[must_use]
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}
