//! What the made-up processes do with files, sockets and each other: mostly as the kernel would say it, of few objects, so
//! that they meet in them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use agentsight_ebpf::{
    Address, BurstBegin, BurstEnd, BurstId, Call, CallKind, Captured, Change, ChangeKind, Close, Connect, Content,
    ContentHole, ContentRun, Copied, Cut, Direction, Dns, DnsAnswer, Doer, Event, ExecNumber, FileId, FileKind,
    FlowPoint, Gap, Inet, KernelNanos, Kill, Missing, Object, Open, OpenHow, OpenId, Pass, PassSide, ProcessKey,
    Protocol, RegularFile, Space, Tgid, Tid, UnixKind, UnixSocket, Wait,
};

use super::random::Random;
use crate::graph::fixture::BASE;

const DIRECTIONS: [Direction; 2] = [Direction::In, Direction::Out];
const CUTS: [Cut; 8] =
    [Cut::Direction, Cut::Idle, Cut::Age, Cut::OtherParty, Cut::Flow, Cut::Close, Cut::Exit, Cut::Session];
const CHANGES: [ChangeKind; 6] = [
    ChangeKind::Rename,
    ChangeKind::Unlink,
    ChangeKind::Link,
    ChangeKind::Truncate,
    ChangeKind::Chmod,
    ChangeKind::Symlink,
];
const CALLS: [CallKind; 7] = [
    CallKind::Setuid,
    CallKind::Ptrace,
    CallKind::IoUringSetup,
    CallKind::IoUringUnseen,
    CallKind::CompatCall,
    CallKind::Listen,
    CallKind::MapShared,
];
const CONTENTS: [&[u8]; 5] = [
    b"{\"folder\": \"fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty\", \"priority_id\": 7}",
    b"POST /move?target=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty&priority=7 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"Nobody had said so before, and whoever says so now has it from the one file that says it: seven times seven.",
    b"x",
    &[0xff; 2_500],
];
const NAMES: [&str; 4] = ["a.example", "b.example", "", "\u{1b}[2J\\255"];

/// Open files and sources, as the kernel numbers them.
#[derive(Default)]
pub(super) struct Data {
    opens: Vec<OpenFile>,
    made: u64,
    /// Of each image, and what it last asked for.
    sources: HashMap<(ProcessKey, ExecNumber), (u32, u32)>,
}

struct OpenFile {
    id: OpenId,
    /// How many bursts it had.
    bursts: u32,
    running: Vec<Running>,
}

struct Running {
    by: Doer,
    burst: BurstId,
    direction: Direction,
    first: KernelNanos,
    offset: u64,
}

impl Data {
    /// The next thing that `by` does.
    pub(super) fn event(
        &mut self,
        random: &mut Random,
        now: KernelNanos,
        by: Doer,
        live: &[(ProcessKey, ExecNumber)],
    ) -> Event {
        let place = usize::try_from(random.below(self.opens.len().max(1) as u64)).unwrap();
        match random.below(28) {
            0..=2 => self.open(random, now, by),
            3..=9 if !self.opens.is_empty() => self.begin(random, now, by, place),
            10..=16 if !self.opens.is_empty() => self.end(random, now, place),
            17 if !self.opens.is_empty() => {
                let closed = self.opens.swap_remove(place);
                Event::Close(Close { at: now, by, open: closed.id })
            }
            18 => self.copied(random, now, by),
            19 => {
                let open = self.any_open(random);
                Event::Connect(Box::new(connect(random, now, by, open)))
            }
            20 => Event::Dns(Box::new(self.dns(random, now, by))),
            21 => Event::Change(Box::new(change(random, now, by))),
            22 => {
                let open = self.any_open(random);
                let over = random.one_in(2).then(|| self.any_burst(random));
                Event::Pass(Pass { at: now, by, open, over, side: random.of(&[PassSide::Sent, PassSide::Received]) })
            }
            23..=26 if !self.opens.is_empty() => self.content(random, now, by, place),
            _ => {
                let target = random.of(live).0;
                match random.below(3) {
                    0 => Event::Kill(Kill { at: now, by, target, signal: random.of(&[0, 9, 15, 17, 64]) }),
                    1 => Event::Wait(Wait { at: now, by, child_vpid: target.tgid.0 }),
                    _ => Event::Call(Box::new(call(random, now, by, target))),
                }
            }
        }
    }

