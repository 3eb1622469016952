//! Rule: a `TRACEPARENT` that changed names the span that an image hangs under.
//!
//! Inherited unchanged it means nothing, every descendant has it. It is measured against the value at
//! the exec of the nearest exec'd ancestor, because programs set it for the children that they start.

use std::sync::Arc;

use agentsight_ebpf::{Captured, Exec};

use super::image::Parent;
use super::load::Load;
use super::{Cause, CauseKind, Confidence, Graph, Image, Target, Traceparent};

/// Bytes of `TRACESTATE` that the W3C recommendation asks everyone to pass on.
const TRACE_STATE_LIMIT: usize = 512;

impl Graph {
    /// The root image hangs under the span that `run` was called in. That trace is then the session's own.
    pub(super) fn adopt_callers(&mut self, image: &mut Image) {
        let Some(value) = self.rules.caller_traceparent.clone() else { return };
        image.inherited_traceparent = Some(value.as_slice().into());
        let Some(parsed) = self.parse(&value) else { return };
        if parsed.sampled && parsed.span.trace_id == image.trace.id {
            image.parent = Parent::Adopted(parsed.span.span_id);
            image.trace_state = trace_state(self.rules.caller_tracestate.as_deref().map(str::as_bytes));
        } else {
            image.causes.push(explicit(parsed));
        }
    }

    /// An image that is not announced yet was exec'd as `program`; `parent` is what it follows from.
    pub(super) fn adopt(&mut self, image: &mut Image, program: &Exec, parent: Option<&Image>) {
        let value = match &program.environment.traceparent {
            Some(Captured { bytes, gap: None }) => Some(bytes.as_slice()),
            None if !program.environment.incomplete => None,
            // Not seen: it cannot be said to have changed.
            Some(_) | None => return,
        };
        let changed = image.inherited_traceparent.as_deref() != value;
        image.inherited_traceparent = value.map(Arc::from);
        // What the root finds is what `run` was called with, or set: the first is adopted already, the second is the
        // root's own span, promised before the exec.
        let is_root = self.root.as_ref().is_some_and(|root| root.id == image.id);
        let Some(value) = value.filter(|_| changed && !is_root) else { return };
        let Some(parsed) = self.parse(value) else { return };
        if !parsed.sampled {
            image.causes.push(explicit(parsed));
            return;
        }
        let Some(trace) = self.traces.joinable(parsed.span.trace_id) else {
            image.causes.push(explicit(parsed));
            return;
        };
        let mut adopted = image.clone();
        if let (Parent::Image { confidence, .. }, Some(parent)) = (image.parent, parent) {
            adopted.causes.push(Cause {
                kind: CauseKind::Lineage,
                confidence,
                target: Target::image(parent),
                bytes: None,
                matched: None,
            });
        }
        adopted.parent = Parent::Adopted(parsed.span.span_id);
        adopted.trace = trace;
        adopted.trace_state = trace_state(whole(program.environment.tracestate.as_ref()));
        if self.traces.admits(&adopted.trace, Load::of_image(&adopted), program.at) {
            *image = adopted;
        } else {
            // The trace is full: what it names is of an earlier trace from now on.
            image.causes.push(explicit(parsed));
        }
    }

    fn parse(&mut self, value: &[u8]) -> Option<Traceparent> {
        if !self.rules.adopt {
            return None;
        }
        let parsed = Traceparent::parse(value).ok();
        self.oddities.malformed_traceparents += u64::from(parsed.is_none());
        parsed
    }
}

fn explicit(parsed: Traceparent) -> Cause {
    Cause {
        kind: CauseKind::Explicit,
        confidence: Confidence::CERTAIN,
        target: Target::Foreign(parsed.span),
        bytes: None,
        matched: None,
    }
}

fn whole(value: Option<&Captured>) -> Option<&[u8]> {
    value.filter(|it| it.gap.is_none()).map(|it| it.bytes.as_slice())
}

