//! Rule: a process that was running before it was traced is an image that begins when it was first seen.
//!
//! The first one is the session's root, the others hang under the process that is their parent now, which need not
//! be the one that forked them: less than certain.

use std::sync::Arc;

use agentsight_ebpf::{Exec, ExecNumber};
use opentelemetry::trace::{SpanId, TraceId};

use super::image::{Origin, Parent};
use super::{Activity, Cause, CauseKind, Confidence, Graph, Image, ImageId, Lineage, Target};
use crate::session::SpanRef;

impl Graph {
    pub(super) fn snapshot(&mut self, running: &Exec, out: &mut Vec<Activity>) {
        let process = running.process;
        if self.processes.get(process).is_some() || process == running.parent {
            self.oddities.repeated_forks += 1;
            return;
        }
        if self.is_too_late(process, running.at) {
            self.oddities.late_events += 1;
            return;
        }
        self.end_predecessor(process, running.at, out);
        let id = ImageId { process, exec: ExecNumber(0), noticed: running.at };
        let program = Arc::new(running.clone());
        let forker = self.known_parent(Some(running.parent), running.at, out);
        let above = forker.as_deref();
        let mut image = match above {
            Some(parent) => parent.child(id, Origin::Running, running.at, Confidence::SNAPSHOT),
            None => Image {
                id,
                origin: Origin::Running,
                trace: self.traces.current(),
                trace_state: "".into(),
                parent: Parent::None,
                parent_process: Some(running.parent),
                vpid: None,
                start: running.at,
                program: None,
                lineage: Lineage::root(None),
                causes: Vec::new(),
                inherited_traceparent: None,
            },
        };
        image.program = Some(Arc::clone(&program));
        image.vpid = Some(running.vpid);
        image.lineage = match above {
            Some(parent) => parent.lineage.child(Some(&program)),
            None => Lineage::root(Some(&program)),
        };
        image.causes.extend(running.continues.map(|earlier| Cause {
            kind: CauseKind::Segment,
            confidence: Confidence::CERTAIN,
            target: Target::Foreign(SpanRef {
                trace_id: TraceId::from_bytes(earlier.trace_id),
                span_id: SpanId::from_bytes(earlier.span_id),
            }),
            bytes: None,
            matched: None,
        }));
        if self.root.is_none() {
            // What it was started with is the past: only a change from here on means something.
            image.inherited_traceparent =
                running.environment.traceparent.as_ref().map(|value| value.bytes.as_slice().into());
            self.root = Some(Box::new(image.clone()));
        } else {
            self.adopt(&mut image, &program, above);
        }
        self.processes.set_image(image, forker);
        self.begin(process, running.at, out);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn running_processes_hang_under_each_other_with_less_confidence() {
        check(
            "
                10 running 100 under 1 /usr/bin/node node claude
                10 running 101 under 100 /bin/bash bash
                11 fork 101 102
                12 exec 102 /bin/ls ls
                13 exit 102 0
                14 exec 101 /usr/bin/make make
                15 exit 101 2
                16 exit 100 0
            ",
            &expect![[r#"
                began    100#0 Running node under -
                began    101#0 Running node/bash under 100#0 (0.9)
                began    102#1 Exec node/bash/ls under 101#0
                ended    102#1 11..13 exit 0
                ended    101#0 10..14 into 101#1
                began    101#1 Exec node/bash/make under 101#0 <-Exec 101#0
                ended    101#1 14..15 exit 2
                ended    100#0 10..16 exit 0
            "#]],
        );
    }

    #[test]
    fn a_child_whose_traceparent_differs_from_its_parents_is_adopted() {
        check(
            "
                10 running 100 under 1 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /usr/bin/node node claude
                10 running 101 under 100 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /bin/bash bash
                15 exit 101 0
                16 exit 100 0
            ",
            &expect![[r#"
                began    100#0 Running node under -
                began    101#0 Running node/bash under adopted 2222222222222222 trace bbbb <-Lineage 100#0 (0.9)
                ended    101#0 10..15 exit 0
                ended    100#0 10..16 exit 0
            "#]],
        );
    }

    #[test]
    fn a_process_that_an_earlier_session_lost_goes_on_from_the_span_that_it_had() {
        check(
            "
                10 running 100 under 1 EARLIER=7 /usr/bin/node node claude
                10 running 101 under 100 EARLIER=8 /bin/bash bash
                15 exit 101 0
                16 exit 100 0
            ",
            &expect![[r#"
                began    100#0 Running node under - <-Segment 0707070707070707
                began    101#0 Running node/bash under 100#0 (0.9) <-Segment 0808080808080808
                ended    101#0 10..15 exit 0 <-Segment 0808080808080808
                ended    100#0 10..16 exit 0 <-Segment 0707070707070707
            "#]],
        );
    }

    #[test]
    fn the_root_that_one_of_an_unknown_parent_hangs_under_is_announced_first() {
        check(
            "
                0 root 100
                10 running 101 under 99 /bin/bash bash
                15 exit 101 0
                16 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root ? under -
                began    101#0 Running ?/bash under 100#1 (0.9)
                ended    101#0 10..15 exit 0
                ended    100#1 0..16 exit 0
            "#]],
        );
    }

    #[test]
    fn a_process_that_was_forgotten_is_not_taken_again() {
        check(
            "
                0 root 100
                10 running 101 under 100 /bin/bash bash
                15 exit 101 0
                20s tick
                10 running 101 under 100 /bin/bash bash
            ",
            &expect![[r#"
                began    100#1 Root ? under -
                began    101#0 Running ?/bash under 100#1 (0.9)
                ended    101#0 10..15 exit 0
                promoted 100#1 0..20000
                exited   100#1 0..20000 incomplete
                odd      late_events: 1
            "#]],
        );
    }

    #[test]
    fn a_process_that_is_known_already_is_not_taken_twice() {
        check(
            "
                10 running 100 under 1 /usr/bin/node node claude
                10 running 100 under 1 /usr/bin/node node claude
                16 exit 100 0
            ",
            &expect![[r#"
                began    100#0 Running node under -
                ended    100#0 10..16 exit 0
                odd      repeated_forks: 1
            "#]],
        );
    }
}
