//! An open file came into sight: the typed event of `open.bpf.c`.

mod object;

use serde::{Deserialize, Serialize};

pub use object::{Address, FileId, FileKind, Inet, Object, Protocol, RegularFile, UnixKind, UnixSocket};

use crate::{Doer, KernelNanos};

/// One open file (`struct file`), whatever descriptors name it and whoever shares it. Numbers are given in order and
/// never again, while the address of the kernel's structure is used again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenId(pub u64);

/// An open file was made, or was used for the first time. It comes before any other event that names the open file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// When: the end of the call that made it or first used it.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// The open file.
    pub open: OpenId,
    /// How it came into sight.
    pub how: OpenHow,
    /// What it is open on.
    pub object: Object,
}

/// How an open file came into sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenHow {
    /// By a call of the traced tree that was seen: its streams are known from their first byte.
    Made,
    /// By `accept` on this listening socket.
    Accepted {
        /// The listening socket.
        listener: OpenId,
    },
    /// It was open already, or came from outside the traced tree: what went through it before is not known.
    Found,
}

/// An open file is gone: its last descriptor was closed. Where that made no call that was seen (close-on-exec, or a process
/// that is not traced had the last), it is said when the kernel uses the open file's place again, if ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// When.
    pub at: KernelNanos,
    /// Who closed the last descriptor, or took its place.
    pub by: Doer,
    /// The open file.
    pub open: OpenId,
}
