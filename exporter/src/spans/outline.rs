//! What every span has, whatever it is about: place, times, whose it is; and that a span found alone can be placed by.

use std::borrow::Cow;

use agentsight_ebpf::{KernelNanos, WallNanos};
use agentsight_semconv as semconv;
use opentelemetry::trace::{SpanId, SpanKind, Status};

use super::Spans;
use super::attributes::{Attributes, append};
use super::link::Links;
use super::model::Span;
use super::time::wall;
use crate::graph::{Image, Trace, Under};
use crate::session::SpanRef;

/// A span without what makes it one of its kind.
pub(super) struct Outline<'a> {
    /// Whose it is.
    pub(super) image: &'a Image,
    /// Where it stands.
    pub(super) trace: &'a Trace,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: SpanKind,
    pub(super) start: KernelNanos,
    pub(super) end: KernelNanos,
}

impl Outline<'_> {
    /// The span, with these attributes.
    pub(super) fn span(self, spans: &mut Spans, attributes: Attributes) -> Span {
        self.linked_span(spans, Links::default(), attributes)
    }

    /// The span, with these attributes and links.
    pub(super) fn linked_span(self, spans: &mut Spans, links: Links, mut attributes: Attributes) -> Span {
        if !links.texts.is_empty() {
            attributes.texts(semconv::AGENTSIGHT_CAUSES, links.texts);
        }
        let start = wall(self.trace, self.start);
        // Jaeger takes a span that ends where it starts for a mistake, and says so on it.
        let shortest = WallNanos(start.0.saturating_add(1));
        // It came with the trace that the image belongs to, and says nothing of another.
        let is_at_home = self.trace.id == self.image.trace.id;
        let mut span = Span {
            id: SpanRef { trace_id: self.trace.id, span_id: self.id },
            parent: self.parent,
            trace_state: if is_at_home { self.image.trace_state.to_string() } else { String::new() },
            name: self.name,
            kind: self.kind,
            start,
            end: wall(self.trace, self.end).max(shortest),
            attributes: Vec::new(),
            dropped_attributes: 0,
            events: Vec::new(),
            dropped_events: 0,
            links: links.links,
            dropped_links: links.dropped,
            status: Status::Unset,
            resource: spans.services.resource(self.image.program.as_deref()),
        };
        append(&mut span, attributes.finish());
        span
    }
}

/// What every span says of its image and of what it is about, so that one found alone can be placed.
pub(super) fn identify(
    spans: &Spans,
    image: &Image,
    (object_type, action): (&'static str, &'static str),
    attributes: &mut Attributes,
) {
    attributes.text(semconv::AGENTSIGHT_SESSION_ID, spans.session_id.clone());
    attributes.text(semconv::AGENTSIGHT_OBJECT_TYPE, object_type);
    attributes.text(semconv::AGENTSIGHT_ACTION, action);
    attributes.text(semconv::AGENTSIGHT_LINEAGE, image.lineage.as_str().to_owned());
    identify_process(image, attributes);
}

/// Which image of which process.
pub(super) fn identify_process(image: &Image, attributes: &mut Attributes) {
    if let Some(name) = image.executable_name() {
        attributes.text(semconv::PROCESS_EXECUTABLE_NAME, name.into_owned());
    }
    attributes.int(semconv::PROCESS_PID, image.id.process.tgid.0);
    attributes.text(semconv::AGENTSIGHT_PROCESS_START, image.id.process.start.0.to_string());
    attributes.int(semconv::AGENTSIGHT_PROCESS_EXEC_NUMBER, image.id.exec.0);
}

/// Trace and parent of a span that hangs under another of its image.
pub(super) fn place_under<'a>(spans: &Spans, image: &Image, under: &'a Under) -> (&'a Trace, SpanId) {
    match under {
        Under::Image(place) => (&place.trace, spans.ids.image(image.id, place.part, place.trace.segment)),
        Under::Connection { open, place } => {
            (&place.trace, spans.ids.connection(image.id, *open, place.part, place.trace.segment))
        }
    }
}

/// A name, with the target where names have targets: `read config.json`, or `read`.
pub(super) fn named(spans: &Spans, action: &'static str, target: &str) -> Cow<'static, str> {
    /// File names have at most 255 bytes on Linux, and so have host names; foreign bytes may be anything.
    const LIMIT: usize = 255;
    if spans.target_names && !target.is_empty() {
        format!("{action} {}", &target[..target.floor_char_boundary(LIMIT)]).into()
    } else {
        action.into()
    }
}

/// Between two moments, in the unit of OpenTelemetry's durations.
pub(super) fn seconds(from: KernelNanos, to: KernelNanos) -> f64 {
    std::time::Duration::from_nanos(to.0.saturating_sub(from.0)).as_secs_f64()
}
