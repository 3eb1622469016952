//! Contents: the redacted bytes that a span moved, stored with the span, each distinct sequence of bytes once.
//!
//! What comes back is what was stored or an error: length, checksum and layout are checked. Who may read is not known here.

use std::io;

use rusqlite::{Connection, OptionalExtension, named_params};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::{Store, StoreError, sqlite_count};
use crate::content::ContentHash;
use crate::session::SpanRef;
use crate::spans::model::{ContentLayout, Signal, SpanContent};

/// zstd's own default: fast, and text takes a third.
const LEVEL: i32 = 3;
/// Of one span, unpacked: a thousand times what a burst may hold. A row that says more is damaged.
const BYTES_MAX: usize = 64 << 20;

/// Where bytes stood is not where any can have stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The runs have not as many bytes as there are.
    #[error("its runs are not as long as its bytes")]
    Length,
    /// Ranges overlap, are not in order, or end before they begin.
    #[error("its places are out of order")]
    Order,
}

impl ContentLayout {
    /// That runs, holes and redactions are in order, and that the runs are `bytes` bytes together.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, bytes: usize) -> Result<(), LayoutError> {
        let runs = self.runs.iter().map(|(offset, length)| (*offset, offset.checked_add(*length)));
        are_in_order(runs)?;
        are_in_order(self.holes.iter().map(|hole| (hole.range.start, Some(hole.range.end))))?;
        are_in_order(self.redacted.iter().map(|range| (range.start, Some(range.end))))?;
        let length = self.runs.iter().try_fold(0_u64, |sum, (_, length)| sum.checked_add(*length));
        if length == Some(bytes as u64) { Ok(()) } else { Err(LayoutError::Length) }
    }
}

/// Each begins where the one before ended, or behind it.
fn are_in_order(ranges: impl Iterator<Item = (u64, Option<u64>)>) -> Result<(), LayoutError> {
    let mut before = 0;
    for (start, end) in ranges {
        let end = end.filter(|end| before <= start && start <= *end).ok_or(LayoutError::Order)?;
        before = end;
    }
    Ok(())
}

impl Store {
    /// What a span moved, where it was captured and is kept. Whoever shows it to somebody says so first, by
    /// [`log_reading`](Self::log_reading).
    ///
    /// # Errors
    /// When the store cannot be read, or what it has is damaged.
    pub fn content(&self, id: SpanRef) -> Result<Option<SpanContent>, StoreError> {
        let failed = StoreError::sqlite("read contents");
        let row: Option<(Vec<u8>, i64, Vec<u8>, String)> = self
            .connection
            .prepare_cached(
                "SELECT hash, bytes, packed, layout FROM content JOIN blob ON blob.key = content.blob
                 WHERE trace_id = ?1 AND span_id = ?2",
            )
            .and_then(|mut statement| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
                statement.query_row((id.trace_id.to_bytes(), id.span_id.to_bytes()), read).optional()
            })
            .map_err(failed)?;
        let Some((hash, bytes, packed, layout)) = row else { return Ok(None) };
        let damaged = |reason: String| StoreError::DamagedContent { span: id, reason };
        let hash = hash.try_into().map_err(|_| damaged("its hash has another length".to_owned()))?;
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= BYTES_MAX);
        let bytes = bytes.ok_or_else(|| damaged("it cannot have been so long".to_owned()))?;
        let unpacked = Decompressor::new().and_then(|mut zstd| zstd.decompress(&packed, bytes));
        let unpacked = unpacked.map_err(|error| damaged(error.to_string()))?;
        let layout: ContentLayout = serde_json::from_str(&layout).map_err(|error| damaged(error.to_string()))?;
        layout.check(unpacked.len()).map_err(|error| damaged(error.to_string()))?;
        let SpanRef { trace_id, span_id } = id;
        Ok(Some(SpanContent { trace_id, span_id, hash: ContentHash(hash), bytes: unpacked, layout }))
    }

    /// What contents take of the database, bytes; 0 where that cannot be read.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        bytes_of_contents(&self.connection).unwrap_or(0)
    }
}

/// Stores the contents among `signals`; of a span that has some already the first stay.
pub(super) fn insert(connection: &Connection, session: i64, signals: &[Signal]) -> rusqlite::Result<()> {
    let mut packer = None;
    for signal in signals {
        let Signal::Content(content) = signal else { continue };
        let (trace, span) = (content.trace_id.to_bytes(), content.span_id.to_bytes());
        let is_there: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM content WHERE trace_id = ?1 AND span_id = ?2)")?
            .query_row((trace, span), |row| row.get(0))?;
        if is_there {
            continue;
        }
        let stored = serde_json::to_string(&content.layout).map_err(io::Error::from);
        let stored = stored.and_then(|layout| Ok((layout, blob_key(connection, content, &mut packer)?)));
        let (layout, blob) = match stored {
            Ok((layout, blob)) => (layout, blob?),
            // The spans beside it must not wait for what will not fare better the next time.
            Err(error) => {
                tracing::warn!(%error, span = %content.span_id, "contents could not be packed and are lost");
                continue;
            }
        };
        connection
            .prepare_cached(
                "INSERT INTO content (session, trace_id, span_id, blob, layout)
                 VALUES (:session, :trace_id, :span_id, :blob, :layout)",
            )?
            .execute(named_params! {
                ":session": session,
                ":trace_id": trace,
                ":span_id": span,
                ":blob": blob,
                ":layout": layout,
            })?;
    }
    Ok(())
}

/// The row of these bytes, which are packed only where nobody has stored them before. The outer error is the packer's.
fn blob_key(
    connection: &Connection,
    content: &SpanContent,
    packer: &mut Option<Compressor<'_>>,
) -> io::Result<rusqlite::Result<i64>> {
    let known = connection
        .prepare_cached("SELECT key FROM blob WHERE hash = ?1")
        .and_then(|mut statement| statement.query_row([content.hash.0], |row| row.get(0)).optional());
    match known {
        Ok(None) => {}
        Ok(Some(key)) => return Ok(Ok(key)),
        Err(error) => return Ok(Err(error)),
    }
    if content.bytes.len() > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("they are more than {BYTES_MAX} bytes")));
    }
    let packed = match packer {
        Some(packer) => packer.compress(&content.bytes)?,
        None => packer.insert(new_packer()?).compress(&content.bytes)?,
    };
    let inserted = connection
        .prepare_cached("INSERT INTO blob (hash, bytes, packed) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.insert((content.hash.0, sqlite_count(content.bytes.len() as u64), packed)));
    Ok(inserted)
}

fn new_packer() -> io::Result<Compressor<'static>> {
    let mut packer = Compressor::new(LEVEL)?;
    packer.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(packer)
}

pub(super) fn bytes_of_contents(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT bytes FROM content_size")?.query_row([], |row| row.get(0).map(super::count))
}
