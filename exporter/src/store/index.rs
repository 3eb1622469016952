//! The rows beside a span by which questions find it, written in the transaction that stores it.

use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rusqlite::{CachedStatement, Connection, params};

use super::row::Questions;
use super::{Row, sqlite_nanos};

/// The statements that write them.
pub(super) struct Index<'c> {
    span: CachedStatement<'c>,
    link: CachedStatement<'c>,
}

impl<'c> Index<'c> {
    pub(super) fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        let span = connection.prepare_cached(
            "INSERT INTO span (seq, session, span_id, start_nanos, end_nanos, object, action, pid, executable, path, host, peer,
             port, bytes, failed, lossy, rare)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?;
        let link = connection.prepare_cached(
            "INSERT INTO link (cause_trace, cause_span, effect) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        Ok(Self { span, link })
    }

    pub(super) fn add(&mut self, seq: i64, session: i64, row: &Row, questions: &Questions) -> rusqlite::Result<()> {
        // By place: SQLite looks a name up among all names, for each of them and each span.
        self.span.execute(params![
            seq,
            session,
            row.span_id.as_deref().unwrap_or_default(),
            sqlite_nanos(row.start),
            sqlite_nanos(row.end),
            questions.object,
            questions.action,
            questions.pid,
            questions.executable,
            questions.path,
            questions.host,
            questions.peer,
            questions.port,
            questions.bytes,
            questions.failed,
            questions.lossy,
            questions.is_rare(),
        ])?;
        for (trace, span) in &questions.causes {
            self.link.execute((trace, span, seq))?;
        }
        Ok(())
    }
}

/// Removes them for a span that is about to be deleted.
pub(super) fn remove(connection: &Connection, seq: i64, encoded: &[u8]) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM span WHERE seq = ?1")?.execute([seq])?;
    // What is damaged was never indexed.
    let Ok(span) = Span::decode(encoded) else { return Ok(()) };
    let mut statement =
        connection.prepare_cached("DELETE FROM link WHERE cause_trace = ?1 AND cause_span = ?2 AND effect = ?3")?;
    for link in &span.links {
        statement.execute((&link.trace_id, &link.span_id, seq))?;
    }
    Ok(())
}

/// Writes them for the spans of a store that had none: what a span says of itself is all it takes.
pub(super) fn add_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut index = Index::of(connection)?;
    let mut operation = connection
        .prepare("INSERT INTO operation (resource, name, kind) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    let mut statement = connection.prepare("SELECT seq, session, resource, encoded FROM signal WHERE kind = 'span'")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, session, resource): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let encoded = row.get_ref(3)?.as_blob()?;
        match Span::decode(encoded) {
            Ok(span) => {
                let questions = Questions::of(&span);
                operation.execute((resource, &span.name, span.kind))?;
                index.add(seq, session, &place(&span), &questions)?;
            }
            // It cannot be sent either; whoever reads it says so.
            Err(error) => tracing::warn!(seq, %error, "a span in the store is damaged"),
        }
    }
    Ok(())
}

/// As much of a row as the index takes from it.
fn place(span: &Span) -> Row {
    Row {
        kind: super::Kind::Span,
        trace_id: None,
        span_id: Some(span.span_id.clone()),
        parent_id: None,
        start: WallNanos(span.start_time_unix_nano),
        end: WallNanos(span.end_time_unix_nano),
        name: String::new(),
        resource: Vec::new(),
        encoded: Vec::new(),
        questions: None,
    }
}
