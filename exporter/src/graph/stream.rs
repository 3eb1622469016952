//! One stream's bytes or messages: what was put in, by whom, and how much of it a reading burst took, by offsets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use agentsight_ebpf::{BurstId, KernelNanos, Object};

use super::edges::{Edge, Edges};
use super::moved::{Moved, Range};
use super::object::{is_datagram, may_be_one_way};
use super::{CauseKind, Confidence};

/// Writing bursts of one stream that are kept: of those that nobody reads the oldest are forgotten.
const WRITES_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The bursts that wrote to it, in order of their beginning.
    pub(super) writes: VecDeque<Arc<Moved>>,
    /// Open files that are an end of it: a pipe's count twice.
    pub(super) ends: u32,
    /// When its offsets began anew, because a FIFO was opened or a port used again: what comes after that.
    pub(super) since: KernelNanos,
    /// Something was written since.
    pub(super) is_used: bool,
    /// Everything before this offset was read, by bursts that have left.
    pub(super) consumed: u64,
    /// Of datagrams, instead: how much of each writing burst was read, by bursts that have left.
    pub(super) taken: BTreeMap<BurstId, u64>,
    /// Reading bursts that have not left.
    pub(super) readers: u32,
    /// Its number among those without an end.
    pub(super) left: u64,
}

impl Stream {
    /// Who writes has begun to.
    pub(super) fn begin_writing(&mut self, write: &Arc<Moved>) {
        // Each sender of messages counts for itself.
        let has_offsets = !(matches!(*write.object, Object::Unix(_)) && is_datagram(&write.object));
        // One write alone is the first. Who has it open does not tell: an end is said when it is first used.
        if write.offset == 0 && self.is_used && has_offsets {
            self.since = KernelNanos(write.first.0.saturating_sub(1));
            self.consumed = 0;
        }
        self.is_used = true;
        self.writes.push_back(Arc::clone(write));
        if self.writes.len() > WRITES_MAX
            && let Some(oldest) = self.writes.pop_front()
        {
            self.taken.remove(&oldest.id);
        }
    }

    /// A reading burst has left.
    pub(super) fn end_reading(&mut self, read: &Moved) {
        self.readers = self.readers.saturating_sub(1);
        if is_datagram(&read.object) {
            self.take(read);
            return;
        }
        if read.first > self.since && read.is_dense() && read.range().start <= self.consumed {
            self.consumed = self.consumed.max(read.range().end);
        }
        if self.readers == 0 {
            let (consumed, since) = (self.consumed, self.since);
            self.writes.retain(|it| it.first > since && (it.end.get().is_none() || it.range().end > consumed));
        }
    }

    /// Whether all that a reading burst took is known to come from bursts that are known.
    pub(super) fn accounts_for(&self, read: &Moved) -> bool {
        if is_datagram(&read.object) {
            let known: u64 = self.messages_for(read).iter().map(|(_, bytes)| *bytes).sum();
            return known >= read.bytes_at_most();
        }
        let mut covered = read.range().start;
        let mut ranges: Vec<Range> = self.candidates(read).map(|write| self.range_of(write)).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        for range in ranges {
            if range.start <= covered {
                covered = covered.max(range.end);
            }
        }
        covered >= read.range().end
    }

    /// What a reading burst was given, as edges to it.
    pub(super) fn given_to(&self, read: &Moved, kind: CauseKind, edges: &mut Edges) {
        if is_datagram(&read.object) {
            for (write, bytes) in self.messages_for(read) {
                let sure = if write.found || read.found { Confidence::UNORDERED } else { Confidence::BY_VERSION };
                edges.push(Edge {
                    kind,
                    confidence: sure,
                    cause: Arc::clone(write),
                    bytes: Some(bytes),
                    matched: None,
                });
            }
            return;
        }
        for write in self.candidates(read) {
            let bytes = read.range().overlap(self.range_of(write)).min(read.bytes_at_most()).min(write.bytes_at_most());
            if bytes == 0 {
                continue;
            }
            let sure = if write.found || read.found {
                Confidence::UNORDERED
            } else if write.end.get().is_some_and(|end| end.sparse) || !read.is_dense() {
                Confidence::BY_VERSION
            } else {
                Confidence::CERTAIN
            };
            edges.push(Edge { kind, confidence: sure, cause: Arc::clone(write), bytes: Some(bytes), matched: None });
        }
    }

    /// The writes that are of the same age of the stream as a reading burst.
    fn candidates<'a>(&'a self, read: &'a Moved) -> impl Iterator<Item = &'a Arc<Moved>> {
        let is_of_today = |moved: &Moved| moved.first > self.since;
        self.writes.iter().filter(move |write| is_of_today(write) == is_of_today(read))
    }

    /// A burst that goes on reaches as far as to where the next one began.
    fn range_of(&self, write: &Moved) -> Range {
        let range = write.range();
        if write.end.get().is_some() {
            return range;
        }
        let next = self.writes.iter().map(|it| it.range().start).filter(|start| *start > range.start).min();
        Range { end: next.unwrap_or(u64::MAX), ..range }
    }

    /// Messages are taken in the order in which they were sent: from whom, and how many bytes.
    fn messages_for<'a>(&'a self, read: &'a Moved) -> Vec<(&'a Arc<Moved>, u64)> {
        let end = read.last().unwrap_or(KernelNanos(u64::MAX));
        let mut wanted = read.bytes_at_most();
        let mut found = Vec::new();
        for write in self.candidates(read) {
            if write.first >= end || !may_be_one_way(&write.object, &read.object) {
                continue;
            }
            let taken = self.taken.get(&write.id).copied().unwrap_or(0);
            let bytes = write.bytes_at_most().saturating_sub(taken).min(wanted);
            if bytes > 0 {
                wanted -= bytes;
                found.push((write, bytes));
            }
        }
        found
    }

    /// A burst that read messages has left.
    fn take(&mut self, read: &Moved) {
        if read.end.get().is_none() {
            return;
        }
        let taken: Vec<_> = self.messages_for(read).into_iter().map(|(write, bytes)| (write.id, bytes)).collect();
        for (write, bytes) in taken {
            *self.taken.entry(write).or_default() += bytes;
        }
        let (taken, readers) = (&self.taken, self.readers);
        let is_left =
            |it: &Arc<Moved>| it.end.get().is_none_or(|end| taken.get(&it.id).is_none_or(|of| *of < end.bytes));
        self.writes.retain(|it| readers > 0 || is_left(it));
        let writes = &self.writes;
        self.taken.retain(|id, _| writes.iter().any(|it| it.id == *id));
    }
}

#[cfg(test)]
mod pipe_tests;
#[cfg(test)]
mod socket_tests;
