//! Recordings that are whole, cut, damaged, from the future and hostile.

use std::collections::BTreeMap;

use agentsight_ebpf::{
    Captured, Clock, Credentials, EarlierSpan, Environment, Event, Exec, ExecNumber, Exit, Fork, Gap, KernelNanos,
    Loss, LossKind, ProcessKey, Tgid, Tick, Tid, WallNanos,
};
use opentelemetry::trace::TraceId;

use super::{FORMAT_VERSION, MAGIC, ReadError, Reader, Writer, every_kind, frame};
use crate::session::{CallerContext, Session, SessionId, SessionOptions};

const END: KernelNanos = KernelNanos(99);

fn session() -> Session {
    Session {
        id: SessionId([7; 16]),
        trace_id: TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").expect("32 hex digits"),
        id_key: [9; 16],
        boot_id: "b".to_owned(),
        host: BTreeMap::from([("host.name".to_owned(), "h".to_owned())]),
        caller: CallerContext { traceparent: Some("00-x".to_owned()), tracestate: None },
        options: SessionOptions::default(),
    }
}

/// One event of each kind, with bytes that are no UTF-8 and every kind of gap.
fn events() -> Vec<Event> {
    let process = ProcessKey { tgid: Tgid(2), start: KernelNanos(u64::MAX) };
    let fork = Fork {
        at: KernelNanos(1),
        process,
        vpid: 2,
        parent: process,
        parent_tid: Tid(1),
        parent_exec: ExecNumber(0),
        flow: None,
        root: true,
    };
    let exec = Exec {
        at: KernelNanos(2),
        process,
        exec: ExecNumber(1),
        caller_tid: Tid(2),
        vpid: 2,
        parent: process,
        credentials: Credentials::default(),
        cgroup_id: 1,
        cgroup: Captured::default(),
        container: None,
        executable: Captured::whole("/bin/\u{e9}"),
        executable_deleted: false,
        requested: Captured { bytes: vec![], gap: Some(Gap::Unreadable) },
        working_directory: Captured::whole(&b"/\xff\0"[..]),
        args: Captured { bytes: b"a\0\xc3\x28".to_vec(), gap: Some(Gap::Truncated { total: 70_000 }) },
        redactions: 3,
        flow: None,
        continues: Some(EarlierSpan { trace_id: [1; 16], span_id: [2; 8] }),
        environment: Environment { baggage: Some(Captured::whole("a=b")), incomplete: true, ..Environment::default() },
    };
    vec![
        Event::Clock(Clock { at: KernelNanos(0), wall: WallNanos(5) }),
        Event::Fork(fork),
        Event::Exec(Box::new(exec)),
        Event::Exit(Exit { at: KernelNanos(3), process, exec: ExecNumber(1), status: 256 }),
        Event::Loss(Loss { at: KernelNanos(4), kind: LossKind::Exec, count: 5 }),
        Event::Tick(Tick { at: KernelNanos(5) }),
    ]
}

/// A file with a frame for every two events, so that there is much to cut between.
fn recording() -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &session()).expect("memory takes all");
    for pair in events().chunks(2) {
        for event in pair {
            writer.write_event(event).expect("memory takes all");
        }
        writer.flush().expect("memory takes all");
    }
    writer.finish(END).expect("memory takes all")
}

/// The events before the damage, and the damage.
fn read(bytes: &[u8]) -> (Vec<Event>, Option<ReadError>) {
    let reader = match Reader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let (mut events, mut error) = (Vec::new(), None);
    for item in reader {
        match item {
            Ok(event) => events.push(event),
            Err(damage) => error = Some(damage),
        }
    }
    (events, error)
}

/// A file with these CBOR items in one frame.
fn with_items(items: &[ciborium::Value]) -> Vec<u8> {
    let mut cbor = Vec::new();
    for item in items {
        ciborium::into_writer(item, &mut cbor).expect("memory takes all");
    }
    let mut file = Writer::begin(Vec::new(), &session()).expect("memory takes all").output_mut().clone();
    file.extend(frame::encode(&cbor).expect("small"));
    file
}

