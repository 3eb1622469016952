//! The shape of the database, and how an older one becomes the present one.
//!
//! Each migration runs once, in a transaction of its own, and `PRAGMA user_version` says how many
//! have run. A migration that was released is never edited: a later one changes what it made.

use rusqlite::{Connection, TransactionBehavior};

/// In the order in which they run. To change the shape, add a file here.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/0001_sessions_signals_destinations.sql"),
    include_str!("schema/0002_open_images.sql"),
    include_str!("schema/0003_lasting_sessions.sql"),
];

/// "AgSt": tells our file from any other SQLite database.
const APPLICATION_ID: i32 = 0x4167_5374;

/// Why the database could not be brought to the present shape.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A later AgentSight wrote it.
    #[error(
        "it was written by a newer AgentSight (schema {found}; this one knows {known}): use that version, or move the file away"
    )]
    Newer {
        /// What the file says.
        found: i64,
        /// What we know.
        known: usize,
    },
    /// Some other program's database.
    #[error("it is a database of another program (application id {found:#x}): move it away")]
    Foreign {
        /// What the file says.
        found: i32,
    },
    /// SQLite refused.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to the present shape. The caller makes sure that nobody else does so at this moment.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    let application_id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID && (application_id != 0 || found != 0) {
        return Err(SchemaError::Foreign { found: application_id });
    }
    if found > MIGRATIONS.len() as i64 {
        return Err(SchemaError::Newer { found, known: MIGRATIONS.len() });
    }
    if found == 0 {
        // Takes effect only before the first table is made; lets pruning give pages back to the disk.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, MIGRATIONS.len() as i64);
    }

    #[test]
    fn a_newer_schema_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut connection), Err(SchemaError::Newer { found: 99, .. })));
    }

    #[test]
    fn another_programs_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(migrate(&mut connection), Err(SchemaError::Foreign { found: 7 })));
    }
}
