//! The spans of an image: one for its whole life; or one while it runs, and one that says how it ended.

use agentsight_ebpf::{Captured, Exec, ExecNumber, Gap, KernelNanos};
use agentsight_semconv as semconv;
use agentsight_semconv::Name;
use agentsight_semconv::value::{action, object_type};
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::attributes::{Attributes, append};
use super::model::Span;
use super::time::{iso_8601, wall};
use super::{Spans, link, name, status};
use crate::graph::{Ended, Ending, Image, Origin, Parent, Promoted};
use crate::session::SpanRef;

/// The span of an image that ended before anything of it was sent.
pub(super) fn whole(spans: &mut Spans, ended: &Ended) -> Span {
    let mut attributes = Attributes::default();
    describe_image(spans, &ended.image, &mut attributes);
    let status = describe_ending(ended.ending, &mut attributes);
    Span { status, ..image_span(spans, &ended.image, ended.at, attributes) }
}

/// The span of an image that still runs.
pub(super) fn promoted(spans: &mut Spans, promoted: &Promoted) -> Span {
    let mut attributes = Attributes::default();
    describe_image(spans, &promoted.image, &mut attributes);
    attributes.flag(semconv::AGENTSIGHT_SPAN_PROMOTED, true);
    image_span(spans, &promoted.image, promoted.at, attributes)
}

/// The span, under that of a promoted image, that says how the image ended. It covers the whole life, so that
/// the duration is found on it.
pub(super) fn exit(spans: &mut Spans, ended: &Ended) -> Span {
    let image = &ended.image;
    let mut attributes = Attributes::default();
    identify(spans, image, action::EXIT, &mut attributes);
    let status = describe_ending(ended.ending, &mut attributes);
    let parent = Some(spans.ids.image(image.id));
    let id = spans.ids.exit(image.id);
    Span { status, ..span(spans, image, id, parent, action::EXIT.into(), ended.at, attributes) }
}

fn image_span(spans: &mut Spans, image: &Image, end: KernelNanos, mut attributes: Attributes) -> Span {
    let links = link::links(&image.causes, &spans.ids);
    if !links.texts.is_empty() {
        attributes.texts(semconv::AGENTSIGHT_CAUSES, links.texts);
    }
    let parent = match image.parent {
        Parent::None => None,
        Parent::Image { id, .. } => Some(spans.ids.image(id)),
        Parent::Adopted(span) => Some(span),
    };
    let name = name::span_name(image.program.as_deref(), spans.target_names);
    let id = spans.ids.image(image.id);
    let span = span(spans, image, id, parent, name, end, attributes);
    Span { links: links.links, dropped_links: links.dropped, ..span }
}

fn span(
    spans: &mut Spans,
    image: &Image,
    id: SpanId,
    parent: Option<SpanId>,
    name: std::borrow::Cow<'static, str>,
    end: KernelNanos,
    attributes: Attributes,
) -> Span {
    let mut span = Span {
        id: SpanRef { trace_id: image.trace.id, span_id: id },
        parent,
        trace_state: image.trace_state.to_string(),
        name,
        kind: SpanKind::Internal,
        start: wall(&image.trace, image.start),
        end: wall(&image.trace, end),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Unset,
        resource: spans.services.resource(image.program.as_deref()),
    };
    append(&mut span, attributes.finish());
    span
}

/// What every span of an image says, so that one found alone can be placed.
fn identify(spans: &Spans, image: &Image, action: &'static str, attributes: &mut Attributes) {
    attributes.text(semconv::AGENTSIGHT_SESSION_ID, spans.session_id.clone());
    attributes.text(semconv::AGENTSIGHT_OBJECT_TYPE, object_type::PROCESS);
    attributes.text(semconv::AGENTSIGHT_ACTION, action);
    attributes.text(semconv::AGENTSIGHT_LINEAGE, image.lineage.as_str());
    if let Some(name) = image.executable_name() {
        attributes.text(semconv::PROCESS_EXECUTABLE_NAME, name);
    }
    attributes.int(semconv::PROCESS_PID, image.id.process.tgid.0);
    attributes.text(semconv::AGENTSIGHT_PROCESS_START, image.id.process.start.0.to_string());
    attributes.int(semconv::AGENTSIGHT_PROCESS_EXEC_NUMBER, image.id.exec.0);
}

fn describe_image(spans: &Spans, image: &Image, attributes: &mut Attributes) {
    identify(spans, image, action::EXEC, attributes);
    if let Some(vpid) = image.vpid.filter(|vpid| *vpid != image.id.process.tgid.0) {
        attributes.int(semconv::PROCESS_VPID, vpid);
    }
    if let Some(parent) = image.parent_process {
        attributes.int(semconv::PROCESS_PARENT_PID, parent.tgid.0);
    }
    let created = wall(&image.trace, image.id.process.start);
    attributes.text(semconv::PROCESS_CREATION_TIME, iso_8601(created));
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
    captured(semconv::PROCESS_EXECUTABLE_PATH, &program.executable, attributes);
    if program.requested.bytes != program.executable.bytes {
        captured(semconv::AGENTSIGHT_PROCESS_REQUESTED_PATH, &program.requested, attributes);
    }
    attributes.flag(semconv::AGENTSIGHT_PROCESS_EXECUTABLE_DELETED, program.executable_deleted);
    describe_args(&program.args, attributes);
    captured(semconv::PROCESS_WORKING_DIRECTORY, &program.working_directory, attributes);
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

fn captured(name: Name, value: &Captured, attributes: &mut Attributes) {
    if !value.bytes.is_empty() {
        attributes.text(name, lossy(&value.bytes));
    }
    if value.gap.is_some() {
        attributes.mark_truncated(name);
    }
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
