//! Appending: a batch of signals in one transaction, on disk when the call returns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior, params};

use super::row::{Message, Rows};
use super::session::session_key;
use super::{Row, Store, StoreError, content, index, open_image, sqlite_nanos};
use crate::session::SessionId;
use crate::spans::model::Signal;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// New rows.
    pub stored: usize,
    /// Spans whose id was stored before: the first content stays.
    pub repeated: usize,
}

impl Store {
    /// Appends what the pipeline emitted, drafts and contents included, all of it or nothing.
    ///
    /// # Errors
    /// When the store cannot be written (disk full, …) or knows no such session; nothing is stored then.
    pub fn append(&mut self, session: SessionId, signals: &[Signal]) -> Result<Appended, StoreError> {
        let mut rows = Rows::default();
        self.append_all(session, signals.iter().filter_map(|signal| rows.row(signal)), signals)
    }

    /// Appends rows, all of them or nothing.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_rows(
        &mut self,
        session: SessionId,
        rows: impl IntoIterator<Item = Row>,
    ) -> Result<Appended, StoreError> {
        self.append_all(session, rows, &[])
    }

    fn append_all(
        &mut self,
        session: SessionId,
        rows: impl IntoIterator<Item = Row>,
        signals: &[Signal],
    ) -> Result<Appended, StoreError> {
        let failed = StoreError::sqlite("append spans");
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let session = session_key(&transaction, session)?;
        let appended = insert(&transaction, session, rows).map_err(&failed)?;
        open_image::file_drafts(&transaction, session, signals).map_err(&failed)?;
        content::insert(&transaction, session, signals).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(appended)
    }
}

pub(super) fn insert(
    connection: &Connection,
    session: i64,
    rows: impl IntoIterator<Item = Row>,
) -> rusqlite::Result<Appended> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO signal (session, kind, trace_id, span_id, parent_id, start_nanos, end_nanos, name, resource, encoded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (trace_id, span_id) WHERE kind = 'span' DO NOTHING",
    )?;
    // For this batch alone: another process may prune a resource between two transactions.
    let mut resources = HashMap::new();
    let mut operations = HashSet::new();
    let mut add_operation = connection
        .prepare_cached("INSERT INTO operation (resource, name, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    let mut index = index::Index::of(connection)?;
    let mut appended = Appended::default();
    let mut encoded = Vec::new();
    for row in rows {
        let resource = match resources.get(&row.resource) {
            Some(key) => *key,
            None => {
                let key = resource_key(connection, &row.resource)?;
                resources.insert(Arc::clone(&row.resource), key);
                key
            }
        };
        let columns = row.message.columns();
        row.message.encode_into(&mut encoded);
        let is_new = statement.execute(params![
            session,
            columns.kind.as_str(),
            columns.trace_id,
            columns.span_id,
            columns.parent_id,
            sqlite_nanos(columns.start),
            sqlite_nanos(columns.end),
            columns.name,
            resource,
            encoded,
        ])? > 0;
        if !is_new {
            appended.repeated += 1;
            continue;
        }
        appended.stored += 1;
        if let Message::Span(span) = row.message {
            index.add(connection.last_insert_rowid(), session, &span)?;
            let operation = (resource, span.kind, span.name);
            if !operations.contains(&operation) {
                add_operation.execute((operation.0, &operation.2, operation.1))?;
                operations.insert(operation);
            }
        }
    }
    Ok(appended)
}

pub(super) fn resource_key(connection: &Connection, encoded: &[u8]) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("INSERT INTO resource (encoded) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([encoded])?;
    connection.prepare_cached("SELECT key FROM resource WHERE encoded = ?1")?.query_row([encoded], |row| row.get(0))
}
