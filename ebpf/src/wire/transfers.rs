//! The records of open files and of what went over them: kinds 5 to 9.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{DecodeError, Header, PART_DELETED, PartHead, path_from_components};
use crate::{
    BurstBegin, BurstEnd, BurstId, Captured, Close, Copied, Cut, Direction, FileId, FileKind, FlowPoint, Inet,
    KernelNanos, Object, Open, OpenHow, OpenId, Protocol, RegularFile, Tid, UnixKind, UnixSocket,
};

const OBJECT_FILE: u32 = 1;
const OBJECT_PIPE: u32 = 2;
const OBJECT_TTY: u32 = 3;
const OBJECT_UNIX: u32 = 4;
const OBJECT_INET: u32 = 5;

const OPEN_FOUND: u16 = 1;
const OPEN_CREATED: u16 = 2;
const OPEN_TRUNCATED: u16 = 4;

const BURST_SOURCE: u16 = 1;
const BURST_FLOW: u16 = 2;

const BURST_IN: u32 = 0;
const BURST_OUT: u32 = 1;
const BURST_MAPPED_IN: u32 = 2;
const BURST_MAPPED_OUT: u32 = 3;

const BURST_SPARSE: u32 = 1;
const BURST_THREADS: u32 = 2;
const BURST_COALESCED: u32 = 4;
const BURST_OVERDRAWN: u32 = 8;

/// In the order of `enum burst_cut`.
const CUTS: [Cut; 8] =
    [Cut::Direction, Cut::Idle, Cut::Age, Cut::OtherParty, Cut::Flow, Cut::Close, Cut::Exit, Cut::Session];

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

const SOCK_STREAM: u16 = 1;
const SOCK_SEQPACKET: u16 = 5;

const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;

