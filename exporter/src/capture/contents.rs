//! Payload of the bursts that go on: chunks in, and right before a burst's end what they come to, redacted.
//!
//! Promises: a chunk goes no further than this; what is held is bounded; whatever of a burst no chunk brought is a hole;
//! a chunk that comes after its burst's end, or that contradicts itself, is counted as lost and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use agentsight_ebpf::{BurstEnd, BurstId, Chunk, Cut, Direction, Event, KernelNanos, Loss, LossKind, Missing, OpenId};

use super::redact::Redactor;
use crate::content::{self, Assembly, Ending, Of, Order};

/// Bytes that one session holds: more than its budget in the kernel is by default.
const HELD_MAX: usize = 32 << 20;
/// What a chunk costs beside its bytes.
const CHUNK_COST: usize = 128;
/// The kernel cuts what is a minute old: so long after its first chunk the end of a burst was lost.
const END_LOST_AFTER: u64 = 120_000_000_000;
/// Ended bursts that are remembered, for chunks that come late.
const ENDED_MAX: usize = 4096;
/// Open files whose chunks are counted.
const COUNTED_MAX: usize = 16_384;

/// The payload of one session that is not complete.
#[derive(Debug, Default)]
pub struct Contents {
    going: BTreeMap<BurstId, Going>,
    held_bytes: usize,
    /// The last chunk that came of each open file and direction.
    counted: HashMap<(OpenId, Direction), u64>,
    ended: Ended,
    /// Chunks that were of no use, and not reported yet.
    useless: u64,
    /// There was a chunk.
    is_used: bool,
}

#[derive(Debug)]
struct Going {
    assembly: Assembly,
    /// Of its last chunk.
    of: Of,
    since: KernelNanos,
    chunks: u64,
    lost_chunks: u64,
    held_bytes: usize,
}

/// The last bursts that ended, if there was any payload before.
#[derive(Debug, Default)]
struct Ended {
    known: BTreeSet<BurstId>,
    order: VecDeque<BurstId>,
}

impl Contents {
    /// Take a chunk in.
    pub fn add(&mut self, mut chunk: Chunk) {
        self.is_used = true;
        let room = HELD_MAX.saturating_sub(self.held_bytes);
        if self.ended.known.contains(&chunk.burst) || room < CHUNK_COST {
            self.useless += 1;
            return;
        }
        let lost = self.gap_before(&chunk);
        if chunk.bytes.len() > room - CHUNK_COST {
            chunk.bytes.truncate(room - CHUNK_COST);
            chunk.missing = Some(Missing::Budget);
        }
        let Chunk { at, by, burst, direction, call, offset, bytes, missing, .. } = chunk;
        let held_bytes = bytes.len() + CHUNK_COST;
        let of = Of { at, by, burst, direction };
        let going = self.going.entry(burst).or_insert_with(|| Going::new(of));
        going.of = of;
        going.lost_chunks = going.lost_chunks.saturating_add(lost);
        // Several bursts may share an open file and its numbers: within one only the order counts.
        let sequence = going.chunks;
        going.chunks += 1;
        if going.assembly.push(content::Chunk { sequence, call, offset, bytes, missing }).is_err() {
            self.useless += 1;
            return;
        }
        going.held_bytes += held_bytes;
        self.held_bytes += held_bytes;
    }

    /// What comes right before this event.
    pub fn before(&mut self, event: &Event, redactor: &Redactor) -> Vec<Event> {
        match event {
            Event::BurstEnd(end) => {
                self.is_used |= end.captured;
                if !self.is_used {
                    return Vec::new();
                }
                self.ended.note(end.burst);
                self.end(end, redactor).into_iter().collect()
            }
            Event::Close(close) => {
                for direction in [Direction::In, Direction::Out] {
                    self.counted.remove(&(close.open, direction));
                }
                Vec::new()
            }
            Event::Tick(tick) => {
                let mut all = self.end_overdue(tick.at, redactor);
                if self.useless > 0 {
                    let count = std::mem::take(&mut self.useless);
                    all.push(Event::Loss(Loss { at: tick.at, kind: LossKind::Content, count }));
                }
                all
            }
            _ => Vec::new(),
        }
    }