fn map(entries: impl IntoIterator<Item = (&'static str, ciborium::Value)>) -> ciborium::Value {
    ciborium::Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

#[test]
fn what_is_written_is_read() {
    let bytes = recording();
    let mut reader = Reader::open(bytes.as_slice()).expect("a recording");
    assert_eq!(reader.header().session, session());
    assert_eq!(reader.header().agentsight_version, env!("CARGO_PKG_VERSION"));
    let read: Vec<_> = reader.by_ref().map(|event| event.expect("whole")).collect();
    assert_eq!(read, events());
    assert_eq!(reader.end().map(|end| (end.events, end.at)), Some((6, END)));
    assert_eq!(reader.skipped(), 0);
}

#[test]
fn every_kind_of_event_is_read_as_it_was_written() {
    let mut writer = Writer::begin(Vec::new(), &session()).expect("memory takes all");
    for event in every_kind::events() {
        writer.write_event(&event).expect("memory takes all");
    }
    let (got, error) = read(&writer.finish(END).expect("memory takes all"));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(got, every_kind::events());
}

#[test]
fn many_events_are_split_into_frames_and_read_back() {
    let mut writer = Writer::begin(Vec::new(), &session()).expect("memory takes all");
    let ticks: Vec<_> = (0..20_011).map(|at| Event::Tick(Tick { at: KernelNanos(at) })).collect();
    for tick in &ticks {
        writer.write_event(tick).expect("memory takes all");
    }
    let bytes = writer.finish(END).expect("memory takes all");
    let (got, error) = read(&bytes);
    assert!(error.is_none() && got == ticks);
    // The beginning is readable without the rest, so a crash costs only what was not flushed.
    let (got, error) = read(&bytes[..bytes.len() / 2]);
    assert!(matches!(error, Some(ReadError::Truncated { .. })) && got.len() > 4_000 && ticks.starts_with(&got));
}

#[test]
fn the_same_session_makes_the_same_bytes() {
    assert_eq!(recording(), recording());
}

#[test]
fn a_recording_cut_anywhere_gives_what_came_before_and_where_it_ends() {
    let (bytes, whole) = (recording(), events());
    let mut counts = Vec::new();
    for length in 1..bytes.len() {
        let (got, error) = read(&bytes[..length]);
        let Some(ReadError::Truncated { at, events }) = error else { panic!("cut at {length}: {error:?}") };
        assert_eq!((at, events), (length as u64, got.len() as u64));
        assert!(whole.starts_with(&got));
        counts.push(got.len());
    }
    counts.dedup();
    assert_eq!(counts, [0, 2, 4, 6]);
    assert!(matches!(read(&[]).1, Some(ReadError::NotARecording)));
}

#[test]
fn a_flipped_bit_is_noticed_and_what_came_before_is_kept() {
    let (bytes, whole) = (recording(), events());
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (got, error) = read(&damaged);
        assert!(error.is_some() && whole.starts_with(&got), "bit {bit}: {} events, {error:?}", got.len());
    }
}

#[test]
fn other_files_and_newer_formats_are_refused_with_what_to_do() {
    assert!(matches!(read(b"#!/bin/sh\n").1, Some(ReadError::NotARecording)));
    let mut newer = MAGIC.to_vec();
    newer.extend_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    let error = read(&newer).1.expect("refused").to_string();
    assert!(
        error.contains("format version 2") && error.contains("replay it with the version that wrote it"),
        "{error}"
    );
}

#[test]
fn fields_and_kinds_of_a_later_version_are_passed_over_and_counted() {
    let number = |value: u64| ciborium::Value::from(value);
    let file = with_items(&[
        map([("event", map([("tick", map([("at", number(5)), ("mood", "good".into())]))]))]),
        map([("event", map([("teleport", map([("at", number(6))]))]))]),
        map([("event", "unit".into())]),
        map([("index", number(1))]),
        number(8),
        map([("end", map([("events", number(3)), ("at", number(99)), ("weather", "fine".into())]))]),
    ]);
    let mut reader = Reader::open(file.as_slice()).expect("a recording");
    let read: Vec<_> = reader.by_ref().map(|event| event.expect("readable")).collect();
    assert_eq!(read, [Event::Tick(Tick { at: KernelNanos(5) })]);
    assert_eq!((reader.skipped(), reader.end().map(|end| end.at)), (2, Some(END)));
}

#[test]
fn a_recording_that_contradicts_itself_is_corrupt() {
    let number = |value: u64| ciborium::Value::from(value);
    let end = |events| map([("end", map([("events", number(events)), ("at", number(1))]))]);
    let tick = || map([("event", map([("tick", map([("at", number(5))]))]))]);
    for items in [vec![tick(), end(2)], vec![end(0), tick()], vec![map([("header", number(1))])]] {
        let error = read(&with_items(&items)).1;
        assert!(matches!(error, Some(ReadError::Corrupt { .. })), "{error:?}");
    }
    let doubled = [recording(), recording()].concat();
    assert!(matches!(read(&doubled).1, Some(ReadError::Corrupt { .. })));
}

#[test]
fn lengths_that_lie_cost_no_memory_and_no_panic() {
    let opening = Writer::begin(Vec::new(), &session()).expect("memory takes all").output_mut().clone();
    let after = |bytes: &[u8]| read(&[opening.as_slice(), bytes].concat()).1;
    // A frame of 4 GiB; one of 16 MiB that is not there.
    assert!(matches!(after(&[0xff; 8]), Some(ReadError::Corrupt { .. })));
    assert!(matches!(after(&[0, 0, 0, 1, 0, 0, 0, 0, 1]), Some(ReadError::Truncated { .. })));
    // 1 GiB of zeroes in a frame of kilobytes.
    let bomb = frame::encode(&vec![0; frame::ITEMS_BYTES_MAX + 1]).expect("zeroes are small");
    assert!(matches!(after(&bomb), Some(ReadError::Corrupt { .. })));
    // CBOR: an array of 2^60 items, a text of 2^60 bytes, arrays in arrays.
    for cbor in [vec![0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0], vec![0x7b, 0x10, 0, 0, 0, 0, 0, 0, 0], vec![0x81; 100_000]] {
        let error = after(&frame::encode(&cbor).expect("small"));
        assert!(matches!(error, Some(ReadError::Corrupt { .. })), "{error:?}");
    }
}