    /// What a fork or an exec of this image says.
    pub(super) fn flow(&mut self, random: &mut Random, process: ProcessKey, exec: ExecNumber) -> Option<FlowPoint> {
        let (now, asked) = self.sources.entry((process, exec)).or_default();
        let before = std::mem::replace(asked, *now);
        (before < *now && !random.one_in(10)).then_some(FlowPoint { before, now: *now })
    }

    fn open(&mut self, random: &mut Random, at: KernelNanos, by: Doer) -> Event {
        self.made += 1;
        let open = OpenId(self.made);
        self.opens.push(OpenFile { id: open, bursts: 0, running: Vec::new() });
        let listener = self.any_open(random);
        let how = random.of(&[OpenHow::Made, OpenHow::Made, OpenHow::Found, OpenHow::Accepted { listener }]);
        Event::Open(Box::new(Open { at, by, open, how, object: object(random) }))
    }

    fn begin(&mut self, random: &mut Random, at: KernelNanos, by: Doer, place: usize) -> Event {
        let direction = random.of(&DIRECTIONS);
        let flow = self.flow(random, by.process, by.exec).filter(|_| direction == Direction::Out);
        let (sources, _) = self.sources.entry((by.process, by.exec)).or_default();
        let is_source = direction == Direction::In && random.one_in(2);
        *sources += u32::from(is_source);
        let source = is_source.then_some(*sources);
        let file = &mut self.opens[place];
        file.bursts += 1;
        let burst = BurstId { open: file.id, number: file.bursts };
        // An output begins with its call, some time before its end is seen.
        let first = KernelNanos(at.0 - if direction == Direction::Out { random.below(2_000_000) } else { 0 });
        let offset = random.below(8) * 100;
        file.running.push(Running { by, burst, direction, first, offset });
        Event::BurstBegin(BurstBegin {
            at,
            by,
            burst,
            direction,
            first,
            offset,
            source,
            flow,
            mapped: random.one_in(20),
        })
    }

    fn end(&mut self, random: &mut Random, at: KernelNanos, place: usize) -> Event {
        let Some(running) = self.opens[place].running.pop() else {
            return Event::Close(Close { at, by: nobody(), open: self.opens[place].id });
        };
        let bytes = random.of(&[0, 1, 100, 100, 250, 1 << 40]);
        Event::BurstEnd(BurstEnd {
            at,
            by: running.by,
            burst: running.burst,
            direction: running.direction,
            first: running.first,
            last: KernelNanos(running.first.0 + random.below(at.0 - running.first.0 + 1)),
            bytes,
            operations: 1 + random.below(3),
            wait_nanos: random.below(1_000_000),
            offset: running.offset,
            end: running.offset + bytes,
            sparse: random.one_in(5),
            threads: random.one_in(5),
            coalesced: random.one_in(10),
            errors: u32::from(random.one_in(10)),
            captured: false,
            cut: random.of(&CUTS),
        })
    }