    /// The session is over: what is left, as of bursts whose end was not seen.
    pub fn finish(&mut self, at: KernelNanos, redactor: &Redactor) -> Vec<Event> {
        let all = std::mem::take(&mut self.going);
        self.held_bytes = 0;
        all.into_values().map(|going| going.cut(at, redactor)).collect()
    }

    fn end(&mut self, end: &BurstEnd, redactor: &Redactor) -> Option<Event> {
        let of = Of { at: end.at, by: end.by, burst: end.burst, direction: end.direction };
        // Where no chunk came of what was taken all of it is a hole; but of a sparse one nobody knows where.
        let is_lost = end.captured && !end.sparse && end.offset < end.end;
        let mut going = self.take(end.burst).or_else(|| is_lost.then(|| Going::new(of)))?;
        // Without a gap between calls each byte from the first to the last was moved.
        let order = if end.sparse { Order::File } else { Order::Stream };
        if !end.sparse {
            going.assembly.expect(end.offset..end.end);
        }
        let ending = match end.cut {
            Cut::Close | Cut::Exit => Ending::Complete,
            // The next burst may go on in the middle of a word.
            Cut::Direction | Cut::Idle | Cut::Age | Cut::OtherParty | Cut::Flow | Cut::Session => Ending::Cut,
        };
        Some(going.said(of, order, ending, redactor))
    }

    fn end_overdue(&mut self, now: KernelNanos, redactor: &Redactor) -> Vec<Event> {
        let before = now.0.saturating_sub(END_LOST_AFTER);
        let overdue: Vec<_> = self.going.iter().filter(|(_, it)| it.since.0 < before).map(|(id, _)| *id).collect();
        let taken = overdue.into_iter().filter_map(|id| {
            self.ended.note(id);
            self.take(id)
        });
        taken.map(|going| going.cut(now, redactor)).collect()
    }

    fn take(&mut self, burst: BurstId) -> Option<Going> {
        let going = self.going.remove(&burst)?;
        self.held_bytes = self.held_bytes.saturating_sub(going.held_bytes);
        Some(going)
    }

    /// How many chunks of its open file and direction should have come before this one and did not.
    fn gap_before(&mut self, chunk: &Chunk) -> u64 {
        if self.counted.len() >= COUNTED_MAX {
            self.counted.clear();
        }
        match self.counted.insert((chunk.burst.open, chunk.direction), chunk.sequence) {
            Some(last) if last < chunk.sequence => chunk.sequence - last - 1,
            _ => 0,
        }
    }
}

impl Going {
    fn new(of: Of) -> Self {
        Self { assembly: Assembly::new(HELD_MAX), of, since: of.at, chunks: 0, lost_chunks: 0, held_bytes: 0 }
    }

    fn cut(self, at: KernelNanos, redactor: &Redactor) -> Event {
        let of = Of { at, ..self.of };
        self.said(of, Order::File, Ending::Cut, redactor)
    }

    fn said(self, of: Of, order: Order, ending: Ending, redactor: &Redactor) -> Event {
        let mut said = self.assembly.finish(order, ending).redact(redactor).into_event(of, ending);
        said.lost_chunks = said.lost_chunks.saturating_add(self.lost_chunks);
        Event::Content(Box::new(said))
    }
}

