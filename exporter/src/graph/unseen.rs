//! Rule: what was not seen is made up for from what later events say, with less confidence.

use agentsight_ebpf::{ExecNumber, KernelNanos, ProcessKey};

use super::image::{Origin, Parent};
use super::{Activity, Confidence, Ending, Graph, Image, ImageId, Lineage};

impl Graph {
    /// The image `number` of a process as a later event speaks of it at `at`, made now where its
    /// beginning was not seen, and announced: the event refers to it.
    ///
    /// A number below the current one gives the current image: an event that late has lost its own.
    pub(super) fn image_numbered(
        &mut self,
        process: ProcessKey,
        number: ExecNumber,
        at: KernelNanos,
        parent: Option<ProcessKey>,
        out: &mut Vec<Activity>,
    ) -> Image {
        self.begin_numbered(process, number, at, parent, out);
        let known = self.processes.get(process).expect("it was there, or was noticed above");
        known.image.clone()
    }

    /// The same, for who wants no copy of it: the process is there afterwards, and its current image announced.
    pub(super) fn begin_numbered(
        &mut self,
        process: ProcessKey,
        number: ExecNumber,
        at: KernelNanos,
        parent: Option<ProcessKey>,
        out: &mut Vec<Activity>,
    ) {
        match self.processes.get(process) {
            None => self.notice(process, number, at, parent, out),
            Some(known) if known.ended.is_none() && known.image.id.exec < number => {
                self.oddities.unseen_execs += u64::from(number.0 - known.image.id.exec.0);
                self.replace_image(process, number, at, None, out);
            }
            Some(_) => {}
        }
        self.begin(process, at, out);
    }

    /// A process whose fork was not seen: under `parent` where that one is known, else under the root.
    pub(super) fn notice(
        &mut self,
        process: ProcessKey,
        number: ExecNumber,
        at: KernelNanos,
        parent: Option<ProcessKey>,
        out: &mut Vec<Activity>,
    ) {
        self.oddities.unseen_forks += 1;
        self.end_predecessor(process, at, out);
        let id = ImageId { process, exec: number, noticed: KernelNanos(at.0.max(1)) };
        // The kernel's own start of the process is the fork; a later image than the first began later.
        let start = if number > ExecNumber(1) { at } else { process.start.min(at) };
        let forker = self.known_parent(parent, at, out);
        let image = match &forker {
            Some(parent) => parent.child(id, Origin::Unseen, start, Confidence::UNSEEN_FORK),
            None => Image {
                id,
                origin: Origin::Unseen,
                trace: self.traces.current(),
                trace_state: "".into(),
                parent: Parent::None,
                parent_process: None,
                vpid: None,
                start,
                program: None,
                lineage: Lineage::root(None),
                causes: Vec::new(),
                inherited_traceparent: None,
            },
        };
        self.processes.set_image(image, forker);
    }

    /// What a process hangs under whose fork was not seen: the image of `parent` where that one is known, else the
    /// root. It is announced, so that it has a span.
    pub(super) fn known_parent(
        &mut self,
        parent: Option<ProcessKey>,
        at: KernelNanos,
        out: &mut Vec<Activity>,
    ) -> Option<Box<Image>> {
        let known = parent.filter(|parent| self.processes.get(*parent).is_some());
        let process = known.or(self.root.as_ref().map(|root| root.id.process))?;
        self.begin(process, at, out);
        let image =
            if known.is_some() { self.processes.get(process).map(|it| &it.image) } else { self.root.as_deref() };
        image.cloned().map(Box::new)
    }

    /// The process is unknown, and may be one that was released: what comes now would make it twice.
    pub(super) fn is_too_late(&self, process: ProcessKey, at: KernelNanos) -> bool {
        self.processes.get(process).is_none() && self.processes.may_have_forgotten(at)
    }

    /// The process id is used again: whoever had it is gone, and its exit was not seen.
    pub(super) fn end_predecessor(&mut self, successor: ProcessKey, at: KernelNanos, out: &mut Vec<Activity>) {
        for process in self.processes.living_predecessors(successor) {
            self.oddities.unseen_exits += 1;
            self.end_image(process, at, Ending::Incomplete, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn an_exec_without_a_fork_hangs_under_its_parents_image_with_less_confidence() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 /usr/bin/make make
                ! 4 fork 101 102
                5 exec 102 /usr/bin/cc cc
                6 exit 102 0
                7 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/make under 100#1
                began    102#1 Unseen bash/make/cc under 101#1 (0.9)
                ended    102#1 4..6 exit 0
                ended    101#1 2..7 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_forks: 1
            "#]],
        );
    }

    #[test]
    fn without_a_known_parent_it_hangs_under_the_root() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                5 exec 555 /usr/bin/cc cc
                6 exit 555 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    555#1 Unseen bash/cc under 100#1 (0.9)
                ended    555#1 0..6 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_forks: 1
            "#]],
        );
    }

    #[test]
    fn a_fork_by_an_unseen_process_makes_that_process_too() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                ! 2 fork 100 101
                3 fork 101 102
                4 exec 102 /bin/ls ls
                6 exit 102 0
                7 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Unseen bash/? under 100#1 (0.9)
                began    102#1 Exec bash/?/ls under 101#0
                ended    102#1 3..6 exit 0
                ended    101#0 2..7 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_forks: 1
            "#]],
        );
    }

    #[test]
    fn without_a_root_there_are_roots_and_no_orphans() {
        check(
            "
                ! 0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 /bin/ls ls
                6 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Unseen bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..6 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_forks: 1
            "#]],
        );
    }

    #[test]
    fn a_process_id_that_is_used_again_shows_that_an_exit_was_lost() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 /bin/ls ls
                ! 4 exit 101 0
                5 fork 100 101
                6 exec 101 /bin/cat cat
                7 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..5 incomplete
                began    101#1 Exec bash/cat under 100#1
                ended    101#1 5..7 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_exits: 1
            "#]],
        );
    }
}
