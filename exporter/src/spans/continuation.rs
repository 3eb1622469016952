//! The span that an image has in each later trace where something hangs under it.

use agentsight_semconv::value::{action, object_type};
use opentelemetry::trace::SpanKind;

use super::Spans;
use super::attributes::Attributes;
use super::image::parent_id;
use super::link::{self, Links};
use super::model::Span;
use super::outline::{Outline, identify};
use crate::graph::Continued;

/// The span that stands for an image in a later trace: a moment, with the way back.
pub(super) fn continuation(spans: &mut Spans, continued: &Continued) -> Span {
    let Continued { image, place, .. } = continued;
    let mut attributes = Attributes::default();
    identify(spans, image, (object_type::PROCESS, action::CONTINUE), &mut attributes);
    let (link, words) = link::segment(image, &spans.ids);
    let links = Links { links: vec![link], texts: vec![words], dropped: 0 };
    let outline = Outline {
        image,
        trace: &place.trace,
        id: spans.ids.image(image.id, place.part, place.trace.segment),
        parent: parent_id(spans, continued.parent, &place.trace),
        name: action::CONTINUE.into(),
        kind: SpanKind::Internal,
        start: place.start,
        end: place.start,
    };
    outline.linked_span(spans, links, attributes)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::session;
    use crate::spans::fixture::check_with;

    #[test]
    fn a_continuation_is_a_moment_linked_to_its_original_and_an_exit_under_it_says_the_real_duration() {
        let mut session = session();
        session.options.segment.spans = 3;
        check_with(
            &session,
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exit 101 0
                4 fork 100 102
                5 exit 102 0
                11s tick
                12s fork 100 103
                13s exit 103 0
                14s exit 100 3
            ",
            &expect![[r##"
                #1 bash under #3 2..3 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=bash/bash
                  process.executable.name=bash
                  process.pid=101
                  agentsight.process.start=1002000000
                  agentsight.process.exec_number=0
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:00.002Z
                  agentsight.process.fork=true
                  process.executable.path=/bin/bash
                  process.command_args=["bash"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
                #2 bash under #3 4..5 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=bash/bash
                  process.executable.name=bash
                  process.pid=102
                  agentsight.process.start=1004000000
                  agentsight.process.exec_number=0
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:00.004Z
                  agentsight.process.fork=true
                  process.executable.path=/bin/bash
                  process.command_args=["bash"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
                #3 bash under - 0..11000 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=bash
                  process.executable.name=bash
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/bin/bash
                  process.command_args=["bash"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  agentsight.span.promoted=true
                #4 continue under - 12000..12000 unset
                  trace 6473d1c3dcab92089dfade1d7fcba54f state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=continue
                  agentsight.lineage=bash
                  process.executable.name=bash
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  agentsight.causes=["segment: bash"]
                  link to #3 in 11111111111111111111111111111111
                    agentsight.link.type=segment
                    agentsight.link.confidence=1.0
                #5 bash under #4 12000..13000 unset
                  trace 6473d1c3dcab92089dfade1d7fcba54f state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=bash/bash
                  process.executable.name=bash
                  process.pid=103
                  agentsight.process.start=13000000000
                  agentsight.process.exec_number=0
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:12.000Z
                  agentsight.process.fork=true
                  process.executable.path=/bin/bash
                  process.command_args=["bash"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
                #6 exit under #4 12000..14000 ERROR "exit code 3"
                  trace 6473d1c3dcab92089dfade1d7fcba54f state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exit
                  agentsight.lineage=bash
                  process.executable.name=bash
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  agentsight.image.start=2026-01-01T00:00:00.000Z
                  agentsight.image.duration=14.0
                  process.exit.code=3
                  error.type=3
            "##]],
        );
    }
}
