//! Finding spans: by what the columns know, by id, and along parents and links.
//!
//! A [`Narrow`] lets through too much rather than too little; whoever asks checks what comes out. Which index is walked is
//! decided by counting a little of each, because SQLite's own guess knows nothing of a store that grows by the second.

use std::ops::ControlFlow;

use agentsight_ebpf::WallNanos;
use agentsight_semconv::value::object_type;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::read::{Reader, StoredSpan};
use super::{Store, StoreError, sqlite_nanos};
use crate::session::{SessionId, UserId};

/// What the columns know of a question. Every part that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// Began at this moment or later.
    pub from: Option<WallNanos>,
    /// Began at this moment or earlier.
    pub until: Option<WallNanos>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of a session of this owner's.
    pub owner: Option<UserId>,
    /// Of this process.
    pub pid: Option<i64>,
    /// Of an image with this name.
    pub executable: Option<String>,
    /// About one of these objects; any, where none is given.
    pub objects: Vec<&'static str>,
    /// With one of these actions; any, where none is given.
    pub actions: Vec<&'static str>,
    /// The path is this, or begins so.
    pub path: Option<PathText>,
    /// The other end has this name or address.
    pub host: Option<String>,
    /// The other end has this port.
    pub port: Option<i64>,
    /// Status ERROR alone.
    pub failed: bool,
    /// Alone what says that something was lost.
    pub lossy: bool,
}

/// What is known of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathText {
    /// All of it.
    Whole(String),
    /// How it begins.
    Prefix(String),
}

/// What answers are sorted by; the span's id settles draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// When it began.
    #[default]
    Start,
    /// When it ended.
    End,
    /// How long it took.
    Duration,
    /// How many bytes it moved.
    Bytes,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Smallest, or oldest, first.
    #[default]
    Ascending,
    /// Largest, or newest, first.
    Descending,
}

/// Where an answer goes on: behind the span with this key and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Its value of what is sorted by.
    pub key: i64,
    /// Its id.
    pub span_id: [u8; 8],
}

/// A session is begun by one clock, its spans by another.
pub(super) const MARGIN_NANOS: i64 = 60_000_000_000;

/// So many rows of an index are looked at to learn whether it is a short way.
const PROBE_ROWS: i64 = 5_000;

