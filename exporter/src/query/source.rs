//! Where answers come from: the store, a backend, spans in memory. Each gives spans by id, along parents and links, and by what
//! is known of them; what is made of them is the same for all.

use std::ops::ControlFlow;

use super::Question;
use crate::session::{SessionId, SpanRef};
use crate::store::{StoreError, StoredSpan};

/// Something that has spans.
pub trait Source {
    /// The spans of these ids that are there, in any order.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError>;

    /// The spans whose parent is one of these.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError>;

    /// The spans that are linked to one of these as their cause.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError>;

    /// Visits, in the question's order and from its cursor on, at least all spans that its filter takes, until the visitor has
    /// enough.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError>;

    /// The spans of these sessions that say that something was lost.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError>;
}

/// Why a source could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A backend did not answer, or not what it should.
    #[error("{url} {trouble}")]
    Backend {
        /// What was asked, without anything secret.
        url: String,
        /// What is wrong.
        trouble: String,
    },
    /// It would take more than one question may.
    #[error("{0}")]
    TooMuch(String),
    /// The time for one question is over.
    #[error("the question took longer than it may: ask for less, such as a shorter time")]
    TooLong,
}
