//! Chunks of payload put together: runs of bytes, and between them holes that say why nothing is known there.
//!
//! Promises: no byte is invented, none stands at a place where it was not; whatever calls moved and no chunk brought is
//! a hole; what is held is bounded by a budget of bytes. Chunks are foreign: any order, overlap and repetition is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub use agentsight_ebpf::{ContentHole as Hole, ContentRun as Run, Missing};

/// What a chunk costs beside its bytes, so that chunks without bytes are bounded too.
const CHUNK_COST: usize = 64;

/// A part of what one call moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counts the chunks of one object and direction, up by one.
    pub sequence: u64,
    /// What the whole call moved, as a range of the stream or file in bytes.
    pub call: Range<u64>,
    /// Where this chunk's first byte stands in the stream or file.
    pub offset: u64,
    /// May be empty, where nothing of the call could be copied.
    pub bytes: Vec<u8>,
    /// Why what follows these bytes is missing, up to the next chunk or the call's end; `None` where nothing is.
    pub missing: Option<Missing>,
}

/// Whether offsets leave gaps by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each call goes on where the one before ended: what lies between two calls was lost.
    Stream,
    /// Calls go anywhere: what no call touched is no hole.
    File,
}

/// Whether more may follow the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A message, or the stream, is over.
    Complete,
    /// The capture ended first.
    Cut,
}

/// A chunk that contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The call's range ends before it begins.
    #[error("chunk {0}: its call ends before it begins")]
    Reversed(u64),
    /// The bytes are not within what the call moved.
    #[error("chunk {0}: its bytes are outside of its call's range")]
    Outside(u64),
}

/// What was put together, with the secrets in it: of no use but to [`Content::redact`] it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub(super) runs: Vec<Run>,
    pub(super) holes: Vec<Hole>,
    pub(super) order: Order,
    pub(super) ending: Ending,
    pub(super) lost_chunks: u64,
    pub(super) unplaced_bytes: u64,
}

impl Content {
    /// Bytes that are there as a whole.
    #[must_use]
    pub fn whole(bytes: &[u8]) -> Self {
        let runs = if bytes.is_empty() { Vec::new() } else { vec![Run { offset: 0, bytes: bytes.to_vec() }] };
        Self {
            runs,
            holes: Vec::new(),
            order: Order::Stream,
            ending: Ending::Complete,
            lost_chunks: 0,
            unplaced_bytes: 0,
        }
    }
}

/// Collects the chunks of one burst.
#[derive(Debug)]
pub struct Assembly {
    budget_left: usize,
    pieces: Vec<Piece>,
    calls: Vec<Range<u64>>,
    reasons: BTreeMap<u64, Missing>,
    sequences: Sequences,
    unplaced_bytes: u64,
    /// Where the first of those stood.
    unplaced_from: Option<u64>,
}