impl Store {
    /// Visits what the columns cannot exclude, in order, until the visitor has enough.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn search(
        &self,
        narrow: &Narrow,
        (by, direction): (SortKey, Direction),
        behind: Option<Behind>,
        mut visit: impl FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let failed = StoreError::sqlite("search spans");
        let Some(ways) = Ways::of(&self.connection, narrow).map_err(&failed)? else { return Ok(()) };
        let (sql, values) = ways.statement(&self.connection, by, direction, behind).map_err(&failed)?;
        let mut reader = Reader::of(&self.connection);
        let mut statement = self.connection.prepare_cached(&sql).map_err(&failed)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let seq = row.get(0).map_err(&failed)?;
            let Some(span) = reader.at(seq).map_err(&failed)? else { continue };
            if visit(span).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The conditions of a question as SQL, and the indexes that lead to what meets them.
struct Ways {
    conditions: Vec<String>,
    values: Vec<Value>,
    /// An index, and the conditions (by place) that it takes; the best first where counting decides nothing.
    indexes: Vec<(&'static str, Vec<usize>)>,
}

impl Ways {
    /// `None` where nothing can match: an unknown session.
    fn of(connection: &Connection, narrow: &Narrow) -> rusqlite::Result<Option<Self>> {
        let mut ways = Self { conditions: Vec::new(), values: Vec::new(), indexes: Vec::new() };
        let mut time = Vec::new();
        if let Some(from) = narrow.from {
            time.push(ways.compare("start_nanos >=", Value::Integer(sqlite_nanos(from))));
        }
        if let Some(until) = narrow.until {
            time.push(ways.compare("start_nanos <=", Value::Integer(sqlite_nanos(until))));
        }
        match &narrow.path {
            Some(PathText::Whole(path)) => {
                let place = ways.compare("directory =", Value::Text(directory_of(path).to_owned()));
                ways.compare("path =", Value::Text(path.clone()));
                ways.index("span_directory", &[place], &time);
            }
            Some(PathText::Prefix(prefix)) if !prefix.is_empty() => ways.begins_so(prefix),
            Some(PathText::Prefix(_)) => {
                let place = ways.plain("directory IS NOT NULL".to_owned());
                ways.index("span_directory", &[place], &[]);
            }
            None => {}
        }
        if let Some(host) = &narrow.host {
            let at = ways.value(Value::Text(host.clone()));
            // Two indexes, one for each column, without a choice for SQLite to make.
            let place = ways.plain(format!(
                "seq IN (SELECT seq FROM span INDEXED BY span_host WHERE host = ?{at} UNION ALL SELECT seq FROM span \
                 INDEXED BY span_peer WHERE peer = ?{at})"
            ));
            ways.indexes.push(("", vec![place]));
        }
        if let Some(pid) = narrow.pid {
            let place = ways.compare("pid =", Value::Integer(pid));
            ways.index("span_pid", &[place], &time);
        }
        if narrow.lossy {
            let place = ways.plain("lossy = 1".to_owned());
            ways.index("span_lossy", &[place], &[]);
        }
        if narrow.failed {
            let place = ways.plain("failed = 1".to_owned());
            ways.index("span_failed", &[place], &time);
        }
        if let Some(executable) = &narrow.executable {
            let place = ways.compare("executable =", Value::Text(executable.clone()));
            ways.index("span_executable", &[place], &time);
        }
        let mut kind = Vec::new();
        if !narrow.objects.is_empty() {
            kind.push(ways.one_of("object", &narrow.objects));
        }
        if !narrow.actions.is_empty() {
            kind.push(ways.one_of("action", &narrow.actions));
        }
        let are_rare = !narrow.objects.iter().any(|object| [object_type::FILE, object_type::PROCESS].contains(object));
        if !narrow.objects.is_empty() && are_rare {
            kind.push(ways.plain("rare = 1".to_owned()));
            ways.index("span_kind", &kind, &time);
        }
        if let Some(session) = narrow.session {
            let Some((key, began)) = super::session::find(connection, session)? else { return Ok(None) };
            ways.compare("session =", Value::Integer(key));
            // A session's spans are where its time is.
            if narrow.from.is_none() {
                time.push(ways.compare("start_nanos >=", Value::Integer(began.saturating_sub(MARGIN_NANOS))));
            }
        }
        if let Some(owner) = narrow.owner {
            let at = ways.value(Value::Integer(owner.0.into()));
            ways.plain(format!("session IN (SELECT key FROM session WHERE owner = ?{at})"));
        }
        if let Some(port) = narrow.port {
            ways.compare("port =", Value::Integer(port));
        }
        ways.index("span_start", &time, &[]);
        Ok(Some(ways))
    }

    /// The folders from the one that the beginning is in to the last that begins so; what is not meant among them, the path
    /// itself excludes.
    fn begins_so(&mut self, prefix: &str) {
        let mut places = vec![self.compare("directory >=", Value::Text(directory_of(prefix).to_owned()))];
        self.compare("path >=", Value::Text(prefix.to_owned()));
        if let Some(end) = behind_prefix(prefix) {
            places.push(self.compare("directory <", Value::Text(end.clone())));
            self.compare("path <", Value::Text(end));
        }
        self.index("span_directory", &places, &[]);
    }

    fn value(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len()
    }

    fn plain(&mut self, condition: String) -> usize {
        self.conditions.push(condition);
        self.conditions.len() - 1
    }