    /// Of a burst that goes on, mostly.
    fn content(&self, random: &mut Random, at: KernelNanos, by: Doer, place: usize) -> Event {
        let strange = Running { by, burst: self.any_burst(random), direction: Direction::In, first: at, offset: 7 };
        let running = self.opens[place].running.last().filter(|_| !random.one_in(10)).unwrap_or(&strange);
        let mut offset = running.offset;
        let mut holes = Vec::new();
        let mut runs = Vec::new();
        for _ in 0..random.below(3) {
            let bytes = CONTENTS[usize::try_from(random.below(CONTENTS.len() as u64)).unwrap()].to_vec();
            let end = offset + bytes.len() as u64;
            runs.push(ContentRun { offset, bytes });
            holes.push(ContentHole { range: end..end + 10, cause: Missing::Budget });
            offset = end + 10;
        }
        let redacted = runs.first().map(|run| run.offset + 1..run.offset + 3).filter(|_| random.one_in(2));
        Event::Content(Box::new(Content {
            at,
            by: running.by,
            burst: running.burst,
            direction: running.direction,
            runs,
            holes,
            redacted: redacted.into_iter().collect(),
            lost_chunks: random.below(2),
            complete: random.one_in(2),
        }))
    }

    fn copied(&self, random: &mut Random, at: KernelNanos, by: Doer) -> Event {
        let (from, to) = (self.any_burst(random), self.any_burst(random));
        Event::Copied(Copied { at, by, from, to, bytes: random.below(1000) })
    }

    fn dns(&self, random: &mut Random, at: KernelNanos, by: Doer) -> Dns {
        let direction = random.of(&DIRECTIONS);
        Dns {
            at,
            by,
            burst: self.any_burst(random),
            direction,
            server: random.one_in(2).then(|| socket(random)),
            id: random.of(&[1, 2, 3]),
            response_code: (direction == Direction::In).then(|| random.of(&[0, 0, 3])),
            name: random.of(&NAMES).to_owned(),
            query_type: random.of(&[1, 28]),
            answers: (0..random.below(4))
                .map(|_| DnsAnswer { address: socket(random).ip(), ttl_seconds: random.of(&[0, 5, u32::MAX]) })
                .collect(),
            truncated: random.one_in(10),
        }
    }

    fn any_open(&self, random: &mut Random) -> OpenId {
        OpenId(random.below(self.made + 2))
    }

    fn any_burst(&self, random: &mut Random) -> BurstId {
        BurstId { open: self.any_open(random), number: u32::try_from(random.below(4)).unwrap() }
    }

    /// Events that no kernel makes.
    pub(super) fn nonsense(random: &mut Random, now: KernelNanos) -> Event {
        let at = KernelNanos(random.of(&[0, now.0, now.0, u64::MAX]));
        let start = KernelNanos(random.of(&[0, BASE.0, now.0, u64::MAX]));
        let process = ProcessKey { tgid: Tgid(random.of(&[0, 1, 100, 101, u32::MAX])), start };
        let by = Doer { process, exec: ExecNumber(random.of(&[0, 1, u32::MAX])), tid: Tid(random.of(&[0, u32::MAX])) };
        let mut data = Self { made: random.of(&[0, 1, 20, u64::MAX - 5]), ..Self::default() };
        data.opens.push(OpenFile { id: OpenId(random.below(20)), bursts: random.of(&[0, 1, 7]), running: Vec::new() });
        let mut event = data.event(random, KernelNanos(now.0.max(1 << 30)), by, &[(process, by.exec)]);
        match &mut event {
            Event::BurstBegin(begin) => {
                begin.at = at;
                (begin.first, begin.offset) = (start, u64::MAX);
                begin.flow =
                    Some(FlowPoint { before: random.of(&[0, 9, u32::MAX]), now: random.of(&[0, 3, u32::MAX]) });
                begin.source = Some(random.of(&[0, 1, u32::MAX]));
            }
            Event::BurstEnd(end) => (end.at, end.first, end.last) = (at, start, KernelNanos(random.of(&[0, u64::MAX]))),
            Event::Open(open) => open.at = at,
            Event::Close(close) => (close.at, close.by) = (at, by),
            Event::Connect(connect) => (connect.at, connect.began) = (at, start),
            Event::Dns(dns) => dns.at = at,
            Event::Content(content) => {
                let start = random.of(&[0, 8, u64::MAX - 1]);
                content.at = at;
                content.redacted.push(start..random.of(&[start, start + 1]));
                content.holes.push(ContentHole { range: 0..u64::MAX, cause: Missing::Unreadable });
                content.runs.push(ContentRun { offset: start, bytes: vec![0xff; 3_000] });
            }
            _ => {}
        }
        if let Event::BurstEnd(end) = &mut event
            && random.one_in(2)
        {
            (end.bytes, end.operations, end.offset, end.end) =
                (u64::MAX, u64::MAX, u64::MAX, random.of(&[0, u64::MAX]));
        }
        event
    }
}