#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
pub(super) struct WireAddress {
    family: u16,
    port: u16,
    bytes: [u8; 16],
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct WireOpen {
    header: Header,
    open: u64,
    listener: u64,
    inode: u64,
    peer: u64,
    device: u32,
    generation: u32,
    object: u32,
    mode: u16,
    socket: u16,
    netns: u32,
    local: WireAddress,
    remote: WireAddress,
    reserved: u32,
    path: PartHead,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct WireClose {
    header: Header,
    open: u64,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct WireBurstBegin {
    header: Header,
    open: u64,
    number: u32,
    slot: u32,
    first: u64,
    offset: u64,
    before: u32,
    now: u32,
}

/// `struct burst_sums`: of a record, and of an entry of the map.
#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct WireSums {
    pub(crate) open: u64,
    pub(crate) number: u32,
    flags: u32,
    first: u64,
    last: u64,
    bytes: u64,
    operations: u64,
    wait: u64,
    offset: u64,
    end: u64,
    errors: u32,
    captured: u32,
    copied_open: u64,
    copied_bytes: u64,
    copied_number: u32,
    pub(crate) tid: u32,
}

/// `struct burst`: an entry of the map of bursts.
#[cfg(feature = "live")]
#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Burst {
    pub(crate) sums: WireSums,
    start: u64,
    pub(crate) noted: u64,
    pub(crate) may_end_at: u64,
    session: u32,
    tid: u32,
    turn: u32,
    followed: u32,
}

/// Its length, as the map's binding is given it.
#[cfg(feature = "live")]
pub(crate) const BURST_WORDS: usize = size_of::<Burst>() / size_of::<u64>();

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct WireBurstEnd {
    header: Header,
    slot: u32,
    cut: u32,
    sums: WireSums,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct WireCopied {
    header: Header,
    from_open: u64,
    to_open: u64,
    from_number: u32,
    to_number: u32,
    bytes: u64,
}

pub(super) fn decode_open(open: &WireOpen, data: &[u8]) -> Result<Open, DecodeError> {
    let length = usize::try_from(open.path.length).unwrap_or(usize::MAX);
    let bytes = data.get(..length).ok_or(DecodeError::Parts { parts: length, left: data.len() })?;
    let how = if open.header.flags & OPEN_FOUND != 0 {
        OpenHow::Found
    } else if open.listener != 0 {
        OpenHow::Accepted { listener: OpenId(open.listener) }
    } else {
        OpenHow::Made
    };
    Ok(Open {
        at: KernelNanos(open.header.at),
        by: open.header.doer(),
        open: OpenId(open.open),
        how,
        object: decode_object(open, bytes)?,
    })
}

fn decode_object(open: &WireOpen, bytes: &[u8]) -> Result<Object, DecodeError> {
    let id = FileId { device: open.device, inode: open.inode, generation: open.generation };
    let path = || path_from_components(open.path, bytes);
    Ok(match open.object {
        OBJECT_FILE => Object::File(Box::new(RegularFile {
            id,
            kind: file_kind(open.mode),
            path: path(),
            unlinked: open.path.flags & PART_DELETED != 0,
            created: open.header.flags & OPEN_CREATED != 0,
            truncated: open.header.flags & OPEN_TRUNCATED != 0,
        })),
        // A pipe's only name is empty.
        OBJECT_PIPE if bytes.iter().all(|byte| *byte == 0) => Object::Pipe { id, path: Captured::default() },
        OBJECT_PIPE => Object::Pipe { id, path: path() },
        OBJECT_TTY => Object::Tty { id, path: path() },
        OBJECT_UNIX => Object::Unix(Box::new(UnixSocket {
            inode: open.inode,
            peer: (open.peer != 0).then_some(open.peer),
            kind: match open.socket {
                SOCK_STREAM => UnixKind::Stream,
                SOCK_SEQPACKET => UnixKind::SeqPacket,
                _ => UnixKind::Datagram,
            },
            address: Captured { bytes: socket_name(bytes).to_vec(), gap: open.path.gap() },
        })),
        OBJECT_INET => Object::Inet(Box::new(Inet {
            inode: open.inode,
            netns: open.netns,
            protocol: match open.socket {
                IPPROTO_TCP => Protocol::Tcp,
                IPPROTO_UDP => Protocol::Udp,
                other => Protocol::Other(u8::try_from(other).unwrap_or(u8::MAX)),
            },
            local: open.local.decode().unwrap_or_else(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)),
            remote: open.remote.decode(),
        })),
        other => return Err(DecodeError::Object(other)),
    })
}

/// A path ends at its NUL; the name of an abstract socket begins with one, and ends with the address.
fn socket_name(bytes: &[u8]) -> &[u8] {
    match bytes.first() {
        Some(0) | None => bytes,
        Some(_) => bytes.split(|byte| *byte == 0).next().unwrap_or(bytes),
    }
}

fn file_kind(mode: u16) -> FileKind {
    match mode & 0o170_000 {
        0o100_000 => FileKind::Regular,
        0o040_000 => FileKind::Directory,
        0o020_000 => FileKind::CharacterDevice,
        0o060_000 => FileKind::BlockDevice,
        _ => FileKind::Other,
    }
}

impl WireAddress {
    fn decode(self) -> Option<SocketAddr> {
        let ip = match self.family {
            AF_INET => {
                let [a, b, c, d, ..] = self.bytes;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            AF_INET6 => Ipv6Addr::from(self.bytes).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, self.port))
    }
}

pub(super) fn decode_close(close: &WireClose) -> Close {
    Close { at: KernelNanos(close.header.at), by: close.header.doer(), open: OpenId(close.open) }
}

pub(super) fn decode_burst_begin(begin: &WireBurstBegin) -> Result<BurstBegin, DecodeError> {
    let (direction, mapped) = direction(begin.slot)?;
    Ok(BurstBegin {
        at: KernelNanos(begin.header.at),
        by: begin.header.doer(),
        burst: BurstId { open: OpenId(begin.open), number: begin.number },
        direction,
        first: KernelNanos(begin.first),
        offset: begin.offset,
        source: (begin.header.flags & BURST_SOURCE != 0).then_some(begin.now),
        flow: (begin.header.flags & BURST_FLOW != 0).then_some(FlowPoint { before: begin.before, now: begin.now }),
        mapped,
    })
}

/// Which way, and whether it is through a mapping.
fn direction(slot: u32) -> Result<(Direction, bool), DecodeError> {
    match slot {
        BURST_IN => Ok((Direction::In, false)),
        BURST_OUT => Ok((Direction::Out, false)),
        BURST_MAPPED_IN => Ok((Direction::In, true)),
        BURST_MAPPED_OUT => Ok((Direction::Out, true)),
        other => Err(DecodeError::Slot(other)),
    }
}

pub(super) fn decode_burst_end(end: &WireBurstEnd) -> Result<BurstEnd, DecodeError> {
    let cut = usize::try_from(end.cut).ok().and_then(|cut| CUTS.get(cut)).ok_or(DecodeError::Cut(end.cut))?;
    let (direction, _) = direction(end.slot)?;
    Ok(end.sums.into_end(KernelNanos(end.header.at), end.header.doer(), direction, *cut))
}

impl WireSums {
    /// The end of the burst, by its sums.
    pub(crate) fn into_end(self, at: KernelNanos, by: crate::Doer, direction: Direction, cut: Cut) -> BurstEnd {
        BurstEnd {
            at,
            by: crate::Doer { tid: Tid(self.tid), ..by },
            burst: BurstId { open: OpenId(self.open), number: self.number },
            direction,
            first: KernelNanos(self.first),
            last: KernelNanos(self.last),
            bytes: self.bytes,
            operations: self.operations,
            wait_nanos: self.wait,
            offset: self.offset,
            end: self.end,
            sparse: self.flags & BURST_SPARSE != 0,
            threads: self.flags & BURST_THREADS != 0,
            coalesced: self.flags & BURST_COALESCED != 0,
            errors: self.errors,
            captured: self.captured > 0 || self.flags & BURST_OVERDRAWN != 0,
            cut,
        }
    }

