//! Reading spans back: by row, by id, along parents and links, by trace and by session.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};

use super::session::find_key;
use super::{Seq, Store, StoreError};
use crate::session::{SessionId, SpanRef, UserId};

/// A span as it was stored, with its resource.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSpan {
    /// The span.
    pub span: Span,
    /// Who emitted it, shared between spans.
    pub resource: Arc<Resource>,
}

/// A part of a long list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// In the order in which they were stored.
    pub spans: Vec<StoredSpan>,
    /// Behind which the next part begins; `None` where this is the last.
    pub next: Option<Seq>,
}

impl Store {
    /// The spans of these ids that are there; what is open yet is there as it began.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spans(&self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, StoreError> {
        let failed = StoreError::sqlite("look up spans");
        let mut reader = Reader::of(&self.connection);
        let mut found = Vec::new();
        for id in ids {
            let (trace, span) = (id.trace_id.to_bytes(), id.span_id.to_bytes());
            let seq = self
                .connection
                .prepare_cached("SELECT seq FROM signal WHERE kind = 'span' AND trace_id = ?1 AND span_id = ?2")
                .and_then(|mut statement| statement.query_row((trace, span), |row| row.get(0)).optional())
                .map_err(&failed)?;
            let stored = match seq {
                Some(seq) => reader.at(seq).map_err(&failed)?,
                None => reader.open(*id).map_err(&failed)?,
            };
            found.extend(stored);
        }
        Ok(found)
    }

    /// The spans whose parent is one of these, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn children(&self, parents: &[SpanRef], limit: usize) -> Result<Vec<StoredSpan>, StoreError> {
        self.around(
            (parents, limit),
            "SELECT seq FROM signal INDEXED BY signal_parent WHERE kind = 'span' AND trace_id = ?1 AND parent_id = ?2",
        )
    }

    /// The spans that are linked to one of these as their cause, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn effects(&self, causes: &[SpanRef], limit: usize) -> Result<Vec<StoredSpan>, StoreError> {
        self.around((causes, limit), "SELECT effect FROM link WHERE cause_trace = ?1 AND cause_span = ?2")
    }

    fn around(&self, (ids, limit): (&[SpanRef], usize), sql: &str) -> Result<Vec<StoredSpan>, StoreError> {
        let failed = StoreError::sqlite("follow spans");
        let mut reader = Reader::of(&self.connection);
        let mut statement = self.connection.prepare_cached(sql).map_err(&failed)?;
        let mut found = Vec::new();
        for id in ids {
            let mut rows = statement.query((id.trace_id.to_bytes(), id.span_id.to_bytes())).map_err(&failed)?;
            while found.len() < limit
                && let Some(row) = rows.next().map_err(&failed)?
            {
                found.extend(reader.at(row.get(0).map_err(&failed)?).map_err(&failed)?);
            }
        }
        Ok(found)
    }

    /// A trace's spans in the order in which they were stored, at most `limit`; what is open yet comes last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn trace(&self, id: TraceId, limit: usize) -> Result<Vec<StoredSpan>, StoreError> {
        let (trace, limit) = (id.to_bytes(), sqlite_limit(limit));
        self.list(
            "SELECT seq FROM signal WHERE kind = 'span' AND trace_id = ?1 ORDER BY seq LIMIT ?2",
            (trace, limit),
            "SELECT resource, encoded FROM open_image WHERE trace_id = ?1 LIMIT ?2",
        )
    }

    /// A trace's spans that have ended, in the order of their starts, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn finished_trace(&self, id: TraceId, limit: usize) -> Result<Vec<StoredSpan>, StoreError> {
        let parameters = (id.to_bytes(), sqlite_limit(limit));
        let sql = "SELECT seq FROM signal WHERE kind = 'span' AND trace_id = ?1 ORDER BY start_nanos, span_id LIMIT ?2";
        self.list(sql, parameters, "SELECT resource, encoded FROM open_image WHERE ?1 IS NULL LIMIT ?2")
    }

    /// A session's spans in the order in which they were stored, at most `limit`; what is open yet comes last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn session_spans(&self, id: SessionId, limit: usize) -> Result<Vec<StoredSpan>, StoreError> {
        let failed = StoreError::sqlite("look up a session");
        let Some(key) = find_key(&self.connection, id).map_err(failed)? else { return Ok(Vec::new()) };
        let parameters = (key, sqlite_limit(limit));
        self.list(
            "SELECT seq FROM signal WHERE session = ?1 AND kind = 'span' ORDER BY seq LIMIT ?2",
            parameters,
            "SELECT resource, encoded FROM open_image WHERE session = ?1 LIMIT ?2",
        )
    }

    /// A part of what [`trace`](Self::trace) gives: spans behind a place, until they are so many or have so many bytes, and the
    /// place to go on from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn trace_part(&self, id: TraceId, after: Seq, limits: (usize, usize)) -> Result<Part, StoreError> {
        self.part(
            "SELECT seq FROM signal WHERE kind = 'span' AND trace_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            (id.to_bytes(), after, limits),
            "SELECT resource, encoded FROM open_image WHERE trace_id = ?1",
        )
    }

    /// A part of what [`session_spans`](Self::session_spans) gives: spans behind a place, until they are so many or have so
    /// many bytes, and the place to go on from.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn session_part(&self, id: SessionId, after: Seq, limits: (usize, usize)) -> Result<Part, StoreError> {
        let failed = StoreError::sqlite("look up a session");
        let Some(key) = find_key(&self.connection, id).map_err(failed)? else { return Ok(Part::default()) };
        self.part(
            "SELECT seq FROM signal WHERE session = ?1 AND kind = 'span' AND seq > ?2 ORDER BY seq LIMIT ?3",
            (key, after, limits),
            "SELECT resource, encoded FROM open_image WHERE session = ?1",
        )
    }

    /// The spans of one owner's sessions, or of all, whose ids begin with these hex digits; two are enough to know that there
    /// are several. A look at every span, in the narrow table: an index would cost each span that is stored more than a rare
    /// question is worth.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spans_like(&self, prefix: &str, owner: Option<UserId>) -> Result<Vec<SpanRef>, StoreError> {
        let failed = StoreError::sqlite("look up a span");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT trace_id, span_id FROM signal WHERE seq IN (SELECT seq FROM span WHERE span_id BETWEEN ?1 AND ?2
                     AND lower(hex(span_id)) GLOB ?3 || '*'
                     AND (?4 IS NULL OR session IN (SELECT key FROM session WHERE owner = ?4)) LIMIT 2)
                 UNION SELECT trace_id, span_id FROM open_image WHERE lower(hex(span_id)) GLOB ?3 || '*'
                     AND (?4 IS NULL OR session IN (SELECT key FROM session WHERE owner = ?4)) LIMIT 2",
            )
            .map_err(&failed)?;
        let mut least = hex::decode(&prefix[..prefix.len() / 2 * 2]).unwrap_or_default();
        let mut greatest = least.clone();
        least.resize(8, 0);
        greatest.resize(8, 0xff);
        let parameters = (least, greatest, prefix, owner.map(|owner| owner.0));
        let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)));
        let ids: Vec<(Vec<u8>, Vec<u8>)> = rows.and_then(Iterator::collect).map_err(&failed)?;
        let reference = |(trace, span): (Vec<u8>, Vec<u8>)| {
            let trace_id = TraceId::from_bytes(trace.try_into().ok()?);
            Some(SpanRef { trace_id, span_id: SpanId::from_bytes(span.try_into().ok()?) })
        };
        Ok(ids.into_iter().filter_map(reference).collect())
    }

    /// The place of the span that was stored last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_stored(&self) -> Result<Seq, StoreError> {
        self.connection
            .query_row("SELECT ifnull(max(seq), 0) FROM span", [], |row| row.get(0).map(Seq))
            .map_err(StoreError::sqlite("see what was stored last"))
    }

    /// The spans that were stored after this place, at most `limit`, and the place of the last of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stored_since(&self, last: Seq, limit: usize) -> Result<(Vec<StoredSpan>, Seq), StoreError> {
        let failed = StoreError::sqlite("read new spans");
        let mut reader = Reader::of(&self.connection);
        let mut statement = self
            .connection
            .prepare_cached("SELECT seq FROM span WHERE seq > ?1 ORDER BY seq LIMIT ?2")
            .map_err(&failed)?;
        let mut rows = statement.query((last.0, sqlite_limit(limit))).map_err(&failed)?;
        let (mut spans, mut last) = (Vec::new(), last);
        while let Some(row) = rows.next().map_err(&failed)? {
            last = Seq(row.get(0).map_err(&failed)?);
            spans.extend(reader.at(last.0).map_err(&failed)?);
        }
        Ok((spans, last))
    }

    /// What is open yet comes with the last part.
    fn part(
        &self,
        stored: &str,
        (of, after, (limit, bytes_max)): (impl ToSql + Copy, Seq, (usize, usize)),
        open: &str,
    ) -> Result<Part, StoreError> {
        let failed = StoreError::sqlite("read spans");
        let mut reader = Reader::of(&self.connection);
        let mut part = Part::default();
        let (mut last, mut read, mut bytes) = (after, 0, 0);
        let mut statement = self.connection.prepare_cached(stored).map_err(&failed)?;
        let mut rows = statement.query((of, after.0, sqlite_limit(limit))).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            if bytes >= bytes_max {
                read = limit;
                break;
            }
            last = Seq(row.get(0).map_err(&failed)?);
            read += 1;
            let found = reader.at(last.0).map_err(&failed)?;
            bytes += found.as_ref().map_or(0, |found| found.span.encoded_len());
            part.spans.extend(found);
        }
        if read >= limit {
            part.next = Some(last);
            return Ok(part);
        }
        let mut statement = self.connection.prepare_cached(open).map_err(&failed)?;
        let mut rows = statement.query([of]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let resource = row.get(0).map_err(&failed)?;
            let encoded = row.get_ref(1).and_then(|bytes| Ok(bytes.as_blob()?)).map_err(&failed)?;
            part.spans.extend(reader.decode(resource, encoded).map_err(&failed)?);
        }
        Ok(part)
    }

    fn list(
        &self,
        stored: &str,
        parameters: impl rusqlite::Params + Clone,
        open: &str,
    ) -> Result<Vec<StoredSpan>, StoreError> {
        let failed = StoreError::sqlite("read spans");
        let mut reader = Reader::of(&self.connection);
        let mut found = Vec::new();
        let mut statement = self.connection.prepare_cached(stored).map_err(&failed)?;
        let mut rows = statement.query(parameters.clone()).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            found.extend(reader.at(row.get(0).map_err(&failed)?).map_err(&failed)?);
        }
        let mut statement = self.connection.prepare_cached(open).map_err(&failed)?;
        let mut rows = statement.query(parameters).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let resource = row.get(0).map_err(&failed)?;
            let encoded = row.get_ref(1).and_then(|bytes| Ok(bytes.as_blob()?)).map_err(&failed)?;
            found.extend(reader.decode(resource, encoded).map_err(&failed)?);
        }
        Ok(found)
    }
}