/// Bytes of consecutive chunks that follow each other.
#[derive(Debug)]
struct Piece {
    first: u64,
    last: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl Assembly {
    /// `budget_bytes` bounds what is held; what goes beyond is a hole of [`Missing::Budget`].
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            budget_left: budget_bytes,
            pieces: Vec::new(),
            calls: Vec::new(),
            reasons: BTreeMap::new(),
            sequences: Sequences::default(),
            unplaced_bytes: 0,
            unplaced_from: None,
        }
    }

    /// So much was moved, whatever chunks of it come.
    pub fn expect(&mut self, moved: Range<u64>) {
        if moved.start < moved.end {
            self.calls.push(moved);
        }
    }

    /// Take a chunk; one that came before is taken once.
    ///
    /// # Errors
    /// When the chunk contradicts itself; it is left out then.
    pub fn push(&mut self, mut chunk: Chunk) -> Result<(), ChunkError> {
        let end = chunk.offset.checked_add(chunk.bytes.len() as u64).ok_or(ChunkError::Outside(chunk.sequence))?;
        if chunk.call.start > chunk.call.end {
            return Err(ChunkError::Reversed(chunk.sequence));
        }
        if chunk.offset < chunk.call.start || end > chunk.call.end {
            return Err(ChunkError::Outside(chunk.sequence));
        }
        let continues = self
            .pieces
            .last()
            .is_some_and(|last| last.last.checked_add(1) == Some(chunk.sequence) && last.end() == chunk.offset);
        let cost = if continues && chunk.missing.is_none() { 0 } else { CHUNK_COST };
        let Some(left) = self.budget_left.checked_sub(cost) else {
            self.unplaced_bytes = self.unplaced_bytes.saturating_add(chunk.bytes.len() as u64);
            self.unplaced_from = Some(self.unplaced_from.map_or(chunk.offset, |from| from.min(chunk.offset)));
            return Ok(());
        };
        if !self.sequences.is_new(chunk.sequence) {
            return Ok(());
        }
        self.budget_left = left;
        self.note_call(chunk.call);
        if chunk.bytes.len() > self.budget_left {
            chunk.bytes.truncate(self.budget_left);
            chunk.missing = Some(Missing::Budget);
        }
        self.budget_left -= chunk.bytes.len();
        if let Some(reason) = chunk.missing {
            self.reasons.insert(chunk.offset + chunk.bytes.len() as u64, reason);
        }
        match self.pieces.last_mut().filter(|_| continues) {
            Some(last) => {
                last.last = chunk.sequence;
                last.bytes.extend_from_slice(&chunk.bytes);
            }
            None if chunk.bytes.is_empty() => {}
            None => self.pieces.push(Piece {
                first: chunk.sequence,
                last: chunk.sequence,
                offset: chunk.offset,
                bytes: chunk.bytes,
            }),
        }
        Ok(())
    }

    /// What is there now. Where two chunks stand at one place, the one of the higher sequence is seen.
    #[must_use]
    pub fn finish(mut self, order: Order, ending: Ending) -> Content {
        let runs = lay_down(self.pieces);
        if let Some(from) = self.unplaced_from {
            self.reasons.entry(from).or_insert(Missing::Budget);
        }
        let mut expected = merged(self.calls);
        if let (Order::Stream, Some(first), Some(last)) = (order, expected.first(), expected.last()) {
            let whole = first.start..last.end;
            expected = vec![whole];
        }
        let holes = holes(&expected, &runs, &self.reasons);
        Content { runs, holes, order, ending, lost_chunks: self.sequences.lost(), unplaced_bytes: self.unplaced_bytes }
    }

    fn note_call(&mut self, call: Range<u64>) {
        match self.calls.last_mut() {
            Some(last) if last.start <= call.start && call.start <= last.end => last.end = last.end.max(call.end),
            _ => self.calls.push(call),
        }
    }
}

/// Which chunks came: few ranges where few are lost.
#[derive(Debug, Default)]
struct Sequences {
    /// From each first to its last.
    ranges: BTreeMap<u64, u64>,
}

impl Sequences {
    fn is_new(&mut self, sequence: u64) -> bool {
        let before = self.ranges.range(..=sequence).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| sequence <= last) {
            return false;
        }
        let first = match before {
            Some((first, last)) if last.checked_add(1) == Some(sequence) => first,
            _ => sequence,
        };
        let after = sequence.checked_add(1).and_then(|next| self.ranges.remove(&next));
        self.ranges.insert(first, after.unwrap_or(sequence));
        true
    }

    fn lost(&self) -> u64 {
        let gaps = self.ranges.iter().zip(self.ranges.iter().skip(1));
        gaps.fold(0, |lost: u64, ((_, last), (next, _))| lost.saturating_add(next - last - 1))
    }
}

