//! One event of each kind that the kernel side makes, for tests of what must know them all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use agentsight_ebpf::{
    Address, BurstBegin, BurstEnd, BurstId, Call, CallKind, Captured, Change, ChangeKind, Close, Connect, Content,
    ContentHole, ContentRun, Copied, Cut, Direction, Dns, DnsAnswer, Doer, Event, ExecNumber, Exit, FileId, FileKind,
    FlowPoint, Fork, Gap, Inet, KernelNanos, Kill, Missing, Object, Open, OpenHow, OpenId, Pass, PassSide, ProcessKey,
    Protocol, RegularFile, Space, Tgid, Tid, UnixKind, UnixSocket, Wait,
};

use crate::graph::fixture::exec_of;

const AT: KernelNanos = KernelNanos(7);
const PROCESS: ProcessKey = ProcessKey { tgid: Tgid(2), start: KernelNanos(u64::MAX) };
const BY: Doer = Doer { process: PROCESS, exec: ExecNumber(1), tid: Tid(3) };
const FILE: FileId = FileId { device: 0x80_0001, inode: u64::MAX, generation: 9 };
const BURST: BurstId = BurstId { open: OpenId(5), number: 1 };

/// In the order of the kernel's numbers; several where a kind has variants.
pub(crate) fn events() -> Vec<Event> {
    let exec = || Box::new(exec_of("/bin/sh"));
    let mut events = vec![Event::Fork(fork()), Event::Exec(exec())];
    events.push(Event::Exit(Exit { at: AT, process: PROCESS, exec: ExecNumber(1), status: 256 }));
    events.push(Event::Snapshot(exec()));
    events.extend(objects().into_iter().map(|object| Event::Open(Box::new(open(object)))));
    events.push(Event::Close(Close { at: AT, by: BY, open: OpenId(5) }));
    events.push(Event::BurstBegin(burst_begin()));
    events.push(Event::BurstEnd(burst_end()));
    events.push(Event::Copied(Copied { at: AT, by: BY, from: BURST, to: BurstId { number: 2, ..BURST }, bytes: 3 }));
    events.extend(addresses().into_iter().map(|to| Event::Connect(Box::new(connect(to)))));
    events.push(Event::Dns(Box::new(dns())));
    events.push(Event::Change(Box::new(change())));
    events.push(Event::Kill(Kill { at: AT, by: BY, target: PROCESS, signal: 15 }));
    events.push(Event::Wait(Wait { at: AT, by: BY, child_vpid: 4 }));
    for (over, side) in [(Some(BURST), PassSide::Sent), (None, PassSide::Received)] {
        events.push(Event::Pass(Pass { at: AT, by: BY, open: OpenId(6), over, side }));
    }
    events.push(Event::Content(Box::new(content())));
    events.push(Event::Call(Box::new(Call {
        at: AT,
        by: BY,
        kind: CallKind::Ptrace,
        arguments: [16, u64::MAX],
        target: Some(PROCESS),
        error: 1,
    })));
    events
}

fn fork() -> Fork {
    Fork {
        at: AT,
        process: PROCESS,
        vpid: 2,
        parent: PROCESS,
        parent_tid: Tid(1),
        parent_exec: ExecNumber(0),
        flow: Some(FlowPoint { before: 1, now: 2 }),
        root: true,
    }
}

fn open(object: Object) -> Open {
    Open { at: AT, by: BY, open: OpenId(5), how: OpenHow::Accepted { listener: OpenId(4) }, object }
}

fn objects() -> Vec<Object> {
    let path = || Captured { bytes: b"/tmp/\xff".to_vec(), gap: Some(Gap::Truncated { total: 9 }) };
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let file = RegularFile {
        id: FILE,
        kind: FileKind::Regular,
        path: path(),
        unlinked: true,
        created: true,
        truncated: false,
    };
    let socket = UnixSocket { inode: 8, peer: Some(9), kind: UnixKind::SeqPacket, address: Captured::whole(*b"\0a") };
    let inet = Inet { inode: 8, netns: 7, protocol: Protocol::Other(132), local, remote: None };
    vec![
        Object::File(Box::new(file)),
        Object::Pipe { id: FILE, path: Captured::default() },
        Object::Tty { id: FILE, path: path() },
        Object::Unix(Box::new(socket)),
        Object::Inet(Box::new(inet)),
    ]
}

fn burst_begin() -> BurstBegin {
    BurstBegin {
        at: AT,
        by: BY,
        burst: BURST,
        direction: Direction::Out,
        first: AT,
        offset: 1,
        source: Some(1),
        flow: Some(FlowPoint { before: 0, now: 1 }),
        mapped: true,
    }
}

fn burst_end() -> BurstEnd {
    BurstEnd {
        at: AT,
        by: BY,
        burst: BURST,
        direction: Direction::In,
        first: AT,
        last: AT,
        bytes: 1 << 40,
        operations: 2,
        wait_nanos: 3,
        offset: 1,
        end: u64::MAX,
        sparse: true,
        threads: true,
        coalesced: true,
        errors: 1,
        captured: true,
        cut: Cut::OtherParty,
    }
}

fn content() -> Content {
    Content {
        at: AT,
        by: BY,
        burst: BURST,
        direction: Direction::Out,
        runs: vec![ContentRun { offset: 1 << 40, bytes: b"a\xff\0".to_vec() }],
        holes: vec![ContentHole { range: 3..u64::MAX, cause: Missing::Unreadable }],
        redacted: vec![1..2, 4..9],
        lost_chunks: 1,
        complete: true,
    }
}

fn addresses() -> Vec<Address> {
    let remote = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 443);
    vec![Address::Inet(remote), Address::Unix(Captured::whole(*b"\0bus")), Address::Family(16)]
}

fn connect(to: Address) -> Connect {
    Connect { at: AT, by: BY, open: OpenId(5), began: KernelNanos(1), to, error: 111 }
}

fn dns() -> Dns {
    Dns {
        at: AT,
        by: BY,
        burst: BURST,
        direction: Direction::In,
        server: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53)),
        id: 0xabcd,
        response_code: Some(3),
        name: "example.org".to_owned(),
        query_type: 28,
        answers: vec![DnsAnswer { address: IpAddr::V6(Ipv6Addr::LOCALHOST), ttl_seconds: 60 }],
        truncated: true,
    }
}

fn change() -> Change {
    Change {
        at: AT,
        by: BY,
        kind: ChangeKind::Rename,
        file: Some(FILE),
        path: Captured::whole("/tmp/a"),
        new_path: Captured::whole("/tmp/b"),
        value: 0o644,
        space: Some(Space { mode: 3, offset: 4_096 }),
        error: 2,
    }
}
