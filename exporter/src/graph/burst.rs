//! Rule: a burst is a span of its image, from its first to its last moment. It begins and ends when the kernel says so.
//!
//! A read of the system is folded. Anything else makes the image that did it known: a forked child that has read or
//! written is not folded into the image that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use agentsight_ebpf::{
    BurstBegin, BurstEnd, BurstId, Content, Direction, Doer, ExecNumber, FileId, KernelNanos, Object, OpenHow,
    ProcessKey,
};

use super::edges::Edge;
use super::flow::Flow;
use super::image::Origin;
use super::load::Load;
use super::moved::Moved;
use super::object::{self, StreamKey};
use super::{Activity, Graph};

/// The kernel cuts what is a minute old: so much later the end was lost. A mapping lives as long as it likes.
const END_LOST_AFTER: KernelNanos = KernelNanos(180_000_000_000);

/// A burst that has not left.
#[derive(Debug)]
pub(super) enum Burst {
    /// It will have a span.
    Shown(Box<Shown>),
    /// It is only counted, unless something of it was captured.
    Folded { by: ProcessKey, begin: Box<BurstBegin>, file: FileId },
}

#[derive(Debug)]
pub(super) struct Shown {
    pub(super) moved: Arc<Moved>,
    pub(super) flow: Option<Flow>,
    /// Bursts that the kernel copied from, and how many bytes.
    pub(super) copied: Vec<(Arc<Moved>, u64)>,
    /// Those that there was no room for.
    pub(super) copies_dropped: u32,
    /// Bursts that a descriptor was sent in which this one received.
    pub(super) passed: Vec<Edge>,
    /// What was captured of it.
    pub(super) content: Option<Arc<Content>>,
    /// Room that was taken in its trace when something referred to it before its causes were known.
    pub(super) reserved: Option<Load>,
}

/// What a burst moves over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    File(FileId),
    Stream(StreamKey),
    /// No edges go over it.
    Nowhere,
}

#[derive(Default)]
pub(super) struct Bursts {
    pub(super) by_id: BTreeMap<BurstId, Burst>,
    /// Those that go on, by their beginning; without mappings.
    begun: BTreeSet<(KernelNanos, BurstId)>,
    /// Those that have ended, by when that was noticed.
    pub(super) ended: BTreeSet<(KernelNanos, BurstId)>,
}

impl Bursts {
    pub(super) fn shown(&self, id: BurstId) -> Option<&Shown> {
        match self.by_id.get(&id)? {
            Burst::Shown(shown) => Some(shown),
            Burst::Folded { .. } => None,
        }
    }

