//! The processes that have state, and when that state is due or can go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agentsight_ebpf::{BurstId, KernelNanos, ProcessKey};

use super::activity::Place;
use super::flow::{Flow, Sources};
use super::fold::Folding;
use super::image::Part;
use super::{Blind, GRACE, Image, Note};

/// A process and its current image; after its exit, its last.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) image: Image,
    pub(super) stage: Stage,
    pub(super) ended: Option<KernelNanos>,
    /// What the image follows from, kept until it is announced: by then that may be forgotten.
    pub(super) forker: Option<Box<Image>>,
    /// The image's newest span, once it is continued.
    pub(super) newest: Option<Place>,
    /// What it did with data, and what of that is not said yet.
    pub(super) deeds: Deeds,
    /// Of the image's ancestors the nearest that lives; of a dead one's, that lived when it died.
    elder: Option<ProcessKey>,
}

impl Process {
    /// The span that the image's `exit` would hang under.
    pub(super) fn newest(&self) -> Place {
        let own = || Place { trace: Arc::clone(&self.image.trace), part: Part::Original, start: self.image.start };
        self.newest.clone().unwrap_or_else(own)
    }
}

/// What a process did with data.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// The current image as its bursts hold it.
    pub(super) shared: Option<Arc<Image>>,
    /// What the current image took in.
    pub(super) sources: Sources,
    /// What the current image may follow from, with when it began.
    pub(super) flows: Vec<(Flow, KernelNanos)>,
    /// What it read of the system.
    pub(super) folding: Folding,
    /// What else it did.
    pub(super) notes: Vec<Note>,
    pub(super) notes_dropped: u32,
    pub(super) blind: Blind,
    /// Bursts of the process that have not left, an earlier image's too.
    pub(super) bursts: BTreeSet<BurstId>,
}

impl Deeds {
    /// What the next image of the process goes on with.
    fn of_next_image(self) -> Self {
        Self { shared: None, sources: Sources::default(), ..self }
    }
}

/// What the world knows of a process's current image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing: if it execs now, it is folded into the image that follows.
    Unannounced,
    /// It will have a span, and others may refer to it.
    Begun,
    /// Its span was sent.
    Promoted,
}

/// Every process with state.
#[derive(Default)]
pub(super) struct Processes {
    by_key: BTreeMap<ProcessKey, Process>,
    /// Images that may be promoted, by start.
    unpromoted: BTreeSet<(KernelNanos, ProcessKey)>,
    /// Processes by their elder.
    juniors: BTreeMap<ProcessKey, BTreeSet<ProcessKey>>,
    /// Dead processes, by end.
    dead: BTreeSet<(KernelNanos, ProcessKey)>,
    /// Who died before this is forgotten.
    remembered_from: KernelNanos,
}

