//! A burst as others refer to it: complete once it has ended, in a trace once it has a place there.

use std::sync::{Arc, OnceLock};

use agentsight_ebpf::{BurstEnd, BurstId, Direction, KernelNanos, Object, Tid};

use super::transfer::{Sums, Transfer, Under};
use super::{Image, Target, Trace};

#[derive(Debug)]
pub(super) struct Moved {
    pub(super) id: BurstId,
    pub(super) image: Arc<Image>,
    /// The thread of the first call.
    pub(super) tid: Tid,
    pub(super) direction: Direction,
    pub(super) object: Arc<Object>,
    /// The file's epoch when it began.
    pub(super) epoch: u32,
    pub(super) first: KernelNanos,
    /// Where it began.
    pub(super) offset: u64,
    pub(super) mapped: bool,
    /// Of an open file that was there before it could be seen.
    pub(super) found: bool,
    /// Set once, when it has ended.
    pub(super) end: OnceLock<BurstEnd>,
    /// Set once, when something refers to it or it leaves.
    pub(super) under: OnceLock<Under>,
}

/// Bytes of an object, from `start` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Range {
    pub(super) fn overlap(self, other: Self) -> u64 {
        self.end.min(other.end).saturating_sub(self.start.max(other.start))
    }
}

impl Moved {
    /// Its last moment that counts; `None` while it goes on, or where its end was not seen.
    pub(super) fn last(&self) -> Option<KernelNanos> {
        self.end.get().map(|end| end.last.max(self.first))
    }

    /// What it touched as far as that is known: a burst that goes on may reach anywhere.
    pub(super) fn range(&self) -> Range {
        match self.end.get() {
            Some(end) => Range { start: end.offset, end: end.end },
            None => Range { start: self.offset, end: u64::MAX },
        }
    }

    /// Whether every byte of the range was touched.
    pub(super) fn is_dense(&self) -> bool {
        !self.mapped && self.end.get().is_some_and(|end| !end.sparse)
    }

    /// No more than this can have gone along any of its edges.
    pub(super) fn bytes_at_most(&self) -> u64 {
        self.end.get().map_or(u64::MAX, |end| if self.mapped { end.end.saturating_sub(end.offset) } else { end.bytes })
    }

    /// The trace that its span is in, once that is settled.
    pub(super) fn trace(&self) -> Option<&Arc<Trace>> {
        self.under.get().map(|under| &under.place().trace)
    }

    /// What is said of it, as far as it goes: without its causes.
    pub(super) fn transfer(&self, under: Under) -> Transfer {
        let sums = self.end.get().map_or_else(Sums::default, |end| Sums {
            bytes: end.bytes,
            operations: end.operations,
            wait_nanos: end.wait_nanos,
            offset: end.offset,
            end: end.end,
            sparse: end.sparse,
            coalesced: end.coalesced,
            errors: end.errors,
        });
        Transfer {
            id: self.id,
            image: Arc::clone(&self.image),
            under,
            direction: self.direction,
            object: Arc::clone(&self.object),
            epoch: self.epoch,
            start: self.first,
            end: self.last().unwrap_or(self.first),
            sums,
            cut: self.end.get().map(|end| end.cut),
            mapped: self.mapped,
            found: self.found,
            promised: false,
            content: None,
            causes: Vec::new(),
            causes_dropped: 0,
        }
    }

    /// What a link to it says, of an effect that began then; `None` as long as it has no place.
    pub(super) fn target(&self, effect: KernelNanos) -> Option<Target> {
        let before = self.last().unwrap_or(self.first);
        Some(Target::Burst {
            id: self.id,
            image: Arc::clone(&self.image),
            direction: self.direction,
            object: Arc::clone(&self.object),
            trace: Arc::clone(self.trace()?),
            before_nanos: effect.0.saturating_sub(before.0),
        })
    }
}
