//! Finding traces as Jaeger does: those with a span for which all conditions hold.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use agentsight_ebpf::WallNanos;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::super::answer::Trouble;
use super::super::parameters::SPANS_MAX;
use super::super::v1::Ask;
use crate::facts;
use crate::query::filter::{Filter, Status};
use crate::query::{Question, Source};
use crate::store::{Direction, StoredSpan};

/// The conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conditions {
    pub(super) service: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) from: Option<WallNanos>,
    pub(super) until: Option<WallNanos>,
    pub(super) shortest: Option<Duration>,
    pub(super) longest: Option<Duration>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) limit: usize,
}

/// The traces, newest first, each whole.
pub(super) fn find(ask: &Ask<'_>, conditions: &Conditions) -> Result<Vec<Vec<StoredSpan>>, Trouble> {
    let mut filter = Filter { from: conditions.from, until: conditions.until, ..Filter::default() };
    let mut kind = None;
    for (name, value) in &conditions.tags {
        match (name.as_str(), value.as_str()) {
            ("error", "true") => filter.status = Some(Status::Error),
            ("span.kind", value) => kind = Some(value.to_owned()),
            _ => filter.attributes.push((name.clone(), value.clone())),
        }
    }
    let question = Question { filter, direction: Direction::Descending, ..Question::default() };
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    ask.source().search(&question, &mut |found| {
        let Ok(id) = <[u8; 16]>::try_from(found.span.trace_id.as_slice()) else { return ControlFlow::Continue(()) };
        let is_meant = || {
            kind.as_deref().is_none_or(|kind| kind_name(found.span.kind()) == Some(kind))
                && question.filter.takes(&found)
                && conditions.take(&found)
        };
        if !seen.contains(&id) && is_meant() {
            seen.insert(id);
            ids.push(TraceId::from_bytes(id));
        }
        if ids.len() == conditions.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let mut traces = Vec::new();
    let mut spans = 0;
    for id in ids {
        let trace = finished(ask, id)?;
        spans += trace.len();
        if spans > SPANS_MAX * 10 && !traces.is_empty() {
            break;
        }
        traces.push(trace);
    }
    Ok(traces)
}

/// A trace's spans that have ended: Jaeger has no others.
pub(super) fn finished(ask: &Ask<'_>, id: TraceId) -> Result<Vec<StoredSpan>, Trouble> {
    let spans = ask.store.finished_trace(id, SPANS_MAX * 10)?;
    Ok(spans)
}

/// The id of a trace as Jaeger takes it: leading zeros may be left out.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Trouble> {
    let is_hex = !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let padded = format!("{text:0>32}");
    Ok(crate::query::words::trace(if is_hex { &padded } else { text })?)
}

pub(super) fn kind_name(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    }
}

impl Conditions {
    fn take(&self, found: &StoredSpan) -> bool {
        let span = &found.span;
        let took = Duration::from_nanos(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
        self.service.as_deref().is_none_or(|service| facts::service(&found.resource) == Some(service))
            && self.operation.as_deref().is_none_or(|operation| span.name == operation)
            && self.shortest.is_none_or(|shortest| shortest <= took)
            && self.longest.is_none_or(|longest| took <= longest)
    }
}
