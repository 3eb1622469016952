use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use agentsight_ebpf::{KernelNanos, ProcessKey, Tgid, WallNanos};
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message;

use super::scratch::Scratch;
use super::{
    Advance, Appended, BatchLimit, Counts, Destination, DestinationId, Kind, LeftOpen, Limits, Pruned, SettingsJson,
    Store, StoreError, UnendedSession,
};
use crate::session::{CallerContext, Session, SessionId, SessionOptions, SpanRef};
use crate::spans::model::{Attribute, Draft, Resource, Signal, Span, Value};

#[test]
fn what_a_dead_collector_left_open_names_its_processes_and_where_it_was_sent() {
    let mut desk = desk();
    let Signal::Span(mut open) = span(5, "test") else { unreachable!("a span was made") };
    let attribute = |name: agentsight_semconv::Name, value| Attribute { name, value };
    let object = |of: &'static str| attribute(agentsight_semconv::AGENTSIGHT_OBJECT_TYPE, Value::Text(of.into()));
    open.attributes = vec![
        attribute(agentsight_semconv::PROCESS_PID, Value::Int(42)),
        attribute(agentsight_semconv::AGENTSIGHT_PROCESS_START, Value::Text("7000".into())),
        object(agentsight_semconv::value::object_type::PROCESS),
    ];
    // A connection that the same process has open says whose it is too.
    let mut connection = open.clone();
    connection.attributes.pop();
    connection.attributes.push(object(agentsight_semconv::value::object_type::TCP));
    connection.start = WallNanos(connection.start.0 + 1);
    let of = SpanRef { trace_id: TraceId::from_bytes([7; 16]), span_id: SpanId::from_bytes([3; 8]) };
    let nameless = SpanRef { span_id: SpanId::from_bytes([4; 8]), ..of };
    let of_connection = SpanRef { span_id: SpanId::from_bytes([5; 8]), ..of };
    let Signal::Span(other) = span(6, "test") else { unreachable!("a span was made") };
    let drafts = [
        Signal::Draft(Box::new(Draft { of: of_connection, span: Some(*connection) })),
        Signal::Draft(Box::new(Draft { of, span: Some(*open) })),
        Signal::Draft(Box::new(Draft { of: nameless, span: Some(*other) })),
    ];
    desk.store.append(session(1).id, &drafts).unwrap();
    let process = ProcessKey { tgid: Tgid(42), start: KernelNanos(7000) };
    assert_eq!(desk.store.left_open(session(1).id).unwrap(), [LeftOpen { process, span: of }]);
    assert_eq!(desk.store.settings_of(session(1).id).unwrap(), [(Kind::Span, SettingsJson(SECRET.to_owned()))]);
    desk.store.end_session(session(1).id, WallNanos(9_000)).unwrap();
    assert_eq!(desk.store.left_open(session(1).id).unwrap(), []);
}

#[test]
fn a_daemons_session_of_which_a_process_lives_is_left_to_the_next_daemon() {
    let mut desk = desk();
    let lock = desk.store.begin_lasting_session(&session(2), None, WallNanos(1)).unwrap();
    let Signal::Span(mut open) = span(5, "test") else { unreachable!("a span was made") };
    open.attributes = vec![
        Attribute { name: agentsight_semconv::PROCESS_PID, value: Value::Int(42) },
        Attribute { name: agentsight_semconv::AGENTSIGHT_PROCESS_START, value: Value::Text("7000".into()) },
        Attribute {
            name: agentsight_semconv::AGENTSIGHT_OBJECT_TYPE,
            value: Value::Text(agentsight_semconv::value::object_type::PROCESS.into()),
        },
    ];
    let draft = Signal::Draft(Box::new(Draft { of: open.id, span: Some(*open) }));
    desk.store.append(session(2).id, &[draft]).unwrap();
    drop(lock);
    let ids = |left: Vec<UnendedSession>| left.iter().map(|left| left.session.id.0[0]).collect::<Vec<_>>();
    let lives = |of: &Session, process: ProcessKey| of.id == session(2).id && process.tgid == Tgid(42);
    assert!(!ids(desk.store.abandoned_sessions(lives).unwrap()).contains(&2));
    assert!(ids(desk.store.abandoned_sessions(|_, _| false).unwrap()).contains(&2));
    assert!(ids(desk.store.unended_sessions().unwrap()).contains(&2));
}

