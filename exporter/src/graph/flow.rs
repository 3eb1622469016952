//! Rule: what an image took in before it wrote, sent or started something may have led to it.
//!
//! The kernel says when: an output, fork or exec that finds new sources names the first and the last of them. Of these
//! the newest of each of the newest 8 objects is linked, as long as it had ended before the effect began.

use std::collections::VecDeque;
use std::sync::Arc;

use agentsight_ebpf::{FlowPoint, KernelNanos, ProcessKey, Tid};

use super::edges::{Edge, Edges};
use super::moved::Moved;
use super::{CauseKind, Confidence, Graph, object};

/// Objects that one effect is linked to.
const OBJECTS_MAX: usize = 8;
/// Sources of an image that are remembered: the newest, enough for 8 objects among many turns on a few.
const SOURCES_MAX: usize = 64;

/// What an image took in, by the number that the kernel gave it.
#[derive(Debug)]
struct Source {
    number: u32,
    moved: Arc<Moved>,
}

/// What an image took in lately.
#[derive(Debug, Default)]
pub(super) struct Sources(VecDeque<Source>);

/// What an effect may follow from, newest first, and the thread that did it.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    sources: Vec<Arc<Moved>>,
    tid: Tid,
    /// What was found again in the effect.
    matched: Vec<Edge>,
}

impl Sources {
    pub(super) fn add(&mut self, number: u32, moved: &Arc<Moved>) {
        self.0.push_back(Source { number, moved: Arc::clone(moved) });
        if self.0.len() > SOURCES_MAX {
            self.0.pop_front();
        }
    }

    /// Those that are new at a flow point.
    pub(super) fn at(&self, point: Option<FlowPoint>, tid: Tid) -> Option<Flow> {
        let point = point?;
        let is_new = |source: &&Source| point.before < source.number && source.number <= point.now;
        let sources: Vec<_> = self.0.iter().rev().filter(is_new).map(|it| Arc::clone(&it.moved)).collect();
        (!sources.is_empty()).then_some(Flow { sources, tid, matched: Vec::new() })
    }
}

impl Flow {
    /// With what of captured contents was found again in the effect.
    pub(super) fn with(flow: Option<Self>, tid: Tid, matched: Vec<Edge>) -> Option<Self> {
        match flow {
            Some(flow) => Some(Self { matched, ..flow }),
            None if matched.is_empty() => None,
            None => Some(Self { sources: Vec::new(), tid, matched }),
        }
    }

    /// Links to what had ended before the effect began.
    pub(super) fn causes(&self, edges: &mut Edges) {
        let mut objects = Vec::with_capacity(OBJECTS_MAX);
        for source in &self.sources {
            let object = object::key(&source.object);
            if objects.contains(&object) {
                continue;
            }
            if objects.len() == OBJECTS_MAX {
                edges.over = edges.over.saturating_add(1);
                break;
            }
            let confidence = if source.tid == self.tid { Confidence::SAME_THREAD } else { Confidence::OTHER_THREAD };
            let edge =
                Edge { kind: CauseKind::Flow, confidence, cause: Arc::clone(source), bytes: None, matched: None };
            if edges.push(edge) {
                objects.push(object);
            }
        }
        for edge in &self.matched {
            edges.push(edge.clone());
        }
    }
}

impl Graph {
    /// What the current image of a process has taken in since it was last asked.
    pub(super) fn flow_of(&self, process: ProcessKey, point: Option<FlowPoint>, tid: Tid) -> Option<Flow> {
        self.processes.get(process)?.deeds.sources.at(point, tid)
    }

