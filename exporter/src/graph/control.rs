//! Rules: a signal is a cause of what its target does next, an exit of what the parent does that waited for it, and a
//! descriptor was passed by the burst that it was sent in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use agentsight_ebpf::{KernelNanos, Kill, OpenId, Pass, PassSide, ProcessKey, Wait};

use super::edges::Edge;
use super::moved::Moved;
use super::{Activity, Cause, CauseKind, Confidence, Graph, Image, Note, Target};

/// Children of one parent that have ended and were not waited for: each keeps its trace.
const UNWAITED_MAX: usize = 64;
/// Open files that were sent and not received yet.
const SENT_MAX: usize = 1024;

/// Children that ended, until their parent has heard of it.
#[derive(Default)]
pub(super) struct Unwaited {
    by_parent: BTreeMap<ProcessKey, BTreeMap<u32, Target>>,
}

/// Bursts that a descriptor was sent in, by what was sent.
#[derive(Default)]
pub(super) struct Sent {
    by_open: BTreeMap<OpenId, Arc<Moved>>,
}

impl Unwaited {
    fn add(&mut self, parent: ProcessKey, child_vpid: u32, child: Target) {
        let children = self.by_parent.entry(parent).or_default();
        if children.len() >= UNWAITED_MAX {
            children.pop_first();
        }
        children.insert(child_vpid, child);
    }

    fn take(&mut self, parent: ProcessKey, child_vpid: u32) -> Option<Target> {
        let children = self.by_parent.get_mut(&parent)?;
        let child = children.remove(&child_vpid);
        if children.is_empty() {
            self.by_parent.remove(&parent);
        }
        child
    }

    /// The parent has ended too.
    fn forget(&mut self, parent: ProcessKey) {
        self.by_parent.remove(&parent);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_parent.len()
    }
}

impl Sent {
    pub(super) fn forget(&mut self, open: OpenId) {
        self.by_open.remove(&open);
    }
}

impl Graph {
    pub(super) fn kill(&mut self, kill: &Kill, out: &mut Vec<Activity>) {
        let target = self.processes.get(kill.target);
        let name = target.and_then(|target| target.image.executable_name()).map(Cow::into_owned);
        let is_alive = target.is_some_and(|target| target.ended.is_none());
        self.note(&kill.by, kill.at, Note::Kill(*kill, name), out);
        // Signal 0 only asks whether the process is there.
        if !is_alive || kill.signal == 0 || kill.target == kill.by.process {
            return;
        }
        let sender = self.image_numbered(kill.by.process, kill.by.exec, kill.at, None, out);
        self.link_image(kill.target, CauseKind::Signal, Target::image(&sender), kill.at);
    }

    /// A process has ended: its parent may hear of it.
    pub(super) fn remember_exit(&mut self, image: &Image) {
        self.unwaited.forget(image.id.process);
        if let (Some(parent), Some(vpid)) = (image.parent_process, image.vpid)
            && self.processes.get(parent).is_some_and(|parent| parent.ended.is_none())
        {
            self.unwaited.add(parent, vpid, Target::image(image));
        }
    }

    pub(super) fn wait(&mut self, wait: &Wait) {
        if let Some(child) = self.unwaited.take(wait.by.process, wait.child_vpid) {
            self.link_image(wait.by.process, CauseKind::Join, child, wait.at);
        }
    }

    fn link_image(&mut self, process: ProcessKey, kind: CauseKind, target: Target, at: KernelNanos) {
        let Some(known) = self.processes.get(process) else { return };
        if known.image.causes.iter().any(|cause| cause.kind == kind && cause.target == target) {
            return;
        }
        self.add_cause_to_image(
            process,
            Cause { kind, confidence: Confidence::CERTAIN, target, bytes: None, matched: None },
            at,
        );
    }

    pub(super) fn pass(&mut self, pass: &Pass) {
        self.opens.share(pass.open);
        let Some(over) = pass.over else { return };
        match pass.side {
            PassSide::Sent => {
                let Some(burst) = self.bursts.shown(over) else { return };
                self.sent.by_open.insert(pass.open, Arc::clone(&burst.moved));
                if self.sent.by_open.len() > SENT_MAX {
                    self.sent.by_open.pop_first();
                }
            }
            PassSide::Received => {
                let Some(cause) = self.sent.by_open.get(&pass.open).map(Arc::clone) else { return };
                let Some(burst) = self.bursts.shown_mut(over) else { return };
                let confidence = Confidence::CERTAIN;
                burst.passed.push(Edge { kind: CauseKind::Fd, confidence, cause, bytes: None, matched: None });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn a_signal_is_told_of_its_sender_and_linked_from_its_target() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                3 exec 101 /bin/sleep sleep
                4 kill 100 101 15
                4 kill 100 101 15
                4 kill 100 101 0
                5 exit 101 signal 15
                6 kill 100 100 10
                6 kill 100 101 10
                7 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/sleep under 100#1
                ended    101#1 2..5 signal 15 <-Signal 100#1
                ended    100#1 0..7 exit 0 !Kill 15 sleep !Kill 15 sleep !Kill 0 sleep !Kill 10 sh !Kill 10 sleep
            "#]],
        );
    }

    #[test]
    fn a_parent_that_waits_is_joined_by_its_child() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                2 fork 100 102
                3 exit 101 0
                4 wait 100 101
                4 wait 100 101
                5 exit 102 0
                11s tick
                12s wait 100 102
                13s exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#0 Forked sh/sh under 100#1
                ended    101#0 2..3 exit 0
                began    102#0 Forked sh/sh under 100#1
                ended    102#0 2..5 exit 0
                promoted 100#1 0..11000 <-Join 101#0
                exited   100#1 0..13000 exit 0 <-Join 102#0
            "#]],
        );
    }

    #[test]
    fn a_passed_descriptor_is_linked_to_the_burst_that_it_was_sent_in() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3
                2 open 100 #1 unix 11 peer 12
                2 open 100 #2 unix 12 peer 11
                3 fork 100 101
                4 open 101 #3 file secret
                5 out 101 #2.1 0..1
                5 pass 101 #3 sent #2.1
                6 in 100 #1.1 0..1
                6 pass 100 #3 received #1.1
                7 in 100 #3.1 0..32
                8 tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#0 Forked python3/python3 under 100#1
                write    #2.1 101#0 unix 0..1 at 5..5 under 101#0
                read     #1.1 100#1 unix 0..1 at 6..6 under 100#1 <-Unix #2.1 1 <-Fd #2.1
                read     #3.1 100#1 secret 0..32 at 7..7 under 100#1
                ended    100#1 0..20000 incomplete
                ended    101#0 3..20000 incomplete
            "#]],
        );
    }
}
