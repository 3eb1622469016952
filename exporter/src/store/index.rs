//! The rows beside a span by which questions find it, written in the transaction that stores it.

use agentsight_ebpf::WallNanos;
use agentsight_semconv::value::object_type;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rusqlite::{CachedStatement, Connection, params};

use super::sqlite_nanos;
use crate::facts::Facts;

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

    pub(super) fn add(&mut self, seq: i64, session: i64, span: &Span) -> rusqlite::Result<()> {
        let facts = Facts::of(span);
        // By place: SQLite looks a name up among all names, for each of them and each span.
        self.span.execute(params![
            seq,
            session,
            span.span_id,
            sqlite_nanos(WallNanos(span.start_time_unix_nano)),
            sqlite_nanos(WallNanos(span.end_time_unix_nano)),
            facts.object,
            facts.action,
            facts.pid,
            facts.executable,
            facts.path,
            facts.host,
            facts.peer,
            facts.port,
            facts.bytes,
            facts.failed,
            facts.lossy,
            is_rare(&facts),
        ])?;
        for cause in &span.links {
            self.link.execute((&cause.trace_id, &cause.span_id, seq))?;
        }
        Ok(())
    }
}

/// It is about something else than a file or a process.
fn is_rare(facts: &Facts<'_>) -> bool {
    !matches!(facts.object, None | Some(object_type::FILE | object_type::PROCESS))
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
                operation.execute((resource, &span.name, span.kind))?;
                index.add(seq, session, &span)?;
            }
            // It cannot be sent either; whoever reads it says so.
            Err(error) => tracing::warn!(seq, %error, "a span in the store is damaged"),
        }
    }
    Ok(())
}