    /// What the burst got from another inside the kernel, where it did.
    #[cfg(feature = "live")]
    pub(crate) fn copied(&self, at: KernelNanos, by: crate::Doer) -> Option<Copied> {
        (self.copied_open != 0).then_some(Copied {
            at,
            by,
            from: BurstId { open: OpenId(self.copied_open), number: self.copied_number },
            to: BurstId { open: OpenId(self.open), number: self.number },
            bytes: self.copied_bytes,
        })
    }
}

pub(super) fn decode_copied(copied: &WireCopied) -> Copied {
    Copied {
        at: KernelNanos(copied.header.at),
        by: copied.header.doer(),
        from: BurstId { open: OpenId(copied.from_open), number: copied.from_number },
        to: BurstId { open: OpenId(copied.to_open), number: copied.to_number },
        bytes: copied.bytes,
    }
}

/// What clang is asked to confirm of these structs and numbers: see the test of the parent module.
#[cfg(all(test, feature = "live"))]
pub(super) fn assertions() -> String {
    use std::fmt::Write as _;
    use std::mem::offset_of;

    let mut source = String::new();
    macro_rules! same {
        ($rust:ty, $c:literal, $($field:ident),+) => {
            $(writeln!(source, "_Static_assert(offsetof(struct {}, {}) == {}, \"{}.{}\");", $c, stringify!($field),
                offset_of!($rust, $field), $c, stringify!($field)).expect("a String takes all");)+
            writeln!(source, "_Static_assert(sizeof(struct {}) == {}, \"{}\");", $c, size_of::<$rust>(), $c)
                .expect("a String takes all");
        };
    }
    same!(WireAddress, "open_address", family, port, bytes);
    same!(
        WireOpen,
        "open_event",
        header,
        open,
        listener,
        inode,
        peer,
        device,
        generation,
        object,
        mode,
        socket,
        netns,
        local,
        remote,
        reserved,
        path
    );
    same!(WireClose, "close_event", header, open);
    same!(WireBurstBegin, "burst_begin_event", header, open, number, slot, first, offset, before, now);
    same!(
        WireSums,
        "burst_sums",
        open,
        number,
        flags,
        first,
        last,
        bytes,
        operations,
        wait,
        offset,
        end,
        errors,
        captured,
        copied_open,
        copied_bytes,
        copied_number,
        tid
    );
    same!(Burst, "burst", sums, start, noted, may_end_at, session, tid, turn, followed);
    same!(WireBurstEnd, "burst_end_event", header, slot, cut, sums);
    same!(WireCopied, "copied_event", header, from_open, to_open, from_number, to_number, bytes);
    for (name, value) in [
        ("OBJECT_FILE", OBJECT_FILE),
        ("OBJECT_PIPE", OBJECT_PIPE),
        ("OBJECT_TTY", OBJECT_TTY),
        ("OBJECT_UNIX", OBJECT_UNIX),
        ("OBJECT_INET", OBJECT_INET),
        ("OPEN_FOUND", u32::from(OPEN_FOUND)),
        ("OPEN_CREATED", u32::from(OPEN_CREATED)),
        ("OPEN_TRUNCATED", u32::from(OPEN_TRUNCATED)),
        ("BURST_SOURCE", u32::from(BURST_SOURCE)),
        ("BURST_FLOW", u32::from(BURST_FLOW)),
        ("BURST_IN", BURST_IN),
        ("BURST_OUT", BURST_OUT),
        ("BURST_MAPPED_IN", BURST_MAPPED_IN),
        ("BURST_MAPPED_OUT", BURST_MAPPED_OUT),
        ("BURST_SPARSE", BURST_SPARSE),
        ("BURST_THREADS", BURST_THREADS),
        ("BURST_COALESCED", BURST_COALESCED),
        ("BURST_OVERDRAWN", BURST_OVERDRAWN),
        ("CUT_DIRECTION", 0),
        ("CUT_SESSION", 7),
    ] {
        writeln!(source, "_Static_assert({name} == {value}, \"{name}\");").expect("a String takes all");
    }
    source
}
