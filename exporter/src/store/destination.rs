//! Destinations: where a session's signals go, and how far along their sender is.
//!
//! The cursor is the last row that is done with, whatever became of it. It moves after the answer
//! came, so a crash in between sends a batch twice, with the same bytes, and loses nothing.

use std::fmt;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row as SqliteRow, TransactionBehavior, named_params};

use super::lock::{self, Lock};
use super::session::session_key;
use super::{Kind, Seq, Store, StoreError, count, sqlite_count};
use crate::session::SessionId;

const LOCK_FILE: &str = "destination.lock";

/// A destination's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub(super) i64);

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How to reach a destination, as JSON; may hold secrets, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingsJson(pub String);

impl fmt::Debug for SettingsJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettingsJson(…)")
    }
}

/// What became of a destination's rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by the backend.
    pub sent: u64,
    /// Refused one by one by a backend that took the rest (`partial_success`).
    pub rejected: u64,
    /// Given up: refused as a whole, too large, damaged, or pruned before they were sent.
    pub dropped: u64,
    /// Still behind the cursor.
    pub pending: u64,
}

/// A destination that has, or may yet get, something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its number.
    pub id: DestinationId,
    /// What it takes.
    pub kind: Kind,
    /// How to reach it.
    pub settings: SettingsJson,
    /// What became of its rows.
    pub counts: Counts,
    /// Its session is over: once nothing is pending, nothing ever will be.
    pub session_ended: bool,
}

/// A cursor's step, with what became of the rows that it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The last row that is done with.
    pub to: Seq,
    /// Taken by the backend.
    pub sent: u64,
    /// Refused one by one.
    pub rejected: u64,
    /// Given up.
    pub dropped: u64,
}

impl Store {
    /// Says where a session's signals of one kind go, from its first row on.
    ///
    /// # Errors
    /// When the store cannot be written, or knows no such session.
    pub fn add_destination(
        &mut self,
        session: SessionId,
        kind: Kind,
        settings: &SettingsJson,
    ) -> Result<DestinationId, StoreError> {
        let session = session_key(&self.connection, session)?;
        self.connection
            .execute(
                "INSERT INTO destination (session, kind, settings) VALUES (:session, :kind, :settings)",
                named_params! {":session": session, ":kind": kind.as_str(), ":settings": settings.0},
            )
            .map_err(StoreError::sqlite("add a destination"))?;
        Ok(DestinationId(self.connection.last_insert_rowid()))
    }

    /// How the destinations of a session are reached, as far as its settings are still kept.
    ///
    /// # Errors
    /// When the store cannot be read, or knows no such session.
    pub fn settings_of(&self, session: SessionId) -> Result<Vec<(Kind, SettingsJson)>, StoreError> {
        let session = session_key(&self.connection, session)?;
        let failed = StoreError::sqlite("look up where a session is sent");
        let mut statement = self
            .connection
            .prepare_cached("SELECT kind, settings FROM destination WHERE session = ?1 AND settings IS NOT NULL")
            .map_err(&failed)?;
        let rows = statement
            .query_map([session], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
            .map_err(&failed)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(&failed)?;
        Ok(rows.into_iter().filter_map(|(kind, json)| Some((kind.parse().ok()?, SettingsJson(json)))).collect())
    }

    /// The destinations of every session that still have something to send and that nobody's death should
    /// keep from getting it. Some of them may have a living sender: [`lock_destination`](Self::lock_destination) tells.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn undelivered(&self) -> Result<Vec<Destination>, StoreError> {
        let failed = StoreError::sqlite("list what is not delivered");
        let mut statement = self
            .connection
            .prepare(&format!("{SELECT_DESTINATION} WHERE destination.settings IS NOT NULL ORDER BY destination.id"))
            .map_err(&failed)?;
        let all = statement.query_map([], read_destination).map_err(&failed)?.collect::<Result<Vec<_>, _>>();
        Ok(all.map_err(&failed)?.into_iter().filter(|found| found.counts.pending > 0).collect())
    }

