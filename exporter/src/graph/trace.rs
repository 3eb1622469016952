//! The traces of a session: its own segments, one after the other, and those that were adopted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use agentsight_ebpf::{Clock, KernelNanos, WallNanos};
use opentelemetry::trace::TraceId;

use super::load::Load;
use super::segment_id::SegmentIds;
use super::{ImageId, Traceparent};
use crate::session::{SegmentLimits, Session};

/// One trace, shared by its images.
#[derive(Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// Which of the session's own it is; [`Segment::FIRST`] for one that was adopted later.
    pub segment: Segment,
    /// The reading that turns its kernel times to wall time: one for the whole trace, so that a step of the
    /// wall clock cannot reorder it. Unset until the first reading arrived, or a time was asked for before that.
    clock: OnceLock<Clock>,
}

/// The number of a trace among the session's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(pub u32);

impl Segment {
    /// The trace that a session begins with.
    pub const FIRST: Self = Self(0);
}

impl Trace {
    fn new(id: TraceId, segment: Segment, clock: Option<Clock>) -> Arc<Self> {
        Arc::new(Self { id, segment, clock: clock.map_or_else(OnceLock::new, OnceLock::from) })
    }

    /// The reading of both clocks that holds for this trace, from the first question on: where no reading has come by
    /// then there is nothing to go by, and the kernel's time stands for itself.
    #[must_use]
    pub fn clock(&self) -> Clock {
        *self.clock.get_or_init(|| Clock { at: KernelNanos(0), wall: WallNanos(0) })
    }
}

/// Adopted traces without a live image are remembered, with how full they are, up to so many: an agent may give each of
/// its commands a span of one long trace.
const ADOPTED_REMEMBERED: usize = 1024;

pub(super) struct Traces {
    ids: SegmentIds,
    limits: SegmentLimits,
    /// The trace that the session began with, promised to its root.
    first: Arc<Trace>,
    /// The session's newest own trace: what cannot be where it belongs goes there.
    current: Arc<Trace>,
    /// Images that have a continuation in the current trace.
    continued: BTreeSet<ImageId>,
    ledgers: BTreeMap<[u8; 16], Ledger>,
    latest_clock: Option<Clock>,
}

/// How full a trace is.
struct Ledger {
    trace: Arc<Trace>,
    kind: Kind,
    taken: Load,
    opened: KernelNanos,
    last_used: KernelNanos,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    /// Somebody else's: how old it is is their business.
    Adopted,
}

impl Traces {
    pub(super) fn new(session: &Session) -> Self {
        let ids = SegmentIds::new(session);
        let current = Trace::new(session.trace_id, Segment::FIRST, None);
        let callers = session.caller.traceparent.as_deref().filter(|_| session.options.adopt);
        let is_callers = callers
            .and_then(|value| Traceparent::parse(value.as_bytes()).ok())
            .is_some_and(|parent| parent.sampled && parent.span.trace_id == session.trace_id);
        let kind = if is_callers { Kind::Adopted } else { Kind::Own };
        let mut traces = Self {
            ids,
            limits: session.options.segment,
            first: Arc::clone(&current),
            current: Arc::clone(&current),
            continued: BTreeSet::new(),
            ledgers: BTreeMap::new(),
            latest_clock: None,
        };
        traces.open(&current, kind);
        traces
    }

    /// The trace that the session began with.
    pub(super) fn first(&self) -> Arc<Trace> {
        Arc::clone(&self.first)
    }

    /// The session's newest own trace.
    pub(super) fn current(&self) -> Arc<Trace> {
        Arc::clone(&self.current)
    }

    /// The trace that a `TRACEPARENT` names, for its span to be a parent in; `None` for an earlier segment of this session.
    pub(super) fn joinable(&mut self, id: TraceId) -> Option<Arc<Trace>> {
        match self.ids.segment(id) {
            Some(segment) if segment == self.current.segment => Some(self.current()),
            Some(segment) if segment < self.current.segment => None,
            Some(_) | None => Some(self.adopted(id)),
        }
    }

    /// An adopted trace. Images that adopt it again share its clock, and its room.
    fn adopted(&mut self, id: TraceId) -> Arc<Trace> {
        if let Some(ledger) = self.ledgers.get(&id.to_bytes()) {
            return Arc::clone(&ledger.trace);
        }
        let trace = Trace::new(id, Segment::FIRST, self.latest_clock);
        self.open(&trace, Kind::Adopted);
        trace
    }

