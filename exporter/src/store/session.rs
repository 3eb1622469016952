//! Sessions: begun, ended, or left behind by a collector that died.

use agentsight_ebpf::{ProcessKey, WallNanos};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params};

use super::lock::{self, Lock};
use super::{Store, StoreError, destination, open_image, sqlite_nanos, wall_nanos};
use crate::session::{Session, SessionId, UserId};

pub(super) const LOCK_FILE: &str = "session.lock";

/// Whether a later daemon may go on with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    Yes,
    No,
}

/// A session whose collector died before it ended it.
#[derive(Debug)]
pub struct UnendedSession {
    /// Its header.
    pub session: Session,
    /// Who may ask about it, beside root.
    pub owner: Option<UserId>,
    /// The last moment of anything stored of it; its start where nothing is.
    pub last_stored: WallNanos,
    /// While this is held, no other collector takes the session for its own to end.
    pub lock: Lock,
}

impl Store {
    /// Writes a session's header; beside root its owner alone may ask about it. The lock says that its collector lives: hold
    /// it until the session is ended.
    ///
    /// # Errors
    /// When the store cannot be written, or the session is there already.
    pub fn begin_session(
        &mut self,
        session: &Session,
        owner: Option<UserId>,
        started: WallNanos,
    ) -> Result<Lock, StoreError> {
        self.begin(session, owner, started, Lasting::No)
    }

    /// As [`begin_session`](Self::begin_session), of one that a later daemon may go on with.
    ///
    /// # Errors
    /// As there.
    pub fn begin_lasting_session(
        &mut self,
        session: &Session,
        owner: Option<UserId>,
        started: WallNanos,
    ) -> Result<Lock, StoreError> {
        self.begin(session, owner, started, Lasting::Yes)
    }

    /// Who may ask about a session, beside root; of one that is not there nobody.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn owner_of(&self, id: SessionId) -> Result<Option<UserId>, StoreError> {
        let owner = self
            .connection
            .prepare_cached("SELECT owner FROM session WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([id.0], |row| row.get(0)).optional())
            .map_err(StoreError::sqlite("look up whose session it is"))?;
        Ok(owner.flatten().map(UserId))
    }

    fn begin(
        &mut self,
        session: &Session,
        owner: Option<UserId>,
        started: WallNanos,
        lasting: Lasting,
    ) -> Result<Lock, StoreError> {
        let failed = StoreError::sqlite("begin a session");
        let header =
            serde_json::to_string(session).map_err(|source| StoreError::EncodeHeader { id: session.id, source })?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        transaction
            .execute(
                "INSERT INTO session (id, header, started_nanos, lasting, owner)
                 VALUES (:id, :header, :started, :lasting, :owner)",
                named_params! {
                    ":id": session.id.0,
                    ":header": header,
                    ":started": sqlite_nanos(started),
                    ":lasting": lasting == Lasting::Yes,
                    ":owner": owner.map(|owner| owner.0),
                },
            )
            .map_err(&failed)?;
        // Locked before anybody can see the row, or another collector would take the session for a dead one's.
        let lock = lock::wait_lock(&self.dir.join(LOCK_FILE), transaction.last_insert_rowid())?;
        transaction.commit().map_err(&failed)?;
        Ok(lock)
    }

    /// Says that nothing more will be appended to a session; what is delivered already loses its settings. What is
    /// still open is stored as it is, its end being `ended`: of a dead collector's session the last moment stored.
    ///
    /// # Errors
    /// When the store cannot be written, or knows no such session.
    pub fn end_session(&mut self, id: SessionId, ended: WallNanos) -> Result<(), StoreError> {
        let failed = StoreError::sqlite("end a session");
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let key = session_key(&transaction, id)?;
        open_image::close_all(&transaction, key, ended).map_err(&failed)?;
        transaction
            .execute(
                "UPDATE session SET ended_nanos = :ended WHERE key = :key AND ended_nanos IS NULL",
                named_params! {":key": key, ":ended": sqlite_nanos(ended)},
            )
            .map_err(&failed)?;
        let erased = destination::erase_delivered(&transaction).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        self.forget(erased);
        Ok(())
    }

    /// The sessions that were begun and not ended and whose collectors are dead. Ending them lets their
    /// destinations finish.
    ///
    /// # Errors
    /// When the store cannot be read. A session whose header is damaged is left out: it cannot be resumed.
    pub fn unended_sessions(&mut self) -> Result<Vec<UnendedSession>, StoreError> {
        self.list_unended(|_, _| Ok(true))
    }

    /// As [`unended_sessions`](Self::unended_sessions), without those that a later daemon can go on with: lasting ones of
    /// which a process `lives`. They are not even locked, for a daemon that looks for them at this moment must find them.
    ///
    /// # Errors
    /// As there.
    pub fn abandoned_sessions(
        &mut self,
        lives: impl Fn(&Session, ProcessKey) -> bool,
    ) -> Result<Vec<UnendedSession>, StoreError> {
        self.list_unended(|session, lasting| {
            Ok(lasting == Lasting::No || !self.left_open(session.id)?.iter().any(|open| lives(session, open.process)))
        })
    }

    fn list_unended(
        &self,
        wanted: impl Fn(&Session, Lasting) -> Result<bool, StoreError>,
    ) -> Result<Vec<UnendedSession>, StoreError> {
        let failed = StoreError::sqlite("list the sessions that did not end");
        let mut statement = self
            .connection
            .prepare(
                "SELECT key, header, started_nanos, lasting, owner FROM session WHERE ended_nanos IS NULL ORDER BY key",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map([], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    if row.get(3)? { Lasting::Yes } else { Lasting::No },
                    row.get::<_, Option<u32>>(4)?.map(UserId),
                ))
            })
            .map_err(&failed)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(&failed)?;
        let mut unended = Vec::new();
        for (key, header, started, lasting, owner) in rows {
            match serde_json::from_str(&header) {
                Ok(session) => {
                    if wanted(&session, lasting)?
                        && let Some(lock) = lock::try_lock(&self.dir.join(LOCK_FILE), key)?
                    {
                        let last = last_stored(&self.connection, key).map_err(&failed)?;
                        unended.push(UnendedSession {
                            session,
                            owner,
                            last_stored: wall_nanos(last.unwrap_or(started)),
                            lock,
                        });
                    }
                }
                Err(source) => {
                    tracing::warn!(
                        session = key,
                        "{}",
                        StoreError::DamagedHeader { number: key, reason: source.to_string() }
                    );
                }
            }
        }
        Ok(unended)
    }
}

/// The last moment that is stored of a session. It reads all of it: never to be asked of a living one, which may be of days.
fn last_stored(connection: &Connection, key: i64) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT max(nanos) FROM (
                 SELECT max(end_nanos) AS nanos FROM signal WHERE session = ?1
                 UNION ALL SELECT max(start_nanos) FROM open_image WHERE session = ?1)",
        )?
        .query_row([key], |row| row.get(0))
}

pub(super) fn session_key(connection: &Connection, id: SessionId) -> Result<i64, StoreError> {
    find_key(connection, id).map_err(StoreError::sqlite("look up a session"))?.ok_or(StoreError::UnknownSession(id))
}

pub(super) fn find_key(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<i64>> {
    Ok(find(connection, id)?.map(|(key, _)| key))
}

/// A session's key, and when it began.
pub(super) fn find(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached("SELECT key, started_nanos FROM session WHERE id = ?1")?
        .query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}
