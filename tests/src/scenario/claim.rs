//! What a line of a scenario can say, as types, and the parts of it that a span is compared with.

use std::fmt;

/// A line, with its `no` and `OR`.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// It holds for some images that match.
    Holds(Statement),
    /// It holds for none.
    Never(Statement),
    /// One of them holds.
    Either(Vec<Claim>),
}

/// What is said, of any images that match.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `child`, `same-pid`, `other-pid`.
    Child {
        /// The parent.
        parent: ImagePattern,
        /// The child.
        child: ImagePattern,
        /// What their process ids are to each other.
        pids: PidRelation,
    },
    /// `read` or `write`.
    Transfer {
        /// `read` or `write`, as `agentsight.action` has it.
        action: &'static str,
        /// Who.
        image: ImagePattern,
        /// What.
        object: Object,
        /// All bytes together.
        bytes: Option<u64>,
    },
    /// `link`.
    Link(LinkClaim),
    /// `count link`: exactly so many.
    Count(LinkClaim, usize),
    /// `event`.
    Event {
        /// Who.
        image: ImagePattern,
        /// The event's name.
        name: String,
    },
    /// `status`.
    Status {
        /// Whose: an image's, or that of one of its connections or bursts.
        of: Endpoint,
        /// Which.
        status: Status,
    },
    /// `trace`.
    Trace {
        /// Who.
        image: ImagePattern,
        /// 32 hex digits.
        trace_id: String,
        /// 16 hex digits, where the line names a parent.
        parent: Option<String>,
    },
}

/// `process.pid` of a child compared with its parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidRelation {
    /// Not compared.
    Any,
    /// The same: an exec.
    Same,
    /// Another: a fork.
    Other,
}

/// A span's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Unset.
    Unset,
    /// OK.
    Ok,
    /// ERROR with this `error.type`.
    Error(String),
}

/// `NAME` or `NAME#N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePattern {
    /// One of the image's names.
    pub name: String,
    /// Which match by start, from 1.
    pub number: Option<usize>,
}

/// What a burst is on: the base name of a path, a kind of object, or anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// `*`.
    Any,
    /// A base name of `file.path`, or an `agentsight.object.type` other than `file`.
    Named(String),
}

/// A link between two ends.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkClaim {
    /// `agentsight.link.type`.
    pub link_type: String,
    /// What the link points at.
    pub cause: Endpoint,
    /// What has the link.
    pub effect: Endpoint,
    /// The sum over the links between two images.
    pub bytes: Option<u64>,
    /// The least confidence.
    pub confidence: Option<f64>,
}

/// A burst or connection of an image (`P.write(OBJ)`), or the image's own span (`P`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose.
    pub image: ImagePattern,
    /// `agentsight.action` and the object; `None` for the image's own span.
    pub doing: Option<(String, Object)>,
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}#{number}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.doing {
            Some((action, object)) => write!(f, "{}.{action}({object})", self.image),
            None => write!(f, "{}", self.image),
        }
    }
}
