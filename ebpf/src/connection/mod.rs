//! What became of a `connect`: the typed event of `connection.bpf.c`. Accepted connections are [`Open`](crate::Open)s.

mod address;
pub(crate) mod wire;

use serde::{Deserialize, Serialize};

pub(crate) use address::WireAddress;

use crate::{Address, Doer, KernelNanos, OpenId};

/// A `connect` has its outcome: at once, or for a non-blocking one when the protocol knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connect {
    /// When it was known.
    pub at: KernelNanos,
    /// Who called it.
    pub by: Doer,
    /// The socket.
    pub open: OpenId,
    /// When the call began.
    pub began: KernelNanos,
    /// Where to.
    pub to: Address,
    /// 0, or the error number that it ended with. `EINPROGRESS` is not an outcome.
    pub error: u32,
}