    pub(super) fn shown_mut(&mut self, id: BurstId) -> Option<&mut Shown> {
        match self.by_id.get_mut(&id)? {
            Burst::Shown(shown) => Some(shown),
            Burst::Folded { .. } => None,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Bursts whose end must have been lost.
    pub(super) fn overdue(&self, now: KernelNanos) -> Vec<BurstId> {
        let before = now.0.saturating_sub(END_LOST_AFTER.0);
        self.begun.iter().take_while(|(first, _)| first.0 < before).map(|(_, id)| *id).collect()
    }
}

pub(super) fn way(moved: &Moved) -> Way {
    if let Some(file) = object::stored_file(&moved.object) {
        return Way::File(file);
    }
    object::stream(&moved.object, moved.direction).map_or(Way::Nowhere, Way::Stream)
}

impl Graph {
    pub(super) fn begin_burst(&mut self, begin: &BurstBegin, out: &mut Vec<Activity>) {
        let Some(open) = self.opens.get(begin.burst.open) else {
            self.oddities.unseen_opens += 1;
            return;
        };
        let (object, found) = (Arc::clone(&open.object), open.how == OpenHow::Found);
        if self.is_too_late(begin.by.process, begin.at) {
            self.oddities.late_events += 1;
            return;
        }
        if self.is_the_launchers(&begin.by) {
            return;
        }
        if !self.opens.begin_burst(begin.burst.open, begin.burst.number, begin.by.process) {
            self.oddities.repeated_bursts += 1;
            return;
        }
        let folded = if begin.direction == Direction::In { self.folded_file(&object) } else { None };
        if let Some(file) = folded {
            self.begin_folded(begin, file, out);
            return;
        }
        self.begin_shown(begin, object, found, out);
    }

    fn begin_shown(&mut self, begin: &BurstBegin, object: Arc<Object>, found: bool, out: &mut Vec<Activity>) {
        let image = self.image_of(&begin.by, begin.at, out);
        let epoch = object::stored_file(&object).and_then(|id| self.files.get(id)).map_or(0, |file| file.epoch);
        let moved = Arc::new(Moved {
            id: begin.burst,
            image,
            tid: begin.by.tid,
            direction: begin.direction,
            object,
            epoch,
            first: begin.first,
            offset: begin.offset,
            mapped: begin.mapped,
            found,
            end: OnceLock::new(),
            under: OnceLock::new(),
        });
        let flow = self.flow_of(begin.by.process, begin.flow, begin.by.tid);
        match way(&moved) {
            Way::File(id) => self.begin_on_file(id, &moved),
            Way::Stream(key) => match moved.direction {
                Direction::In => {
                    self.streams.bind(key, &moved.object);
                    self.streams.begin_reading(key);
                }
                Direction::Out => self.streams.begin_writing(key, &moved),
            },
            Way::Nowhere => {}
        }
        if let Some(known) = self.processes.get_mut(begin.by.process) {
            known.deeds.bursts.insert(begin.burst);
            if let Some(number) = begin.source {
                known.deeds.sources.add(number, &moved);
            }
        }
        if !begin.mapped {
            self.bursts.begun.insert((begin.first, begin.burst));
        }
        let shown = Shown {
            moved,
            flow,
            copied: Vec::new(),
            copies_dropped: 0,
            passed: Vec::new(),
            content: None,
            reserved: None,
        };
        self.bursts.by_id.insert(begin.burst, Burst::Shown(Box::new(shown)));
    }

    /// What the root's process does before its exec is the launcher's code, which waits to be told to go on.
    fn is_the_launchers(&self, by: &Doer) -> bool {
        by.exec == ExecNumber(0) && self.processes.get(by.process).is_some_and(|it| it.image.origin == Origin::Root)
    }

    fn begin_folded(&mut self, begin: &BurstBegin, file: FileId, out: &mut Vec<Activity>) {
        let by = begin.by.process;
        if self.processes.get(by).is_none() {
            self.image_of(&begin.by, begin.at, out);
        }
        if let Some(known) = self.processes.get_mut(by) {
            known.deeds.folding.begin(file);
            known.deeds.bursts.insert(begin.burst);
        }
        self.bursts.by_id.insert(begin.burst, Burst::Folded { by, begin: Box::new(*begin), file });
    }

    /// Something of it was captured, so somebody wants to see it: it is shown, as if it had been so from the beginning.
    pub(super) fn unfold(&mut self, id: BurstId, out: &mut Vec<Activity>) {
        let Some(Burst::Folded { by, begin, file }) = self.bursts.by_id.get(&id) else { return };
        let (by, begin, file) = (*by, **begin, *file);
        let is_its_image = self.processes.get(by).is_some_and(|known| known.image.id.exec == begin.by.exec);
        let Some(open) = self.opens.get(id.open).filter(|_| is_its_image && !self.is_too_late(by, begin.at)) else {
            return;
        };
        let (object, found) = (Arc::clone(&open.object), open.how == OpenHow::Found);
        if let Some(known) = self.processes.get_mut(by) {
            known.deeds.folding.take_back(file);
        }
        self.begin_shown(&begin, object, found, out);
    }

    pub(super) fn end_burst(&mut self, end: &BurstEnd, out: &mut Vec<Activity>) {
        if !self.bursts.by_id.contains_key(&end.burst) {
            self.begin_burst(&beginning_of(end), out);
        }
        match self.bursts.by_id.get(&end.burst) {
            None => {}
            Some(Burst::Folded { by, .. }) => {
                let by = *by;
                self.end_folded(by, Some(end), end.burst);
            }
            Some(Burst::Shown(shown)) => {
                let moved = Arc::clone(&shown.moved);
                if moved.end.set(*end).is_err() {
                    self.oddities.repeated_bursts += 1;
                    return;
                }
                self.bursts.begun.remove(&(moved.first, moved.id));
                self.bursts.ended.insert((end.at, end.burst));
                self.connections.count(end.burst.open, moved.direction, end.bytes);
                if let (Way::File(id), Direction::Out) = (way(&moved), moved.direction) {
                    self.files.end_writing(id);
                }
                if moved.direction == Direction::In {
                    self.take_in(end.burst);
                }
            }
        }
    }

    /// A folded burst is over, with its sums where they were seen.
    pub(super) fn end_folded(&mut self, by: ProcessKey, end: Option<&BurstEnd>, id: BurstId) {
        self.bursts.by_id.remove(&id);
        if let Some(open) = self.opens.get_mut(id.open) {
            open.bursts = open.bursts.saturating_sub(1);
        }
        if let Some(known) = self.processes.get_mut(by) {
            known.deeds.bursts.remove(&id);
            if let Some(end) = end {
                known.deeds.folding.end(end);
            }
        }
    }

    /// Nothing more is heard of a burst: it is as if it had never ended.
    pub(super) fn forget_begun(&mut self, moved: &Moved) {
        self.bursts.begun.remove(&(moved.first, moved.id));
        if let Some(end) = moved.end.get() {
            self.bursts.ended.remove(&(end.at, moved.id));
        }
    }

    /// The image that did something, announced, as its bursts hold it.
    pub(super) fn image_of(&mut self, by: &Doer, at: KernelNanos, out: &mut Vec<Activity>) -> Arc<super::Image> {
        self.begin_numbered(by.process, by.exec, at, None, out);
        let known = self.processes.get_mut(by.process).expect("it was there, or was noticed above");
        Arc::clone(known.deeds.shared.get_or_insert_with(|| Arc::new(known.image.clone())))
    }
}

/// The beginning of a burst that only its end is known of.
fn beginning_of(end: &BurstEnd) -> BurstBegin {
    BurstBegin {
        at: end.at,
        by: end.by,
        burst: end.burst,
        direction: end.direction,
        first: end.first,
        offset: end.offset,
        source: None,
        flow: None,
        mapped: false,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn what_the_launcher_reads_before_the_roots_exec_is_not_the_roots() {
        check(
            "
                0 root 100
                1 open 100 #1 found pipe 7
                1 in 100 #1.1 0..80 source 1
                2 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/bash bash
                3 fork 100 101
                4 exec 101 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/ls ls
                5 exit 101 0
                6 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 3..5 exit 0
                ended    100#1 0..6 exit 0
            "#]],
        );
    }

    #[test]
    fn an_end_without_a_beginning_is_a_burst_and_a_second_one_is_not() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 file a
                ! 3 in 100 #1.1 0..
                4 end #1.1 10
                5 end #1.1 10
                6 tick
                7 end #1.1 10
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                read     #1.1 100#1 a 0..10 at 3..4 under 100#1
                ended    100#1 0..20000 incomplete
                odd      repeated_bursts: 2
            "#]],
        );
    }
}
