//! Bytes from the ring to [`Event`]: the Rust side of `include/event.h`.
//!
//! The bytes are foreign: every length is checked, nothing is cast. A test holds these structs against the C ones.

mod transfers;

#[cfg(feature = "live")]
pub(crate) use transfers::{BURST_WORDS, Burst};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::change::wire::decode_change;
use crate::connection::wire::decode_connect;
use crate::content::wire::decode_chunk;
use crate::control::wire::{decode_call, decode_kill, decode_pass, decode_wait};
use crate::dns::wire::decode_datagram;
use crate::{
    Captured, Credentials, Doer, Environment, Event, Exec, ExecNumber, Exit, FlowPoint, Fork, Gap, KernelNanos,
    ProcessKey, SessionNumber, Tgid, Tid,
};

/// Why a record could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than the fixed part of its kind.
    #[error("a record of {0} bytes is shorter than the fixed part of its kind")]
    Short(usize),
    /// A kind that this version does not know.
    #[error("no event has the number {0}")]
    Kind(u16),
    /// The variable parts say that they are longer than the record.
    #[error("the parts of a record are {parts} bytes and {left} are left in the record")]
    Parts {
        /// What the heads say, bytes.
        parts: usize,
        /// What is there, bytes.
        left: usize,
    },
    /// A change or call that this version does not know.
    #[error("no change or call has the number {0}")]
    Number(u32),
    /// What was sent to or from port 53 is no DNS message: nothing is missing.
    #[error("a payload of port 53 is no DNS message")]
    NotDns,
    /// A kind of object that this version does not know.
    #[error("no kind of object has the number {0}")]
    Object(u32),
    /// A direction that this version does not know.
    #[error("no direction of a burst has the number {0}")]
    Slot(u32),
    /// A reason that this version does not know.
    #[error("no reason for a burst's end has the number {0}")]
    Cut(u32),
    /// Likewise, of missing payload.
    #[error("no reason for missing payload has the number {0}")]
    Missing(u32),
    /// Payload that is not within what its call moved.
    #[error("a chunk of {bytes} bytes at {offset} is not within its call")]
    Outside {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        bytes: usize,
    },
}

const FORK: u16 = 1;
const EXEC: u16 = 2;
const EXIT: u16 = 3;
const SNAPSHOT: u16 = 4;
const CONNECT: u16 = 10;
const DATAGRAM: u16 = 11;
const CHANGE: u16 = 12;
const KILL: u16 = 13;
const WAIT: u16 = 14;
const PASS: u16 = 15;
const CALL: u16 = 16;
const CHUNK: u16 = 17;
const OPEN: u16 = 5;
const CLOSE: u16 = 6;
const BURST_BEGIN: u16 = 7;
const BURST_END: u16 = 8;
const COPIED: u16 = 9;

const FORK_ROOT: u16 = 1;
const EXEC_ENVIRONMENT_INCOMPLETE: u16 = 1;

const PART_ABSENT: u32 = 1;
const PART_TRUNCATED: u32 = 2;
const PART_UNREADABLE: u32 = 4;
const PART_DELETED: u32 = 8;

