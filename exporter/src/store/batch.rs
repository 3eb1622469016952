//! What to send next: the rows behind a destination's cursor, with their resources.

use std::collections::BTreeMap;

use rusqlite::{Connection, ErrorCode, OptionalExtension, named_params};
use serde::{Deserialize, Serialize};

use super::{DestinationId, Store, StoreError};

/// The place of a row in the order in which rows were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub(super) i64);

impl Seq {
    /// Before the first row.
    pub const BEFORE_ANY: Self = Self(0);
}

/// How much one request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimit {
    /// Of encoded signals and resources together. A first row that is larger comes alone.
    pub bytes: usize,
    /// Rows.
    pub rows: usize,
}

/// What to send next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order in which they were stored.
    pub rows: Vec<StoredRow>,
    /// The resources that the rows name, encoded.
    pub resources: BTreeMap<i64, Vec<u8>>,
}

/// One row behind the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its place.
    pub seq: Seq,
    /// Key into [`Batch::resources`].
    pub resource: i64,
    /// The OTLP message; empty where the database is damaged and does not give it.
    pub encoded: Vec<u8>,
}

impl Store {
    /// The rows after the cursor; empty when there are none. What the disk has damaged hides nothing but itself.
    ///
    /// # Errors
    /// When the store cannot be read, or knows no such destination.
    pub fn next_batch(&self, id: DestinationId, limit: BatchLimit) -> Result<Batch, StoreError> {
        let failed = StoreError::sqlite("read what to send");
        let (session, kind, cursor): (i64, String, i64) = self
            .connection
            .prepare_cached("SELECT session, kind, cursor FROM destination WHERE id = ?1")
            .and_then(|mut statement| {
                statement.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
            })
            .map_err(&failed)?
            .ok_or(StoreError::UnknownDestination(id))?;
        match read_batch(&self.connection, session, &kind, cursor, limit) {
            Err(error) if is_damage(&error) => {
                read_one_by_one(&self.connection, session, &kind, cursor, limit).map_err(&failed)
            }
            read => read.map_err(&failed),
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Which rows there are the index knows too, when their own pages do not give them.
fn read_one_by_one(
    connection: &Connection,
    session: i64,
    kind: &str,
    cursor: i64,
    limit: BatchLimit,
) -> rusqlite::Result<Batch> {
    let mut listing = connection.prepare_cached(
        "SELECT seq FROM signal INDEXED BY signal_of_session
         WHERE session = :session AND kind = :kind AND seq > :cursor ORDER BY seq",
    )?;
    let mut statement = connection.prepare_cached("SELECT resource, encoded FROM signal WHERE seq = ?1")?;
    let mut places = listing.query(named_params! {":session": session, ":kind": kind, ":cursor": cursor})?;
    let mut batch = Batch::default();
    let mut bytes = 0;
    while batch.rows.len() < limit.rows
        && bytes < limit.bytes
        && let Some(place) = places.next()?
    {
        let seq: i64 = place.get(0)?;
        let read = statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).and_then(|(key, encoded)| {
            let encoded: Vec<u8> = encoded;
            Ok((key, read_resource(connection, key)?, encoded))
        });
        let (resource, encoded) = match read {
            Ok((key, resource, encoded)) => {
                bytes += encoded.len() + resource.len() + ROW_OVERHEAD + RESOURCE_OVERHEAD;
                batch.resources.insert(key, resource);
                (key, encoded)
            }
            Err(error) if is_damage(&error) || error == rusqlite::Error::QueryReturnedNoRows => {
                (NO_RESOURCE, Vec::new())
            }
            Err(error) => return Err(error),
        };
        batch.rows.push(StoredRow { seq: Seq(seq), resource, encoded });
    }
    Ok(batch)
}

/// SQLite counts from 1.
const NO_RESOURCE: i64 = 0;

fn read_batch(
    connection: &Connection,
    session: i64,
    kind: &str,
    cursor: i64,
    limit: BatchLimit,
) -> rusqlite::Result<Batch> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, resource, encoded FROM signal
         WHERE session = :session AND kind = :kind AND seq > :cursor ORDER BY seq",
    )?;
    let mut rows = statement.query(named_params! {":session": session, ":kind": kind, ":cursor": cursor})?;
    let mut batch = Batch::default();
    let mut bytes = 0;
    while batch.rows.len() < limit.rows
        && let Some(row) = rows.next()?
    {
        let found = StoredRow { seq: Seq(row.get(0)?), resource: row.get(1)?, encoded: row.get(2)? };
        let resource = match batch.resources.get(&found.resource) {
            Some(_) => None,
            None => Some(read_resource(connection, found.resource)?),
        };
        bytes += found.encoded.len() + ROW_OVERHEAD;
        bytes += resource.as_ref().map_or(0, |encoded| encoded.len() + RESOURCE_OVERHEAD);
        if bytes > limit.bytes && !batch.rows.is_empty() {
            break;
        }
        batch.resources.extend(resource.map(|encoded| (found.resource, encoded)));
        batch.rows.push(found);
    }
    Ok(batch)
}

/// Protobuf's tag (1 byte) and length (up to 5) before each message.
const ROW_OVERHEAD: usize = 6;
/// The same for a resource and the messages around it, with the scope's name and version and two schema URLs.
const RESOURCE_OVERHEAD: usize = 256;

fn read_resource(connection: &Connection, key: i64) -> rusqlite::Result<Vec<u8>> {
    connection.prepare_cached("SELECT encoded FROM resource WHERE key = ?1")?.query_row([key], |row| row.get(0))
}
