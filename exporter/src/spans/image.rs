//! The spans of an image: one for its whole life; or one while it runs, and one that says how it ended.

use agentsight_ebpf::{Captured, Exec, ExecNumber, Gap, KernelNanos};
use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, object_type};
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::attributes::Attributes;
use super::link::Links;
use super::model::Span;
use super::outline::{Outline, identify, seconds};
use super::time::{iso_8601, wall};
use super::{Spans, account, link, name, status};
use crate::graph::{Account, Ended, Ending, Exited, Image, Origin, Parent, Part, Place, Promoted, Trace};

/// The span of an image that ended before anything of it was sent.
pub(super) fn whole(spans: &mut Spans, ended: &Ended) -> Span {
    let Ended { image, at, ending, account } = ended;
    let mut attributes = Attributes::of_span();
    describe_image(spans, image, &mut attributes);
    account::describe(account, &mut attributes);
    let status = describe_ending(*ending, &mut attributes);
    account::with_events(account, Span { status, ..image_span(spans, image, *at, attributes) }, &image.trace)
}

/// The span of an image that nothing more is heard of.
pub(super) fn announced(spans: &mut Spans, image: &Image) -> Span {
    let mut attributes = Attributes::of_span();
    describe_image(spans, image, &mut attributes);
    let status = describe_ending(Ending::Incomplete, &mut attributes);
    Span { status, ..image_span(spans, image, image.start, attributes) }
}

/// The span of an image that still runs.
pub(super) fn promoted(spans: &mut Spans, promoted: &Promoted) -> Span {
    let Promoted { image, at, account, .. } = promoted;
    let mut attributes = Attributes::of_span();
    describe_image(spans, image, &mut attributes);
    account::describe(account, &mut attributes);
    attributes.flag(semconv::AGENTSIGHT_SPAN_PROMOTED, true);
    account::with_events(account, image_span(spans, image, *at, attributes), &image.trace)
}

/// The span, under the newest of a promoted image, that says how the image ended, with all that it did and its causes since.
pub(super) fn exit(spans: &mut Spans, exited: &Exited) -> Span {
    let Exited { image, at, ending, account, under } = exited;
    let links = link::links(&image.causes, 0, image.id, &spans.ids);
    account::with_events(account, exit_span(spans, image, under, (*at, *ending), (account, links)), &under.trace)
}

/// The `exit` of an image that nothing more is heard of.
pub(super) fn unknown_exit(spans: &mut Spans, image: &Image, under: &Place) -> Span {
    exit_span(spans, image, under, (under.start, Ending::Incomplete), (&Account::default(), Links::default()))
}

/// It covers all that its parent saw of the life: for the original that is the whole, so that the duration is found on
/// it, else it is said.
fn exit_span(
    spans: &mut Spans,
    image: &Image,
    under: &Place,
    (at, ending): (KernelNanos, Ending),
    (account, links): (&Account, Links),
) -> Span {
    let mut attributes = Attributes::of_span();
    identify(spans, image, (object_type::PROCESS, action::EXIT), &mut attributes);
    if under.part == Part::Continuation {
        attributes.text(semconv::AGENTSIGHT_IMAGE_START, iso_8601(wall(&image.trace, image.start)));
        attributes.double(semconv::AGENTSIGHT_IMAGE_DURATION, seconds(image.start, at));
    }
    account::describe(account, &mut attributes);
    let status = describe_ending(ending, &mut attributes);
    let segment = under.trace.segment;
    let outline = Outline {
        image,
        trace: &under.trace,
        id: spans.ids.exit(image.id, segment),
        parent: Some(spans.ids.image(image.id, under.part, segment)),
        name: action::EXIT.into(),
        kind: SpanKind::Internal,
        start: under.start,
        end: at,
    };
    Span { status, ..outline.linked_span(spans, links, attributes) }
}

pub(super) fn parent_id(spans: &Spans, parent: Parent, trace: &Trace) -> Option<SpanId> {
    match parent {
        Parent::None => None,
        Parent::Image { id, part, .. } => Some(spans.ids.image(id, part, trace.segment)),
        Parent::Adopted(span) => Some(span),
    }
}