const EXEC_PARTS: usize = 10;

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) size: u32,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) at: u64,
    pub(crate) start: u64,
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    pub(crate) exec: u32,
    pub(crate) session: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireFork {
    header: Header,
    parent_start: u64,
    parent_tgid: u32,
    parent_exec: u32,
    vpid: u32,
    flow_before: u32,
    flow_now: u32,
    reserved: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireExit {
    header: Header,
    status: u32,
    reserved: u32,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireSnapshot {
    header: Header,
    parent_start: u64,
    cgroup_id: u64,
    parent_tgid: u32,
    vpid: u32,
    uid: u32,
    gid: u32,
    euid: u32,
    egid: u32,
}

#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
pub(crate) struct PartHead {
    length: u32,
    flags: u32,
    total: u64,
}

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireExec {
    header: Header,
    parent_start: u64,
    cgroup_id: u64,
    parent_tgid: u32,
    vpid: u32,
    uid: u32,
    gid: u32,
    euid: u32,
    egid: u32,
    flow_before: u32,
    flow_now: u32,
    parts: [PartHead; EXEC_PARTS],
}

/// Decode one record of the ring: whose it is, and what it says.
///
/// # Errors
/// The record is not one that this version's programs make.
pub fn decode(record: &[u8]) -> Result<(SessionNumber, Event), DecodeError> {
    let (header, _) = read::<Header>(record)?;
    Ok((SessionNumber(header.session), decode_event(&header, record)?))
}

fn decode_event(header: &Header, record: &[u8]) -> Result<Event, DecodeError> {
    match header.kind {
        FORK => read(record).map(|(fork, _)| Event::Fork(decode_fork(&fork))),
        EXEC => {
            let (exec, data) = read(record)?;
            decode_exec(&exec, data).map(|exec| Event::Exec(Box::new(exec)))
        }
        EXIT => read(record).map(|(exit, _)| Event::Exit(decode_exit(&exit))),
        SNAPSHOT => read(record).map(|(snapshot, _)| Event::Snapshot(Box::new(decode_snapshot(&snapshot)))),
        CONNECT => read(record).map(|(connect, data)| Event::Connect(Box::new(decode_connect(&connect, data)))),
        DATAGRAM => {
            let (datagram, data) = read(record)?;
            decode_datagram(&datagram, data).map(|dns| Event::Dns(Box::new(dns)))
        }
        CHANGE => {
            let (change, data) = read(record)?;
            decode_change(&change, data).map(|change| Event::Change(Box::new(change)))
        }
        KILL => read(record).map(|(kill, _)| Event::Kill(decode_kill(&kill))),
        WAIT => read(record).map(|(wait, _)| Event::Wait(decode_wait(&wait))),
        PASS => read(record).map(|(pass, _)| Event::Pass(decode_pass(&pass))),
        CHUNK => {
            let (chunk, data) = read(record)?;
            decode_chunk(&chunk, data).map(|chunk| Event::Chunk(Box::new(chunk)))
        }
        CALL => decode_call(&read(record)?.0).map(|call| Event::Call(Box::new(call))),
        OPEN => {
            let (open, data) = read(record)?;
            transfers::decode_open(&open, data).map(|open| Event::Open(Box::new(open)))
        }
        CLOSE => read(record).map(|(close, _)| Event::Close(transfers::decode_close(&close))),
        BURST_BEGIN => transfers::decode_burst_begin(&read(record)?.0).map(Event::BurstBegin),
        BURST_END => transfers::decode_burst_end(&read(record)?.0).map(Event::BurstEnd),
        COPIED => read(record).map(|(copied, _)| Event::Copied(transfers::decode_copied(&copied))),
        kind => Err(DecodeError::Kind(kind)),
    }
}

/// When the programs made a record: not always the time of what it tells of.
///
/// # Errors
/// It is shorter than what every record begins with.
#[cfg(feature = "live")]
pub(crate) fn made_at(record: &[u8]) -> Result<KernelNanos, DecodeError> {
    read::<Header>(record).map(|(header, _)| KernelNanos(header.at))
}

fn read<T: FromBytes>(record: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(record).map_err(|_| DecodeError::Short(record.len()))
}

/// The image took in something between the two numbers.
fn flow_point(before: u32, now: u32) -> Option<FlowPoint> {
    (before != now).then_some(FlowPoint { before, now })
}

impl Header {
    pub(crate) fn process(&self) -> ProcessKey {
        ProcessKey { tgid: Tgid(self.tgid), start: KernelNanos(self.start) }
    }

    pub(crate) fn doer(&self) -> Doer {
        Doer { process: self.process(), exec: ExecNumber(self.exec), tid: Tid(self.tid) }
    }
}

fn decode_fork(fork: &WireFork) -> Fork {
    Fork {
        at: KernelNanos(fork.header.at),
        process: fork.header.process(),
        vpid: fork.vpid,
        parent: ProcessKey { tgid: Tgid(fork.parent_tgid), start: KernelNanos(fork.parent_start) },
        parent_tid: Tid(fork.header.tid),
        parent_exec: ExecNumber(fork.parent_exec),
        flow: flow_point(fork.flow_before, fork.flow_now),
        root: fork.header.flags & FORK_ROOT != 0,
    }
}

fn decode_exit(exit: &WireExit) -> Exit {
    Exit {
        at: KernelNanos(exit.header.at),
        process: exit.header.process(),
        exec: ExecNumber(exit.header.exec),
        status: exit.status,
    }
}

/// What the kernel says of a running process; its program is not among it, and stays empty here.
fn decode_snapshot(snapshot: &WireSnapshot) -> Exec {
    Exec {
        at: KernelNanos(snapshot.header.at),
        process: snapshot.header.process(),
        exec: ExecNumber(snapshot.header.exec),
        caller_tid: Tid(snapshot.header.tgid),
        vpid: snapshot.vpid,
        parent: ProcessKey { tgid: Tgid(snapshot.parent_tgid), start: KernelNanos(snapshot.parent_start) },
        credentials: Credentials { uid: snapshot.uid, gid: snapshot.gid, euid: snapshot.euid, egid: snapshot.egid },
        cgroup_id: snapshot.cgroup_id,
        cgroup: Captured::default(),
        container: None,
        executable: Captured::default(),
        executable_deleted: false,
        requested: Captured::default(),
        working_directory: Captured::default(),
        args: Captured::default(),
        redactions: 0,
        continues: None,
        flow: None,
        environment: Environment::default(),
    }
}

fn decode_exec(exec: &WireExec, data: &[u8]) -> Result<Exec, DecodeError> {
    let mut parts = Parts::split(&exec.parts, data)?;
    let args = parts.next_bytes();
    let requested = parts.next_text();
    let executable_deleted = parts.next_is_deleted();
    let executable = parts.next_path();
    let working_directory = parts.next_path();
    let cgroup = parts.next_path();
    let environment = Environment {
        traceparent: parts.next_variable(),
        tracestate: parts.next_variable(),
        baggage: parts.next_variable(),
        service_name: parts.next_variable(),
        resource_attributes: parts.next_variable(),
        incomplete: exec.header.flags & EXEC_ENVIRONMENT_INCOMPLETE != 0,
    };
    Ok(Exec {
        at: KernelNanos(exec.header.at),
        process: exec.header.process(),
        exec: ExecNumber(exec.header.exec),
        caller_tid: Tid(exec.header.tid),
        vpid: exec.vpid,
        parent: ProcessKey { tgid: Tgid(exec.parent_tgid), start: KernelNanos(exec.parent_start) },
        credentials: Credentials { uid: exec.uid, gid: exec.gid, euid: exec.euid, egid: exec.egid },
        cgroup_id: exec.cgroup_id,
        cgroup,
        container: None,
        executable,
        executable_deleted,
        requested,
        working_directory,
        args,
        redactions: 0,
        continues: None,
        flow: flow_point(exec.flow_before, exec.flow_now),
        environment,
    })
}

/// The variable parts of a record, taken one after the other in their order.
pub(crate) struct Parts<'a> {
    parts: std::vec::IntoIter<(PartHead, &'a [u8])>,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(heads: &[PartHead], data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut left = data;
        let mut parts = Vec::with_capacity(heads.len());
        for head in heads {
            let length = usize::try_from(head.length).unwrap_or(usize::MAX);
            let (bytes, rest) =
                left.split_at_checked(length).ok_or(DecodeError::Parts { parts: length, left: left.len() })?;
            parts.push((*head, bytes));
            left = rest;
        }
        Ok(Self { parts: parts.into_iter() })
    }

    fn next(&mut self) -> (PartHead, &'a [u8]) {
        const ABSENT: PartHead = PartHead { length: 0, flags: PART_ABSENT, total: 0 };
        self.parts.next().unwrap_or((ABSENT, &[]))
    }

    fn next_bytes(&mut self) -> Captured {
        let (head, bytes) = self.next();
        Captured { bytes: bytes.to_vec(), gap: head.gap() }
    }

    /// A string: without the NUL that ends it.
    pub(crate) fn next_text(&mut self) -> Captured {
        let (head, bytes) = self.next();
        Captured { bytes: bytes.strip_suffix(b"\0").unwrap_or(bytes).to_vec(), gap: head.gap() }
    }

    fn next_variable(&mut self) -> Option<Captured> {
        let absent = self.parts.as_slice().first().is_none_or(|(head, _)| head.flags & PART_ABSENT != 0);
        let text = self.next_text();
        (!absent).then_some(text)
    }

    fn next_is_deleted(&self) -> bool {
        self.parts.as_slice().first().is_some_and(|(head, _)| head.flags & PART_DELETED != 0)
    }

    pub(crate) fn next_path(&mut self) -> Captured {
        let (head, bytes) = self.next();
        path_from_components(head, bytes)
    }
}

/// Components, leaf first, to a path. A walk that was cut has lost the root's end, which `…` stands for.
fn path_from_components(head: PartHead, bytes: &[u8]) -> Captured {
    if head.flags & PART_ABSENT != 0 {
        return Captured::default();
    }
    let mut path = Vec::with_capacity(bytes.len() + 4);
    let gap = head.gap();
    if gap.is_some() {
        path.extend_from_slice("…".as_bytes());
    }
    let components = bytes.split(|byte| *byte == 0).filter(|component| !component.is_empty());
    for component in components.rev().filter(|component| *component != b"/") {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Captured { bytes: path, gap }
}

impl PartHead {
    fn gap(&self) -> Option<Gap> {
        if self.flags & PART_UNREADABLE != 0 {
            Some(Gap::Unreadable)
        } else if self.flags & PART_TRUNCATED != 0 {
            Some(Gap::Truncated { total: self.total })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic() {
        let mut state = 1_u64;
        for length in 0..600_usize {
            for kind in 0..19_u16 {
                let mut record: Vec<u8> = (0..length)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        state.to_be_bytes()[0]
                    })
                    .collect();
                if let Some(bytes) = record.get_mut(4..6) {
                    bytes.copy_from_slice(&kind.to_le_bytes());
                }
                if length < size_of::<Header>() {
                    assert_eq!(decode(&record), Err(DecodeError::Short(length)));
                } else {
                    let _ = decode(&record);
                }
            }
        }
    }

    #[test]
    fn parts_longer_than_the_record_are_refused() {
        let mut record = vec![0; size_of::<WireExec>()];
        record[4..6].copy_from_slice(&EXEC.to_le_bytes());
        let first_head = std::mem::offset_of!(WireExec, parts);
        record[first_head..first_head + 4].copy_from_slice(&7_u32.to_le_bytes());
        assert_eq!(decode(&record), Err(DecodeError::Parts { parts: 7, left: 0 }));
    }

    #[test]
    fn a_path_is_turned_round_and_a_cut_one_says_so() {
        let whole = PartHead { length: 12, flags: 0, total: 0 };
        let cut = PartHead { length: 4, flags: PART_TRUNCATED, total: 0 };
        let empty = PartHead { length: 0, flags: 0, total: 0 };
        let mut heads = [empty; EXEC_PARTS];
        heads[0] = whole;
        heads[1] = cut;
        let mut parts = Parts::split(&heads, b"bash\0bin\0us\0ls\0\0").expect("the lengths add up");
        assert_eq!(parts.next_path(), Captured::whole(*b"/us/bin/bash"));
        assert_eq!(parts.next_path().bytes, "…/ls".as_bytes());
        assert_eq!(parts.next_path(), Captured::whole(*b"/"));
    }

    /// clang checks the generated assertions: offsets, sizes and numbers of both sides are the same.
    #[cfg(feature = "live")]
    #[test]
    fn the_c_structs_have_the_same_layout() {
        use std::fmt::Write as _;
        use std::io::Write as _;
        use std::mem::offset_of;
        use std::process::{Command, Stdio};

        use crate::change::wire::{self as change_wire, CHANGE_HAS_FILE, CHANGE_PARTS, WireChange};
        use crate::connection::WireAddress;
        use crate::connection::wire::WireConnect;
        use crate::content::wire::{CHUNK_OUT, WireChunk};
        use crate::control::wire::{
            self as control_wire, CALL_HAS_TARGET, PASS_OVER_BURST, PASS_RECEIVED, WireCall, WireKill, WirePass,
            WireWait,
        };
        use crate::dns::wire::{DATAGRAM_OUT, DATAGRAM_STREAM, WireDatagram};

        let mut source = String::from("#include <stddef.h>\n#include \"call_event.h\"\n");
        macro_rules! same {
            ($rust:ty, $c:literal, $($field:ident),+) => {
                $(writeln!(source, "_Static_assert(offsetof(struct {}, {}) == {}, \"{}.{}\");", $c, stringify!($field),
                    offset_of!($rust, $field), $c, stringify!($field)).expect("a String takes all");)+
                writeln!(source, "_Static_assert(sizeof(struct {}) == {}, \"{}\");", $c, size_of::<$rust>(), $c)
                    .expect("a String takes all");
            };
        }
        same!(Header, "event_header", size, kind, flags, at, start, tgid, tid, exec, session);
        same!(
            WireFork,
            "fork_event",
            header,
            parent_start,
            parent_tgid,
            parent_exec,
            vpid,
            flow_before,
            flow_now,
            reserved
        );
        same!(WireExit, "exit_event", header, status, reserved);
        same!(WireSnapshot, "snapshot_event", header, parent_start, cgroup_id, parent_tgid, vpid, uid, gid, euid, egid);
        same!(PartHead, "exec_part_head", length, flags, total);
        same!(WireAddress, "socket_address", family, port, length, ip);
        same!(WireConnect, "connect_event", header, open, began, to, error, reserved);
        same!(WireDatagram, "datagram_event", header, open, when, server, burst, captured, total);
        same!(WireChunk, "chunk_event", header, open, call_start, call_end, offset, burst, number, missing, captured);
        same!(
            WireChange,
            "change_event",
            header,
            inode,
            device,
            generation,
            value,
            offset,
            change,
            error,
            mode,
            reserved,
            parts
        );
        same!(WireKill, "kill_event", header, target_start, target_tgid, signal);
        same!(WireWait, "wait_event", header, child_vpid, reserved);
        same!(WirePass, "pass_event", header, open, over_open, over_burst, reserved);
        same!(WireCall, "call_event", header, arguments, target_start, target_tgid, call, error, reserved);
        same!(
            WireExec,
            "exec_event",
            parent_start,
            cgroup_id,
            parent_tgid,
            vpid,
            uid,
            gid,
            euid,
            egid,
            flow_before,
            flow_now,
            parts
        );
        for (name, value) in [
            ("EVENT_CONNECT", u32::from(CONNECT)),
            ("EVENT_DATAGRAM", u32::from(DATAGRAM)),
            ("EVENT_CHANGE", u32::from(CHANGE)),
            ("EVENT_KILL", u32::from(KILL)),
            ("EVENT_WAIT", u32::from(WAIT)),
            ("EVENT_PASS", u32::from(PASS)),
            ("EVENT_CALL", u32::from(CALL)),
            ("EVENT_CHUNK", u32::from(CHUNK)),
            ("CHUNK_OUT", u32::from(CHUNK_OUT)),
            ("MISSING_BUDGET", 1),
            ("MISSING_UNREADABLE", 3),
            ("DATAGRAM_OUT", u32::from(DATAGRAM_OUT)),
            ("DATAGRAM_STREAM", u32::from(DATAGRAM_STREAM)),
            ("CHANGE_HAS_FILE", u32::from(CHANGE_HAS_FILE)),
            ("PASS_RECEIVED", u32::from(PASS_RECEIVED)),
            ("PASS_OVER_BURST", u32::from(PASS_OVER_BURST)),
            ("CALL_HAS_TARGET", u32::from(CALL_HAS_TARGET)),
            ("EVENT_FORK", u32::from(FORK)),
            ("EVENT_EXEC", u32::from(EXEC)),
            ("EVENT_EXIT", u32::from(EXIT)),
            ("EVENT_SNAPSHOT", u32::from(SNAPSHOT)),
            ("EVENT_OPEN", u32::from(OPEN)),
            ("EVENT_CLOSE", u32::from(CLOSE)),
            ("EVENT_BURST_BEGIN", u32::from(BURST_BEGIN)),
            ("EVENT_BURST_END", u32::from(BURST_END)),
            ("EVENT_COPIED", u32::from(COPIED)),
            ("FORK_ROOT", u32::from(FORK_ROOT)),
            ("EXEC_ENVIRONMENT_INCOMPLETE", u32::from(EXEC_ENVIRONMENT_INCOMPLETE)),
            ("PART_ABSENT", PART_ABSENT),
            ("PART_TRUNCATED", PART_TRUNCATED),
            ("PART_UNREADABLE", PART_UNREADABLE),
            ("PART_DELETED", PART_DELETED),
            ("SESSION_SLOTS", crate::live::SESSION_SLOTS),
            ("LOSS_KINDS", u32::try_from(crate::LossKind::COUNTED_BY_PROGRAMS).expect("there are a dozen kinds")),
        ] {
            writeln!(source, "_Static_assert({name} == {value}, \"{name}\");").expect("a String takes all");
        }
        let changes = change_wire::KINDS.map(|kind| format!("CHANGE_{kind:?}"));
        let calls = control_wire::KINDS.map(|kind| format!("CALL_{kind:?}"));
        for (numbers, prefix) in [(changes.as_slice(), "CHANGE_"), (&calls, "CALL_")] {
            for (index, kind) in numbers.iter().enumerate() {
                let name = c_name(kind, prefix);
                writeln!(source, "_Static_assert({name} == {}, \"{name}\");", index + 1).expect("a String takes all");
            }
        }
        writeln!(source, "_Static_assert(CHANGE_PARTS == {CHANGE_PARTS}, \"CHANGE_PARTS\");")
            .expect("a String takes all");
        writeln!(source, "_Static_assert(EXEC_PARTS == {EXEC_PARTS}, \"EXEC_PARTS\");").expect("a String takes all");

        source.push_str(&transfers::assertions());

        let mut clang = Command::new("clang")
            .args(["-target", "bpf", "-fsyntax-only", "-Wall", "-Werror", "-x", "c", "-I"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
            .arg(format!("-I/usr/include/{}-linux-gnu", std::env::consts::ARCH))
            .arg("-")
            .stdin(Stdio::piped())
            .spawn()
            .expect("clang is installed: `make deps`");
        clang.stdin.take().expect("it was piped").write_all(source.as_bytes()).expect("clang reads its input");
        assert!(clang.wait().expect("clang ends").success(), "event.h and wire.rs differ; clang says where");
    }
    /// `CALL_PtraceMe` is `CALL_PTRACE_ME` in C.
    #[cfg(feature = "live")]
    fn c_name(kind: &str, prefix: &str) -> String {
        let mut name = prefix.to_owned();
        for (index, letter) in kind[prefix.len()..].char_indices() {
            if letter.is_ascii_uppercase() && index > 0 {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }
}