const WIDE: BatchLimit = BatchLimit { bytes: 1 << 20, rows: 1_000 };
const SECRET: &str = "s3cret-s3cret-s3cret";

pub(super) fn session(number: u8) -> Session {
    Session {
        id: SessionId([number; 16]),
        trace_id: TraceId::from_bytes([number; 16]),
        id_key: [9; 16],
        boot_id: "boot".to_owned(),
        host: BTreeMap::new(),
        caller: CallerContext::default(),
        options: SessionOptions::default(),
    }
}

pub(super) fn span(number: u64, service: &str) -> Signal {
    let attributes = BTreeMap::from([("service.name".to_owned(), service.to_owned())]);
    Signal::Span(Box::new(Span {
        id: SpanRef { trace_id: TraceId::from_bytes([7; 16]), span_id: SpanId::from_bytes(number.to_be_bytes()) },
        parent: None,
        trace_state: String::new(),
        name: format!("span {number}").into(),
        kind: SpanKind::Internal,
        start: WallNanos(number),
        end: WallNanos(number * 1_000),
        attributes: Vec::new(),
        dropped_attributes: 0,
        events: Vec::new(),
        dropped_events: 0,
        links: Vec::new(),
        dropped_links: 0,
        status: Status::Unset,
        resource: Arc::new(Resource { attributes }),
    }))
}

fn spans(numbers: impl IntoIterator<Item = u64>) -> Vec<Signal> {
    numbers.into_iter().map(|number| span(number, "test")).collect()
}

/// A store with session 1 in it, and a destination for its spans.
pub(super) struct Desk {
    pub(super) scratch: Scratch,
    pub(super) store: Store,
    id: DestinationId,
    /// The session's collector lives.
    pub(super) lock: Option<super::Lock>,
}

pub(super) fn desk() -> Desk {
    let scratch = Scratch::new();
    let mut store = Store::open(&scratch.path().join("store")).unwrap();
    let lock = store.begin_session(&session(1), None, WallNanos(1)).unwrap();
    let id = store.add_destination(session(1).id, Kind::Span, &SettingsJson(SECRET.to_owned())).unwrap();
    Desk { scratch, store, id, lock: Some(lock) }
}

impl Desk {
    fn append(&mut self, numbers: impl IntoIterator<Item = u64>) -> Appended {
        self.store.append(session(1).id, &spans(numbers)).unwrap()
    }

    fn batch_len(&self, limit: BatchLimit) -> usize {
        self.store.next_batch(self.id, limit).unwrap().rows.len()
    }

    /// Moves the cursor over the next `rows` rows, as sent.
    fn send(&mut self, rows: usize) {
        let batch = self.store.next_batch(self.id, BatchLimit { rows, ..WIDE }).unwrap();
        let to = batch.rows.last().unwrap().seq;
        self.store.advance(self.id, Advance { to, sent: rows as u64, rejected: 0, dropped: 0 }).unwrap();
    }

    fn counts(&self) -> Counts {
        self.store.counts(self.id).unwrap()
    }
}

#[test]
fn a_span_id_is_stored_once_whatever_comes_later_under_it() {
    let mut desk = desk();
    assert_eq!(desk.append(1..=3), Appended { stored: 3, repeated: 0 });
    let first = desk.store.next_batch(desk.id, WIDE).unwrap();
    let other = span(2, "other content");
    assert_eq!(
        desk.store.append(session(1).id, &[other, span(4, "test")]).unwrap(),
        Appended { stored: 1, repeated: 1 }
    );
    let now = desk.store.next_batch(desk.id, WIDE).unwrap();
    assert_eq!(now.rows[..3], first.rows);
    assert_eq!(now.rows.len(), 4);
}

