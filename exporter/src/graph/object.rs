//! What an open file is open on, as a key: of the thing itself, and of the stream that its bytes go through.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use agentsight_ebpf::{Captured, Direction, FileId, FileKind, Inet, Object, Protocol, UnixKind};

/// What a unix address may be long: `sun_path`.
const UNIX_ADDRESS_BYTES: usize = 108;

/// Which thing, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// What the unix socket of this inode number sends to one that has no number, because it is not accepted yet.
    UnixFrom(u64),
    /// What is sent to a unix address, by the call alone.
    UnixAddress([u8; UNIX_ADDRESS_BYTES]),
    /// What goes from one internet address to another. Of UDP only the ports: a socket that is bound to all
    /// addresses of the host does not know which it has, see [`may_be_one_way`].
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
            Direction::Out => match (socket.peer, socket.kind) {
                (Some(peer), _) => Some(StreamKey::Unix(peer)),
                (None, UnixKind::Stream | UnixKind::SeqPacket) => Some(StreamKey::UnixFrom(socket.inode)),
                (None, UnixKind::Datagram) => unix_address(&socket.address),
            },
        },
        Object::Inet(socket) => {
            let Inet { netns, protocol, local, remote, .. } = **socket;
            let remote = remote?;
            let (from, to) = match direction {
                Direction::In => (remote, local),
                Direction::Out => (local, remote),
            };
            let key_of = |end: SocketAddr| match protocol {
                Protocol::Udp => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), end.port()),
                Protocol::Tcp | Protocol::Other(_) => end,
            };
            Some(StreamKey::Inet { netns, protocol, from: key_of(from), to: key_of(to) })
        }
        Object::File(_) | Object::Tty { .. } => None,
    }
}

/// The address that a call or `bind` gave, where it is whole.
pub(super) fn unix_address(address: &Captured) -> Option<StreamKey> {
    let mut bytes = [0; UNIX_ADDRESS_BYTES];
    if address.bytes.is_empty() {
        return None;
    }
    bytes.get_mut(..address.bytes.len())?.copy_from_slice(&address.bytes);
    Some(StreamKey::UnixAddress(bytes))
}

/// Whether messages, which have no common offsets, go through it.
pub(super) fn is_datagram(object: &Object) -> bool {
    match object {
        Object::Unix(socket) => socket.kind == UnixKind::Datagram,
        Object::Inet(socket) => socket.protocol == Protocol::Udp,
        Object::File(_) | Object::Pipe { .. } | Object::Tty { .. } => false,
    }
}

/// Whether what the one sent the other may have received, as far as their addresses tell.
pub(super) fn may_be_one_way(sender: &Object, receiver: &Object) -> bool {
    let (Object::Inet(sender), Object::Inet(receiver)) = (sender, receiver) else { return true };
    let (Some(to), Some(from)) = (sender.remote, receiver.remote) else { return true };
    let may_be = |one: IpAddr, other: IpAddr| one == other || one.is_unspecified() || other.is_unspecified();
    may_be(sender.local.ip(), from.ip()) && may_be(to.ip(), receiver.local.ip())
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