fn image_span(spans: &mut Spans, image: &Image, end: KernelNanos, attributes: Attributes) -> Span {
    let links = link::links(&image.causes, 0, image.id, &spans.ids);
    let outline = Outline {
        image,
        trace: &image.trace,
        id: spans.ids.image(image.id, Part::Original, image.trace.segment),
        parent: parent_id(spans, image.parent, &image.trace),
        name: name::span_name(image.program.as_deref(), spans.target_names),
        kind: SpanKind::Internal,
        start: image.start,
        end,
    };
    outline.linked_span(spans, links, attributes)
}

fn describe_image(spans: &Spans, image: &Image, attributes: &mut Attributes) {
    identify(spans, image, (object_type::PROCESS, action::EXEC), attributes);
    if let Some(vpid) = image.vpid.filter(|vpid| *vpid != image.id.process.tgid.0) {
        attributes.int(semconv::PROCESS_VPID, vpid);
    }
    if let Some(parent) = image.parent_process {
        attributes.int(semconv::PROCESS_PARENT_PID, parent.tgid.0);
    }
    let created = wall(&image.trace, image.id.process.start);
    attributes.text(semconv::PROCESS_CREATION_TIME, iso_8601(created));
    attributes.flag(semconv::AGENTSIGHT_PROCESS_ALREADY_RUNNING, image.origin == Origin::Running);
    let is_copy = image.origin == Origin::Forked && image.id.exec == ExecNumber(0);
    attributes.flag(semconv::AGENTSIGHT_PROCESS_FORK, is_copy);
    if let Some(program) = &image.program {
        describe_program(program, attributes);
    }
    match image.parent {
        Parent::Image { confidence, .. } if confidence.as_fraction() < 1.0 => {
            attributes.double(semconv::AGENTSIGHT_PARENT_CONFIDENCE, confidence.as_fraction());
        }
        Parent::Adopted(_) => attributes.flag(semconv::AGENTSIGHT_ASSERTED, true),
        Parent::Image { .. } | Parent::None => {}
    }
}

fn describe_program(program: &Exec, attributes: &mut Attributes) {
    attributes.captured(semconv::PROCESS_EXECUTABLE_PATH, &program.executable);
    if program.requested.bytes != program.executable.bytes {
        attributes.captured(semconv::AGENTSIGHT_PROCESS_REQUESTED_PATH, &program.requested);
    }
    attributes.flag(semconv::AGENTSIGHT_PROCESS_EXECUTABLE_DELETED, program.executable_deleted);
    describe_args(&program.args, attributes);
    attributes.captured(semconv::PROCESS_WORKING_DIRECTORY, &program.working_directory);
    attributes.int(semconv::PROCESS_USER_ID, program.credentials.euid);
    attributes.int(semconv::PROCESS_REAL_USER_ID, program.credentials.uid);
    attributes.int(semconv::AGENTSIGHT_PROCESS_CGROUP_ID, program.cgroup_id);
    attributes.flag(semconv::AGENTSIGHT_ENVIRONMENT_INCOMPLETE, program.environment.incomplete);
    if program.redactions > 0 {
        attributes.int(semconv::AGENTSIGHT_REDACTIONS, program.redactions);
    }
}

fn describe_args(args: &Captured, attributes: &mut Attributes) {
    let name = semconv::PROCESS_COMMAND_ARGS;
    if args.is_empty() {
        return; // An empty argv is allowed, if odd.
    }
    let whole = attributes.texts(name, arguments(&args.bytes).map(lossy));
    let total = match args.gap {
        Some(Gap::Truncated { total }) => Some(total).filter(|total| *total > 0),
        Some(Gap::Unreadable) => None,
        None => (!whole).then_some(args.bytes.len() as u64),
    };
    if args.gap.is_some() {
        attributes.mark_truncated(name);
    }
    if let Some(total) = total {
        attributes.int(semconv::AGENTSIGHT_PROCESS_ARGS_TOTAL_BYTES, total);
    }
}

