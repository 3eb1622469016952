//! What is in the store, as lists: sessions, services and their operations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agentsight_ebpf::WallNanos;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use rusqlite::{Connection, OptionalExtension};

use super::read::{Reader, StoredSpan};
use super::search::MARGIN_NANOS;
use super::session::LOCK_FILE;
use super::{Store, StoreError, count, lock, sqlite_nanos, wall_nanos};
use crate::facts;
use crate::session::{Session, SessionId, UserId};

/// One session, as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSummary {
    /// Its id.
    pub id: SessionId,
    /// The trace that its first spans are in.
    pub trace_id: TraceId,
    /// When it began.
    pub started: WallNanos,
    /// Whether it is over.
    pub state: SessionState,
    /// Finished spans.
    pub spans: u64,
    /// The earliest process image: what was traced. `None` where nothing is stored yet.
    pub root: Option<StoredSpan>,
}

/// Whether a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Its collector lives, or, in a copy of a store, lived when it was copied.
    Running,
    /// It ended.
    Ended(WallNanos),
    /// Its collector died; the next one of any kind ends it.
    Abandoned,
}

/// A name that spans of one service have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The spans' name.
    pub name: String,
    /// Their kind, as OTLP numbers it.
    pub kind: i32,
}

impl Store {
    /// The newest sessions, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, StoreError> {
        self.sessions_of(None, limit)
    }

    /// As [`sessions`](Self::sessions), those of one owner alone; for `None` all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sessions_of(&self, owner: Option<UserId>, limit: usize) -> Result<Vec<SessionSummary>, StoreError> {
        let failed = StoreError::sqlite("list sessions");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT key, header, started_nanos, ended_nanos FROM session
                 WHERE ?2 IS NULL OR owner = ?2 ORDER BY key DESC LIMIT ?1",
            )
            .map_err(&failed)?;
        let rows: Vec<(i64, String, i64, Option<i64>)> = statement
            .query_map((i64::try_from(limit).unwrap_or(i64::MAX), owner.map(|owner| owner.0)), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .and_then(Iterator::collect)
            .map_err(&failed)?;
        let mut sessions = Vec::new();
        for (key, header, started, ended) in rows {
            let session: Session = match serde_json::from_str(&header) {
                Ok(session) => session,
                Err(error) => {
                    let damaged = StoreError::DamagedHeader { number: key, reason: error.to_string() };
                    tracing::warn!("{damaged}");
                    continue;
                }
            };
            let state = match ended {
                Some(ended) => SessionState::Ended(wall_nanos(ended)),
                None if self.is_alive(key) => SessionState::Running,
                None => SessionState::Abandoned,
            };
            sessions.push(SessionSummary {
                id: session.id,
                trace_id: session.trace_id,
                started: wall_nanos(started),
                state,
                spans: spans_of(&self.connection, key).map_err(&failed)?,
                root: root_of(&self.connection, key, started).map_err(&failed)?,
            });
        }
        Ok(sessions)
    }

    /// The sessions, of one owner or all, whose ids begin with these hex digits; two are enough to know that there are several.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn sessions_like(&self, prefix: &str, owner: Option<UserId>) -> Result<Vec<SessionId>, StoreError> {
        let failed = StoreError::sqlite("look up a session");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT id FROM session WHERE lower(hex(id)) GLOB ?1 || '*' AND (?2 IS NULL OR owner = ?2) LIMIT 2",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map((prefix, owner.map(|owner| owner.0)), |row| row.get(0).map(SessionId))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The traces with spans of one owner's sessions, or of all, whose ids begin with these hex digits; two are enough to know
    /// that there are several.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn traces_like(&self, prefix: &str, owner: Option<UserId>) -> Result<Vec<[u8; 16]>, StoreError> {
        // The first whole bytes are a range of the index.
        let whole = &prefix[..prefix.len() / 2 * 2];
        let mut least = hex::decode(whole).unwrap_or_default();
        let mut greatest = least.clone();
        least.resize(16, 0);
        greatest.resize(16, 0xff);
        let failed = StoreError::sqlite("look up a trace");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT DISTINCT trace_id FROM signal WHERE kind = 'span' AND trace_id BETWEEN ?1 AND ?2
                 AND lower(hex(trace_id)) GLOB ?3 || '*'
                 AND (?4 IS NULL OR session IN (SELECT key FROM session WHERE owner = ?4)) LIMIT 2",
            )
            .map_err(&failed)?;
        let parameters = (least, greatest, prefix, owner.map(|owner| owner.0));
        let rows = statement.query_map(parameters, |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// The values of `service.name` that spans have, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn services(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.resources_with_spans()?.into_iter().map(|(_, service)| service).collect())
    }

    /// The names that spans of a service have, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn operations(&self, service: &str) -> Result<BTreeSet<Operation>, StoreError> {
        let failed = StoreError::sqlite("list operations");
        let mut operations = BTreeSet::new();
        for (key, _) in self.resources_with_spans()?.into_iter().filter(|(_, name)| name == service) {
            let mut statement = self
                .connection
                .prepare_cached("SELECT name, kind FROM operation WHERE resource = ?1")
                .map_err(&failed)?;
            let rows = statement
                .query_map([key], |row| Ok(Operation { name: row.get(0)?, kind: row.get(1)? }))
                .map_err(&failed)?;
            for row in rows {
                operations.insert(row.map_err(&failed)?);
            }
        }
        Ok(operations)
    }

    /// How often a span of one service was the parent of a span of another, or the same, that began between two moments.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn dependencies(
        &self,
        from: WallNanos,
        until: WallNanos,
    ) -> Result<BTreeMap<(String, String), u64>, StoreError> {
        let failed = StoreError::sqlite("count who calls whom");
        let names: HashMap<i64, String> = self.resources_with_spans()?.into_iter().collect();
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT parent.resource, child.resource, count(*)
                 FROM span INDEXED BY span_start JOIN signal AS child ON child.seq = span.seq
                 JOIN signal AS parent
                     ON parent.kind = 'span' AND parent.trace_id = child.trace_id AND parent.span_id = child.parent_id
                 WHERE span.start_nanos BETWEEN ?1 AND ?2 GROUP BY parent.resource, child.resource",
            )
            .map_err(&failed)?;
        let rows: Vec<(i64, i64, i64)> = statement
            .query_map((sqlite_nanos(from), sqlite_nanos(until)), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect)
            .map_err(&failed)?;
        let mut calls = BTreeMap::new();
        for (parent, child, number) in rows {
            if let (Some(parent), Some(child)) = (names.get(&parent), names.get(&child)) {
                *calls.entry((parent.clone(), child.clone())).or_default() += count(number);
            }
        }
        Ok(calls)
    }

    fn resources_with_spans(&self) -> Result<Vec<(i64, String)>, StoreError> {
        let failed = StoreError::sqlite("list services");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT key, encoded FROM resource WHERE EXISTS (SELECT 1 FROM operation WHERE resource = resource.key)",
            )
            .map_err(&failed)?;
        let rows: Vec<(i64, Vec<u8>)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(&failed)?;
        let named = rows.into_iter().filter_map(|(key, encoded)| {
            let resource = Resource::decode(encoded.as_slice()).ok()?;
            Some((key, facts::service(&resource)?.to_owned()))
        });
        Ok(named.collect())
    }

    fn is_alive(&self, session: i64) -> bool {
        // A copy has no locks beside it, and is not the place to make any.
        let path = self.dir.join(LOCK_FILE);
        path.exists() && lock::is_held(&path, session).unwrap_or(false)
    }
}

fn spans_of(connection: &Connection, session: i64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM signal INDEXED BY signal_of_session WHERE session = ?1 AND kind = 'span'",
        )?
        .query_row([session], |row| row.get(0).map(count))
}

/// The earliest image, finished or open.
fn root_of(connection: &Connection, session: i64, started: i64) -> rusqlite::Result<Option<StoredSpan>> {
    let mut reader = Reader::of(connection);
    let finished = connection
        .prepare_cached(
            "SELECT seq FROM span INDEXED BY span_start WHERE start_nanos >= ?2 AND session = ?1 AND object = 'process'
             ORDER BY start_nanos LIMIT 1",
        )?
        .query_row((session, started.saturating_sub(MARGIN_NANOS)), |row| row.get(0))
        .optional()?;
    let finished = finished.map(|seq| reader.at(seq)).transpose()?.flatten();
    let open = reader.earliest_open(session)?;
    let start = |found: &StoredSpan| found.span.start_time_unix_nano;
    Ok(match (finished, open) {
        (Some(finished), Some(open)) if start(&open) < start(&finished) => Some(open),
        (Some(finished), _) => Some(finished),
        (None, open) => open,
    })
}
