//! The store as a source.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Question;
use super::source::{Source, SourceError};
use crate::session::{SessionId, SpanRef};
use crate::store::{Direction, Narrow, SortKey, Store, StoredSpan};

/// A store that is asked.
#[derive(Debug)]
pub struct StoreSource<'s> {
    store: &'s Store,
    deadline: Option<Instant>,
}

impl<'s> StoreSource<'s> {
    /// For as long as it takes.
    #[must_use]
    pub fn new(store: &'s Store) -> Self {
        Self { store, deadline: None }
    }

    /// For so long at most.
    #[must_use]
    pub fn within(store: &'s Store, limit: Duration) -> Self {
        Self { store, deadline: Some(Instant::now() + limit) }
    }

    fn check(&self) -> Result<(), SourceError> {
        if self.is_over() { Err(SourceError::TooLong) } else { Ok(()) }
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Source for StoreSource<'_> {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.check()?;
        Ok(self.store.spans(ids)?)
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.check()?;
        Ok(self.store.children(parents)?)
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.check()?;
        Ok(self.store.effects(causes)?)
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let mut is_over = false;
        let order = (question.sort, question.direction);
        let behind = question.cursor.map(|cursor| cursor.0);
        self.store.search(&question.filter.narrow(), order, behind, |found| {
            is_over = self.is_over();
            if is_over { ControlFlow::Break(()) } else { visit(found) }
        })?;
        if is_over { Err(SourceError::TooLong) } else { Ok(()) }
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        let mut spans = Vec::new();
        for session in sessions {
            let narrow = Narrow { session: Some(*session), lossy: true, ..Narrow::default() };
            self.store.search(&narrow, (SortKey::Start, Direction::Ascending), None, |found| {
                spans.push(found);
                ControlFlow::Continue(())
            })?;
        }
        Ok(spans)
    }
}
