//! What a burst or a connection is on: files, pipes, terminals and sockets as attributes, and by the names that people use.

use std::borrow::Cow;

use agentsight_ebpf::{Captured, FileId, FileKind, Inet, Object, Protocol, UnixKind, UnixSocket};
use agentsight_semconv as semconv;
use agentsight_semconv::value::{file_kind, object_type, socket_type};

use super::address;
use super::attributes::Attributes;
use crate::graph::base_name;

/// `agentsight.object.type`.
pub(super) fn type_of(object: &Object) -> &'static str {
    match object {
        Object::File(_) => object_type::FILE,
        Object::Pipe { .. } => object_type::PIPE,
        Object::Tty { .. } => object_type::TTY,
        Object::Unix(_) => object_type::UNIX,
        Object::Inet(inet) => match inet.protocol {
            Protocol::Tcp => object_type::TCP,
            Protocol::Udp => object_type::UDP,
            Protocol::Other(_) => object_type::IP,
        },
    }
}

/// The base name of what has a path; what kind of thing it is, for others: `config.json`, `pipe`, `tcp`.
pub(super) fn target(object: &Object) -> String {
    let path = match object {
        Object::File(file) => &file.path,
        Object::Pipe { path, .. } => path,
        Object::Tty { .. } | Object::Unix(_) | Object::Inet(_) => return type_of(object).to_owned(),
    };
    base_name(&path.bytes).map_or_else(|| type_of(object).to_owned(), Cow::into_owned)
}

/// Which object it is.
pub(super) fn describe(object: &Object, attributes: &mut Attributes) {
    match object {
        Object::File(file) => {
            describe_path(&file.path, attributes);
            describe_id(file.id, attributes);
            if let Some(kind) = kind_of(file.kind) {
                attributes.text(semconv::AGENTSIGHT_FILE_KIND, kind);
            }
            attributes.flag(semconv::AGENTSIGHT_FILE_UNLINKED, file.unlinked);
        }
        Object::Pipe { id, path } | Object::Tty { id, path } => {
            describe_path(path, attributes);
            describe_id(*id, attributes);
        }
        Object::Unix(socket) => describe_unix(socket, attributes),
        Object::Inet(inet) => describe_inet(inet, attributes),
    }
}

/// `agentsight.file.id`.
pub(super) fn describe_id(id: FileId, attributes: &mut Attributes) {
    const MINOR_BITS: u32 = 20;
    let (major, minor) = (id.device >> MINOR_BITS, id.device & ((1 << MINOR_BITS) - 1));
    attributes.text(semconv::AGENTSIGHT_FILE_ID, format!("{major}:{minor}:{}:{}", id.inode, id.generation));
}

/// `file.path` and `file.name`.
pub(super) fn describe_path(path: &Captured, attributes: &mut Attributes) {
    attributes.captured(semconv::FILE_PATH, path);
    if let Some(name) = base_name(&path.bytes) {
        attributes.text(semconv::FILE_NAME, name.into_owned());
    }
}

fn kind_of(kind: FileKind) -> Option<&'static str> {
    match kind {
        FileKind::Regular => None,
        FileKind::Directory => Some(file_kind::DIRECTORY),
        FileKind::CharacterDevice => Some(file_kind::CHARACTER_DEVICE),
        FileKind::BlockDevice => Some(file_kind::BLOCK_DEVICE),
        FileKind::Other => Some(file_kind::OTHER),
    }
}

fn describe_unix(socket: &UnixSocket, attributes: &mut Attributes) {
    attributes.text(semconv::NETWORK_TRANSPORT, object_type::UNIX);
    let kind = match socket.kind {
        UnixKind::Stream => socket_type::STREAM,
        UnixKind::Datagram => socket_type::DATAGRAM,
        UnixKind::SeqPacket => socket_type::SEQPACKET,
    };
    attributes.text(semconv::AGENTSIGHT_SOCKET_TYPE, kind);
    if !socket.address.bytes.is_empty() {
        attributes.captured_as(semconv::SERVER_ADDRESS, &socket.address, address::unix_name);
    }
    attributes.int(semconv::AGENTSIGHT_SOCKET_INODE, socket.inode);
    if let Some(peer) = socket.peer {
        attributes.int(semconv::AGENTSIGHT_SOCKET_PEER_INODE, peer);
    }
}

fn describe_inet(inet: &Inet, attributes: &mut Attributes) {
    match inet.protocol {
        Protocol::Tcp | Protocol::Udp => {
            attributes.text(semconv::NETWORK_TRANSPORT, type_of(&Object::Inet(Box::new(*inet))));
        }
        Protocol::Other(number) => attributes.int(semconv::AGENTSIGHT_SOCKET_PROTOCOL, number),
    }
    attributes.text(semconv::NETWORK_TYPE, address::network_type(inet.remote.unwrap_or(inet.local).ip()));
    if !inet.local.ip().is_unspecified() || inet.local.port() != 0 {
        address::describe(address::LOCAL, inet.local, attributes);
    }
    if let Some(remote) = inet.remote {
        address::describe(address::PEER, remote, attributes);
    }
}