    /// Whether the trace takes more; one that has to refuse is closed for good.
    pub(super) fn admits(&mut self, trace: &Trace, more: Load, at: KernelNanos) -> bool {
        let limits = self.limits;
        let Some(ledger) = self.ledgers.get_mut(&trace.id.to_bytes()) else { return false };
        // Whatever its size, a first span has to go somewhere.
        let is_empty = ledger.taken == Load::default();
        let is_old = ledger.kind == Kind::Own && at.0.saturating_sub(ledger.opened.0) > limits.age_nanos;
        ledger.closed |= !is_empty && (is_old || !ledger.fits(more, limits));
        !ledger.closed
    }

    /// Whether the trace has room, closed or not: for the end of an image that stands in it.
    pub(super) fn holds(&self, trace: &Trace, more: Load) -> bool {
        self.ledgers.get(&trace.id.to_bytes()).is_some_and(|ledger| ledger.fits(more, self.limits))
    }

    /// Takes the room.
    pub(super) fn charge(&mut self, trace: &Trace, load: Load, at: KernelNanos) {
        if let Some(ledger) = self.ledgers.get_mut(&trace.id.to_bytes()) {
            if ledger.taken == Load::default() {
                ledger.opened = at;
            }
            ledger.taken = ledger.taken + load;
            ledger.last_used = ledger.last_used.max(at);
        }
    }

    /// Less than what was taken is needed.
    pub(super) fn give_back(&mut self, trace: &Trace, taken: Load, needed: Load) {
        if let Some(ledger) = self.ledgers.get_mut(&trace.id.to_bytes()) {
            let less = |of: u64, taken: u64, needed: u64| of.saturating_sub(taken.saturating_sub(needed));
            ledger.taken.bytes = less(ledger.taken.bytes, taken.bytes, needed.bytes);
            ledger.taken.spans = less(ledger.taken.spans, taken.spans, needed.spans);
        }
    }

    /// The session goes on in a new trace.
    pub(super) fn open_next(&mut self) -> Arc<Trace> {
        if let Some(ledger) = self.ledgers.get_mut(&self.current.id.to_bytes()) {
            ledger.closed = true;
        }
        let segment = Segment(self.current.segment.0.saturating_add(1));
        self.current = Trace::new(self.ids.id(segment), segment, self.latest_clock);
        self.continued.clear();
        let current = self.current();
        self.open(&current, Kind::Own);
        current
    }

    /// The image has a continuation in the current trace from here on; false where it had one.
    pub(super) fn note_continued(&mut self, image: ImageId) -> bool {
        self.continued.insert(image)
    }

    pub(super) fn is_continued(&self, image: ImageId) -> bool {
        self.continued.contains(&image)
    }

    /// A new reading: for the traces that begin from here on, and for those that have none.
    pub(super) fn set_clock(&mut self, clock: Clock) {
        if self.latest_clock.replace(clock).is_none() {
            for ledger in self.ledgers.values() {
                ledger.trace.clock.get_or_init(|| clock);
            }
        }
    }

    /// Drop what no image refers to any more, so that an agent with a trace per command stays small.
    pub(super) fn forget_unused(&mut self) {
        let current = self.current.id;
        self.ledgers
            .retain(|_, ledger| ledger.kind == Kind::Adopted || !ledger.is_unused() || ledger.trace.id == current);
        let unused = self.ledgers.iter().filter(|(_, ledger)| ledger.is_unused());
        let mut unused: Vec<_> = unused.map(|(id, ledger)| (ledger.last_used, *id)).collect();
        let excess = unused.len().saturating_sub(ADOPTED_REMEMBERED);
        unused.sort_unstable();
        for (_, id) in &unused[..excess] {
            self.ledgers.remove(id);
        }
    }

    fn open(&mut self, trace: &Arc<Trace>, kind: Kind) {
        let nothing = KernelNanos(0);
        let ledger = Ledger {
            trace: Arc::clone(trace),
            kind,
            taken: Load::default(),
            opened: nothing,
            last_used: nothing,
            closed: false,
        };
        self.ledgers.insert(trace.id.to_bytes(), ledger);
    }

    /// How many traces have state here.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.ledgers.len()
    }
}