#[test]
fn a_resource_is_stored_once() {
    let mut desk = desk();
    desk.append(1..=3);
    desk.store.append(session(1).id, &[span(4, "test"), span(5, "other")]).unwrap();
    assert_eq!(desk.store.next_batch(desk.id, WIDE).unwrap().resources.len(), 2);
}

#[test]
fn what_was_appended_survives_the_death_of_the_process() {
    let mut desk = desk();
    desk.append(1..=23);
    // The files as they are at this moment: nothing is closed, nothing checkpointed.
    let copy = desk.scratch.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(desk.store.dir()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let revived = Store::open(&copy).unwrap();
    assert_eq!(revived.next_batch(desk.id, WIDE).unwrap(), desk.store.next_batch(desk.id, WIDE).unwrap());
}

#[test]
fn nothing_is_appended_to_a_session_that_was_never_begun() {
    let mut desk = desk();
    let refused = desk.store.append(session(2).id, &spans([1]));
    assert!(matches!(refused, Err(StoreError::UnknownSession(id)) if id == session(2).id));
}

#[test]
fn a_batch_holds_at_most_what_is_asked_for_but_always_one() {
    let mut desk = desk();
    desk.append(1..=23);
    assert_eq!(desk.batch_len(WIDE), 23);
    assert_eq!(desk.batch_len(BatchLimit { rows: 5, ..WIDE }), 5);
    assert_eq!(desk.batch_len(BatchLimit { bytes: 1, ..WIDE }), 1);
    let some = desk.batch_len(BatchLimit { bytes: 1_000, ..WIDE });
    assert!(1 < some && some < 23, "{some}");
}

#[test]
fn a_destination_gets_the_rows_of_its_own_session_and_kind_only() {
    let mut desk = desk();
    let _lock = desk.store.begin_session(&session(2), None, WallNanos(1)).unwrap();
    let logs = desk.store.add_destination(session(1).id, Kind::Log, &SettingsJson(String::new())).unwrap();
    let second = desk.store.add_destination(session(2).id, Kind::Span, &SettingsJson(String::new())).unwrap();
    desk.append(1..=3);
    desk.store.append(session(2).id, &spans(4..=5)).unwrap();
    assert_eq!(desk.batch_len(WIDE), 3);
    assert!(desk.store.next_batch(logs, WIDE).unwrap().rows.is_empty());
    assert_eq!(desk.store.next_batch(second, WIDE).unwrap().rows.len(), 2);
}

#[test]
fn a_cursor_never_moves_back() {
    let mut desk = desk();
    desk.append(1..=5);
    let first = desk.store.next_batch(desk.id, BatchLimit { rows: 1, ..WIDE }).unwrap().rows[0].seq;
    desk.send(3);
    desk.store.advance(desk.id, Advance { to: first, sent: 1, rejected: 0, dropped: 0 }).unwrap();
    assert_eq!(desk.counts(), Counts { sent: 3, pending: 2, ..Counts::default() });
}

#[test]
fn settings_leave_the_disk_with_the_last_span_of_an_ended_session() {
    let mut desk = desk();
    let is_on_disk = |desk: &Desk| {
        fs::read_dir(desk.store.dir()).unwrap().any(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        })
    };
    desk.append(1..=2);
    desk.send(1);
    desk.store.end_session(session(1).id, WallNanos(9)).unwrap();
    let Destination { session_ended, settings, .. } = desk.store.destination(desk.id).unwrap().unwrap();
    assert!(session_ended && settings.0 == SECRET && is_on_disk(&desk));
    desk.send(1);
    assert_eq!(desk.store.destination(desk.id).unwrap(), None);
    assert!(!is_on_disk(&desk));
    assert_eq!(desk.counts(), Counts { sent: 2, ..Counts::default() });
}

