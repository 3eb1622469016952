//! Bounds that hold however long and however much: tried against a kernel made up here, which cuts bursts as the real one
//! promises to.

use std::collections::{BTreeMap, HashMap};

use agentsight_ebpf::{
    BurstBegin, BurstEnd, BurstId, Cut, Direction, Doer, Event, ExecNumber, FlowPoint, KernelNanos, OpenId, ProcessKey,
    Tgid, Tick, Tid,
};

use super::fixture::{BASE, events, session};
use super::{Activity, CauseKind, Graph, Transfer};

const SECOND: u64 = 1_000_000_000;
/// Bursts that an open file may begin in each direction, besides one a second.
const AT_ONCE: u64 = 64;

struct Running {
    begin: BurstBegin,
    last: u64,
    bytes: u64,
    end: u64,
    coalesced: bool,
}

#[derive(Default)]
struct OpenFile {
    numbers: u32,
    began: [u64; 2],
    first_use: u64,
    last_direction: Option<Direction>,
    last_seen_source: u32,
}

/// The kernel's side, of calls that take no time but a microsecond.
struct Kernel {
    now: u64,
    graph: Graph,
    out: Vec<Activity>,
    transfers: Vec<Transfer>,
    opens: HashMap<u64, OpenFile>,
    running: BTreeMap<(u64, u32, Direction), Running>,
    sources: HashMap<u32, u32>,
    ticked: u64,
}

impl Kernel {
    fn new(text: &str) -> Self {
        let mut kernel = Self {
            now: BASE.0 + SECOND,
            graph: Graph::new(&session()),
            out: Vec::new(),
            transfers: Vec::new(),
            opens: HashMap::new(),
            running: BTreeMap::new(),
            sources: HashMap::new(),
            ticked: 0,
        };
        for event in events(text) {
            kernel.say(&event);
        }
        kernel
    }

    fn say(&mut self, event: &Event) {
        self.graph.apply(event, &mut self.out);
        for activity in self.out.drain(..) {
            if let Activity::Transferred(transfer) = activity {
                self.transfers.push(*transfer);
            }
        }
    }

    /// Time passes, with a tick every 100 ms and idle bursts taken out each second.
    fn wait(&mut self, nanos: u64) {
        self.now += nanos;
        if self.now - self.ticked < SECOND / 10 {
            return;
        }
        self.ticked = self.now;
        let idle = |it: &Running| self.now - it.last >= SECOND;
        let idle: Vec<_> = self.running.iter().filter(|(_, it)| idle(it)).map(|(key, _)| *key).collect();
        for key in idle {
            self.end(key, Cut::Idle);
        }
        self.say(&Event::Tick(Tick { at: KernelNanos(self.now) }));
    }

    fn end(&mut self, key: (u64, u32, Direction), cut: Cut) {
        let Some(it) = self.running.remove(&key) else { return };
        self.say(&Event::BurstEnd(BurstEnd {
            at: KernelNanos(self.now),
            by: it.begin.by,
            burst: it.begin.burst,
            direction: it.begin.direction,
            first: it.begin.first,
            last: KernelNanos(it.last),
            bytes: it.bytes,
            operations: 1,
            wait_nanos: 0,
            offset: it.begin.offset,
            end: it.end,
            sparse: false,
            threads: false,
            coalesced: it.coalesced,
            errors: 0,
            captured: false,
            cut,
        }));
    }

    /// A call of a process that moves bytes at this offset.
    fn moves(&mut self, tgid: u32, direction: Direction, open: u64, offset: u64, bytes: u64) {
        self.wait(1_000);
        let now = self.now;
        let file = self.opens.entry(open).or_insert_with(|| OpenFile { first_use: now, ..OpenFile::default() });
        let turned = file.last_direction.is_some_and(|last| last != direction);
        file.last_direction = Some(direction);
        let newest = self.sources.get(&tgid).copied().unwrap_or(0);
        let flow = (direction == Direction::Out && newest > file.last_seen_source)
            .then_some(FlowPoint { before: file.last_seen_source, now: newest });
        let key = (open, tgid, direction);
        let may_begin = file.began[direction as usize] < AT_ONCE + (now - file.first_use) / SECOND;
        let other = match direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        let cut = match self.running.get(&key) {
            Some(it) if now - it.last >= SECOND => Some(Cut::Idle),
            Some(it) if now - it.begin.first.0 >= 60 * SECOND => Some(Cut::Age),
            Some(_) if flow.is_some() => Some(Cut::Flow),
            Some(_) if turned => Some(Cut::Direction),
            _ => None,
        };
        if may_begin && turned {
            self.end((open, tgid, other), Cut::Direction);
        }
        if may_begin && flow.is_some() {
            let inputs: Vec<_> =
                self.running.keys().filter(|(_, by, way)| *by == tgid && *way == Direction::In).copied().collect();
            for input in inputs {
                self.end(input, Cut::Flow);
            }
        }
        let begins = !self.running.contains_key(&key);
        match cut {
            Some(cut) if may_begin => self.end(key, cut),
            Some(_) => {
                if let Some(it) = self.running.get_mut(&key) {
                    it.coalesced = true;
                }
            }
            None => {}
        }
        if let Some(it) = self.running.get_mut(&key) {
            it.last = now;
            it.bytes += bytes;
            it.end = it.end.max(offset + bytes);
            return;
        }
        let file = self.opens.get_mut(&open).unwrap();
        file.numbers += 1;
        file.began[direction as usize] += 1;
        let mut source = None;
        if direction == Direction::In && (begins || turned) {
            let count = self.sources.entry(tgid).or_default();
            *count += 1;
            source = Some(*count);
        }
        if flow.is_some() {
            file.last_seen_source = newest;
        }
        let begin = BurstBegin {
            at: KernelNanos(now),
            by: doer(tgid),
            burst: BurstId { open: OpenId(open), number: file.numbers },
            direction,
            first: KernelNanos(now - if direction == Direction::Out { 500 } else { 0 }),
            offset,
            source,
            flow,
            mapped: false,
        };
        self.running.insert(key, Running { begin, last: now, bytes, end: offset + bytes, coalesced: false });
        self.say(&Event::BurstBegin(begin));
    }

