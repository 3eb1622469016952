//! Rule: a burst leaves when it has ended and its causes are settled.
//!
//! An output has all its causes when time has passed its end. An input may be said before the burst that it took its
//! bytes from, so it waits a little where that is possible.

use std::sync::Arc;

use agentsight_ebpf::{BurstId, Direction, KernelNanos, ProcessKey};

use super::burst::{Burst, Shown, Way, way};
use super::edges::{EDGES_MAX, Edge, Edges};
use super::load::Load;
use super::moved::Moved;
use super::process::Stage;
use super::transfer::{Transfer, Under};
use super::{Activity, Cause, CauseKind, Confidence, Graph};

/// How long a write that began before a read ended may take to be said, nanoseconds.
pub(super) const HOLD: u64 = 1_000_000_000;

impl Graph {
    /// Time has reached `now`: let go what is settled.
    pub(super) fn leave_settled(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        let passed = self.bursts.ended.iter().take_while(|(at, _)| *at < now);
        let settled: Vec<_> = passed.filter(|(at, id)| self.is_settled(*id, *at, now)).map(|(_, id)| *id).collect();
        for id in settled.into_iter().chain(self.bursts.overdue(now)) {
            self.leave(id, now, out);
        }
    }

    /// All bursts of a process that is forgotten leave as they are.
    pub(super) fn leave_of_process(&mut self, process: ProcessKey, now: KernelNanos, out: &mut Vec<Activity>) {
        let bursts = self.processes.get_mut(process).map(|known| std::mem::take(&mut known.deeds.bursts));
        for id in bursts.unwrap_or_default() {
            self.leave(id, now, out);
        }
    }

    /// The session is over.
    pub(super) fn leave_all(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        let ended: Vec<_> = self.bursts.ended.iter().map(|(_, id)| *id).collect();
        for id in ended {
            self.leave(id, now, out);
        }
        let left: Vec<_> = self.bursts.by_id.keys().copied().collect();
        for id in left {
            self.leave(id, now, out);
        }
    }

    fn is_settled(&self, id: BurstId, ended: KernelNanos, now: KernelNanos) -> bool {
        let Some(Shown { moved, .. }) = self.bursts.shown(id) else { return true };
        if moved.direction == Direction::Out {
            return true;
        }
        let waited = now.0.saturating_sub(ended.0);
        match way(moved) {
            Way::Nowhere => true,
            Way::File(id) => waited > HOLD || !self.files.get(id).is_some_and(|file| file.may_be_written()),
            Way::Stream(key) => waited > self.streams.patience(key, moved) || self.streams.accounts_for(key, moved),
        }
    }

    fn leave(&mut self, id: BurstId, at: KernelNanos, out: &mut Vec<Activity>) {
        let shown = match self.bursts.by_id.get(&id) {
            None => return,
            Some(Burst::Folded { by, .. }) => {
                let by = *by;
                self.end_folded(by, None, id);
                return;
            }
            Some(Burst::Shown(_)) => match self.bursts.by_id.remove(&id) {
                Some(Burst::Shown(shown)) => *shown,
                Some(Burst::Folded { .. }) | None => return,
            },
        };
        let moved = Arc::clone(&shown.moved);
        let (start, end) = (moved.first, moved.last().unwrap_or(moved.first));
        let mut edges = Edges::to(start, end);
        self.gather(&shown, &mut edges);
        self.matched_in_output(&shown, &mut edges);
        edges.retain(|edge| !self.circles.would_close(edge.cause.id, id));
        let (mut edges, causes_dropped) = edges.finish(EDGES_MAX);
        for edge in &mut edges {
            self.gaps.doubt(edge, end);
        }
        self.contents.passages.note_edges(&moved, &edges);
        self.circles.leave(id, edges.iter().map(|edge| edge.cause.id), |cause| self.bursts.shown(cause).is_none());
        let causes = self.causes(edges, start, at, out);
        let content = shown.content;
        let load = Load::of_transfer(&moved.image, &moved.object, &causes) + self.load_of(content.as_deref());
        let under = match (moved.under.get(), shown.reserved) {
            (Some(under), Some(reserved)) => {
                let under = under.clone();
                self.traces.give_back(&under.place().trace, reserved, load);
                // What was captured was not known then.
                let excess = Load { spans: 0, bytes: load.bytes.saturating_sub(reserved.bytes) };
                if excess.bytes > 0 {
                    self.traces.charge(&under.place().trace, excess, at);
                }
                under
            }
            _ => self.place(&moved, load, at, out),
        };
        self.forget(&moved);
        let promised = shown.reserved.is_some();
        let transfer = Transfer { promised, content, causes, causes_dropped, ..moved.transfer(under) };
        out.push(Activity::Transferred(Box::new(transfer)));
    }

