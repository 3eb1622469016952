//! What can go wrong with the store, said so that a person can mend it.

use std::path::PathBuf;

use super::destination::DestinationId;
use super::place::PlaceError;
use super::schema::SchemaError;
use crate::session::{SessionId, SpanRef};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it.
    #[error("cannot use the store: {0}")]
    Place(#[from] PlaceError),
    /// Opening the database.
    #[error("cannot open the store {path:?}: {source}")]
    Open {
        /// The database.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// Bringing it to the present shape.
    #[error("cannot use the store {path:?}: {source}")]
    Shape {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        source: SchemaError,
    },
    /// A session that was never begun, or is pruned.
    #[error("the store knows no session {0}")]
    UnknownSession(SessionId),
    /// A destination that was never added, or is pruned.
    #[error("the store knows no destination {0}")]
    UnknownDestination(DestinationId),
    /// A session's header is not what was written.
    #[error("the store's header of session {number} is damaged: {reason}")]
    DamagedHeader {
        /// Its row.
        number: i64,
        /// How.
        reason: String,
    },
    /// What is stored of a span's contents is not what was written.
    #[error("the store's contents of span {} are damaged: {reason}", span.span_id)]
    DamagedContent {
        /// The span.
        span: SpanRef,
        /// How.
        reason: String,
    },
    /// A header that cannot be written as JSON.
    #[error("cannot write the header of session {id}: {source}")]
    EncodeHeader {
        /// The session.
        id: SessionId,
        /// The encoder's answer.
        source: serde_json::Error,
    },
    /// SQLite refused.
    #[error("the store could not {doing}: {source}")]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
}

impl StoreError {
    pub(super) fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }
}