/// The trace state to pass on: nothing, rather than something that a backend refuses.
fn trace_state(value: Option<&[u8]>) -> Arc<str> {
    let printable =
        |bytes: &&[u8]| bytes.len() <= TRACE_STATE_LIMIT && bytes.iter().all(|it| matches!(it, b' '..=b'~'));
    value.filter(printable).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::TRACE_STATE_LIMIT;
    use crate::graph::Activity;
    use crate::graph::fixture::{activities, check, check_with, events, session};

    #[test]
    fn a_changed_value_names_the_parent_and_the_descendants_follow() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /usr/bin/node node claude
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 TRACESTATE=v=1 /bin/bash bash -c make
                4 fork 101 102
                5 exec 102 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /usr/bin/make make
                6 fork 102 103
                7 exit 103 0
                8 exit 102 0
                9 exit 101 0
                10 fork 100 104
                11 exec 104 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/ls ls
                12 exit 104 0
                13 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root node under -
                began    101#1 Exec node/bash under adopted 2222222222222222 trace bbbb <-Lineage 100#1
                began    102#1 Exec node/bash/make under 101#1 trace bbbb
                began    103#0 Forked node/bash/make/make under 102#1 trace bbbb
                ended    103#0 6..7 exit 0
                ended    102#1 4..8 exit 0
                ended    101#1 2..9 exit 0
                began    104#1 Exec node/ls under 100#1
                ended    104#1 10..12 exit 0
                ended    100#1 0..13 exit 0
            "#]],
        );
    }

    #[test]
    fn our_own_value_means_nothing() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn a_span_of_the_sessions_own_trace_becomes_the_parent_there() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /usr/bin/python3 python3 app.py
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-11111111111111111111111111111111-3333333333333333-01 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#1 Exec python3/ls under adopted 3333333333333333 <-Lineage 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn an_unsampled_value_is_linked_and_not_adopted() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-00 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1 <-Explicit 2222222222222222
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn a_malformed_value_is_counted_and_ignored() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-xyz /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
                odd      malformed_traceparents: 1
            "#]],
        );
    }

    #[test]
    fn an_exec_of_the_same_process_that_changes_it_keeps_its_exec_link() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /usr/bin/env env
                2 exec 100 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /usr/bin/claude claude
                3 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root env under -
                ended    100#1 0..2 into 100#2
                began    100#2 Exec env/claude under adopted 2222222222222222 trace bbbb <-Exec 100#1 <-Lineage 100#1
                ended    100#2 2..3 exit 0
            "#]],
        );
    }

    #[test]
    fn a_value_that_was_removed_leaves_the_trace_as_it_is() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /usr/bin/env env
                4 exec 101 /bin/ls ls
                5 exit 101 0
                6 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/env under adopted 2222222222222222 trace bbbb <-Lineage 100#1
                ended    101#1 2..4 into 101#2
                began    101#2 Exec bash/env/ls under 101#1 trace bbbb <-Exec 101#1
                ended    101#2 4..5 exit 0
                ended    100#1 0..6 exit 0
            "#]],
        );
    }

    #[test]
    fn without_adoption_all_of_it_is_ignored() {
        let mut session = session();
        session.caller.traceparent = Some("00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111-01".into());
        session.caller.tracestate = Some("vendor=1".into());
        session.options.adopt = false;
        check_with(
            &session,
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn the_callers_span_is_the_roots_parent() {
        let mut session = session();
        session.caller.traceparent = Some("00-11111111111111111111111111111111-9999999999999999-01".into());
        session.caller.tracestate = Some("vendor=1".into());
        check_with(
            &session,
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under adopted 9999999999999999
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn the_callers_span_is_adopted_where_its_value_is_left_in_place() {
        let mut session = session();
        session.caller.traceparent = Some("00-11111111111111111111111111111111-9999999999999999-01".into());
        session.caller.tracestate = Some("vendor=1".into());
        session.options.set_traceparent = false;
        check_with(
            &session,
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-9999999999999999-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-11111111111111111111111111111111-9999999999999999-01 /bin/ls ls
                4 exit 101 0
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under adopted 9999999999999999
                began    101#1 Exec bash/ls under 100#1
                ended    101#1 2..4 exit 0
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn an_unsampled_caller_is_linked() {
        let mut session = session();
        session.caller.traceparent = Some("00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111-00".into());
        session.caller.tracestate = Some("vendor=1".into());
        check_with(
            &session,
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-11111111111111111111111111111111-6fb6096f42eddb81-01 /bin/bash bash
                5 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under - <-Explicit 1111111111111111
                ended    100#1 0..5 exit 0
            "#]],
        );
    }

    #[test]
    fn an_environment_that_was_not_read_is_no_change() {
        check(
            "
                0 root 100
                1 exec 100 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /bin/bash bash
                2 fork 100 101
                3 exec 101 UNREAD= /usr/bin/su su
                4 fork 101 102
                5 exec 102 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 /bin/ls ls
                6 exit 102 0
                7 exit 101 0
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/su under 100#1
                began    102#1 Exec bash/su/ls under 101#1
                ended    102#1 4..6 exit 0
                ended    101#1 2..7 exit 0
                ended    100#1 0..8 exit 0
            "#]],
        );
    }

    #[test]
    fn a_trace_state_goes_to_the_descendants_unless_it_is_not_one() {
        let long = "x".repeat(TRACE_STATE_LIMIT + 1);
        for (given, expected) in [("v=1", "v=1"), ("'v=\\e[2J'", ""), (long.as_str(), "")] {
            let text = format!(
                "0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exec 101 TRACEPARENT=00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-2222222222222222-01 TRACESTATE={given} /bin/sh sh
                4 fork 101 102
                5 exit 102 0"
            );
            let (activities, _) = activities(&session(), &events(&text), None);
            let Some(Activity::ImageEnded(last)) = activities.last() else { panic!("{activities:?}") };
            assert_eq!((last.image.id.process.tgid.0, &*last.image.trace_state), (102, expected));
        }
    }
}
