//! Where the evidence of a slice has gaps: what was lost, blurred, older than the tracing, or out of sight.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use agentsight_semconv as semconv;

use super::Node;
use crate::facts::{self, Facts, LOSS_PREFIX};
use crate::query::source::{Source, SourceError};
use crate::session::{SessionId, SpanRef};

/// One gap.
#[derive(Clone, Debug, PartialEq)]
pub enum Gap {
    /// A span that an edge names is not here: another program's, not stored yet, or discarded.
    Missing {
        /// The span.
        id: SpanRef,
        /// The edge's kind.
        kind: String,
    },
    /// The limits of a span cost it links.
    DroppedLinks {
        /// The span.
        id: SpanRef,
        /// How many.
        count: u32,
    },
    /// What should have been several bursts is one: what is before and behind it is blurred.
    Coalesced(SpanRef),
    /// The open file was older than the tracing, or came from outside the tree.
    Found(SpanRef),
    /// The tracing ended before it did.
    Incomplete(SpanRef),
    /// The image used a way around what is watched.
    Blind {
        /// The image.
        id: SpanRef,
        /// Which way.
        by: &'static str,
    },
    /// Events of a session were lost.
    Lost(Loss),
}

/// What a session lost, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The session, 32 hex digits.
    pub session: String,
    /// How many, by the name behind `agentsight.loss.`.
    pub counts: BTreeMap<String, i64>,
}

const BLIND: [(semconv::Name, &str); 3] = [
    (semconv::AGENTSIGHT_BLIND_SHARED_MEMORY, "shared memory"),
    (semconv::AGENTSIGHT_BLIND_IO_URING, "io_uring"),
    (semconv::AGENTSIGHT_BLIND_COMPAT_CALLS, "32-bit system calls"),
];

/// All gaps, those of the spans in the spans' order first.
pub(super) fn gaps(
    source: &mut dyn Source,
    nodes: &[Node],
    missing: &HashSet<(SpanRef, String)>,
) -> Result<Vec<Gap>, SourceError> {
    let mut gaps = Vec::new();
    let mut sessions = BTreeSet::new();
    for Node { id, found, .. } in nodes {
        let span = &found.span;
        sessions.extend(Facts::of(span).session.and_then(|session| SessionId::try_from(session.to_owned()).ok()));
        if span.dropped_links_count > 0 {
            gaps.push(Gap::DroppedLinks { id: *id, count: span.dropped_links_count });
        }
        let says = |name| facts::is_true(span, name);
        for (name, gap) in [
            (semconv::AGENTSIGHT_BURST_COALESCED, Gap::Coalesced(*id)),
            (semconv::AGENTSIGHT_OBJECT_FOUND, Gap::Found(*id)),
            (semconv::AGENTSIGHT_SPAN_INCOMPLETE, Gap::Incomplete(*id)),
        ] {
            gaps.extend(says(name).then_some(gap));
        }
        gaps.extend(BLIND.into_iter().filter(|(name, _)| says(*name)).map(|(_, by)| Gap::Blind { id: *id, by }));
    }
    let mut missing: Vec<_> = missing.iter().cloned().collect();
    missing.sort_by_key(|(id, kind)| (id.trace_id.to_bytes(), id.span_id.to_bytes(), kind.clone()));
    gaps.extend(missing.into_iter().map(|(id, kind)| Gap::Missing { id, kind }));
    let sessions: Vec<SessionId> = sessions.into_iter().collect();
    let mut losses: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for found in source.lossy(&sessions)? {
        let Some(session) = Facts::of(&found.span).session else { continue };
        let counts = losses.entry(session.to_owned()).or_default();
        for attribute in &found.span.attributes {
            let kind = attribute.key.strip_prefix(LOSS_PREFIX);
            let count = attribute.value.as_ref().and_then(facts::int);
            if let (Some(kind), Some(count)) = (kind, count) {
                *counts.entry(kind.to_owned()).or_default() += count;
            }
        }
    }
    gaps.extend(losses.into_iter().map(|(session, counts)| Gap::Lost(Loss { session, counts })));
    Ok(gaps)
}
