//! Contents in the store: what comes back, what is shared, what goes when, and who read what.

use std::time::Duration;

use agentsight_ebpf::{ContentHole, Missing, WallNanos};
use opentelemetry::trace::{SpanId, TraceId};

use super::tests::{Desk, desk, session, span};
use super::{Door, Limits, Reader, Reading, Store, StoreError};
use crate::content::ContentHash;
use crate::session::{SpanRef, UserId};
use crate::spans::model::{ContentLayout, Signal, SpanContent};

const FOREVER: Limits = Limits { bytes: u64::MAX, age: Duration::MAX };
const NOTHING: Limits = Limits { bytes: u64::MAX, age: Duration::ZERO };

fn id(number: u64) -> SpanRef {
    SpanRef { trace_id: TraceId::from_bytes([7; 16]), span_id: SpanId::from_bytes(number.to_be_bytes()) }
}

fn whole(length: usize) -> ContentLayout {
    let runs = if length == 0 { Vec::new() } else { vec![(0, length as u64)] };
    ContentLayout { runs, complete: true, ..ContentLayout::default() }
}

/// Of span `number`; the hash is made up, but one for each sequence of bytes.
fn content(number: u64, bytes: &[u8]) -> Signal {
    let mut hash = [0; 32];
    let sum = bytes.iter().fold(17_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    hash[..8].copy_from_slice(&sum.to_be_bytes());
    let SpanRef { trace_id, span_id } = id(number);
    let hash = ContentHash(hash);
    Signal::Content(Box::new(SpanContent {
        trace_id,
        span_id,
        hash,
        bytes: bytes.to_vec(),
        layout: whole(bytes.len()),
    }))
}

/// Bytes that do not pack.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

impl Desk {
    fn put(&mut self, signals: &[Signal]) {
        self.store.append(session(1).id, signals).unwrap();
    }

    fn bytes(&self, number: u64) -> Option<Vec<u8>> {
        self.store.content(id(number)).unwrap().map(|content| content.bytes)
    }

    fn rows(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.store.connection.query_row(&count, [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn contents_come_back_as_they_were_appended() {
    let mut desk = desk();
    let hole = |range, cause| ContentHole { range, cause };
    let layout = ContentLayout {
        runs: vec![(10, 4), (u64::MAX - 8, 3)],
        holes: vec![hole(0..10, Missing::RingFull), hole(14..1 << 40, Missing::Budget)],
        redacted: vec![11..13, 14..20],
        lost_chunks: 3,
        complete: false,
    };
    let Signal::Content(mut first) = content(1, b"a**d\0\xff\n") else { panic!("it is content") };
    first.layout = layout;
    desk.put(&[span(1, "test"), Signal::Content(first.clone()), content(2, b""), span(2, "test")]);
    assert_eq!(desk.store.content(id(1)).unwrap(), Some(*first));
    assert_eq!(desk.bytes(2), Some(Vec::new()));
    assert_eq!(desk.store.content(id(3)).unwrap(), None);
    // Whoever only reads beside the writer reads the same.
    let beside = Store::open_reading(desk.store.dir()).unwrap().unwrap();
    assert_eq!(beside.content(id(1)).unwrap(), desk.store.content(id(1)).unwrap());
}

#[test]
fn equal_bytes_are_stored_once_and_go_with_the_last_that_has_them() {
    let mut desk = desk();
    desk.put(&[span(1, "test"), content(1, b"shared"), span(2, "test"), content(2, b"own")]);
    desk.put(&[span(300, "test"), content(300, b"shared")]);
    assert_eq!((desk.rows("content"), desk.rows("blob")), (3, 2));
    // Span n ends at n µs.
    let limits = Limits { age: Duration::from_micros(100), ..FOREVER };
    assert_eq!(desk.store.prune_contents(limits, WallNanos(200_000)).unwrap(), 2);
    assert_eq!((desk.bytes(1), desk.bytes(2), desk.bytes(300)), (None, None, Some(b"shared".to_vec())));
    assert_eq!((desk.rows("content"), desk.rows("blob")), (1, 1));
    desk.store.prune_contents(NOTHING, WallNanos(1_000_000)).unwrap();
    assert_eq!((desk.rows("blob"), desk.store.content_bytes()), (0, 0));
}

#[test]
fn the_first_contents_of_a_span_stay_and_leave_nothing_of_the_second() {
    let mut desk = desk();
    desk.put(&[span(1, "test"), content(1, b"first")]);
    desk.put(&[span(1, "test"), content(1, b"second")]);
    assert_eq!(desk.bytes(1), Some(b"first".to_vec()));
    assert_eq!(desk.rows("blob"), 1);
}

#[test]
fn contents_are_appended_with_their_span_or_not_at_all() {
    let mut desk = desk();
    let refused = desk.store.append(session(2).id, &[span(1, "test"), content(1, b"of no session")]);
    assert!(matches!(refused, Err(StoreError::UnknownSession(_))));
    assert_eq!((desk.rows("signal"), desk.rows("content"), desk.rows("blob")), (0, 0, 0));
}

#[test]
fn contents_past_their_size_go_oldest_first_and_the_spans_stay() {
    let mut desk = desk();
    for number in 1..=300 {
        desk.put(&[span(number, "test"), content(number, &noise(number, 10_000))]);
    }
    let before = desk.store.content_bytes();
    assert!((3_000_000..3_200_000).contains(&before), "{before}");
    let limits = Limits { bytes: 1_500_000, ..FOREVER };
    let pruned = desk.store.prune_contents(limits, WallNanos(0)).unwrap();
    assert_eq!(pruned, 200, "a hundred at a time");
    assert!(desk.store.content_bytes() <= limits.bytes);
    assert_eq!((desk.bytes(200), desk.bytes(201)), (None, Some(noise(201, 10_000))));
    assert_eq!(desk.rows("signal"), 300);
}

#[test]
fn contents_take_no_room_from_spans() {
    let mut desk = desk();
    for number in 1..=100 {
        desk.put(&[span(number, "test"), content(number, &noise(number, 50_000))]);
    }
    assert!(desk.store.size_bytes() > 5_000_000);
    let pruned = desk.store.prune(Limits { bytes: 2 << 20, ..FOREVER }, WallNanos(0)).unwrap();
    assert_eq!((pruned.rows, desk.rows("content")), (0, 100));
}

#[test]
fn contents_do_not_outlive_their_span_nor_their_session() {
    let mut desk = desk();
    desk.put(&[span(1, "test"), content(1, b"one"), span(300, "test"), content(300, b"two")]);
    desk.put(&[content(9, b"of a span that never came")]);
    let limits = Limits { age: Duration::from_micros(100), ..FOREVER };
    desk.store.prune(limits, WallNanos(200_000)).unwrap();
    assert_eq!((desk.bytes(1), desk.bytes(300)), (None, Some(b"two".to_vec())));
    // Its span may be on its way.
    desk.store.prune_contents(limits, WallNanos(200_000)).unwrap();
    assert!(desk.bytes(9).is_some());
    desk.store.end_session(session(1).id, WallNanos(5_000)).unwrap();
    desk.lock = None;
    desk.store.prune(NOTHING, WallNanos(1_000_000)).unwrap();
    assert_eq!((desk.rows("session"), desk.rows("content"), desk.rows("blob")), (0, 0, 0));
}

#[test]
fn what_was_discarded_leaves_no_byte_in_the_file() {
    let mut desk = desk();
    let text = b"folder=7 is what nobody should find here any more";
    desk.put(&[span(1, "test"), content(1, text)]);
    let path = desk.store.dir().join(super::DATABASE);
    let is_there = |desk: &Desk| {
        desk.store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let file = std::fs::read(&path).unwrap();
        file.windows(20).any(|window| window == &text[10..30])
    };
    assert!(is_there(&desk), "so short a text is packed as it is");
    desk.store.prune_contents(NOTHING, WallNanos(1_000_000)).unwrap();
    assert!(!is_there(&desk));
}

#[test]
fn damaged_contents_are_said_and_never_shown() {
    for (damage, what) in [
        ("UPDATE blob SET packed = x'00010203'", "packed"),
        ("UPDATE blob SET packed = CAST(substr(packed, 1, length(packed) - 1) || x'aa' AS BLOB)", "checksum"),
        ("UPDATE blob SET bytes = 3", "shorter"),
        ("UPDATE blob SET bytes = -1", "negative"),
        ("UPDATE blob SET bytes = 9223372036854775807", "endless"),
        ("UPDATE content SET layout = '{}'", "no layout"),
        ("UPDATE content SET layout = replace(layout, '[[0,5]]', '[[0,4]]')", "too few"),
        ("UPDATE content SET layout = replace(layout, '[[0,5]]', '[[0,4],[3,1]]')", "overlapping"),
        ("UPDATE content SET layout = replace(layout, '[[0,5]]', '[[18446744073709551615,5]]')", "past the end"),
    ] {
        let mut desk = desk();
        desk.put(&[span(1, "test"), content(1, b"bytes")]);
        desk.store.connection.execute(damage, []).unwrap();
        let read = desk.store.content(id(1));
        assert!(matches!(read, Err(StoreError::DamagedContent { .. })), "{what}: {read:?}");
    }
}

#[test]
fn who_read_contents_is_counted_and_kept_as_long_as_they_are() {
    let mut desk = desk();
    desk.put(&[span(1, "test"), content(1, b"bytes")]);
    let user = Reader { user: UserId(1000), door: Door::Daemon };
    let root = Reader { user: UserId::ROOT, door: Door::Command };
    for (by, at) in [(user, 5), (root, 7), (user, 9)] {
        desk.store.log_reading(id(1), by, WallNanos(at)).unwrap();
    }
    // Nothing was read of what is not there.
    desk.store.log_reading(id(2), user, WallNanos(9)).unwrap();
    let reading = |by, first, last, times| Reading { by, first: WallNanos(first), last: WallNanos(last), times };
    assert_eq!(desk.store.readings(id(1)).unwrap(), [reading(user, 5, 9, 2), reading(root, 7, 7, 1)]);
    assert_eq!(desk.store.readings(id(2)).unwrap(), []);
    desk.store.prune_contents(NOTHING, WallNanos(1_000_000)).unwrap();
    assert_eq!(desk.rows("content_reading"), 0);
}

#[test]
fn a_copy_of_a_store_has_its_contents() {
    let mut desk = desk();
    desk.put(&[span(1, "test"), content(1, b"bytes")]);
    desk.store.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let copy = desk.scratch.path().join("copy.db");
    std::fs::copy(desk.store.dir().join(super::DATABASE), &copy).unwrap();
    let copy = Store::open_copy(&copy).unwrap();
    assert_eq!(copy.content(id(1)).unwrap().map(|content| content.bytes), Some(b"bytes".to_vec()));
}
