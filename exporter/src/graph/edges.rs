//! The causes of one burst while they are gathered: rule 1 of time, repeated edges merged, and no more than a span shows.

use std::sync::Arc;

use agentsight_ebpf::KernelNanos;

use super::cause::Match;
use super::moved::Moved;
use super::{CauseKind, Confidence};

/// Links that a span shows; what is over that is counted.
pub(super) const EDGES_MAX: usize = 32;

/// An edge from a burst.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) kind: CauseKind,
    pub(super) confidence: Confidence,
    pub(super) cause: Arc<Moved>,
    pub(super) bytes: Option<u64>,
    pub(super) matched: Option<Box<Match>>,
}

/// Edges to one effect.
#[derive(Debug)]
pub(super) struct Edges {
    list: Vec<Edge>,
    /// Those that there was no room for.
    pub(super) over: u32,
    /// Those against the order of time.
    pub(super) against_time: u32,
    /// From when to when the effect runs; of an effect that is an image both are its start.
    start: KernelNanos,
    end: KernelNanos,
}

impl Edges {
    pub(super) fn to(start: KernelNanos, end: KernelNanos) -> Self {
        Self { list: Vec::new(), over: 0, against_time: 0, start, end }
    }

    /// Take an edge in; false where time forbids it: data comes from what began before the effect ended, and `flow`
    /// from what ended before the effect began. With these two no circle can close.
    pub(super) fn push(&mut self, edge: Edge) -> bool {
        let in_time = match edge.kind {
            CauseKind::Flow => edge.cause.last().is_some_and(|last| last < self.start),
            // One call is both ends.
            CauseKind::Copy => true,
            _ => edge.cause.first < self.end,
        };
        if !in_time {
            // The call that moved it says more than that it may have come from there.
            let is_said = |it: &Edge| it.kind == CauseKind::Copy && it.cause.id == edge.cause.id;
            if edge.kind == CauseKind::Flow && self.list.iter().any(is_said) {
                return false;
            }
            self.against_time = self.against_time.saturating_add(1);
            return false;
        }
        match self.list.iter_mut().find(|it| it.kind == edge.kind && it.cause.id == edge.cause.id) {
            Some(known) => {
                known.bytes = known.bytes.map(|bytes| bytes.saturating_add(edge.bytes.unwrap_or(0)));
                known.confidence = known.confidence.max(edge.confidence);
                known.matched = known.matched.take().or(edge.matched);
            }
            None => self.list.push(edge),
        }
        true
    }

    /// Leave out those that would close a circle.
    pub(super) fn retain(&mut self, may_stay: impl Fn(&Edge) -> bool) {
        let before = self.list.len();
        self.list.retain(may_stay);
        let left_out = u32::try_from(before - self.list.len()).unwrap_or(u32::MAX);
        self.against_time = self.against_time.saturating_add(left_out);
    }

    /// All edges, the surest first where there are too many.
    pub(super) fn finish(mut self, room: usize) -> (Vec<Edge>, u32) {
        let excess = self.list.len().saturating_sub(room);
        if excess > 0 {
            self.list.sort_by_key(|edge| std::cmp::Reverse(edge.confidence));
            self.list.truncate(room);
        }
        let excess = u32::try_from(excess).unwrap_or(u32::MAX);
        (self.list, self.over.saturating_add(excess).saturating_add(self.against_time))
    }
}
