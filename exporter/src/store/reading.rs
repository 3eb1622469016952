//! Who read which contents. It is written before they are shown; it goes with them.

use agentsight_ebpf::WallNanos;
use rusqlite::named_params;

use super::{Store, StoreError, count, sqlite_nanos, wall_nanos};
use crate::session::{SpanRef, UserId};

/// What the log shows also where it shows no more than warnings.
pub(crate) const READING_TARGET: &str = "agentsight::contents";

/// The way by which contents were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// `agentsight content`, from the store itself.
    Command,
    /// The daemon's socket.
    Daemon,
    /// `agentsight serve`.
    Http,
}

impl Door {
    const ALL: [Self; 3] = [Self::Command, Self::Daemon, Self::Http];

    /// As the database says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Daemon => "daemon",
            Self::Http => "http",
        }
    }
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Whose command, or whose end of the socket; of HTTP, which knows no users, the server's own.
    pub user: UserId,
    /// By which way.
    pub door: Door,
}

/// What one reader read of one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Who.
    pub by: Reader,
    /// For the first time.
    pub first: WallNanos,
    /// For the last time.
    pub last: WallNanos,
    /// How often.
    pub times: u64,
}

impl Store {
    /// Writes down that somebody reads what a span moved, at a moment of the wall clock; nothing where nothing is kept of it.
    ///
    /// # Errors
    /// When the store cannot be written: then nothing may be shown.
    pub fn log_reading(&self, id: SpanRef, by: Reader, at: WallNanos) -> Result<(), StoreError> {
        let written = self
            .connection
            .prepare_cached(
                "INSERT INTO content_reading (content, user, door, first_nanos, last_nanos, times)
                 SELECT seq, :user, :door, :at, :at, 1 FROM content WHERE trace_id = :trace_id AND span_id = :span_id
                 ON CONFLICT DO UPDATE SET last_nanos = excluded.last_nanos, times = times + 1",
            )
            .and_then(|mut statement| {
                statement.execute(named_params! {
                    ":user": by.user.0,
                    ":door": by.door.as_str(),
                    ":at": sqlite_nanos(at),
                    ":trace_id": id.trace_id.to_bytes(),
                    ":span_id": id.span_id.to_bytes(),
                })
            })
            .map_err(StoreError::sqlite("write down who reads contents"))?;
        if written > 0 {
            tracing::info!(
                target: READING_TARGET,
                user = by.user.0,
                door = by.door.as_str(),
                trace = %id.trace_id,
                span = %id.span_id,
                "contents are read"
            );
        }
        Ok(())
    }

    /// Who read what a span moved, the first to do so first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn readings(&self, id: SpanRef) -> Result<Vec<Reading>, StoreError> {
        let failed = StoreError::sqlite("look up who read contents");
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT user, door, first_nanos, last_nanos, times FROM content_reading
                 JOIN content ON content.seq = content_reading.content
                 WHERE trace_id = ?1 AND span_id = ?2 ORDER BY first_nanos, user, door",
            )
            .map_err(&failed)?;
        let rows: Vec<(u32, String, i64, i64, i64)> = statement
            .query_map((id.trace_id.to_bytes(), id.span_id.to_bytes()), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .and_then(Iterator::collect)
            .map_err(&failed)?;
        let readings = rows.into_iter().filter_map(|(user, door, first, last, times)| {
            // The table takes no other.
            let door = Door::ALL.into_iter().find(|known| known.as_str() == door)?;
            let by = Reader { user: UserId(user), door };
            Some(Reading { by, first: wall_nanos(first), last: wall_nanos(last), times: count(times) })
        });
        Ok(readings.collect())
    }
}
