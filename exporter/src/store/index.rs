//! The rows beside a span by which questions find it, written in the transaction that stores it.

use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rusqlite::{CachedStatement, Connection, named_params};

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
             port, bytes, failed, lossy)
             VALUES (:seq, :session, :span_id, :start, :end, :object, :action, :pid, :executable, :path, :host, :peer, :port, :bytes,
             :failed, :lossy)",
        )?;
        let link = connection.prepare_cached(
            "INSERT INTO link (cause_trace, cause_span, effect) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?;
        Ok(Self { span, link })
    }

    pub(super) fn add(&mut self, seq: i64, session: i64, row: &Row, questions: &Questions) -> rusqlite::Result<()> {
        self.span.execute(named_params! {
            ":seq": seq,
            ":session": session,
            ":span_id": row.span_id.as_deref().unwrap_or_default(),
            ":start": sqlite_nanos(row.start),
            ":end": sqlite_nanos(row.end),
            ":object": questions.object,
            ":action": questions.action,
            ":pid": questions.pid,
            ":executable": questions.executable,
            ":path": questions.path,
            ":host": questions.host,
            ":peer": questions.peer,
            ":port": questions.port,
            ":bytes": questions.bytes,
            ":failed": questions.failed,
            ":lossy": questions.lossy,
        })?;
        for (trace, span) in &questions.causes {
            self.link.execute((trace, span, seq))?;
        }
        Ok(())
    }
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
