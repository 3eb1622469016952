//! Causes as links and as text.

use agentsight_semconv::value::link_type;
use agentsight_semconv::{AGENTSIGHT_ASSERTED, AGENTSIGHT_LINK_CONFIDENCE, AGENTSIGHT_LINK_TYPE};

use super::attributes::Attributes;
use super::id::SpanIds;
use super::model::Link;
use crate::graph::{Cause, CauseKind, Target};
use crate::session::SpanRef;

/// Links that a span may have; backends show few, and Jaeger's storages pay for each.
const LIMIT: usize = 32;
/// Causes that a span names in words.
const TEXT_LIMIT: usize = 4;

/// The links of a span, the surest first.
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    pub(super) dropped: u32,
    /// `agentsight.causes`.
    pub(super) texts: Vec<String>,
}

pub(super) fn links(causes: &[Cause], ids: &SpanIds) -> Links {
    let mut causes: Vec<&Cause> = causes.iter().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.confidence));
    let dropped = causes.len().saturating_sub(LIMIT);
    causes.truncate(LIMIT);
    Links {
        links: causes.iter().map(|cause| link(cause, ids)).collect(),
        dropped: u32::try_from(dropped).unwrap_or(u32::MAX),
        texts: causes.iter().take(TEXT_LIMIT).map(|cause| text(cause)).collect(),
    }
}

fn link(cause: &Cause, ids: &SpanIds) -> Link {
    let to = match cause.target {
        Target::Image { id, trace, .. } => SpanRef { trace_id: trace, span_id: ids.image(id) },
        Target::Foreign(span) => span,
    };
    let mut attributes = Attributes::default();
    attributes.text(AGENTSIGHT_LINK_TYPE, type_of(cause.kind));
    attributes.double(AGENTSIGHT_LINK_CONFIDENCE, cause.confidence.as_fraction());
    attributes.flag(AGENTSIGHT_ASSERTED, cause.kind == CauseKind::Explicit);
    Link { to, attributes: attributes.finish() }
}

fn type_of(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Exec => link_type::EXEC,
        CauseKind::Lineage => link_type::LINEAGE,
        CauseKind::Explicit => link_type::EXPLICIT,
    }
}

/// `exec: sh`, `explicit: span b7ad6b7169203331`.
fn text(cause: &Cause) -> String {
    let what = match &cause.target {
        Target::Image { name, .. } => name.clone().unwrap_or_else(|| "unknown".to_owned()),
        Target::Foreign(span) => format!("span {}", span.span_id),
    };
    format!("{}: {what}", type_of(cause.kind))
}
