//! Spans in memory as a source: what a backend sent, what a subtree is, what a test makes up.

use std::collections::HashMap;
use std::ops::ControlFlow;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::Question;
use super::ask::behind;
use super::source::{Source, SourceError};
use crate::facts::Facts;
use crate::session::{SessionId, SpanRef};
use crate::store::{Direction, StoredSpan};

/// Spans, each id once.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    spans: Vec<StoredSpan>,
    places: HashMap<SpanRef, usize>,
    children: HashMap<SpanRef, Vec<usize>>,
    effects: HashMap<SpanRef, Vec<usize>>,
}

impl Memory {
    /// Takes a span; a second one under the same id is passed over.
    pub fn add(&mut self, found: StoredSpan) {
        let place = self.spans.len();
        let Some(id) = id_of(&found.span) else { return };
        if self.places.contains_key(&id) {
            return;
        }
        self.places.insert(id, place);
        if let Some(parent) = parent_of(&found.span) {
            self.children.entry(parent).or_default().push(place);
        }
        for cause in causes_of(&found.span) {
            let effects = self.effects.entry(cause).or_default();
            if effects.last() != Some(&place) {
                effects.push(place);
            }
        }
        self.spans.push(found);
    }

    /// Whether this span is here.
    #[must_use]
    pub fn has(&self, id: SpanRef) -> bool {
        self.places.contains_key(&id)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[StoredSpan] {
        &self.spans
    }

    fn around(&self, map: &HashMap<SpanRef, Vec<usize>>, ids: &[SpanRef]) -> Vec<StoredSpan> {
        ids.iter().filter_map(|id| map.get(id)).flatten().map(|place| self.spans[*place].clone()).collect()
    }
}

impl Source for Memory {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        Ok(ids.iter().filter_map(|id| self.places.get(id)).map(|place| self.spans[*place].clone()).collect())
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        Ok(self.around(&self.children, parents))
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        Ok(self.around(&self.effects, causes))
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let place = |found: &StoredSpan| {
            let behind = behind(&found.span, question.sort);
            (behind.key, behind.span_id)
        };
        let mut order: Vec<&StoredSpan> = self.spans.iter().collect();
        order.sort_by_key(|found| place(found));
        if question.direction == Direction::Descending {
            order.reverse();
        }
        let after = question.cursor.map(|cursor| (cursor.0.key, cursor.0.span_id));
        for found in order {
            let is_behind = after.is_none_or(|after| match question.direction {
                Direction::Ascending => place(found) > after,
                Direction::Descending => place(found) < after,
            });
            if is_behind && visit(found.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        let sessions: Vec<String> = sessions.iter().map(ToString::to_string).collect();
        let is_meant = |found: &&StoredSpan| {
            let facts = Facts::of(&found.span);
            facts.lossy && facts.session.is_some_and(|session| sessions.iter().any(|one| one == session))
        };
        Ok(self.spans.iter().filter(is_meant).cloned().collect())
    }
}

/// A span's id; `None` where it is none.
#[must_use]
pub fn id_of(span: &Span) -> Option<SpanRef> {
    reference(&span.trace_id, &span.span_id)
}

/// Its parent's id.
#[must_use]
pub fn parent_of(span: &Span) -> Option<SpanRef> {
    reference(&span.trace_id, &span.parent_span_id)
}

/// The ids that its links name.
pub fn causes_of(span: &Span) -> impl Iterator<Item = SpanRef> {
    span.links.iter().filter_map(|link| reference(&link.trace_id, &link.span_id))
}

/// Both halves of an id, from bytes that may be anything.
#[must_use]
pub fn reference(trace: &[u8], span: &[u8]) -> Option<SpanRef> {
    let trace_id = TraceId::from_bytes(trace.try_into().ok()?);
    let span_id = SpanId::from_bytes(span.try_into().ok()?);
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID).then_some(SpanRef { trace_id, span_id })
}
