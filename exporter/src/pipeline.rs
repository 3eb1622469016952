//! Event → activity → signal: the pure middle, the same for a live session and for a replay.

use agentsight_ebpf::{Event, KernelNanos};

use crate::graph::{Activity, Graph};
use crate::session::Session;
use crate::spans::Spans;
use crate::spans::model::Signal;

/// Graph and spans of one session, joined.
pub struct Pipeline {
    graph: Graph,
    spans: Spans,
    activities: Vec<Activity>,
}

impl Pipeline {
    /// A session that has not begun.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        Self { graph: Graph::new(session), spans: Spans::new(session), activities: Vec::new() }
    }

    /// Takes one event, already redacted; appends what is now complete.
    pub fn apply(&mut self, event: &Event, out: &mut Vec<Signal>) {
        self.graph.apply(event, &mut self.activities);
        self.translate(out);
    }

    /// Ends the session: what still lives is incomplete.
    pub fn finish(&mut self, at: KernelNanos, out: &mut Vec<Signal>) {
        self.graph.finish(at, &mut self.activities);
        self.translate(out);
    }

    fn translate(&mut self, out: &mut Vec<Signal>) {
        for activity in self.activities.drain(..) {
            self.spans.translate(&activity, out);
        }
    }
}