    /// One destination, or `None` where it is unknown or all is delivered and its settings are erased.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn destination(&self, id: DestinationId) -> Result<Option<Destination>, StoreError> {
        self.connection
            .prepare_cached(&format!(
                "{SELECT_DESTINATION} WHERE destination.settings IS NOT NULL AND destination.id = ?1"
            ))
            .and_then(|mut statement| statement.query_row([id.0], read_destination).optional())
            .map_err(StoreError::sqlite("look up a destination"))
    }

    /// What became of a destination's rows, delivered ones included.
    ///
    /// # Errors
    /// When the store cannot be read, or knows no such destination.
    pub fn counts(&self, id: DestinationId) -> Result<Counts, StoreError> {
        self.connection
            .prepare_cached(&format!("{SELECT_COUNTS} WHERE destination.id = ?1"))
            .and_then(|mut statement| statement.query_row([id.0], |row| read_counts(row, 0)).optional())
            .map_err(StoreError::sqlite("count what is delivered"))?
            .ok_or(StoreError::UnknownDestination(id))
    }

    /// The right to send to a destination, or `None` where somebody has it. It ends with the lock or the process.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn lock_destination(&self, id: DestinationId) -> Result<Option<Lock>, StoreError> {
        Ok(lock::try_lock(&self.lock_path(), id.0)?)
    }

    /// Moves the cursor past rows that are done with; erases the settings when that was the last of an ended session.
    ///
    /// # Errors
    /// When the store cannot be written. The cursor has not moved then.
    pub fn advance(&mut self, id: DestinationId, step: Advance) -> Result<(), StoreError> {
        let failed = StoreError::sqlite("note what is delivered");
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        transaction
            .prepare_cached(
                "UPDATE destination SET cursor = :to, sent = sent + :sent, rejected = rejected + :rejected,
                 dropped = dropped + :dropped WHERE id = :id AND cursor < :to",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":id": id.0,
                    ":to": step.to.0,
                    ":sent": sqlite_count(step.sent),
                    ":rejected": sqlite_count(step.rejected),
                    ":dropped": sqlite_count(step.dropped),
                })
            })
            .map_err(&failed)?;
        let erased = erase_delivered(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        self.forget(erased);
        Ok(())
    }

    /// After settings were erased: their bytes are overwritten in the database only, so the log goes too.
    pub(super) fn forget(&self, erased: usize) {
        if erased > 0 {
            // A reader that is in the way now makes this a matter of the next checkpoint.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join(LOCK_FILE)
    }
}

/// Erases the settings of every destination that is through with a session that is over; says how many.
pub(super) fn erase_delivered(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE destination SET settings = NULL WHERE settings IS NOT NULL
             AND EXISTS (SELECT 1 FROM session WHERE key = destination.session AND ended_nanos IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM signal
                 WHERE session = destination.session AND kind = destination.kind AND seq > destination.cursor)",
        )?
        .execute([])
}

const SELECT_COUNTS: &str = "SELECT destination.sent, destination.rejected, destination.dropped,
    (SELECT count(*) FROM signal
     WHERE session = destination.session AND kind = destination.kind AND seq > destination.cursor)
    FROM destination";

const SELECT_DESTINATION: &str = "SELECT destination.sent, destination.rejected, destination.dropped,
    (SELECT count(*) FROM signal
     WHERE session = destination.session AND kind = destination.kind AND seq > destination.cursor),
    destination.id, destination.kind, destination.settings, session.ended_nanos IS NOT NULL
    FROM destination JOIN session ON session.key = destination.session";

fn read_counts(row: &SqliteRow<'_>, first: usize) -> rusqlite::Result<Counts> {
    let read = |column| row.get(first + column).map(count);
    Ok(Counts { sent: read(0)?, rejected: read(1)?, dropped: read(2)?, pending: read(3)? })
}

fn read_destination(row: &SqliteRow<'_>) -> rusqlite::Result<Destination> {
    let kind: String = row.get(5)?;
    Ok(Destination {
        counts: read_counts(row, 0)?,
        id: DestinationId(row.get(4)?),
        kind: kind.parse().map_err(|_| rusqlite::Error::InvalidColumnName(kind))?,
        settings: SettingsJson(row.get(6)?),
        session_ended: row.get(7)?,
    })
}
