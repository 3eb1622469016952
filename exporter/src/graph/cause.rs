//! The edges that are not a parent: links from an effect back to its cause.

use std::sync::Arc;

use super::{Image, ImageId, Trace};
use crate::session::SpanRef;

/// One cause of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What kind of edge.
    pub kind: CauseKind,
    /// How sure it is.
    pub confidence: Confidence,
    /// The cause itself.
    pub target: Target,
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
}

/// What a link points at.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A span of another program.
    Foreign(SpanRef),
}

impl Target {
    /// This image.
    pub(super) fn image(image: &Image) -> Self {
        Self::Image { id: image.id, trace: Arc::clone(&image.trace), name: image.executable_name() }
    }

    /// What people call it, where that is known.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Image { name, .. } => name.as_deref(),
            Self::Foreign(_) => None,
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

    /// Between 0 and 1.
    #[must_use]
    pub fn as_fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}