impl Ledger {
    fn fits(&self, more: Load, limits: SegmentLimits) -> bool {
        let then = self.taken + more;
        then.spans <= limits.spans && then.bytes <= limits.bytes
    }

    fn is_unused(&self) -> bool {
        Arc::strong_count(&self.trace) == 1
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::graph::fixture::session;

    const ONE: Load = Load { spans: 1, bytes: 1 };

    fn reading(wall: u64) -> Clock {
        Clock { at: KernelNanos(0), wall: WallNanos(wall) }
    }

    fn adopted(traces: &mut Traces, number: u8) -> Arc<Trace> {
        traces.joinable(TraceId::from_bytes([number; 16])).unwrap()
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_trace_that_has_begun() {
        let mut traces = Traces::new(&session());
        let first = traces.current();
        traces.set_clock(reading(100));
        let before = adopted(&mut traces, 2);
        traces.set_clock(reading(900));
        let after = adopted(&mut traces, 3);
        let next = traces.open_next();
        assert_eq!(first.clock(), reading(100));
        assert_eq!(before.clock(), reading(100));
        assert_eq!(after.clock(), reading(900));
        assert_eq!(next.clock(), reading(900));
    }

    #[test]
    fn a_reading_that_comes_after_a_time_was_asked_for_moves_no_trace_that_was_asked() {
        let mut traces = Traces::new(&session());
        let (asked, other) = (traces.current(), adopted(&mut traces, 2));
        assert_eq!(asked.clock(), Clock { at: KernelNanos(0), wall: WallNanos(0) });
        traces.set_clock(reading(100));
        assert_eq!(asked.clock(), Clock { at: KernelNanos(0), wall: WallNanos(0) });
        assert_eq!(other.clock(), reading(100));
    }

    #[test]
    fn segments_without_images_are_forgotten_and_of_adopted_traces_a_thousand_are_remembered() {
        let mut traces = Traces::new(&session());
        let used = traces.open_next();
        for number in 0..5_000_u32 {
            traces.open_next();
            let id = TraceId::from_bytes((1 + u128::from(number)).to_be_bytes());
            let trace = traces.joinable(id).unwrap();
            traces.charge(&trace, ONE, KernelNanos(u64::from(number)));
        }
        traces.forget_unused();
        // The current one, the one in use, and the first.
        assert_eq!(traces.count(), ADOPTED_REMEMBERED + 3);
        assert!(traces.ledgers.contains_key(&used.id.to_bytes()));
        assert!(traces.ledgers.contains_key(&5_000_u128.to_be_bytes()));
        assert!(!traces.ledgers.contains_key(&1_u128.to_be_bytes()));
    }

    #[test]
    fn a_trace_that_had_to_refuse_is_closed_for_good() {
        let mut session = session();
        session.options.segment = SegmentLimits { spans: 3, bytes: 100, age_nanos: 10 };
        let mut traces = Traces::new(&session);
        let trace = traces.current();
        assert!(
            traces.admits(&trace, Load { spans: 9, bytes: 900 }, KernelNanos(0)),
            "a first span has to go somewhere"
        );
        traces.charge(&trace, ONE, KernelNanos(0));
        assert!(!traces.admits(&trace, Load { spans: 3, bytes: 1 }, KernelNanos(1)));
        assert!(!traces.admits(&trace, ONE, KernelNanos(1)));
        assert!(traces.holds(&trace, ONE));
    }

    #[test]
    fn our_own_traces_grow_old_and_adopted_ones_do_not() {
        let mut session = session();
        session.options.segment.age_nanos = 10;
        let mut traces = Traces::new(&session);
        for (trace, grows_old) in [(traces.current(), true), (adopted(&mut traces, 2), false)] {
            traces.charge(&trace, ONE, KernelNanos(5));
            assert!(traces.admits(&trace, ONE, KernelNanos(15)));
            assert_eq!(traces.admits(&trace, ONE, KernelNanos(16)), !grows_old);
        }
        session.caller.traceparent = Some("00-11111111111111111111111111111111-9999999999999999-01".into());
        let mut traces = Traces::new(&session);
        let callers = traces.current();
        traces.charge(&callers, ONE, KernelNanos(5));
        assert!(traces.admits(&callers, ONE, KernelNanos(16)), "the caller's own trace is not ours");
    }
}