#[test]
fn a_dead_collectors_session_is_found_by_the_next_and_a_living_ones_is_not() {
    let scratch = Scratch::new();
    let mut store = Store::open(scratch.path()).unwrap();
    let dead = store.begin_session(&session(1), None, WallNanos(5)).unwrap();
    let _alive = store.begin_session(&session(2), None, WallNanos(6)).unwrap();
    store.append(session(1).id, &spans(1..=3)).unwrap();
    assert!(store.unended_sessions().unwrap().is_empty());
    drop(dead);
    let found = store.unended_sessions().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].session, found[0].last_stored), (&session(1), WallNanos(3_000)));
    // Whoever found it has it.
    assert!(Store::open(scratch.path()).unwrap().unended_sessions().unwrap().is_empty());
    store.end_session(session(1).id, found[0].last_stored).unwrap();
    drop(found);
    assert!(store.unended_sessions().unwrap().is_empty());
}

/// The span `number` is yet to come; what is filed there is called `draft NUMBER`.
fn open(number: u64) -> Signal {
    let Signal::Span(mut draft) = span(number, "test") else { panic!("it is a span") };
    draft.name = format!("draft {number}").into();
    draft.end = draft.start;
    Signal::Draft(Box::new(Draft { of: draft.id, span: Some(*draft) }))
}

fn close(number: u64) -> Signal {
    let Signal::Span(span) = span(number, "test") else { panic!("it is a span") };
    Signal::Draft(Box::new(Draft { of: span.id, span: None }))
}

/// Name and end of every span that is to be sent, in the order in which they were stored.
fn to_send(desk: &Desk) -> Vec<(String, u64)> {
    let rows = desk.store.next_batch(desk.id, WIDE).unwrap().rows;
    let spans = rows.iter().map(|row| otlp::Span::decode(row.encoded.as_slice()).unwrap());
    spans.map(|span| (span.name, span.end_time_unix_nano)).collect()
}

#[test]
fn what_a_dead_collector_had_open_is_sent_when_its_session_is_ended() {
    let mut desk = desk();
    let id = session(1).id;
    desk.store.append(id, &[open(5), open(6), span(6, "test"), close(6), open(7)]).unwrap();
    desk.store.append(id, &[span(7, "test"), close(7), open(900_000)]).unwrap();
    let sent = [("span 6".to_owned(), 6_000), ("span 7".to_owned(), 7_000)];
    assert_eq!(to_send(&desk), sent, "a draft is not sent");
    desk.lock = None;
    let found = desk.store.unended_sessions().unwrap();
    assert_eq!(found[0].last_stored, WallNanos(900_000), "what began is stored too");
    desk.store.end_session(id, WallNanos(8_000)).unwrap();
    // Never before its start, and never in place of what was sent.
    let late = [("draft 5".to_owned(), 8_000), ("draft 900000".to_owned(), 900_000)];
    assert_eq!(to_send(&desk), [sent.as_slice(), &late].concat());
    desk.store.end_session(id, WallNanos(9_000)).unwrap();
    assert_eq!(to_send(&desk).len(), 4, "once");
}

#[test]
fn a_later_draft_takes_the_place_of_an_earlier_one() {
    let mut desk = desk();
    let id = session(1).id;
    let Signal::Draft(mut exit) = open(2) else { panic!("it is a draft") };
    exit.of = SpanRef { span_id: SpanId::from_bytes(1_u64.to_be_bytes()), ..exit.of };
    desk.store.append(id, &[open(1)]).unwrap();
    desk.store.append(id, &[span(1, "test"), Signal::Draft(exit)]).unwrap();
    desk.store.end_session(id, WallNanos(8_000)).unwrap();
    assert_eq!(to_send(&desk), [("span 1".to_owned(), 1_000), ("draft 2".to_owned(), 8_000)]);
}

#[test]
fn pruning_leaves_what_is_open_and_its_resource() {
    let mut desk = desk();
    desk.store.append(session(1).id, &[open(1)]).unwrap();
    let everything = Limits { bytes: u64::MAX, age: Duration::ZERO };
    desk.store.prune(everything, WallNanos(1_000_000)).unwrap();
    desk.store.end_session(session(1).id, WallNanos(8)).unwrap();
    assert_eq!(to_send(&desk), [("draft 1".to_owned(), 8)]);
}

