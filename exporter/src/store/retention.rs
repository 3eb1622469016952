//! The bound on the disk: the oldest rows go first, and what goes unsent is counted.

use std::time::Duration;

use agentsight_ebpf::WallNanos;
use rusqlite::{Connection, Params, ToSql, TransactionBehavior, named_params};

use super::content::bytes_of_contents;
use super::{Store, StoreError, count, destination, index, sqlite_nanos};

/// How much is kept, of spans and log records, or of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the database's pages in use without the contents; of contents what they take.
    pub bytes: u64,
    /// Since the end of a signal, of contents since that of their span.
    pub age: Duration,
}

/// How much of contents is kept, beside the spans.
pub const CONTENT_LIMITS: Limits = Limits { bytes: 1 << 30, age: Duration::from_secs(7 * 86_400) };

/// What was discarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows.
    pub rows: u64,
    /// Times that one of them was yet to be sent somewhere; added to that destination's `dropped`.
    pub unsent: u64,
}

/// One transaction's share of it.
struct Chunk {
    rows: u64,
    unsent: u64,
    erased: usize,
}

/// Rows per transaction: a writer never waits long for the pruner.
const CHUNK: i64 = 1_000;
/// Contents per transaction: their bytes are overwritten, and there may be 64 KiB of each.
const CONTENT_CHUNK: i64 = 100;

impl Store {
    /// Size of the database's pages in use, bytes; 0 where it cannot be read.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        bytes_in_use(&self.connection).unwrap_or(0)
    }

    /// Discards the oldest signals, with their contents, until the limits hold, then the sessions that are as old and empty.
    ///
    /// # Errors
    /// When the store cannot be written. What was discarded by then is not counted in an answer, but stays
    /// counted in the destinations.
    pub fn prune(&mut self, limits: Limits, now: WallNanos) -> Result<Pruned, StoreError> {
        let failed = StoreError::sqlite("discard old spans");
        let age = u64::try_from(limits.age.as_nanos()).unwrap_or(u64::MAX);
        let oldest = sqlite_nanos(WallNanos(now.0.saturating_sub(age)));
        let mut pruned = Pruned::default();
        loop {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
            let contents = bytes_of_contents(&transaction).map_err(&failed)?;
            let of_signals = bytes_in_use(&transaction).map_err(&failed)?.saturating_sub(contents);
            let is_too_large = of_signals > limits.bytes;
            let older_than = if is_too_large { i64::MAX } else { oldest };
            let step = prune_chunk(&transaction, older_than).map_err(&failed)?;
            transaction.commit().map_err(&failed)?;
            if step.rows == 0 {
                break;
            }
            self.forget(step.erased);
            pruned.rows += step.rows;
            pruned.unsent += step.unsent;
        }
        self.remove_sessions(oldest).map_err(&failed)?;
        give_back_pages(&self.connection).map_err(&failed)?;
        // What one burst of spans needed is not kept for a day of silence.
        self.connection.release_memory().map_err(&failed)?;
        Ok(pruned)
    }

    /// Discards the oldest contents until the limits hold, and says of how many spans; the spans stay. The disk gets its space
    /// back by [`prune`](Self::prune).
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_contents(&mut self, limits: Limits, now: WallNanos) -> Result<u64, StoreError> {
        let failed = StoreError::sqlite("discard old contents");
        let age = u64::try_from(limits.age.as_nanos()).unwrap_or(u64::MAX);
        let oldest = sqlite_nanos(WallNanos(now.0.saturating_sub(age)));
        let mut pruned = 0;
        loop {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
            let is_too_large = bytes_of_contents(&transaction).map_err(&failed)? > limits.bytes;
            let older_than = if is_too_large { i64::MAX } else { oldest };
            let discarded = prune_content_chunk(&transaction, older_than).map_err(&failed)?;
            transaction.commit().map_err(&failed)?;
            pruned += discarded;
            if discarded == 0 {
                return Ok(pruned);
            }
        }
    }

    /// Sessions that ended before a moment, and have nothing left.
    fn remove_sessions(&mut self, oldest: i64) -> rusqlite::Result<()> {
        let empty = "SELECT key FROM session WHERE ended_nanos <= ?1
             AND NOT EXISTS (SELECT 1 FROM signal WHERE session = session.key)";
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let of_open_images = format!("SELECT DISTINCT resource FROM open_image WHERE session IN ({empty})");
        let resources = keys(&transaction, &of_open_images, [oldest])?;
        transaction.prepare_cached(&format!("DELETE FROM session WHERE key IN ({empty})"))?.execute([oldest])?;
        remove_unused(&transaction, &resources)?;
        transaction.commit()
    }
}