    pub(super) fn gather(&self, shown: &Shown, edges: &mut Edges) {
        let moved = &shown.moved;
        if moved.direction == Direction::In && moved.last().is_some() {
            match way(moved) {
                Way::File(id) => self.file_causes(id, moved, edges),
                Way::Stream(key) => self.stream_causes(key, moved, edges),
                Way::Nowhere => {}
            }
        }
        edges.over = edges.over.saturating_add(shown.copies_dropped);
        for (from, bytes) in &shown.copied {
            edges.push(Edge {
                kind: CauseKind::Copy,
                confidence: Confidence::CERTAIN,
                cause: Arc::clone(from),
                bytes: Some(*bytes),
                matched: None,
            });
        }
        for edge in &shown.passed {
            edges.push(edge.clone());
        }
        if let Some(flow) = &shown.flow {
            flow.causes(edges);
        }
    }

    /// The edges as they are said, of an effect that began at `start`. Whatever they point at has a place then.
    pub(super) fn causes(
        &mut self,
        edges: Vec<Edge>,
        start: KernelNanos,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Vec<Cause> {
        let mut causes = Vec::with_capacity(edges.len());
        for Edge { kind, confidence, cause, bytes, matched } in edges {
            if cause.under.get().is_none() {
                // Its own causes are not known yet.
                let load = Load::of_transfer_at_most(&cause.image, &cause.object);
                let under = self.place(&cause, load, at, out);
                out.push(Activity::TransferPromised(Box::new(cause.transfer(under))));
                if let Some(shown) = self.bursts.shown_mut(cause.id) {
                    shown.reserved = Some(load);
                }
            }
            if let Some(target) = cause.target(start) {
                causes.push(Cause { kind, confidence, target, bytes, matched });
            }
        }
        causes
    }

    /// Give a burst its place in a trace.
    fn place(&mut self, moved: &Moved, load: Load, at: KernelNanos, out: &mut Vec<Activity>) -> Under {
        let under = match self.stand_in_connection(moved.id.open, &moved.image, load, moved.first, at, out) {
            Some(under) => under,
            None => Under::Image(self.stand(&moved.image, load, moved.first, at, out)),
        };
        moved.under.get_or_init(|| under).clone()
    }

    /// A burst that has left is no longer waited for.
    fn forget(&mut self, moved: &Moved) {
        self.forget_begun(moved);
        if let Some(open) = self.opens.get_mut(moved.id.open) {
            open.bursts = open.bursts.saturating_sub(1);
        }
        if let Some(known) = self.processes.get_mut(moved.image.id.process) {
            known.deeds.bursts.remove(&moved.id);
        }
        if moved.direction == Direction::In {
            match way(moved) {
                Way::File(id) => self.files.end_reading(id),
                Way::Stream(key) => self.streams.end_reading(key, moved),
                Way::Nowhere => {}
            }
        }
    }

    /// The causes of an image that are bursts, at the time when it is said.
    pub(super) fn resolve_flows(&mut self, process: ProcessKey, at: KernelNanos, out: &mut Vec<Activity>) {
        let Some(known) = self.processes.get_mut(process) else { return };
        for (flow, start) in std::mem::take(&mut known.deeds.flows) {
            let mut edges = Edges::to(start, start);
            flow.causes(&mut edges);
            self.oddities.edges_against_time += u64::from(edges.against_time);
            let (edges, _) = edges.finish(EDGES_MAX);
            let causes = self.causes(edges, start, at, out);
            for cause in causes {
                self.add_cause_to_image(process, cause, at);
            }
        }
    }

    /// Link the current image of a process to one more cause, where its trace has room for that.
    pub(super) fn add_cause_to_image(&mut self, process: ProcessKey, cause: Cause, at: KernelNanos) {
        let Some(known) = self.processes.get_mut(process) else { return };
        let load = Load::of_cause(&cause);
        let image = &mut known.image;
        // Room for those of an image that is announced is taken at once, of others when they are said.
        let is_begun = known.stage == Stage::Begun;
        if image.causes.len() >= EDGES_MAX || (is_begun && !self.traces.holds(&image.trace, load)) {
            self.oddities.causes_dropped += 1;
            return;
        }
        image.causes.push(cause);
        if is_begun {
            self.traces.charge(&image.trace, load, at);
        }
    }
}