impl Ended {
    fn note(&mut self, burst: BurstId) {
        if !self.known.insert(burst) {
            return;
        }
        self.order.push_back(burst);
        if self.order.len() > ENDED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{Close, Content, ContentHole, Doer, ExecNumber, ProcessKey, Tgid, Tick, Tid};

    use super::*;

    const BURST: BurstId = BurstId { open: OpenId(3), number: 1 };

    fn by() -> Doer {
        Doer { process: ProcessKey { tgid: Tgid(2), start: KernelNanos(1) }, exec: ExecNumber(1), tid: Tid(2) }
    }

    fn chunk(sequence: u64, offset: u64, text: &str) -> Chunk {
        Chunk {
            at: KernelNanos(10 + sequence),
            by: by(),
            burst: BURST,
            direction: Direction::In,
            sequence,
            call: offset..offset + text.len() as u64,
            offset,
            bytes: text.into(),
            missing: None,
        }
    }

    fn end(offset: u64, end: u64) -> BurstEnd {
        BurstEnd {
            at: KernelNanos(99),
            by: by(),
            burst: BURST,
            direction: Direction::In,
            first: KernelNanos(10),
            last: KernelNanos(20),
            bytes: end - offset,
            operations: 1,
            wait_nanos: 0,
            offset,
            end,
            sparse: false,
            threads: false,
            coalesced: false,
            errors: 0,
            captured: false,
            cut: Cut::Close,
        }
    }

    struct Capture {
        contents: Contents,
        redactor: Redactor,
    }

    impl Capture {
        fn of(chunks: impl IntoIterator<Item = Chunk>) -> Self {
            let mut contents = Contents::default();
            chunks.into_iter().for_each(|chunk| contents.add(chunk));
            Self { contents, redactor: Redactor::new().expect("the built-in rules compile") }
        }

        fn before(&mut self, event: &Event) -> Vec<Event> {
            self.contents.before(event, &self.redactor)
        }

        fn content(&mut self, end: BurstEnd) -> Content {
            match self.before(&Event::BurstEnd(end)).as_slice() {
                [Event::Content(content)] => (**content).clone(),
                other => panic!("{other:?}"),
            }
        }
    }

    fn text(content: &Content) -> String {
        content.runs.iter().map(|run| String::from_utf8_lossy(&run.bytes).into_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn single_bytes_become_one_redacted_content_before_the_end() {
        let whole = "folder=7\npassword=hunter2\n";
        let chunks = whole.char_indices().map(|(at, byte)| chunk(at as u64, at as u64, &byte.to_string()));
        let mut capture = Capture::of(chunks);
        let content = capture.content(end(0, whole.len() as u64));
        assert_eq!(text(&content), "folder=7\npassword=*******\n");
        assert_eq!((content.redacted.first(), content.holes.len(), content.lost_chunks), (Some(&(18..25)), 0, 0));
        assert_eq!((content.at, content.complete), (KernelNanos(99), true));
        assert_eq!(capture.contents.held_bytes, 0);
    }

    #[test]
    fn a_request_whose_answer_follows_keeps_the_id_at_its_end_and_not_the_beginning_of_a_secret() {
        for (request, kept) in [
            ("POST / HTTP/1.1\r\n\r\ntarget=fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty", true),
            ("{\"folder\": 7}", true),
            ("Authorization: Bearer abc", false),
            ("x ghp_a8F", false),
        ] {
            let mut capture = Capture::of([chunk(0, 0, request)]);
            let content = capture.content(BurstEnd { cut: Cut::Direction, ..end(0, request.len() as u64) });
            assert_eq!(text(&content) == request, kept, "{}", text(&content));
        }
    }

    #[test]
    fn what_no_chunk_brought_is_a_hole_up_to_both_ends_of_the_burst() {
        let mut capture = Capture::of([chunk(4, 2, "cd"), chunk(6, 6, "gh")]);
        let content = capture.content(end(0, 10));
        let hole = |range| ContentHole { range, cause: Missing::RingFull };
        assert_eq!((text(&content), content.holes), ("cd|gh".to_owned(), vec![hole(0..2), hole(4..6), hole(8..10)]));
        assert_eq!(content.lost_chunks, 1);
    }

    #[test]
    fn a_burst_of_which_no_chunk_came_is_one_hole_and_one_that_nobody_wanted_is_nothing() {
        let mut capture = Capture::of([]);
        let content = capture.content(BurstEnd { captured: true, ..end(3, 10) });
        let hole = ContentHole { range: 3..10, cause: Missing::RingFull };
        assert_eq!((content.runs, content.holes), (Vec::new(), vec![hole]));
        let other = BurstEnd { burst: BurstId { number: 2, ..BURST }, ..end(3, 10) };
        assert_eq!(capture.before(&Event::BurstEnd(other)), []);
    }

    #[test]
    fn the_places_that_a_file_was_read_at_are_no_holes_between_them() {
        let mut capture = Capture::of([chunk(0, 0, "ab"), chunk(1, 100, "cd")]);
        let content = capture.content(BurstEnd { sparse: true, ..end(0, 102) });
        assert_eq!((text(&content), content.holes), ("ab|cd".to_owned(), Vec::new()));
    }

    #[test]
    fn two_images_that_share_an_open_file_lose_nothing_to_each_other() {
        let other = BurstId { number: 2, ..BURST };
        let mut capture = Capture::of((0..6).map(|n| {
            let whose = if n % 2 == 0 { BURST } else { other };
            Chunk { burst: whose, ..chunk(n, n, "x") }
        }));
        let content = capture.content(BurstEnd { sparse: true, ..end(0, 6) });
        assert_eq!((text(&content), content.lost_chunks), ("x|x|x".to_owned(), 0));
    }

    #[test]
    fn a_late_or_contradictory_chunk_is_reported_as_lost() {
        let mut capture = Capture::of([chunk(0, 0, "ab"), Chunk { offset: 9, ..chunk(1, 2, "cd") }]);
        let _ = capture.content(end(0, 2));
        capture.contents.add(chunk(2, 2, "late"));
        let tick = Event::Tick(Tick { at: KernelNanos(100) });
        let loss = Loss { at: KernelNanos(100), kind: LossKind::Content, count: 2 };
        assert_eq!(capture.before(&tick), [Event::Loss(loss)]);
        assert_eq!(capture.before(&tick), []);
    }

    #[test]
    fn a_burst_whose_end_is_lost_is_said_after_two_minutes_or_at_the_end() {
        let mut capture = Capture::of([chunk(0, 0, "x ghp_a8F")]);
        assert_eq!(capture.before(&Event::Tick(Tick { at: KernelNanos(END_LOST_AFTER) })), []);
        let said = capture.before(&Event::Tick(Tick { at: KernelNanos(END_LOST_AFTER + 11) }));
        let [Event::Content(content)] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!((text(content), content.complete), ("x ghp_***".to_owned(), false));
        assert_eq!(capture.before(&Event::BurstEnd(end(0, 9))), []);

        let mut capture = Capture::of([chunk(0, 0, "x")]);
        assert_eq!(capture.contents.finish(KernelNanos(50), &capture.redactor).len(), 1);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let text = "x".repeat(1 << 16);
        let mut capture = Capture::of((0..700).map(|n| chunk(n, n << 16, &text)));
        assert!(capture.contents.held_bytes <= HELD_MAX);
        let content = capture.content(end(0, 700 << 16));
        let (held, holes) = (content.runs[0].bytes.len(), content.holes);
        assert!((HELD_MAX - (1 << 18)..=HELD_MAX).contains(&held), "{held}");
        assert_eq!(holes, [ContentHole { range: held as u64..700 << 16, cause: Missing::Budget }]);
    }

    #[test]
    fn a_session_without_payload_keeps_nothing() {
        let mut capture = Capture::of([]);
        assert_eq!(capture.before(&Event::BurstEnd(end(0, 9))), []);
        assert_eq!(capture.before(&Event::Close(Close { at: KernelNanos(1), by: by(), open: OpenId(3) })), []);
        assert!(capture.contents.ended.known.is_empty());
    }
}