fn keys(connection: &Connection, query: &str, parameters: impl Params) -> rusqlite::Result<Vec<i64>> {
    connection.prepare_cached(query)?.query_map(parameters, |row| row.get(0))?.collect()
}

/// Of these resources, those that nothing needs any more.
fn remove_unused(connection: &Connection, resources: &[i64]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM resource WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM signal WHERE resource = ?1)
         AND NOT EXISTS (SELECT 1 FROM open_image WHERE resource = ?1)",
    )?;
    for key in resources {
        statement.execute([key])?;
    }
    Ok(())
}

fn bytes_in_use(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    Ok(count((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?))
}

/// Shortens the file; SQLite moves one page with each step of this statement.
fn give_back_pages(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// Discards, of the oldest rows, those that ended before a moment.
fn prune_chunk(connection: &Connection, older_than: i64) -> rusqlite::Result<Chunk> {
    let chunk = "SELECT seq, session, kind FROM (SELECT seq, session, kind, end_nanos FROM signal ORDER BY seq LIMIT :chunk) WHERE end_nanos <= :older_than";
    let parameters: &[(&str, &dyn ToSql)] = named_params! {":chunk": CHUNK, ":older_than": older_than};
    let mut statement = connection.prepare_cached(&format!(
        "SELECT destination.id, count(*) FROM ({chunk}) AS old JOIN destination
         ON destination.session = old.session AND destination.kind = old.kind AND old.seq > destination.cursor
         WHERE destination.settings IS NOT NULL GROUP BY destination.id"
    ))?;
    let unsent: Vec<(i64, i64)> =
        statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (destination, rows) in &unsent {
        connection.execute("UPDATE destination SET dropped = dropped + ?2 WHERE id = ?1", [destination, rows])?;
    }
    remove_from_index(connection, chunk, parameters)?;
    remove_contents(connection, chunk, parameters)?;
    let of_chunk = format!("SELECT DISTINCT resource FROM signal WHERE seq IN (SELECT seq FROM ({chunk}))");
    let resources = keys(connection, &of_chunk, parameters)?;
    let rows = connection
        .prepare_cached(&format!("DELETE FROM signal WHERE seq IN (SELECT seq FROM ({chunk}))"))?
        .execute(parameters)?;
    remove_unused(connection, &resources)?;
    let erased = destination::erase_delivered(connection)?;
    Ok(Chunk { rows: rows as u64, unsent: unsent.iter().map(|(_, rows)| count(*rows)).sum(), erased })
}

/// Discards, of the oldest contents, those whose span ended before a moment. A span that never came counts as old as its
/// session, and while that goes on as young.
fn prune_content_chunk(connection: &Connection, older_than: i64) -> rusqlite::Result<u64> {
    let removed = connection
        .prepare_cached(
            "DELETE FROM content WHERE seq IN (
                 SELECT old.seq FROM (SELECT * FROM content ORDER BY seq LIMIT :chunk) AS old
                 JOIN session ON session.key = old.session
                 LEFT JOIN signal
                     ON signal.kind = 'span' AND signal.trace_id = old.trace_id AND signal.span_id = old.span_id
                 WHERE coalesce(signal.end_nanos, session.ended_nanos, :never) <= :older_than)",
        )?
        .execute(named_params! {":chunk": CONTENT_CHUNK, ":older_than": older_than, ":never": i64::MAX})?;
    Ok(removed as u64)
}

fn remove_contents(connection: &Connection, chunk: &str, parameters: &[(&str, &dyn ToSql)]) -> rusqlite::Result<()> {
    let of_chunk = format!(
        "DELETE FROM content WHERE seq IN (
             SELECT content.seq FROM ({chunk}) AS old JOIN signal ON signal.seq = old.seq
             JOIN content ON content.trace_id = signal.trace_id AND content.span_id = signal.span_id
             WHERE old.kind = 'span')"
    );
    connection.prepare_cached(&of_chunk)?.execute(parameters)?;
    Ok(())
}

fn remove_from_index(connection: &Connection, chunk: &str, parameters: &[(&str, &dyn ToSql)]) -> rusqlite::Result<()> {
    let spans = format!("SELECT seq, encoded FROM signal WHERE seq IN (SELECT seq FROM ({chunk}) WHERE kind = 'span')");
    let mut statement = connection.prepare_cached(&spans)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        index::remove(connection, row.get(0)?, row.get_ref(1)?.as_blob()?)?;
    }
    Ok(())
}