impl Processes {
    pub(super) fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ProcessKey) -> Option<&mut Process> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Set the current image of its process, which is alive, and what it follows from.
    pub(super) fn set_image(&mut self, image: Image, forker: Option<Box<Image>>) {
        let key = image.id.process;
        self.unpromoted.insert((image.start, key));
        let elder = match self.by_key.get(&key) {
            Some(before) => before.elder,
            None => forker.as_deref().and_then(|forker| self.nearest_alive(forker)),
        };
        if let Some(elder) = elder {
            self.juniors.entry(elder).or_default().insert(key);
        }
        let before = self.by_key.remove(&key);
        if let Some(before) = before.as_ref().filter(|before| before.image.start != image.start) {
            self.unpromoted.remove(&(before.image.start, key));
        }
        let deeds = before.map_or_else(Deeds::default, |before| before.deeds.of_next_image());
        let process = Process { image, stage: Stage::Unannounced, ended: None, forker, newest: None, deeds, elder };
        self.by_key.insert(key, process);
    }

    /// Take out the oldest image that began before `start` and was not promoted.
    pub(super) fn take_unpromoted_before(&mut self, start: KernelNanos) -> Option<ProcessKey> {
        let (began, key) = self.unpromoted.first().copied().filter(|(began, _)| *began < start)?;
        self.unpromoted.remove(&(began, key));
        Some(key)
    }

    /// The nearest live ancestor of a process's current image.
    pub(super) fn elder(&self, key: ProcessKey) -> Option<ProcessKey> {
        self.by_key.get(&key)?.elder
    }

    /// This image if it lives, else its nearest live ancestor as far as that is known.
    fn nearest_alive(&self, image: &Image) -> Option<ProcessKey> {
        let known = self.by_key.get(&image.id.process)?;
        if known.image.id == image.id && known.ended.is_none() {
            return Some(image.id.process);
        }
        known.elder.filter(|elder| self.by_key.get(elder).is_some_and(|it| it.ended.is_none()))
    }

    /// Whether a descendant lives that the process's current image began.
    pub(super) fn has_juniors(&self, key: ProcessKey) -> bool {
        self.juniors.contains_key(&key)
    }

    /// The process's current image ended: whatever stood nearest to it stands nearest to its elder now.
    pub(super) fn hand_over_juniors(&mut self, key: ProcessKey) {
        let Some(juniors) = self.juniors.remove(&key) else { return };
        let elder = self.elder(key);
        for junior in &juniors {
            if let Some(junior) = self.by_key.get_mut(junior) {
                junior.elder = elder;
            }
        }
        if let Some(elder) = elder {
            self.juniors.entry(elder).or_default().extend(juniors);
        }
    }

    fn leave_elder(&mut self, key: ProcessKey) {
        let Some(elder) = self.elder(key) else { return };
        if let Some(juniors) = self.juniors.get_mut(&elder) {
            juniors.remove(&key);
            if juniors.is_empty() {
                self.juniors.remove(&elder);
            }
        }
    }

    /// The process ended; its state stays for a while.
    pub(super) fn bury(&mut self, key: ProcessKey, at: KernelNanos) {
        self.leave_elder(key);
        if let Some(process) = self.by_key.get_mut(&key) {
            // Not before it was noticed, else the event that it was noticed by could come again and notice it again.
            let at = at.max(process.image.id.noticed);
            process.ended = Some(at);
            self.unpromoted.remove(&(process.image.start, key));
            self.dead.insert((at, key));
        }
    }

    /// Older processes of the same process id that are thought to be alive.
    pub(super) fn living_predecessors(&self, of: ProcessKey) -> Vec<ProcessKey> {
        let same_id = ProcessKey { start: KernelNanos(0), ..of }..of;
        self.by_key.range(same_id).filter(|(_, process)| process.ended.is_none()).map(|(key, _)| *key).collect()
    }

    /// Whether this moment is so long ago that a process of then may have been forgotten.
    pub(super) fn may_have_forgotten(&self, at: KernelNanos) -> bool {
        at < self.remembered_from
    }

    /// The dead whose grace ended before `now`, and that have bursts which were not seen to end.
    pub(super) fn dead_with_bursts(&self, now: KernelNanos) -> Vec<ProcessKey> {
        let before = now.0.saturating_sub(GRACE.0);
        let due = self.dead.iter().take_while(|(ended, _)| ended.0 < before).map(|(_, key)| *key);
        due.filter(|key| self.by_key.get(key).is_some_and(|it| !it.deeds.bursts.is_empty())).collect()
    }

    /// Forget the dead whose grace ended before `now`.
    pub(super) fn release_before(&mut self, now: KernelNanos) {
        self.remembered_from = self.remembered_from.max(KernelNanos(now.0.saturating_sub(GRACE.0)));
        while let Some((ended, key)) = self.dead.first().copied()
            && ended < self.remembered_from
        {
            self.dead.remove(&(ended, key));
            self.by_key.remove(&key);
        }
    }

    pub(super) fn in_order_of_start(&self) -> Vec<ProcessKey> {
        let mut keys: Vec<_> = self.by_key.values().map(|it| (it.image.start, it.image.id.process)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::Graph;
    use crate::graph::fixture::{check, events, session};

    #[test]
    fn a_hundred_thousand_processes_leave_nothing_behind() {
        let mut text = "0 root 1\n1 exec 1 /bin/make make\n".to_owned();
        for n in 0..100_000 {
            let (at, child) = (n + 2, n % 30_000 + 2);
            let traceparent = format!("TRACEPARENT=00-{:032x}-{:016x}-01", n + 1, n + 1);
            text += &format!("{at} fork 1 {child}\n{at} exec {child} {traceparent} /bin/cc cc\n{at} exit {child} 0\n");
            if n % 1000 == 0 {
                text += &format!("{at} tick\n");
            }
        }
        let mut graph = Graph::new(&session());
        let (mut out, mut activity_count, mut most_processes) = (Vec::new(), 0, 0);
        for event in events(&(text + "200s tick")) {
            graph.apply(&event, &mut out);
            activity_count += out.drain(..).count();
            most_processes = most_processes.max(graph.process_count());
        }
        assert_eq!(activity_count, 100_000 * 2 + 2, "each began and ended; the root began and was promoted");
        assert!(most_processes < 6_100, "{most_processes}: more than those of the grace and of one tick");
        assert_eq!(graph.process_count(), 1);
        assert!(graph.trace_count() < 1_100, "{}", graph.trace_count());
        assert_eq!(graph.processes.juniors.len(), 0);
    }

    #[test]
    fn an_hour_of_churn_over_many_traces_leaves_nothing_behind() {
        let mut text = "0 root 1\n1 exec 1 /bin/agent agent\n".to_owned();
        for second in 1..3_600_u32 {
            // A worker that lives for a minute, whose child outlives it, and a burst of short commands.
            let (worker, orphan) = (100 + second % 200, 300 + second % 200);
            text += &format!("{second}s fork 1 {worker}\n{second}s exec {worker} /bin/worker worker\n");
            text += &format!("{second}s fork {worker} {orphan}\n");
            for command in 500..505 {
                let shell = format!("{second}s fork {worker} {command}\n{second}s exec {command} /bin/sh sh\n");
                text += &(shell + &format!("{second}s exec {command} /bin/ls ls\n{second}s exit {command} 0\n"));
            }
            for (age, process) in [(60, 100), (90, 300)] {
                if let Some(born) = second.checked_sub(age).filter(|born| *born > 0) {
                    text += &format!("{second}s exit {} 0\n", process + born % 200);
                }
            }
            text += &format!("{second}s tick\n");
        }
        let mut session = session();
        session.options.segment.spans = 1_000;
        let mut graph = Graph::new(&session);
        let mut out = Vec::new();
        let (mut most_processes, mut most_traces, mut most_elders) = (0, 0, 0);
        for event in events(&text) {
            graph.apply(&event, &mut out);
            out.clear();
            most_processes = most_processes.max(graph.process_count());
            most_traces = most_traces.max(graph.trace_count());
            most_elders = most_elders.max(graph.processes.juniors.len());
        }
        // 150 live, and the dead of the grace; the segments that have live images, of about 50 in all.
        assert!(most_processes < 250, "{most_processes}");
        assert!(most_traces < 9, "{most_traces}");
        assert!(most_elders < 70, "{most_elders}");
        assert!(graph.traces.current().segment.0 > 40, "{:?}", graph.traces.current());
    }

    #[test]
    fn an_event_within_the_grace_finds_its_process_and_a_later_one_makes_no_second() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exit 101 0
                7s tick
                7s exit 100 0
                8s exit 100 0
                13s tick
                3 fork 101 102
                3 exit 101 1
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 2..3 exit 0
                ended    100#1 0..7000 exit 0
                odd      repeated_exits: 1, late_events: 2
            "#]],
        );
    }
}