/// The arguments of an `argv` whose every argument ends with a NUL byte; the last may have lost its own.
pub(super) fn arguments(args: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ended = args.strip_suffix(b"\0").unwrap_or(args);
    // Nothing at all is no argument; a lone NUL is one that is empty.
    let parts = (!args.is_empty()).then(|| ended.split(|byte| *byte == 0));
    parts.into_iter().flatten()
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn describe_ending(ending: Ending, attributes: &mut Attributes) -> Status {
    match ending {
        Ending::Exited(exit) => {
            if let Some(code) = exit.code() {
                attributes.int(semconv::PROCESS_EXIT_CODE, code);
            }
            attributes
                .flag(semconv::AGENTSIGHT_PROCESS_CORE_DUMPED, exit.signal().is_some() && exit.status & 0x80 != 0);
            let Some(failure) = status::failure(&exit) else { return Status::Unset };
            attributes.text(semconv::ERROR_TYPE, failure.error_type);
            failure.status
        }
        Ending::Replaced { .. } => Status::Unset,
        Ending::Incomplete => {
            attributes.flag(semconv::AGENTSIGHT_SPAN_INCOMPLETE, true);
            Status::Unset
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::spans::fixture::check;

    #[test]
    fn an_image_says_who_it_was_and_how_it_ended() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash -c 'exit 3'
                9 exit 100 3
            ",
            &expect![[r##"
                #1 bash under - 0..9 ERROR "exit code 3"
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
                  process.command_args=["bash", "-c", "exit 3"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=3
                  error.type=3
            "##]],
        );
    }

    #[test]
    fn a_fork_repeats_its_parents_program_and_says_so() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /usr/bin/python3.11 python3 pool.py
                2 fork 100 101
                3 exit 101 signal 139
                9 exit 100 0
            ",
            &expect![[r##"
                #1 python3.11 pool.py under #2 2..3 ERROR "killed by SIGSEGV"
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:python3.11"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=python3.11/python3.11
                  process.executable.name=python3.11
                  process.pid=101
                  agentsight.process.start=1002000000
                  agentsight.process.exec_number=0
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:00.002Z
                  agentsight.process.fork=true
                  process.executable.path=/usr/bin/python3.11
                  process.command_args=["python3", "pool.py"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  agentsight.process.core_dumped=true
                  error.type=SIGSEGV
                #2 python3.11 pool.py under - 0..9 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:python3.11"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=python3.11
                  process.executable.name=python3.11
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/usr/bin/python3.11
                  process.command_args=["python3", "pool.py"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  process.exit.code=0
            "##]],
        );
    }

    #[test]
    fn a_promoted_image_has_two_spans_and_only_the_exit_has_the_status() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/sleep sleep 12
                11s tick
                12s exit 100 1
            ",
            &expect![[r##"
                #1 sleep under - 0..11000 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:sleep"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=sleep
                  process.executable.name=sleep
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/bin/sleep
                  process.command_args=["sleep", "12"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  agentsight.span.promoted=true
                #2 exit under #1 0..12000 ERROR "exit code 1"
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:sleep"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exit
                  agentsight.lineage=sleep
                  process.executable.name=sleep
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.exit.code=1
                  error.type=1
            "##]],
        );
    }

    #[test]
    fn an_image_that_outlives_the_session_is_incomplete() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/sleep sleep 99
            ",
            &expect![[r##"
                #1 sleep under - 0..20000 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:sleep"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=sleep
                  process.executable.name=sleep
                  process.pid=100
                  agentsight.process.start=1000000000
                  agentsight.process.exec_number=1
                  process.parent_pid=9
                  process.creation.time=2026-01-01T00:00:00.000Z
                  process.executable.path=/bin/sleep
                  process.command_args=["sleep", "99"]
                  process.working_directory=/home/me
                  process.user.id=0
                  process.real_user.id=0
                  agentsight.process.cgroup.id=1
                  agentsight.span.incomplete=true
            "##]],
        );
    }

    #[test]
    fn an_image_whose_fork_and_exec_were_not_seen_says_how_sure_its_parent_is() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                5 exit 777 0
                6 exit 100 0
            ",
            &expect![[r##"
                #1 process under #2 0..5 unset
                  trace 11111111111111111111111111111111 state ""
                  resource {"host.name": "box", "os.type": "linux", "service.name": "unknown_service:bash"}
                  agentsight.session.id=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
                  agentsight.object.type=process
                  agentsight.action=exec
                  agentsight.lineage=bash/?
                  process.pid=777
                  agentsight.process.start=1000000001
                  agentsight.process.exec_number=0
                  process.parent_pid=100
                  process.creation.time=2026-01-01T00:00:00.000Z
                  agentsight.parent.confidence=0.9
                  process.exit.code=0
                #2 bash under - 0..6 unset
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
                  process.exit.code=0
            "##]],
        );
    }
}
