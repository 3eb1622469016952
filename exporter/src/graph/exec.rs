//! Rule: an exec ends image k and begins image k + 1, its child, linked `exec`.
//!
//! A forked image that nobody refers to yet is folded instead: the image that follows starts at the
//! fork and hangs under the forker's image.

use std::sync::Arc;

use agentsight_ebpf::{Exec, ExecNumber, KernelNanos, ProcessKey};

use super::flow::Flow;
use super::image::Origin;
use super::passage::Passage;
use super::process::Stage;
use super::{Activity, Cause, CauseKind, Confidence, Ending, Graph, ImageId, Target};

impl Graph {
    pub(super) fn exec(&mut self, exec: &Exec, out: &mut Vec<Activity>) {
        let process = exec.process;
        if self.is_too_late(process, exec.at) {
            self.oddities.late_events += 1;
            return;
        }
        if self.processes.get(process).is_none() && exec.exec > ExecNumber(0) {
            self.notice(process, exec.exec, exec.at, Some(exec.parent), out);
        }
        let Some(known) = self.processes.get(process).filter(|it| it.ended.is_none()) else {
            self.oddities.stale_execs += 1;
            return;
        };
        let (known_id, current) = (known.image.id, known.image.id.exec);
        if exec.exec > current {
            self.oddities.unseen_execs += u64::from(exec.exec.0 - current.0 - 1);
            let flow = self.flow_of(process, exec.flow, exec.caller_tid);
            let matched = self.matched_in_arguments(known_id, exec);
            let flow = Flow::with(flow, exec.caller_tid, matched);
            self.replace_image(process, exec.exec, exec.at, Some(Arc::new(exec.clone())), out);
            self.add_flow_to_image(process, flow, exec.at);
        } else if exec.exec == current && current > ExecNumber(0) && known.image.program.is_none() {
            self.name_image(Arc::new(exec.clone()), out);
        } else {
            self.oddities.stale_execs += 1;
        }
    }

    /// The live process `process` is now running its image `number`, greater than the current one.
    /// `program` is `None` where the exec itself was not seen.
    pub(super) fn replace_image(
        &mut self,
        process: ProcessKey,
        number: ExecNumber,
        at: KernelNanos,
        program: Option<Arc<Exec>>,
        out: &mut Vec<Activity>,
    ) {
        let Some(known) = self.processes.get(process) else { return };
        let folds = known.stage == Stage::Unannounced && known.image.id.exec == ExecNumber(0);
        if !folds {
            self.begin(process, at, out);
        }
        let Some(known) = self.processes.get(process) else { return };
        let (before, forker) = (known.image.clone(), known.forker.clone());
        let id = ImageId { exec: number, ..before.id };
        self.contents.passages.note(Passage { from: before.id, left: at, to: id, arrived: at });
        let (mut image, forker) = if folds {
            let mut image = before.clone();
            image.id = id;
            image.origin = Origin::Exec;
            image.lineage = image.lineage.with_program(program.as_deref());
            (image, forker)
        } else {
            self.end_image(process, at, Ending::Replaced { into: id }, out);
            let mut image = before.child(id, Origin::Exec, at.max(before.start), Confidence::CERTAIN);
            image.parent_process = before.parent_process;
            image.vpid = before.vpid;
            image.lineage = before.lineage.child(program.as_deref());
            let cause = Cause {
                kind: CauseKind::Exec,
                confidence: Confidence::CERTAIN,
                target: Target::image(&before),
                bytes: None,
                matched: None,
            };
            image.causes.push(cause);
            (image, Some(Box::new(before.clone())))
        };
        image.program = program.clone();
        if let Some(program) = program {
            image.vpid = Some(program.vpid);
            self.adopt(&mut image, &program, forker.as_deref());
        }
        self.processes.set_image(image, forker);
        self.begin(process, at, out);
    }

    /// The exec event of an image that is there already: the root's, or one that another event mentioned first.
    fn name_image(&mut self, program: Arc<Exec>, out: &mut Vec<Activity>) {
        let Some(known) = self.processes.get(program.process) else { return };
        let (mut image, stage, forker) = (known.image.clone(), known.stage, known.forker.clone());
        image.vpid = Some(program.vpid);
        image.lineage = image.lineage.with_program(Some(&program));
        image.program = Some(Arc::clone(&program));
        if stage == Stage::Unannounced {
            self.adopt(&mut image, &program, forker.as_deref());
        } else if let Some(value) = &program.environment.traceparent {
            // Too late to hang under what it names, but its children are measured against it.
            image.inherited_traceparent = Some(value.bytes.as_slice().into());
        }
        if let Some(root) = self.root.as_mut().filter(|root| root.id == image.id) {
            **root = image.clone();
        }
        if let Some(known) = self.processes.get_mut(program.process) {
            known.image = image;
            known.deeds.shared = None;
        }
        self.begin(program.process, program.at, out);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn an_exec_after_an_exec_is_a_child_linked_to_what_it_replaced() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh -c 'exec python3'
                2 exec 100 /usr/bin/python3 python3
                9 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                ended    100#1 0..2 into 100#2
                began    100#2 Exec sh/python3 under 100#1 <-Exec 100#1
                ended    100#2 2..9 exit 0
            "#]],
        );
    }

    #[test]
    fn a_promoted_fork_is_not_folded_into_its_exec() {
        check(
            "
                0 root 100
                1 exec 100 /usr/bin/python3 python3
                2 fork 100 101
                11s tick
                12s exec 101 /bin/ls ls
                13s exit 101 0
                14s exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                promoted 100#1 0..11000
                began    101#0 Forked python3/python3 under 100#1
                promoted 101#0 2..11000
                exited   101#0 2..12000 into 101#1
                began    101#1 Exec python3/python3/ls under 101#0 <-Exec 101#0
                ended    101#1 12000..13000 exit 0
                exited   100#1 0..14000 exit 0
            "#]],
        );
    }

    #[test]
    fn an_exec_that_was_lost_is_an_image_without_a_name() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                ! 3 exec 101 /usr/bin/make make
                4 fork 101 102
                5 exec 102 /usr/bin/cc cc
                6 exit 102 0
                7 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/? under 100#1
                began    102#1 Exec sh/?/cc under 101#1
                ended    102#1 4..6 exit 0
                ended    101#1 2..7 exit 0
                ended    100#1 0..8 exit 0
                odd      unseen_execs: 1
            "#]],
        );
    }

    #[test]
    fn the_roots_lost_exec_still_gives_the_promised_image() {
        check(
            "
                0 root 100
                ! 1 exec 100 /usr/bin/env env
                2 exec 100 /usr/bin/claude claude
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root ? under -
                ended    100#1 0..2 into 100#2
                began    100#2 Exec ?/claude under 100#1 <-Exec 100#1
                ended    100#2 2..8 exit 0
            "#]],
        );
    }

    #[test]
    fn a_lost_exec_shows_at_the_exit() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                ! 3 exec 101 /bin/false false
                4 exit 101 1
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/? under 100#1
                ended    101#1 2..4 exit 1
                ended    100#1 0..8 exit 0
                odd      unseen_execs: 1
            "#]],
        );
    }
}