/// The newest piece first; each fills what is still free.
fn lay_down(mut pieces: Vec<Piece>) -> Vec<Run> {
    pieces.sort_by_key(|piece| (piece.first, piece.last));
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    let mut slices: Vec<(u64, &[u8])> = Vec::new();
    for piece in pieces.iter().rev() {
        let mut at = piece.offset;
        while at < piece.end() {
            let covering = taken.range(..=at).next_back().filter(|&(_, &end)| end > at);
            if let Some((_, &end)) = covering {
                at = end;
                continue;
            }
            let free_until = taken.range(at..).next().map_or(piece.end(), |(&start, _)| start.min(piece.end()));
            let within = |offset: u64| usize::try_from(offset - piece.offset).unwrap_or(piece.bytes.len());
            slices.push((at, &piece.bytes[within(at)..within(free_until)]));
            at = free_until;
        }
        let mut covered = piece.offset..piece.end();
        let inside: BTreeSet<u64> = taken.range(covered.clone()).map(|(&start, _)| start).collect();
        for start in inside {
            covered.end = covered.end.max(taken.remove(&start).unwrap_or(start));
        }
        if let Some((&start, &end)) = taken.range(..covered.start).next_back().filter(|&(_, &end)| end >= covered.start)
        {
            covered = start..covered.end.max(end);
        }
        taken.insert(covered.start, covered.end);
    }
    slices.sort_by_key(|&(offset, _)| offset);
    let mut runs: Vec<Run> = Vec::new();
    for (offset, bytes) in slices {
        match runs.last_mut() {
            Some(last) if last.range().end == offset => last.bytes.extend_from_slice(bytes),
            _ => runs.push(Run { offset, bytes: bytes.to_vec() }),
        }
    }
    runs
}

/// In order, those that touch made one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// What was expected and is in no run. A reason holds from where it stands to the next run.
fn holes(expected: &[Range<u64>], runs: &[Run], reasons: &BTreeMap<u64, Missing>) -> Vec<Hole> {
    let mut holes = Vec::new();
    for range in expected {
        let mut at = range.start;
        let first = runs.partition_point(|run| run.range().end <= range.start);
        let inside = runs[first..].iter().map(Run::range).take_while(|run| run.start < range.end);
        for run in inside.chain(std::iter::once(range.end..range.end)) {
            if at < run.start {
                split(at..run.start, reasons, &mut holes);
            }
            at = at.max(run.end);
        }
    }
    holes
}