fn nobody() -> Doer {
    Doer { process: ProcessKey { tgid: Tgid(9), start: BASE }, exec: ExecNumber(0), tid: Tid(9) }
}

fn object(random: &mut Random) -> Object {
    let id = FileId { device: 1, inode: random.below(6), generation: random.of(&[1, 1, 2]) };
    match random.below(7) {
        0..=2 => Object::File(Box::new(RegularFile {
            id,
            kind: random.of(&[FileKind::Regular, FileKind::Regular, FileKind::Directory, FileKind::CharacterDevice]),
            path: path(random),
            unlinked: random.one_in(10),
            created: random.one_in(4),
            truncated: random.one_in(4),
        })),
        3 => Object::Pipe { id, path: Captured::default() },
        4 => Object::Tty { id, path: path(random) },
        5 => Object::Unix(Box::new(UnixSocket {
            inode: random.below(4),
            peer: random.one_in(3).then(|| random.below(4)),
            kind: random.of(&[UnixKind::Stream, UnixKind::Datagram, UnixKind::SeqPacket]),
            address: path(random),
        })),
        _ => Object::Inet(Box::new(Inet {
            inode: random.below(4),
            netns: 1,
            protocol: random.of(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Other(1)]),
            local: socket(random),
            remote: (!random.one_in(3)).then(|| socket(random)),
        })),
    }
}

fn path(random: &mut Random) -> Captured {
    let text = random.of(&["/tmp/a", "/tmp/b", "/usr/lib/x.so", "/", "", "\0name", "/\u{1b}[2J"]);
    let gap = if random.one_in(10) { Some(Gap::Unreadable) } else { None };
    let bytes = if random.one_in(50) { b"/\xff".repeat(3_000) } else { text.into() };
    Captured { bytes, gap }
}

/// Few, so that both ends of a connection turn up.
fn socket(random: &mut Random) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, random.of(&[1, 2]))), random.of(&[53, 80, 40_000]))
}

fn connect(random: &mut Random, at: KernelNanos, by: Doer, open: OpenId) -> Connect {
    let to = match random.below(4) {
        0 => Address::Unix(path(random)),
        1 => Address::Family(16),
        _ => Address::Inet(socket(random)),
    };
    let began = KernelNanos(at.0 - random.below(2_000_000));
    Connect { at, by, open, began, to, error: random.of(&[0, 0, 111, 9_999]) }
}

fn change(random: &mut Random, at: KernelNanos, by: Doer) -> Change {
    Change {
        at,
        by,
        kind: random.of(&CHANGES),
        file: random.one_in(2).then(|| FileId { device: 1, inode: random.below(6), generation: 1 }),
        path: path(random),
        new_path: path(random),
        value: random.of(&[0, 0o644, u64::MAX]),
        space: random.of(&[None, Some(Space { mode: 3, offset: 7 }), Some(Space { mode: 8, offset: u64::MAX })]),
        error: random.of(&[0, 0, 2]),
    }
}

fn call(random: &mut Random, at: KernelNanos, by: Doer, target: ProcessKey) -> Call {
    Call {
        at,
        by,
        kind: random.of(&CALLS),
        arguments: [random.of(&[0, 16, u64::MAX]), random.below(9)],
        target: random.one_in(2).then_some(target),
        error: random.of(&[0, 1]),
    }
}