    fn compare(&mut self, left: &str, value: Value) -> usize {
        let at = self.value(value);
        self.plain(format!("{left} ?{at}"))
    }

    fn one_of(&mut self, column: &str, words: &[&'static str]) -> usize {
        let places: Vec<String> =
            words.iter().map(|word| format!("?{}", self.value(Value::Text((*word).to_owned())))).collect();
        self.plain(format!("{column} IN ({})", places.join(", ")))
    }

    fn index(&mut self, name: &'static str, own: &[usize], time: &[usize]) {
        self.indexes.push((name, [own, time].concat()));
    }

    fn statement(
        mut self,
        connection: &Connection,
        by: SortKey,
        direction: Direction,
        behind: Option<Behind>,
    ) -> rusqlite::Result<(String, Vec<Value>)> {
        let index = self.shortest(connection, by)?;
        let key = match by {
            SortKey::Start => "start_nanos",
            SortKey::End => "end_nanos",
            SortKey::Duration => "end_nanos - start_nanos",
            SortKey::Bytes => "ifnull(bytes, 0)",
        };
        let (order, further) = match direction {
            Direction::Ascending => ("ASC", ">"),
            Direction::Descending => ("DESC", "<"),
        };
        if let Some(Behind { key: value, span_id }) = behind {
            let value = self.value(Value::Integer(value));
            let id = self.value(Value::Blob(span_id.to_vec()));
            // The first half is what an index understands.
            self.plain(format!("{key} {further}= ?{value} AND ({key}, span_id) {further} (?{value}, ?{id})"));
        }
        let conditions =
            if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) };
        let sql =
            format!("SELECT seq FROM span {} {conditions} ORDER BY {key} {order}, span_id {order}", indexed_by(index));
        Ok((sql, self.values))
    }

    /// The index with the fewest rows to look at, as far as a short look tells.
    fn shortest(&self, connection: &Connection, by: SortKey) -> rusqlite::Result<&'static str> {
        let mut best = ("span_start", i64::MAX);
        for (name, places) in &self.indexes {
            if places.is_empty() {
                continue;
            }
            let conditions: Vec<&str> = places.iter().map(|place| self.conditions[*place].as_str()).collect();
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM span {} WHERE {} LIMIT {PROBE_ROWS})",
                indexed_by(name),
                conditions.join(" AND ")
            );
            let mut statement = connection.prepare_cached(&sql)?;
            // SQLite wants a value for every number up to the highest that a statement names, and no more.
            let values = &self.values[..statement.parameter_count()];
            let rows: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
            if rows < best.1 {
                best = (name, rows);
            }
        }
        // None is short, so matches are many: a way that is in order of time is left at the end of the first page.
        let in_order = || self.indexes.iter().map(|(name, _)| *name).find(|name| IN_ORDER.contains(name));
        let is_long = best.1 >= PROBE_ROWS && by == SortKey::Start;
        Ok(if is_long { in_order().unwrap_or("span_start") } else { best.0 })
    }
}

/// What comes out of these is in order of time, as one value of their first column is asked for.
const IN_ORDER: [&str; 4] = ["span_pid", "span_failed", "span_executable", "span_start"];

fn indexed_by(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("INDEXED BY {name}") }
}

/// As the column of that name has it: up to the last `/`, nothing where there is none.
fn directory_of(path: &str) -> &str {
    path.rfind('/').map_or("", |last| &path[..=last])
}

/// The least text that is behind every text with this beginning; `None` where there is none.
fn behind_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        if let Some(next) = ((last as u32 + 1)..=(char::MAX as u32)).find_map(char::from_u32) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_a_prefix_is_just_behind_it() {
        assert_eq!(behind_prefix("/etc/"), Some("/etc0".to_owned()));
        assert_eq!(behind_prefix("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(behind_prefix("a\u{10ffff}"), Some("b".to_owned()));
        assert_eq!(behind_prefix("\u{10ffff}"), None);
    }
}