    fn finish(&mut self) {
        let left: Vec<_> = self.running.keys().copied().collect();
        for key in left {
            self.end(key, Cut::Session);
        }
        self.wait(20 * SECOND);
    }

    fn of(&self, open: u64, direction: Direction) -> impl Iterator<Item = &Transfer> {
        self.transfers.iter().filter(move |it| it.id.open.0 == open && it.direction == direction)
    }

    fn bytes(&self, open: u64, direction: Direction) -> u64 {
        self.of(open, direction).map(|it| it.sums.bytes).sum()
    }

    fn linked(&self, open: u64, kind: CauseKind) -> u64 {
        let causes = self.of(open, Direction::In).flat_map(|it| &it.causes).filter(|it| it.kind == kind);
        causes.filter_map(|it| it.bytes).sum()
    }

    fn assert_bounded(&self) {
        let seconds = (self.now - BASE.0) / SECOND;
        for open in self.opens.keys() {
            for direction in [Direction::In, Direction::Out] {
                let spans = self.of(*open, direction).count() as u64;
                assert!(spans <= AT_ONCE + seconds, "{spans} of {open} {direction:?} in {seconds} s");
            }
        }
        assert_eq!(self.graph.bursts.len(), 0);
        assert_eq!(self.graph.circles.len(), 0);
    }
}

/// The processes of the texts below: 100 is the root, 101 its child of the second millisecond.
fn doer(tgid: u32) -> Doer {
    let root = tgid == 100;
    let start = if root { BASE } else { KernelNanos(BASE.0 + 2_000_000) };
    Doer { process: ProcessKey { tgid: Tgid(tgid), start }, exec: ExecNumber(u32::from(root)), tid: Tid(tgid) }
}

const TWO: &str = "0 root 100\n1 exec 100 /bin/agent agent\n2 fork 100 101\n";

#[test]
fn a_gigabyte_through_a_pipe_is_a_few_spans_that_account_for_every_byte() {
    let mut kernel = Kernel::new(&format!("{TWO}3 open 100 #1 pipe 7\n3 open 100 #2 pipe 7"));
    const CHUNK: u64 = 65_536;
    for n in 0..16_384 {
        kernel.moves(101, Direction::Out, 2, n * CHUNK, CHUNK);
        kernel.moves(100, Direction::In, 1, n * CHUNK, CHUNK);
        kernel.wait(100_000);
    }
    kernel.finish();
    kernel.assert_bounded();
    assert_eq!((kernel.bytes(2, Direction::Out), kernel.bytes(1, Direction::In)), (1 << 30, 1 << 30));
    assert_eq!(kernel.linked(1, CauseKind::Pipe), 1 << 30);
}

#[test]
fn a_hundred_thousand_requests_on_one_socket_are_bounded_and_lose_no_byte() {
    let mut kernel = Kernel::new(&format!("{TWO}3 open 100 #1 unix 11 peer 12\n3 open 101 #2 unix 12 peer 11"));
    for n in 0..100_000 {
        kernel.moves(100, Direction::Out, 1, n * 10, 10);
        kernel.moves(101, Direction::In, 2, n * 10, 10);
        kernel.moves(101, Direction::Out, 2, n * 30, 30);
        kernel.moves(100, Direction::In, 1, n * 30, 30);
        kernel.wait(1_000_000);
    }
    kernel.finish();
    kernel.assert_bounded();
    assert_eq!((kernel.bytes(1, Direction::Out), kernel.bytes(1, Direction::In)), (1_000_000, 3_000_000));
    assert_eq!((kernel.linked(2, CauseKind::Unix), kernel.linked(1, CauseKind::Unix)), (1_000_000, 3_000_000));
}