    /// The image that a process begins, at its fork or exec, may follow from this.
    pub(super) fn add_flow_to_image(&mut self, process: ProcessKey, flow: Option<Flow>, at: KernelNanos) {
        if let (Some(flow), Some(known)) = (flow, self.processes.get_mut(process)) {
            known.deeds.flows.push((flow, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn what_was_read_before_a_request_may_have_led_to_it() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3 agent.py
                2 open 100 #1 file config.json
                3 in 100 #1.1 0..47 source 1
                4 open 100 #2 tcp 127.0.0.1:9 10.0.0.1:80
                6 out 100 #2.1 0..70 flow 0..1
                8 in 100 #2.2 0..27 source 2
                9 open 100 #3 created file out
                10 out 100 #3.1 0..5 flow 1..2 thread 7
                11 tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                read     #1.1 100#1 config.json 0..47 at 3..3 under 100#1
                write    #2.1 100#1 tcp 0..70 at 6..6 under 100#1 <-Flow #1.1 (0.5)
                read     #2.2 100#1 tcp 0..27 at 8..8 under 100#1
                write    #3.1 100#1 out 0..5 at 10..10 under 100#1 <-Flow #2.2 (0.3)
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_had_not_ended_is_no_cause() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3 agent.py
                2 open 100 #1 file a
                3 in 100 #1.1 0.. source 1
                4 open 100 #2 file b
                5 in 100 #2.1 0..10 source 2
                6 open 100 #3 created file out
                8 out 100 #3.1 0..5 flow 0..2
                9 end #1.1 40
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                read     #2.1 100#1 b 0..10 at 5..5 under 100#1
                write    #3.1 100#1 out 0..5 at 8..8 under 100#1 <-Flow #2.1 (0.5) dropped 1
                read     #1.1 100#1 a 0..40 at 3..9 under 100#1
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_child_and_the_next_image_follow_from_what_was_read() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 open 100 #1 file script
                3 in 100 #1.1 0..47 source 1
                4 fork 100 101 flow 0..1
                5 exec 101 /bin/ls ls
                6 exit 101 0
                7 in 100 #1.2 47..50 source 2
                8 exec 100 flow 1..2 /bin/cat cat
                9 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/ls under 100#1
                promised #1.1
                ended    101#1 4..6 exit 0 <-Flow #1.1 (0.5)
                ended    100#1 0..8 into 100#2
                began    100#2 Exec sh/cat under 100#1 <-Exec 100#1
                promised #1.2
                ended    100#2 8..9 exit 0 <-Flow #1.2 (0.5)
                read     #1.1 100#1 script 0..47 at 3..3 under 100#1
                read     #1.2 100#1 script 47..50 at 7..7 under 100#1
            "#]],
        );
    }

    #[test]
    fn the_newest_of_the_newest_eight_objects_are_linked_and_folded_reads_are_not() {
        let reads: String =
            (1..=10).map(|n| format!("2 open 100 #{n} file f{n}\n3 in 100 #{n}.1 0..9 source {n}\n")).collect();
        check(
            &format!(
                "
                0 root 100
                1 exec 100 /bin/python3 python3
                {reads}
                4 in 100 #10.2 9..18 source 11
                4 open 100 #11 file /usr/lib/x.py
                5 in 100 #11.1 0..9 source 12
                5 open 100 #20 created file out
                6 out 100 #20.1 0..5 flow 0..12
                7 tick
                8 exit 100 0
            "
            ),
            &expect![[r#"
                began    100#1 Root python3 under -
                read     #1.1 100#1 f1 0..9 at 3..3 under 100#1
                read     #2.1 100#1 f2 0..9 at 3..3 under 100#1
                read     #3.1 100#1 f3 0..9 at 3..3 under 100#1
                read     #4.1 100#1 f4 0..9 at 3..3 under 100#1
                read     #5.1 100#1 f5 0..9 at 3..3 under 100#1
                read     #6.1 100#1 f6 0..9 at 3..3 under 100#1
                read     #7.1 100#1 f7 0..9 at 3..3 under 100#1
                read     #8.1 100#1 f8 0..9 at 3..3 under 100#1
                read     #9.1 100#1 f9 0..9 at 3..3 under 100#1
                read     #10.1 100#1 f10 0..9 at 3..3 under 100#1
                read     #10.2 100#1 f10 9..18 at 4..4 under 100#1
                write    #20.1 100#1 out 0..5 at 6..6 under 100#1 <-Flow #10.2 (0.5) <-Flow #9.1 (0.5) <-Flow #8.1 (0.5) <-Flow #7.1 (0.5) <-Flow #6.1 (0.5) <-Flow #5.1 (0.5) <-Flow #4.1 (0.5) <-Flow #3.1 (0.5) dropped 1
                ended    100#1 0..8 exit 0 folded 1 files 1 bursts 9 bytes
            "#]],
        );
    }
}