#[test]
fn pruning_by_age_discards_the_old_and_counts_what_was_unsent() {
    let mut desk = desk();
    desk.append(1..=23);
    desk.send(5);
    // Span n ends at n µs: at 30 µs, 13 of them are 17 µs old or older.
    let limits = Limits { bytes: u64::MAX, age: Duration::from_micros(17) };
    assert_eq!(desk.store.prune(limits, WallNanos(30_000)).unwrap(), Pruned { rows: 13, unsent: 8 });
    assert_eq!(desk.counts(), Counts { sent: 5, dropped: 8, pending: 10, ..Counts::default() });
    assert_eq!(desk.batch_len(WIDE), 10);
}

#[test]
fn pruning_leaves_no_row_of_what_it_discards() {
    let mut desk = desk();
    let linked = |number: u64| {
        let Signal::Span(mut one) = span(number, "test") else { panic!("it is a span") };
        let to = SpanRef { span_id: SpanId::from_bytes((number + 1).to_be_bytes()), ..one.id };
        one.links.push(crate::spans::model::Link { to, attributes: Vec::new() });
        Signal::Span(one)
    };
    desk.store.append(session(1).id, &(1..=23).map(linked).collect::<Vec<_>>()).unwrap();
    let rows = |desk: &Desk, table: &str| -> i64 {
        desk.store.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows(&desk, "span"), rows(&desk, "link"), rows(&desk, "operation")), (23, 23, 23));
    let limits = Limits { bytes: u64::MAX, age: Duration::from_micros(17) };
    desk.store.prune(limits, WallNanos(30_000)).unwrap();
    assert_eq!((rows(&desk, "signal"), rows(&desk, "span"), rows(&desk, "link")), (10, 10, 10));
    let everything = Limits { bytes: u64::MAX, age: Duration::ZERO };
    desk.store.prune(everything, WallNanos(1_000_000)).unwrap();
    assert_eq!((rows(&desk, "span"), rows(&desk, "link"), rows(&desk, "operation")), (0, 0, 0));
    assert_eq!(rows(&desk, "resource"), 0);
}

#[test]
fn pruning_by_size_gives_the_disk_back() {
    let mut desk = desk();
    desk.append(1..=20_000);
    let size = |desk: &Desk| fs::metadata(desk.store.dir().join(super::DATABASE)).unwrap().len();
    let limits = Limits { bytes: 1 << 20, age: Duration::MAX };
    let pruned = desk.store.prune(limits, WallNanos(0)).unwrap();
    assert!(pruned.rows > 5_000 && pruned.unsent == pruned.rows, "{pruned:?}");
    assert_eq!(desk.counts().dropped + desk.counts().pending, 20_000);
    desk.store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(size(&desk) < 2 << 20, "{}", size(&desk));
}

#[test]
fn pruning_forgets_old_sessions_that_are_over_and_keeps_the_others() {
    let mut desk = desk();
    desk.append(1..=2);
    let everything = Limits { bytes: u64::MAX, age: Duration::ZERO };
    desk.store.prune(everything, WallNanos(1_000_000)).unwrap();
    assert_eq!(desk.counts(), Counts { dropped: 2, ..Counts::default() });
    desk.store.end_session(session(1).id, WallNanos(9)).unwrap();
    desk.store.prune(everything, WallNanos(1_000_000)).unwrap();
    assert!(matches!(desk.store.counts(desk.id), Err(StoreError::UnknownDestination(_))));
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let mut desk = desk();
    let dir = desk.store.dir().to_owned();
    std::thread::scope(|threads| {
        for writer in 0..2 {
            let dir = &dir;
            threads.spawn(move || {
                let mut store = Store::open(dir).unwrap();
                for number in 0..50 {
                    store.append(session(1).id, &spans([1 + writer * 50 + number])).unwrap();
                }
            });
        }
    });
    assert_eq!(desk.batch_len(WIDE), 100);
    assert_eq!(desk.append([1, 100]), Appended { stored: 0, repeated: 2 });
}

#[test]
fn a_file_that_is_no_database_is_refused_with_its_path() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join(super::DATABASE), "this is not a database, and long enough to be looked at").unwrap();
    let refused = Store::open(scratch.path()).unwrap_err().to_string();
    assert!(refused.contains("agentsight.db") && refused.contains("not a database"), "{refused}");
}
