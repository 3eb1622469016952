//! What an open file is open on, as a key: of the thing itself, and of the stream that its bytes go through.

use std::net::SocketAddr;

use agentsight_ebpf::{Captured, Direction, FileId, FileKind, Inet, Object, Protocol};

/// Which thing, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ObjectKey {
    File(FileId),
    Pipe(FileId),
    Tty(FileId),
    Unix(u64),
    Inet(u64),
}

/// A queue of bytes or datagrams with one reading end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamKey {
    /// A pipe or FIFO.
    Pipe(FileId),
    /// What is sent to the unix socket of this inode number.
    Unix(u64),
    /// What goes from one internet address to another.
    Inet { netns: u32, protocol: Protocol, from: SocketAddr, to: SocketAddr },
}

pub(super) fn key(object: &Object) -> ObjectKey {
    match object {
        Object::File(file) => ObjectKey::File(file.id),
        Object::Pipe { id, .. } => ObjectKey::Pipe(*id),
        Object::Tty { id, .. } => ObjectKey::Tty(*id),
        Object::Unix(socket) => ObjectKey::Unix(socket.inode),
        Object::Inet(socket) => ObjectKey::Inet(socket.inode),
    }
}

/// The file whose versions and ranges are followed; what has no bytes of its own at offsets has none.
pub(super) fn stored_file(object: &Object) -> Option<FileId> {
    match object {
        Object::File(file) if matches!(file.kind, FileKind::Regular | FileKind::BlockDevice) => Some(file.id),
        Object::File(_) | Object::Pipe { .. } | Object::Tty { .. } | Object::Unix(_) | Object::Inet(_) => None,
    }
}

/// The stream that goes through an object in this direction, where both ends of it can be known.
pub(super) fn stream(object: &Object, direction: Direction) -> Option<StreamKey> {
    match object {
        Object::Pipe { id, .. } => Some(StreamKey::Pipe(*id)),
        Object::Unix(socket) => match direction {
            Direction::In => Some(StreamKey::Unix(socket.inode)),
            Direction::Out => socket.peer.map(StreamKey::Unix),
        },
        Object::Inet(socket) => {
            let Inet { netns, protocol, local, remote, .. } = **socket;
            let remote = remote?;
            let (from, to) = match direction {
                Direction::In => (remote, local),
                Direction::Out => (local, remote),
            };
            Some(StreamKey::Inet { netns, protocol, from, to })
        }
        Object::File(_) | Object::Tty { .. } => None,
    }
}

/// The path that it is reached by, where it has one.
pub(crate) fn path(object: &Object) -> Option<&Captured> {
    match object {
        Object::File(file) => Some(&file.path),
        Object::Pipe { path, .. } | Object::Tty { path, .. } => Some(path),
        Object::Unix(socket) => Some(&socket.address),
        Object::Inet(_) => None,
    }
}
