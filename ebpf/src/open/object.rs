//! What a file is open on, by identity: names change, and are used again.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Captured;

/// What a file is open on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A file of a file system: regular, directory, memfd, device that is no terminal.
    File(Box<RegularFile>),
    /// A pipe or FIFO.
    Pipe {
        /// Which.
        id: FileId,
        /// Of a FIFO its path; empty for a pipe.
        path: Captured,
    },
    /// A terminal.
    Tty {
        /// Which.
        id: FileId,
        /// Its path.
        path: Captured,
    },
    /// A unix socket.
    Unix(Box<UnixSocket>),
    /// A socket of the internet protocols.
    Inet(Box<Inet>),
}

/// A file, for as long as its inode lives. A number that is used again has another generation on most file systems;
/// that the file was created anew is said by [`RegularFile::created`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// `super_block::s_dev`: major << 20 | minor.
    pub device: u32,
    /// `inode::i_ino`.
    pub inode: u64,
    /// `inode::i_generation`.
    pub generation: u32,
}

/// A file of a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegularFile {
    /// Which.
    pub id: FileId,
    /// What kind of file.
    pub kind: FileKind,
    /// Path at the time of the event, as seen from the process's root, walked in the kernel.
    pub path: Captured,
    /// The file had no name any more, or never had one (memfd, O_TMPFILE).
    pub unlinked: bool,
    /// This open created it: a new epoch of its number.
    pub created: bool,
    /// This open emptied it: a new epoch.
    pub truncated: bool,
}

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Bytes at offsets.
    Regular,
    /// A directory.
    Directory,
    /// A character device that is no terminal (`/dev/null`).
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// Something else that `read` and `write` work on.
    Other,
}

/// A unix socket: what it reads is what others sent to its own number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixSocket {
    /// Inode number of the socket, unique on this host while it lives.
    pub inode: u64,
    /// Inode number of the socket at the other end, where it has one; noted when the pair was made, as it is gone later.
    pub peer: Option<u64>,
    /// What kind of socket.
    pub kind: UnixKind,
    /// The address that it, or for a client its peer, is bound to: a path, or a name that begins with NUL; empty where there is none.
    pub address: Captured,
}

/// What kind of unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnixKind {
    /// SOCK_STREAM.
    Stream,
    /// SOCK_DGRAM.
    Datagram,
    /// SOCK_SEQPACKET.
    SeqPacket,
}

/// A TCP, UDP or other internet socket. IPv4 addresses that are mapped into IPv6 are given as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inet {
    /// Inode number of the socket.
    pub inode: u64,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// What it speaks.
    pub protocol: Protocol,
    /// This end.
    pub local: SocketAddr,
    /// The other end; `None` where it is not connected.
    pub remote: Option<SocketAddr>,
}

/// What an internet socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another, by its IP protocol number.
    Other(u8),
}

/// Where a connection or a datagram went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// An internet address.
    Inet(SocketAddr),
    /// A unix socket's: a path, or a name that begins with NUL.
    Unix(Captured),
    /// Of another family (`AF_NETLINK`, …), by its number.
    Family(u16),
}
