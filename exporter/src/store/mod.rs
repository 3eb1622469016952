//! The embedded store: every span is written here before it is sent.
//!
//! A SQLite database in a folder of root's own, with the contents that were captured beside the spans. One process writes a session, others may read or
//! write other sessions at the same time. What was appended survives the death of every process.

mod append;
mod batch;
mod content;
mod destination;
mod error;
mod index;
mod listing;
mod lock;
mod open_image;
mod place;
mod read;
mod reading;
mod retention;
mod row;
mod schema;
mod search;
mod session;

#[cfg(test)]
mod content_tests;
#[cfg(test)]
pub(crate) mod scratch;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentsight_ebpf::WallNanos;
use rusqlite::{Connection, OpenFlags};

pub use append::Appended;
pub use batch::{Batch, BatchLimit, Seq, StoredRow};
pub use content::LayoutError;
pub use destination::{Advance, Counts, Destination, DestinationId, SettingsJson};
pub use error::StoreError;
pub use listing::{Operation, SessionState, SessionSummary};
pub use lock::Lock;
pub use open_image::LeftOpen;
pub use place::PlaceError;
pub use read::{Part, StoredSpan};
pub(crate) use reading::READING_TARGET;
pub use reading::{Door, Reader, Reading};
pub use retention::{CONTENT_LIMITS, Limits, Pruned};
pub use row::{Kind, Row};
pub use schema::SchemaError;
pub use search::{Behind, Direction, Narrow, PathText, SortKey};
pub use session::UnendedSession;

/// Where the store is unless `AGENTSIGHT_STORE` in root's own environment says otherwise.
pub const DEFAULT_DIR: &str = "/var/lib/agentsight";

/// Root's own variable for it; `run` does not pass the caller's on.
const DIR_VARIABLE: &str = "AGENTSIGHT_STORE";

/// Where the store of this machine is: root alone may say otherwise.
#[must_use]
pub fn chosen_dir() -> PathBuf {
    let chosen = std::env::var_os(DIR_VARIABLE).filter(|_| nix::unistd::Uid::effective().is_root());
    chosen.map_or_else(|| PathBuf::from(DEFAULT_DIR), PathBuf::from)
}

const DATABASE: &str = "agentsight.db";
/// How long a writer waits for another one; each holds the write lock for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of indexes that an ingest writes again and again; taken only as they fill, and given back when the store is
/// pruned. With SQLite's own 2 MiB, which every other connection has, ingest is a third slower.
const INGEST_CACHE_KIB: i64 = 16 << 10;
/// Pages in the log before they go to the database: what several transactions change goes there once. 16 MiB.
const LOG_PAGES: i64 = 4_000;

/// One connection to the store. Calls block: on an async runtime, give it a thread.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the store in `dir`, an absolute path; makes what is missing (folder 0700, files 0600).
    ///
    /// # Errors
    /// A folder that somebody else owns or can write to, a database of a newer version or of
    /// another program, and whatever the system refuses.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let dir = place::prepare_dir(dir)?;
        let path = dir.join(DATABASE);
        // Two processes that open a new store at once would both give it its shape.
        let _set_up = lock::wait_lock(&dir.join("open.lock"), 0)?;
        place::make_file(&path)?;
        let opened = |source| StoreError::Open { path: path.clone(), source };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(opened)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(opened)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(opened)?;
        // Erased settings hold secrets: their bytes are overwritten, not only forgotten.
        connection.pragma_update(None, "secure_delete", true).map_err(opened)?;
        schema::migrate(&mut connection).map_err(|source| StoreError::Shape { path: path.clone(), source })?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(opened)?;
        // In WAL mode a commit outlives every process that dies; only a power cut can cost the last ones.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(opened)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(opened)?;
        Ok(Self { dir, connection })
    }

    /// Opens the store in `dir` for many spans: as [`open`](Self::open), with more memory to hold what is written often.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_ingest(dir: &Path) -> Result<Self, StoreError> {
        let store = Self::open(dir)?;
        let larger = store.connection.pragma_update(None, "cache_size", -INGEST_CACHE_KIB);
        larger.map_err(|source| StoreError::Open { path: store.dir.join(DATABASE), source })?;
        Ok(store)
    }

    /// Opens the store in `dir` where there is one, to ask it something; `None` where nothing was ever stored.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_existing(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(DATABASE);
        match std::fs::symlink_metadata(&path) {
            Ok(_) => Self::open(dir).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PlaceError::Io { doing: "look at", path, source }.into()),
        }
    }

    /// Opens the store in `dir` for reading alone, beside whoever writes it; `None` where nothing was ever stored. It must have
    /// the present shape: whoever writes it now has seen to that.
    ///
    /// # Errors
    /// A database of a newer version, or of another program, and whatever the system refuses.
    pub fn open_reading(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(DATABASE);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(PlaceError::Io { doing: "look at", path, source }.into()),
            Ok(_) => {}
        }
        let opened = |source| StoreError::Open { path: path.clone(), source };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(opened)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(opened)?;
        schema::is_present(&connection).map_err(|source| StoreError::Shape { path: path.clone(), source })?;
        Ok(Some(Self { dir: dir.to_owned(), connection }))
    }

    /// Opens a copy of a store's database, whoever owns it, without changing it. What an older AgentSight wrote is
    /// brought to the present shape in memory.
    ///
    /// # Errors
    /// A file that is no such database, or of a newer version, and whatever the system refuses.
    pub fn open_copy(path: &Path) -> Result<Self, StoreError> {
        let opened = |source| StoreError::Open { path: path.to_owned(), source };
        let shape = |source| StoreError::Shape { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        // SQLite would say only that it cannot open it.
        std::fs::File::open(path).map_err(|source| PlaceError::Io { doing: "open", path: path.to_owned(), source })?;
        let mut connection = Connection::open_with_flags(place::copy_uri(path), flags).map_err(opened)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(opened)?;
        if !schema::is_present(&connection).map_err(shape)? {
            let mut copied = Connection::open_in_memory().map_err(opened)?;
            rusqlite::backup::Backup::new(&connection, &mut copied)
                .and_then(|backup| backup.run_to_completion(i32::MAX, Duration::ZERO, None))
                .map_err(opened)?;
            schema::migrate(&mut copied).map_err(shape)?;
            connection = copied;
        }
        let dir = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { dir, connection })
    }

    /// Ends, from another thread, what this connection is at.
    #[must_use]
    pub fn interrupter(&self) -> rusqlite::InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// The store's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// SQLite's integers are signed; a moment after the year 2262 becomes that year's.
fn sqlite_nanos(moment: WallNanos) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

fn wall_nanos(stored: i64) -> WallNanos {
    WallNanos(u64::try_from(stored).unwrap_or(0))
}

fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn sqlite_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
