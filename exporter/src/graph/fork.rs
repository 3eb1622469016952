//! Rule: a fork makes a child image of the image that called it.
//!
//! The child is not announced yet: one that execs at once is folded into the image that follows.

use agentsight_ebpf::{ExecNumber, Fork, KernelNanos, ProcessKey};

use super::image::{Origin, Parent};
use super::passage::Passage;
use super::process::Stage;
use super::{Activity, Confidence, Graph, Image, ImageId, Lineage};

impl Graph {
    pub(super) fn fork(&mut self, fork: &Fork, out: &mut Vec<Activity>) {
        if self.processes.get(fork.process).is_some() || fork.process == fork.parent {
            self.oddities.repeated_forks += 1;
            return;
        }
        if self.processes.may_have_forgotten(fork.at) {
            self.oddities.late_events += 1;
            return;
        }
        self.end_predecessor(fork.process, fork.at, out);
        let (mut image, forker) = if fork.root {
            (self.root_image(fork), None)
        } else {
            let parent = self.image_numbered(fork.parent, fork.parent_exec, fork.at, None, out);
            // A process is made just before it is announced. One that is older may have been here before.
            let start = fork.process.start;
            let in_time = start <= fork.at && !self.processes.may_have_forgotten(start);
            let noticed = if in_time { KernelNanos(0) } else { KernelNanos(fork.at.0.max(1)) };
            let id = ImageId { process: fork.process, exec: ExecNumber(0), noticed };
            self.contents.passages.note(Passage { from: parent.id, left: fork.at, to: id, arrived: fork.at });
            (parent.child(id, Origin::Forked, fork.at, Confidence::CERTAIN), Some(Box::new(parent)))
        };
        let flow = self.flow_of(fork.parent, fork.flow, fork.parent_tid);
        image.vpid = Some(fork.vpid);
        if fork.root && self.root.is_none() {
            self.root = Some(Box::new(image.clone()));
        }
        self.processes.set_image(image, forker);
        self.add_flow_to_image(fork.process, flow, fork.at);
    }

    /// The root is always exec'd next, and the id of that image was promised before: so it has its number from the fork on.
    fn root_image(&mut self, fork: &Fork) -> Image {
        let noticed = if self.root.is_none() { KernelNanos(0) } else { KernelNanos(fork.at.0.max(1)) };
        let mut image = Image {
            id: ImageId { process: fork.process, exec: ExecNumber(1), noticed },
            origin: Origin::Root,
            trace: self.traces.first(),
            trace_state: "".into(),
            parent: Parent::None,
            parent_process: Some(fork.parent),
            vpid: None,
            start: fork.at,
            program: None,
            lineage: Lineage::root(None),
            causes: Vec::new(),
            inherited_traceparent: None,
        };
        self.adopt_callers(&mut image);
        image
    }

    /// Announce the current image of a process: from here on it will have a span.
    pub(super) fn begin(&mut self, process: ProcessKey, at: KernelNanos, out: &mut Vec<Activity>) {
        if self.processes.get(process).is_none_or(|it| it.stage != Stage::Unannounced) {
            return;
        }
        self.settle(process, at, out);
        if let Some(known) = self.processes.get_mut(process) {
            known.stage = Stage::Begun;
            out.push(Activity::ImageBegan(Box::new(known.image.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn fork_then_exec_is_one_image_that_starts_at_the_fork() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                10 fork 100 101
                11 exec 101 /bin/ls ls
                15 exit 101 0
                20 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 10..15 exit 0
                ended    100#1 0..20 exit 0
            "#]],
        );
    }

    #[test]
    fn fork_without_exec_keeps_the_parent_program() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/python3 python3 pool.py
                10 fork 100 101
                15 exit 101 0
                20 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#0 Forked python3/python3 under 100#1
                ended    101#0 10..15 exit 0
                ended    100#1 0..20 exit 0
            "#]],
        );
    }

    #[test]
    fn a_forked_child_that_forks_is_an_image_of_its_own_before_its_exec() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                10 fork 100 101
                11 fork 101 102
                12 exec 102 /bin/cat cat
                13 exec 101 /bin/ls ls
                15 exit 101 0
                16 exit 102 0
                20 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                began    102#1 Exec bash/bash/cat under 101#0
                ended    101#0 10..13 into 101#1
                began    101#1 Exec bash/bash/ls under 101#0 <-Exec 101#0
                ended    101#1 13..15 exit 0
                ended    102#1 11..16 exit 0
                ended    100#1 0..20 exit 0
            "#]],
        );
    }

    #[test]
    fn a_root_that_never_execs_has_the_id_that_was_promised() {
        check(
            "
                0 root 100
                5 exit 100 127
            ",
            &expect![[r#"
                began    100#1 Root ? under -
                ended    100#1 0..5 exit 127
            "#]],
        );
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exit 101 0
                4 fork 100 101
                5 exec 101 /bin/ls ls
                6 exit 101 3
                7 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 2..3 exit 0
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 4..6 exit 3
                ended    100#1 0..7 exit 0
            "#]],
        );
    }

    #[test]
    fn a_child_forked_just_before_the_exit_hangs_under_the_last_image() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 /usr/bin/setsid setsid
                4 exit 101 0
                5 fork 101 102
                6 exit 102 0
                7 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/setsid under 100#1
                ended    101#1 2..4 exit 0
                began    102#0 Forked bash/setsid/setsid under 101#1
                ended    102#0 5..6 exit 0
                ended    100#1 0..7 exit 0
            "#]],
        );
    }

    #[test]
    fn a_second_fork_of_a_known_process_is_counted() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                2 again
                3 exit 101 0
                4 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 2..3 exit 0
                ended    100#1 0..4 exit 0
                odd      repeated_forks: 1
            "#]],
        );
    }
}