/// A hole of several causes is several holes.
fn split(hole: Range<u64>, reasons: &BTreeMap<u64, Missing>, holes: &mut Vec<Hole>) {
    let mut start = hole.start;
    let mut cause = reasons.get(&start).copied().unwrap_or(Missing::RingFull);
    for (&at, &next) in reasons.range(hole.start + 1..hole.end) {
        if next != cause {
            holes.push(Hole { range: start..at, cause });
            (start, cause) = (at, next);
        }
    }
    holes.push(Hole { range: start..hole.end, cause });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(sequence: u64, call: Range<u64>, offset: u64, bytes: &[u8]) -> Chunk {
        Chunk { sequence, call, offset, bytes: bytes.to_vec(), missing: None }
    }

    fn put(order: Order, budget: usize, chunks: Vec<Chunk>) -> Content {
        let mut assembly = Assembly::new(budget);
        for chunk in chunks {
            assembly.push(chunk).expect("well formed");
        }
        assembly.finish(order, Ending::Complete)
    }

    fn run(offset: u64, bytes: &[u8]) -> Run {
        Run { offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn chunks_in_any_order_make_one_run() {
        let chunks = vec![
            chunk(2, 4..6, 4, b"ef"),
            chunk(0, 0..4, 0, b"ab"),
            chunk(1, 0..4, 2, b"cd"),
            chunk(0, 0..4, 0, b"ab"),
        ];
        let content = put(Order::Stream, 1000, chunks);
        assert_eq!((content.runs, content.holes, content.lost_chunks), (vec![run(0, b"abcdef")], vec![], 0));
    }

    #[test]
    fn single_bytes_cost_a_byte_each() {
        let chunks = (0..900).map(|n| chunk(n, n..n + 1, n, b"x")).collect();
        assert_eq!(put(Order::Stream, 1000, chunks).runs, [run(0, &[b'x'; 900])]);
    }

    #[test]
    fn a_lost_chunk_is_a_hole_of_the_ring_and_counted() {
        let content = put(Order::Stream, 1000, vec![chunk(0, 0..6, 0, b"ab"), chunk(2, 0..6, 4, b"ef")]);
        assert_eq!(content.runs, [run(0, b"ab"), run(4, b"ef")]);
        assert_eq!(content.holes, [Hole { range: 2..4, cause: Missing::RingFull }]);
        assert_eq!(content.lost_chunks, 1);
    }

    #[test]
    fn a_lost_call_is_a_hole_in_a_stream_and_none_in_a_file() {
        let chunks = || vec![chunk(0, 0..2, 0, b"ab"), chunk(2, 8..10, 8, b"ij")];
        assert_eq!(put(Order::Stream, 1000, chunks()).holes, [Hole { range: 2..8, cause: Missing::RingFull }]);
        let file = put(Order::File, 1000, chunks());
        assert_eq!((file.holes, file.lost_chunks), (vec![], 1));
    }

    #[test]
    fn each_cause_is_a_hole_of_its_own() {
        let mut chunks = vec![chunk(0, 0..10, 0, b"ab"), chunk(1, 10..20, 10, b""), chunk(2, 20..24, 20, b"zzzz")];
        chunks[0].missing = Some(Missing::Budget);
        chunks[1].missing = Some(Missing::Unreadable);
        let expected =
            [Hole { range: 2..10, cause: Missing::Budget }, Hole { range: 10..20, cause: Missing::Unreadable }];
        assert_eq!(put(Order::Stream, 1000, chunks).holes, expected);
    }

    #[test]
    fn what_goes_beyond_the_budget_is_a_hole() {
        let content = put(Order::Stream, CHUNK_COST + 3, vec![chunk(0, 0..6, 0, b"abcdef"), chunk(1, 6..8, 6, b"gh")]);
        assert_eq!(content.runs, [run(0, b"abc")]);
        assert_eq!(content.holes[0], Hole { range: 3..6, cause: Missing::Budget });
        assert_eq!(content.unplaced_bytes, 2);
    }

    #[test]
    fn what_was_written_last_is_seen() {
        let chunks = vec![chunk(1, 2..4, 2, b"XY"), chunk(0, 0..6, 0, b"abcdef"), chunk(2, 3..4, 3, b"!")];
        assert_eq!(put(Order::File, 1000, chunks).runs, [run(0, b"abX!ef")]);
    }

    #[test]
    fn a_chunk_that_contradicts_itself_is_refused() {
        let mut assembly = Assembly::new(1000);
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = chunk(0, 9..3, 5, b"");
        assert_eq!(assembly.push(reversed), Err(ChunkError::Reversed(0)));
        assert_eq!(assembly.push(chunk(1, 0..3, 2, b"ab")), Err(ChunkError::Outside(1)));
        assert_eq!(assembly.push(chunk(2, 0..u64::MAX, u64::MAX, b"ab")), Err(ChunkError::Outside(2)));
    }

    #[test]
    fn splits_of_every_kind_give_back_the_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for size in 1..=64_usize {
            let parts = bytes.chunks(size).enumerate();
            let mut chunks: Vec<Chunk> = parts
                .map(|(index, part)| {
                    let offset = (index * size) as u64;
                    chunk(index as u64, offset..offset + part.len() as u64, offset, part)
                })
                .collect();
            let rotate = size % chunks.len();
            chunks.rotate_left(rotate);
            assert_eq!(put(Order::Stream, 100_000, chunks).runs, [run(0, &bytes)], "{size}");
        }
    }
}
