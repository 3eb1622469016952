//! What the graph says of data: bursts, connections and DNS look-ups, each with its causes.

use std::net::SocketAddr;
use std::sync::Arc;

use agentsight_ebpf::{
    Address, BurstId, Call, Change, Content, Cut, Direction, DnsAnswer, KernelNanos, Kill, Object, OpenId,
};

use super::activity::Place;
use super::{Cause, Image};

/// A burst, complete: what one image moved over one open file in one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Which.
    pub id: BurstId,
    /// Who moved it.
    pub image: Arc<Image>,
    /// Where its span hangs.
    pub under: Under,
    /// Which way.
    pub direction: Direction,
    /// What the open file is open on.
    pub object: Arc<Object>,
    /// How often the file had been created or emptied since it was first seen: no edge crosses that.
    pub epoch: u32,
    /// Of an input the end of its first call, of an output the beginning.
    pub start: KernelNanos,
    /// Of an input the end of its last call, of an output the beginning; never before `start`.
    pub end: KernelNanos,
    /// Sums; all zero where the end was not seen.
    pub sums: Sums,
    /// Why it ended; `None` where that was not seen.
    pub cut: Option<Cut>,
    /// It is through a mapping: what may have been moved.
    pub mapped: bool,
    /// The open file came from outside the traced tree, or is older than the tracing.
    pub found: bool,
    /// It was promised before.
    pub promised: bool,
    /// What was captured of it, where something was.
    pub content: Option<Arc<Content>>,
    /// Links to causes, in order of discovery.
    pub causes: Vec<Cause>,
    /// Causes that were left out: of bytes that came from outside the tree, over a limit, or against the order of time.
    pub causes_dropped: u32,
}

/// What a burst came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes moved.
    pub bytes: u64,
    /// Calls that moved them.
    pub operations: u64,
    /// How long the calls took together, nanoseconds.
    pub wait_nanos: u64,
    /// Least offset touched.
    pub offset: u64,
    /// Offset behind the greatest touched.
    pub end: u64,
    /// Not every byte between the two was touched.
    pub sparse: bool,
    /// The number of bursts was bounded by going on with this one.
    pub coalesced: bool,
    /// Calls that failed among it.
    pub errors: u32,
}

/// What the span of a burst, a connection or a look-up hangs under.
#[derive(Clone, Debug, PartialEq)]
pub enum Under {
    /// One of the image's spans.
    Image(Place),
    /// The connection's span, in the trace and with the image of `Place`.
    Connection {
        /// The socket.
        open: OpenId,
        /// Which of the connection's spans: its trace, and whether it is the one that tells of it or a continuation.
        place: Place,
    },
}

impl Under {
    /// The span, or that of the connection, in its trace.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Image(place) | Self::Connection { place, .. } => place,
        }
    }
}

/// A connection of an image, from its `connect` or `accept` to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// The socket.
    pub open: OpenId,
    /// Whose.
    pub image: Arc<Image>,
    /// Where its span hangs, always an image's.
    pub under: Place,
    /// Which end this is.
    pub side: Side,
    /// The socket's object.
    pub object: Arc<Object>,
    /// Where to, as `connect` was told; for an accepted one the peer.
    pub to: Option<Address>,
    /// The name that the address was looked up by, where that was seen.
    pub host_name: Option<String>,
    /// The call's beginning; of an accepted one its end.
    pub start: KernelNanos,
    /// 0, or the error number that `connect` ended with.
    pub error: u32,
    /// Links to causes.
    pub causes: Vec<Cause>,
    /// Causes that were left out.
    pub causes_dropped: u32,
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// It called `connect`.
    Client,
    /// It called `accept`.
    Server,
}

/// A connection that goes on in another trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionContinued {
    /// The connection, as in the trace that it belongs to.
    pub connection: Connection,
    /// What its continuation hangs under: a span of its image in that trace.
    pub under: Place,
    /// Where it goes on: the trace, and the start of the continuation.
    pub place: Place,
}

/// A connection at its end, or at its promotion.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionAt {
    /// The connection.
    pub connection: Connection,
    /// When, never before its start.
    pub at: KernelNanos,
    /// Bytes received and sent over it until then.
    pub bytes: (u64, u64),
    /// The session or its image ended first, or its end was not seen.
    pub incomplete: bool,
    /// Of one that was promoted before, the span of it that its `close` hangs under.
    pub close_under: Option<Place>,
}

/// A DNS query with its answer, where that was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// Whose.
    pub image: Arc<Image>,
    /// Where its span hangs.
    pub under: Place,
    /// The burst that the query was in.
    pub query: BurstId,
    /// Tells the queries of that burst apart.
    pub number: u32,
    /// The server, where it is known.
    pub server: Option<SocketAddr>,
    /// The name asked for.
    pub name: String,
    /// The type asked for (1 = A, 28 = AAAA).
    pub query_type: u16,
    /// When it was asked.
    pub start: KernelNanos,
    /// When it was answered; the start where no answer was seen.
    pub end: KernelNanos,
    /// The response code; `None` where no answer was seen.
    pub response_code: Option<u8>,
    /// The addresses.
    pub answers: Vec<DnsAnswer>,
    /// Links to causes.
    pub causes: Vec<Cause>,
}

/// What an image did beside moving data: its span events, and what was folded into numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// In order of time, at most [`Account::NOTES_MAX`].
    pub notes: Vec<Note>,
    /// Notes over that limit.
    pub notes_dropped: u32,
    /// Reads of system files, without spans of their own.
    pub folded: Folded,
    /// What could not be seen of it.
    pub blind: Blind,
}

impl Account {
    /// Jaeger's and the SDKs' limit for the events of a span.
    pub const NOTES_MAX: usize = 128;
}

/// One span event.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A name or metadata of a file was changed.
    Change(Box<Change>),
    /// A signal was sent, to the process of this name where it is traced.
    Kill(Kill, Option<String>),
    /// Another call.
    Call(Box<Call>),
    /// A `connect` of a datagram or unix socket, or one that failed before there was a connection.
    Connect(Box<agentsight_ebpf::Connect>),
}

/// Transfers that have no span because they are what every program does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// How many files.
    pub files: u64,
    /// How many bursts.
    pub bursts: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Ways around what is watched that this image has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// It shares memory that it can write to with others.
    pub shared_memory: bool,
    /// It has used io_uring in a way that is not followed.
    pub io_uring: bool,
    /// It has made 32-bit system calls, which are not decoded.
    pub compat_calls: bool,
}