#[test]
fn an_hour_of_tail_is_bounded_and_leaves_little_behind() {
    let text = "3 open 101 #1 created file log\n3 open 100 #2 file log\n3 open 100 #3 found pipe 9";
    let mut kernel = Kernel::new(&format!("{TWO}{text}"));
    for n in 0..36_000 {
        kernel.moves(101, Direction::Out, 1, n * 80, 80);
        kernel.moves(100, Direction::In, 2, n * 80, 80);
        kernel.moves(100, Direction::Out, 3, n * 80, 80);
        kernel.wait(SECOND / 10);
    }
    kernel.finish();
    kernel.assert_bounded();
    let sums =
        [(1, Direction::Out), (2, Direction::In), (3, Direction::Out)].map(|(open, way)| kernel.bytes(open, way));
    assert_eq!(sums, [2_880_000; 3]);
    assert!(kernel.of(2, Direction::In).all(|it| it.causes.iter().any(|it| it.kind == CauseKind::File)));
}

#[test]
fn every_turn_on_a_connection_that_is_kept_alive_keeps_its_edges() {
    let text =
        "3 open 100 #1 tcp 127.0.0.1:9 10.0.0.1:443\n4 connect 100 #1 10.0.0.1:443\n5 open 100 #2 created file out";
    let mut kernel = Kernel::new(&format!("{TWO}{text}"));
    for n in 0..200 {
        kernel.moves(100, Direction::Out, 1, n * 1000, 1000);
        kernel.wait(SECOND);
        kernel.moves(100, Direction::In, 1, n * 5000, 5000);
        kernel.wait(SECOND);
        kernel.moves(100, Direction::Out, 2, n * 10, 10);
        kernel.wait(SECOND);
    }
    kernel.finish();
    kernel.assert_bounded();
    let flows = |open| {
        let outputs = kernel.of(open, Direction::Out);
        outputs.map(|it| it.causes.iter().filter(|it| it.kind == CauseKind::Flow).count()).collect::<Vec<_>>()
    };
    assert_eq!(flows(2), [1; 200], "each answer leads to what is written");
    assert_eq!((flows(1).len(), flows(1)[1..].iter().all(|count| *count == 1)), (200, true), "and to the next turn");
}

#[test]
fn a_day_of_files_pipes_and_connections_leaves_nothing_behind() {
    let mut text = "0 root 100\n1 exec 100 /bin/agent agent\n".to_owned();
    for n in 1..20_000_u64 {
        let (second, open, child) = (n * 4, n * 10, 101 + n % 1000);
        text += &format!("{second}s fork 100 {child}\n");
        text += &format!("{second}s open {child} #{open} created file f{}={}\n", n % 7, n % 5_000);
        text += &format!("{second}s out {child} #{open}.1 0..10\n");
        text += &format!("{second}s open {child} #{} pipe {n}\n{second}s out {child} #{}.1 0..9\n", open + 1, open + 1);
        text +=
            &format!("{second}s open 100 #{} pipe {n}\n{second}s in 100 #{}.1 0..9 source {n}\n", open + 2, open + 2);
        text += &format!("{second}s open 100 #{} tcp 10.0.0.1:{} 10.9.9.9:443\n", open + 3, 1000 + n % 50_000);
        text += &format!("{second}s connect 100 #{} 10.9.9.9:443\n{second}s unlink {child} x\n", open + 3);
        text += &format!("{second}s asked 100 #{}.1 7 n{n}.example\n", open + 3);
        for extra in 0..4 {
            if extra != 1 || n % 2 == 0 {
                text += &format!("{second}s close 100 #{}\n", open + extra);
            }
        }
        text += &format!("{second}s exit {child} 0\n{}s tick\n", second + 1);
    }
    let mut graph = Graph::new(&session());
    let (mut out, mut most) = (Vec::new(), [0; 8]);
    for event in events(&text) {
        graph.apply(&event, &mut out);
        out.clear();
        let sizes = [
            graph.opens.len(),
            graph.bursts.len(),
            graph.streams.len(),
            graph.files.len(),
            graph.connections.len(),
            graph.names.len(),
            graph.unwaited.len(),
            graph.circles.len(),
        ];
        for (most, size) in most.iter_mut().zip(sizes) {
            *most = size.max(*most);
        }
    }
    // Every second writing end of a pipe is never closed by a call, but by the end of its process.
    let at_most = [20, 10, 20, 5_001, 20, 8, 2, 10];
    assert!(most.iter().zip(at_most).all(|(most, limit)| *most <= limit), "{most:?}, {at_most:?}");
}
