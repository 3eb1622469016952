//! A DNS message to or from port 53, parsed; the rest of the payload is dropped where it was read.

mod parse;
pub(crate) mod wire;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{BurstId, Direction, Doer, KernelNanos};

/// A DNS message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Of an input the end of its call, of an output the beginning.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// The burst that it is in.
    pub burst: BurstId,
    /// Sent or received.
    pub direction: Direction,
    /// The server, where it is known.
    pub server: Option<SocketAddr>,
    /// Joins answer to query.
    pub id: u16,
    /// An answer, with its response code; `None` for a query.
    pub response_code: Option<u8>,
    /// The name asked for, without the last dot; not UTF-8 is escaped as `\DDD`.
    pub name: String,
    /// The type asked for (1 = A, 28 = AAAA, …).
    pub query_type: u16,
    /// Addresses in the answer section, with their time to live in seconds, at most 16.
    pub answers: Vec<DnsAnswer>,
    /// The message was longer than what was read.
    pub truncated: bool,
}

/// One address of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// The address.
    pub address: IpAddr,
    /// How long it holds, seconds.
    pub ttl_seconds: u32,
}
