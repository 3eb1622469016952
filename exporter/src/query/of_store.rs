//! The store as a source.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::Question;
use super::source::{Source, SourceError};
use crate::session::{SessionId, SpanRef, UserId};
use crate::store::{Direction, Narrow, SortKey, Store, StoredSpan};

/// A store that is asked.
#[derive(Debug)]
pub struct StoreSource<'s> {
    store: &'s Store,
    deadline: Option<Instant>,
    owner: Option<UserId>,
    spans_max: usize,
}

impl<'s> StoreSource<'s> {
    /// For as long as it takes.
    #[must_use]
    pub fn new(store: &'s Store) -> Self {
        Self { store, deadline: None, owner: None, spans_max: usize::MAX }
    }

    /// For so long at most.
    #[must_use]
    pub fn within(store: &'s Store, limit: Duration) -> Self {
        Self { deadline: Some(Instant::now() + limit), ..Self::new(store) }
    }

    /// Where owners' sessions are looked through, only this one's are.
    #[must_use]
    pub fn of_owner(self, owner: Option<UserId>) -> Self {
        Self { owner, ..self }
    }

    /// No single step of a question may give more spans.
    #[must_use]
    pub fn at_most(self, spans_max: usize) -> Self {
        Self { spans_max, ..self }
    }

    /// Whether its time is over.
    ///
    /// # Errors
    /// When it is.
    pub fn check(&self) -> Result<(), SourceError> {
        if self.is_over() { Err(SourceError::TooLong) } else { Ok(()) }
    }

    fn bounded(&self, found: Vec<StoredSpan>) -> Result<Vec<StoredSpan>, SourceError> {
        if found.len() <= self.spans_max {
            return Ok(found);
        }
        Err(SourceError::TooMuch(format!(
            "one step of this question has more than {} spans: ask about less, such as a shorter time",
            self.spans_max
        )))
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
        self.bounded(self.store.children(parents, self.spans_max.saturating_add(1))?)
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.check()?;
        self.bounded(self.store.effects(causes, self.spans_max.saturating_add(1))?)
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let mut is_over = false;
        let order = (question.sort, question.direction);
        let behind = question.cursor.map(|cursor| cursor.0);
        let narrow = Narrow { owner: self.owner, ..question.filter.narrow() };
        self.store.search(&narrow, order, behind, |found| {
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
