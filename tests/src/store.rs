//! What the store holds of a session, read with another program's SQLite while no collector is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::agentsight::{Agentsight, path_text};
use crate::programs::python;

/// Trace and span id, in hex digits.
pub type SpanId = (String, String);

/// The newest session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The ends of its spans, nanoseconds since 1970.
    pub spans: BTreeMap<SpanId, u64>,
    /// The first spans of the images that are open, with when they began.
    pub open: BTreeMap<SpanId, u64>,
}

const QUERY: &str = "
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
newest = '(SELECT max(key) FROM session)'
for what, table in (('span', 'end_nanos FROM signal'), ('open', 'start_nanos FROM open_image')):
    for trace, span, nanos in store.execute(f'SELECT hex(trace_id), hex(span_id), {table} WHERE session = {newest}'):
        print(what, trace.lower(), span.lower(), nanos)
";

impl Stored {
    /// What is there now.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    #[track_caller]
    pub fn newest(agentsight: &Agentsight) -> Self {
        let store = agentsight.directory().join("store").join("agentsight.db");
        let output = Command::new(python()).args(["-c", QUERY, path_text(&store)]).output().expect("python3 was found");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut stored = Self::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let [what, trace, span, nanos] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let list = if what == "span" { &mut stored.spans } else { &mut stored.open };
            let nanos = nanos.parse().expect("the store has moments in nanoseconds");
            list.insert((trace.to_owned(), span.to_owned()), nanos);
        }
        stored
    }

    /// The traces that it is in.
    #[must_use]
    pub fn trace_ids(&self) -> BTreeSet<&str> {
        self.spans.keys().chain(self.open.keys()).map(|(trace, _)| trace.as_str()).collect()
    }

    /// The last moment of anything in it.
    #[must_use]
    pub fn last_moment(&self) -> u64 {
        self.spans.values().chain(self.open.values()).copied().max().unwrap_or_default()
    }
}

const ALL: &str = "
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for trace, span in store.execute(\"SELECT hex(trace_id), hex(span_id) FROM signal WHERE kind = 'span'\"):
    print(trace.lower(), span.lower())
";

/// Every span of every session in a store.
///
/// # Panics
/// When the store cannot be read.
#[must_use]
#[track_caller]
pub fn all_spans(store: &Path) -> BTreeSet<SpanId> {
    let output = Command::new(python()).args(["-c", ALL, path_text(store)]).output().expect("python3 was found");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let ids = text.lines().filter_map(|line| line.split_once(' '));
    ids.map(|(trace, span)| (trace.to_owned(), span.to_owned())).collect()
}

const UNSENT: &str = "
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
unsent = 'SELECT count(*) FROM destination JOIN signal USING (session, kind) WHERE settings IS NOT NULL AND seq > cursor'
print(*(store.execute(query).fetchone()[0] for query in ('SELECT count(*) FROM open_image', unsent)))
";

/// How many spans are open in a store, and how many rows of it wait to be sent.
///
/// # Panics
/// When the store cannot be read.
#[must_use]
#[track_caller]
pub fn count_unsent(store: &Path) -> (u64, u64) {
    let output = Command::new(python()).args(["-c", UNSENT, path_text(store)]).output().expect("python3 was found");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [open, unsent] = numbers[..] else { panic!("{text}{}", String::from_utf8_lossy(&output.stderr)) };
    (open, unsent)
}

const PUT_CONTENT: &str = "
import sqlite3, sys
file, trace, span, size, packed, digest, layout = sys.argv[1:]
store = sqlite3.connect(file, timeout=30)
with store:
    blob = store.execute('INSERT INTO blob (hash, bytes, packed) VALUES (?, ?, ?)',
        (bytes.fromhex(digest), int(size), bytes.fromhex(packed))).lastrowid
    content = store.execute('''INSERT INTO content (session, trace_id, span_id, blob, layout)
        SELECT session, trace_id, span_id, ?, ? FROM signal WHERE kind = 'span' AND trace_id = ? AND span_id = ?''',
        (blob, layout, bytes.fromhex(trace), bytes.fromhex(span)))
    assert content.rowcount == 1, 'there is no such span'
";

/// Puts into the store that a span moved these bytes, which stood where `layout` says; `number` tells them from all others.
///
/// # Panics
/// When the store cannot be written, or has no such span.
#[track_caller]
pub fn put_content(agentsight: &Agentsight, (trace, span): (&str, &str), number: u8, bytes: &[u8], layout: &Value) {
    let store = agentsight.directory().join("store").join("agentsight.db");
    let packed = zstd::encode_all(bytes, 0).expect("bytes in memory can be packed");
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let arguments = [&bytes.len().to_string(), &digits(&packed), &digits(&[number; 32]), &layout.to_string()];
    let mut python = Command::new(python());
    python.args(["-c", PUT_CONTENT, path_text(&store), trace, span]).args(arguments);
    let output = python.output().expect("python3 was found");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const LAYOUTS: &str = "
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
for span, layout in store.execute('SELECT hex(span_id), layout FROM content'):
    print(span.lower(), layout if isinstance(layout, str) else layout.decode())
";

/// Where the bytes of each span's contents stood, and what is missing, by the span's id.
///
/// # Panics
/// When the store cannot be read.
#[must_use]
#[track_caller]
pub fn layouts(agentsight: &Agentsight) -> BTreeMap<String, Value> {
    let store = agentsight.directory().join("store").join("agentsight.db");
    let output = Command::new(python()).args(["-c", LAYOUTS, path_text(&store)]).output().expect("python3 was found");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = text.lines().filter_map(|line| line.split_once(' '));
    rows.map(|(span, layout)| (span.to_owned(), serde_json::from_str(layout).expect("it is JSON"))).collect()
}