fn sqlite_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Rows to spans; each resource is decoded once.
pub(super) struct Reader<'c> {
    connection: &'c Connection,
    statement: Option<CachedStatement<'c>>,
    resources: HashMap<i64, Arc<Resource>>,
}

impl<'c> Reader<'c> {
    pub(super) fn of(connection: &'c Connection) -> Self {
        Self { connection, statement: None, resources: HashMap::new() }
    }

    /// The span in this row; `None` where it is gone, or damaged, which is logged.
    pub(super) fn at(&mut self, seq: i64) -> rusqlite::Result<Option<StoredSpan>> {
        let mut statement = match self.statement.take() {
            Some(statement) => statement,
            None => self.connection.prepare_cached("SELECT resource, encoded FROM signal WHERE seq = ?1")?,
        };
        let mut rows = statement.query([seq])?;
        let found = match rows.next()? {
            Some(row) => self.decode(row.get(0)?, row.get_ref(1)?.as_blob()?)?,
            None => None,
        };
        drop(rows);
        self.statement = Some(statement);
        Ok(found)
    }

    /// The span that is yet to come under this id, as it would be sent now.
    fn open(&mut self, id: SpanRef) -> rusqlite::Result<Option<StoredSpan>> {
        let row: Option<(i64, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT resource, encoded FROM open_image WHERE trace_id = ?1 AND span_id = ?2")?
            .query_row((id.trace_id.to_bytes(), id.span_id.to_bytes()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((resource, encoded)) = row else { return Ok(None) };
        let found = self.decode(resource, &encoded)?;
        // Of what was promoted the `exit` is yet to come, which is another span.
        Ok(found.filter(|found| found.span.span_id == id.span_id.to_bytes()))
    }

    /// Of what a session has open, that which began first.
    pub(super) fn earliest_open(&mut self, session: i64) -> rusqlite::Result<Option<StoredSpan>> {
        let row: Option<(i64, Vec<u8>)> = self
            .connection
            .prepare_cached("SELECT resource, encoded FROM open_image WHERE session = ?1 ORDER BY start_nanos LIMIT 1")?
            .query_row([session], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map_or(Ok(None), |(resource, encoded)| self.decode(resource, &encoded))
    }

    fn decode(&mut self, resource: i64, encoded: &[u8]) -> rusqlite::Result<Option<StoredSpan>> {
        let span = match Span::decode(encoded) {
            Ok(span) => span,
            Err(error) => {
                tracing::warn!(%error, "a span in the store is damaged");
                return Ok(None);
            }
        };
        Ok(Some(StoredSpan { span, resource: self.resource(resource)? }))
    }

    fn resource(&mut self, key: i64) -> rusqlite::Result<Arc<Resource>> {
        if let Some(resource) = self.resources.get(&key) {
            return Ok(Arc::clone(resource));
        }
        let encoded: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT encoded FROM resource WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        let resource = encoded.and_then(|encoded| Resource::decode(encoded.as_slice()).ok()).unwrap_or_default();
        let resource = Arc::new(resource);
        self.resources.insert(key, Arc::clone(&resource));
        Ok(resource)
    }
}
