//! What was captured of a burst: attributes of its span, and the bytes beside it.

use agentsight_ebpf::Content;
use agentsight_semconv as semconv;

use super::attributes::Attributes;
use super::model::{ContentLayout, SpanContent};
use crate::content::ContentHash;
use crate::session::SpanRef;

/// What the span says of it; the beginning of the text too where `has_text`.
pub(super) fn describe(content: &Content, has_text: bool, attributes: &mut Attributes) {
    let bytes: usize = content.runs.iter().map(|run| run.bytes.len()).sum();
    attributes.text(semconv::AGENTSIGHT_CONTENT_HASH, hash(content).to_string());
    attributes.int(semconv::AGENTSIGHT_CONTENT_BYTES, bytes as u64);
    if !content.holes.is_empty() {
        let missing = content.holes.iter().map(|hole| hole.range.end.saturating_sub(hole.range.start));
        attributes.int(semconv::AGENTSIGHT_CONTENT_HOLES, content.holes.len() as u64);
        attributes.int(semconv::AGENTSIGHT_CONTENT_MISSING_BYTES, missing.fold(0, u64::saturating_add));
    }
    if !content.redacted.is_empty() {
        attributes.int(semconv::AGENTSIGHT_CONTENT_REDACTIONS, content.redacted.len() as u64);
    }
    if let Some(first) = content.runs.first().filter(|_| has_text) {
        attributes.text(semconv::AGENTSIGHT_CONTENT_TEXT, String::from_utf8_lossy(&first.bytes));
        if content.runs.len() > 1 || !content.holes.is_empty() {
            attributes.mark_truncated(semconv::AGENTSIGHT_CONTENT_TEXT);
        }
    }
}

/// The bytes of a span.
pub(super) fn of_span(span: SpanRef, content: &Content) -> SpanContent {
    let SpanRef { trace_id, span_id } = span;
    let layout = ContentLayout {
        runs: content.runs.iter().map(|run| (run.offset, run.bytes.len() as u64)).collect(),
        holes: content.holes.clone(),
        redacted: content.redacted.clone(),
        lost_chunks: content.lost_chunks,
        complete: content.complete,
    };
    let bytes = content.runs.iter().flat_map(|run| &run.bytes).copied().collect();
    SpanContent { trace_id, span_id, hash: hash(content), bytes, layout }
}

fn hash(content: &Content) -> ContentHash {
    ContentHash::of_parts(content.runs.iter().map(|run| run.bytes.as_slice()))
}
