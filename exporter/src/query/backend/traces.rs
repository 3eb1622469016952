//! A backend as a source: traces in which something may match are read whole, each once, and asked in memory.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use crate::facts::Facts;
use crate::query::Question;
use crate::query::filter::Filter;
use crate::query::memory::Memory;
use crate::query::source::{Source, SourceError};
use crate::session::{SessionId, SpanRef};
use crate::store::StoredSpan;

/// Spans in memory; one has about 2 KB.
const SPANS_MAX: usize = 500_000;

/// What a backend has to know.
pub trait Backend {
    /// The spans of a trace (32 hex digits); none where there is no such trace.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn trace(&self, id: &str) -> Result<Vec<ResourceSpans>, SourceError>;

    /// The ids of at least all traces that have a span which the filter takes.
    ///
    /// # Errors
    /// When it cannot be asked, or has more than it gives at once.
    fn matching(&self, filter: &Filter) -> Result<BTreeSet<String>, SourceError>;
}

/// A backend that is asked.
#[derive(Debug)]
pub struct TracesOf<B> {
    backend: B,
    memory: Memory,
    /// Traces that were read, or are not there.
    read: HashSet<String>,
    /// Sessions all of whose traces were read.
    sessions: HashSet<SessionId>,
}

impl<B: Backend> TracesOf<B> {
    /// Of this backend.
    #[must_use]
    pub fn new(backend: B) -> Self {
        Self { backend, memory: Memory::default(), read: HashSet::new(), sessions: HashSet::new() }
    }

    /// Reads a trace, if it is not here yet.
    fn read(&mut self, trace: &str) -> Result<(), SourceError> {
        if !self.read.insert(trace.to_owned()) {
            return Ok(());
        }
        for group in self.backend.trace(trace)? {
            let resource = Arc::new(group.resource.unwrap_or_default());
            for span in group.scope_spans.into_iter().flat_map(|ScopeSpans { spans, .. }| spans) {
                self.memory.add(StoredSpan { span, resource: Arc::clone(&resource) });
            }
        }
        if self.memory.all().len() > SPANS_MAX {
            return Err(SourceError::TooMuch(format!(
                "this question takes more than {SPANS_MAX} spans of the backend: ask about a shorter time or one session"
            )));
        }
        Ok(())
    }

    fn read_matching(&mut self, filter: &Filter) -> Result<(), SourceError> {
        self.backend.matching(filter)?.iter().try_for_each(|id| self.read(id))
    }

    fn read_sessions(&mut self, sessions: impl IntoIterator<Item = SessionId>) -> Result<(), SourceError> {
        for session in sessions {
            if self.sessions.insert(session) {
                self.read_matching(&Filter { session: Some(session), ..Filter::default() })?;
            }
        }
        Ok(())
    }

    fn read_traces_of(&mut self, ids: &[SpanRef]) -> Result<(), SourceError> {
        ids.iter().try_for_each(|id| self.read(&id.trace_id.to_string()))
    }
}

impl<B: Backend> Source for TracesOf<B> {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_traces_of(ids)?;
        self.memory.spans(ids)
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_traces_of(parents)?;
        self.memory.children(parents)
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        // A backend does not know who is linked to a span. What it led to is in the traces of its session.
        let sessions: BTreeSet<SessionId> = self.spans(causes)?.iter().filter_map(session_of).collect();
        self.read_sessions(sessions)?;
        self.memory.effects(causes)
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        match question.filter.trace {
            Some(trace) => self.read(&trace.to_string())?,
            None => self.read_matching(&question.filter)?,
        }
        self.memory.search(question, visit)
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_sessions(sessions.iter().copied())?;
        self.memory.lossy(sessions)
    }
}

fn session_of(found: &StoredSpan) -> Option<SessionId> {
    SessionId::try_from(Facts::of(&found.span).session?.to_owned()).ok()
}
