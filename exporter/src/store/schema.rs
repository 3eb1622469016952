//! The shape of the database, and how an older one becomes the present one.
//!
//! Each migration runs once, in a transaction of its own, and `PRAGMA user_version` says how many
//! have run. A migration that was released is never edited: a later one changes what it made.

use rusqlite::{Connection, TransactionBehavior};

use super::index;

/// In the order in which they run. To change the shape, add a file here.
const MIGRATIONS: [Migration; 8] = [
    Migration { sql: include_str!("schema/0001_sessions_signals_destinations.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0002_open_images.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0003_questions.sql"), fill: index::add_all },
    Migration { sql: include_str!("schema/0004_lasting_sessions.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0005_housekeeping.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0006_owners.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0007_contents.sql"), fill: |_| Ok(()) },
    Migration { sql: include_str!("schema/0008_directories.sql"), fill: |_| Ok(()) },
];

/// One step to the present shape.
struct Migration {
    sql: &'static str,
    /// What SQL cannot say: new columns of old rows.
    fill: fn(&Connection) -> rusqlite::Result<()>,
}

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
    /// There is nothing of ours in it.
    #[error("it is no store of AgentSight's: the store is the file agentsight.db of its folder")]
    Empty,
    /// SQLite refused.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to the present shape. The caller makes sure that nobody else does so at this moment.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), SchemaError> {
    let found = version(connection)?;
    if found == 0 {
        // Takes effect only before the first table is made; lets pruning give pages back to the disk.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration.sql)?;
        (migration.fill)(&transaction)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether a database that is only read has the present shape already.
pub(super) fn is_present(connection: &Connection) -> Result<bool, SchemaError> {
    match version(connection)? {
        // An empty file, or something that has nothing of ours: reading it as a store would say "no spans".
        0 => Err(SchemaError::Empty),
        found => Ok(found == MIGRATIONS.len() as i64),
    }
}

/// How many migrations have run, if it is ours.
fn version(connection: &Connection) -> Result<i64, SchemaError> {
    let application_id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID && (application_id != 0 || found != 0) {
        return Err(SchemaError::Foreign { found: application_id });
    }
    if found > MIGRATIONS.len() as i64 {
        return Err(SchemaError::Newer { found, known: MIGRATIONS.len() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::trace::v1::{Span, span};
    use prost::Message;

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
    fn spans_that_were_stored_before_there_were_columns_for_questions_get_theirs() {
        let mut connection = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..2] {
            connection.execute_batch(migration.sql).unwrap();
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 2).unwrap();
        let text = |key: &str, value: &str| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
            ..KeyValue::default()
        };
        let span = Span {
            span_id: vec![3; 8],
            name: "read hosts".to_owned(),
            attributes: vec![text("agentsight.action", "read"), text("file.path", "/etc/hosts")],
            links: vec![span::Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..span::Link::default() }],
            ..Span::default()
        };
        let rows = "INSERT INTO session VALUES (1, zeroblob(16), '', 0, NULL); INSERT INTO resource VALUES (1, x'');
            INSERT INTO signal VALUES (8, 1, 'span', NULL, NULL, NULL, 0, 0, '', 1, x'ffff');
            INSERT INTO signal VALUES (9, 1, 'log', NULL, NULL, NULL, 0, 0, '', 1, x'');";
        connection.execute_batch(rows).unwrap();
        connection
            .execute(
                "INSERT INTO signal VALUES (7, 1, 'span', zeroblob(16), ?1, NULL, 5, 6, '', 1, ?2)",
                ([3_u8; 8], span.encode_to_vec()),
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let read = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(
            read("SELECT group_concat(seq || path || action || hex(span_id)) FROM span"),
            "7/etc/hostsread0303030303030303"
        );
        assert_eq!(read("SELECT group_concat(hex(cause_span) || effect) FROM link"), "02020202020202027");
        assert_eq!(read("SELECT group_concat(name) FROM operation"), "read hosts");
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
