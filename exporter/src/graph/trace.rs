//! The traces of a session: its own, and those that were adopted.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use agentsight_ebpf::Clock;
use opentelemetry::trace::TraceId;

/// One trace, shared by its images.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// The reading that turns its kernel times to wall time: one for the whole trace, so that a step of the
    /// wall clock cannot reorder it. Unset until the first reading arrived.
    clock: OnceLock<Clock>,
}

impl Trace {
    fn new(id: TraceId, clock: Option<Clock>) -> Arc<Self> {
        Arc::new(Self { id, clock: clock.map_or_else(OnceLock::new, OnceLock::from) })
    }

    /// The reading of both clocks that holds for this trace.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        self.clock.get().copied()
    }
}

pub(super) struct Traces {
    own: Arc<Trace>,
    adopted: BTreeMap<[u8; 16], Weak<Trace>>,
    latest_clock: Option<Clock>,
}

impl Traces {
    pub(super) fn new(own: TraceId) -> Self {
        Self { own: Trace::new(own, None), adopted: BTreeMap::new(), latest_clock: None }
    }

    pub(super) fn own(&self) -> Arc<Trace> {
        Arc::clone(&self.own)
    }

    /// The trace of this id. Images that adopt it while it is in use share its clock.
    pub(super) fn get(&mut self, id: TraceId) -> Arc<Trace> {
        if id == self.own.id {
            return self.own();
        }
        let known = self.adopted.get(&id.to_bytes()).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let trace = Trace::new(id, self.latest_clock);
            self.adopted.insert(id.to_bytes(), Arc::downgrade(&trace));
            trace
        })
    }

    /// A new reading: for the traces that begin from here on, and for those that have none.
    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.latest_clock = Some(clock);
        self.own.clock.get_or_init(|| clock);
        for trace in self.adopted.values().filter_map(Weak::upgrade) {
            trace.clock.get_or_init(|| clock);
        }
    }

    #[cfg(test)]
    pub(super) fn adopted_count(&self) -> usize {
        self.adopted.len()
    }

    /// Drop what no image refers to any more, so that an agent with a trace per command stays small.
    pub(super) fn forget_unused(&mut self) {
        self.adopted.retain(|_, trace| trace.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{KernelNanos, WallNanos};

    use super::*;

    fn reading(wall: u64) -> Clock {
        Clock { at: KernelNanos(0), wall: WallNanos(wall) }
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_trace_that_has_begun() {
        let mut traces = Traces::new(TraceId::from_bytes([1; 16]));
        traces.set_clock(reading(100));
        let before = traces.get(TraceId::from_bytes([2; 16]));
        traces.set_clock(reading(900));
        let after = traces.get(TraceId::from_bytes([3; 16]));
        assert_eq!(traces.own().clock(), Some(reading(100)));
        assert_eq!(before.clock(), Some(reading(100)));
        assert_eq!(after.clock(), Some(reading(900)));
    }

    #[test]
    fn a_trace_that_no_image_uses_is_forgotten() {
        let mut traces = Traces::new(TraceId::from_bytes([1; 16]));
        let used = traces.get(TraceId::from_bytes([2; 16]));
        drop(traces.get(TraceId::from_bytes([3; 16])));
        traces.forget_unused();
        assert_eq!(traces.adopted.len(), 1);
        assert!(Arc::ptr_eq(&used, &traces.get(used.id)));
    }
}
