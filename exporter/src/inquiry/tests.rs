//! Two users' sessions in one store, and what each of them is told.

use std::collections::BTreeMap;

use agentsight_ebpf::WallNanos;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;

use super::wire::{Inquiry, Next, Reply, Spans, WireId};
use super::{Trouble, answer};
use crate::query::fixture::{BEGIN, With, found, id, key_value, span};
use crate::query::words::Words;
use crate::session::{CallerContext, Session, SessionId, SessionOptions, UserId};
use crate::store::scratch::Scratch;
use crate::store::{Row, Seq, Store};

pub(super) const ALICE: UserId = UserId(1000);
pub(super) const BOB: UserId = UserId(1001);
pub(super) const OF_ALICE: SessionId = SessionId([0xa; 16]);
pub(super) const OF_BOB: SessionId = SessionId([0xb; 16]);
/// Begun before owners were written down.
const OF_NOBODY: SessionId = SessionId([0xc; 16]);

/// What every span says of its image.
pub(super) fn of(span: Span, session: SessionId, pid: i64) -> Span {
    let mut span = span;
    span.attributes.retain(|attribute| attribute.key != "agentsight.session.id");
    span.says("agentsight.session.id", &session.to_string())
        .says("agentsight.process.start", &format!("{pid}000"))
        .counts("agentsight.process.exec_number", 1)
}

pub(super) fn image(number: u8, parent: u8, session: SessionId, pid: i64, users: (i64, i64)) -> Span {
    let span = span(number, parent, &format!("program-{pid} secret-{pid}"), (number.into(), 100));
    of(span.image(pid, &format!("program-{pid}")), session, pid)
        .says("process.command_args", &format!("secret-{pid}"))
        .counts("process.user.id", users.0)
        .counts("process.real_user.id", users.1)
}

pub(super) fn burst(number: u8, parent: u8, session: SessionId, pid: i64) -> Span {
    let span = span(number, parent, &format!("write secret-{pid}"), (number.into(), 100));
    of(span.burst(pid, &format!("program-{pid}"), "write", &format!("/secret-{pid}")), session, pid)
}

/// Alice's shell (1) runs a setuid program (2), which writes (3) and starts root's (4); the shell writes (5) because of that
/// and of Bob's (11), and goes on (6), writing (7). A process whose image is not there wrote (8), and one became root (9, 10).
pub(super) fn store(scratch: &Scratch) -> Store {
    let mut store = Store::open(&scratch.path().join("store")).unwrap();
    for (session, owner) in [(OF_ALICE, Some(ALICE)), (OF_BOB, Some(BOB)), (OF_NOBODY, None)] {
        let session = Session {
            id: session,
            trace_id: TraceId::from_bytes(session.0),
            id_key: [9; 16],
            boot_id: "boot".to_owned(),
            host: BTreeMap::new(),
            caller: CallerContext::default(),
            options: SessionOptions::default(),
        };
        let _lock = store.begin_session(&session, owner, WallNanos(BEGIN)).unwrap();
    }
    let mut became = image(9, 1, OF_ALICE, 109, (1000, 1000));
    let user = key_value("process.user.id", opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(0));
    became.events.push(Event { name: "setuid".to_owned(), attributes: vec![user], ..Event::default() });
    let continuation = of(span(6, 0, "continue", (60, 61)), OF_ALICE, 101)
        .says("agentsight.object.type", "process")
        .says("agentsight.action", "continue")
        .counts("process.pid", 101)
        .because("segment", 1, 1.0);
    let spans = [
        (OF_ALICE, image(1, 0, OF_ALICE, 101, (1000, 1000))),
        (OF_ALICE, image(2, 1, OF_ALICE, 102, (0, 1000))),
        (OF_ALICE, burst(3, 2, OF_ALICE, 102)),
        (OF_ALICE, image(4, 2, OF_ALICE, 104, (0, 0))),
        (
            OF_ALICE,
            burst(5, 1, OF_ALICE, 101).because("file", 3, 0.95).because("join", 4, 1.0).because("lineage", 11, 1.0),
        ),
        (OF_ALICE, continuation),
        (OF_ALICE, burst(7, 6, OF_ALICE, 101)),
        (OF_ALICE, burst(8, 99, OF_ALICE, 108)),
        (OF_ALICE, became),
        (OF_ALICE, burst(10, 9, OF_ALICE, 109)),
        (OF_BOB, image(11, 1, OF_BOB, 111, (1001, 1001)).because("lineage", 1, 1.0)),
        (OF_NOBODY, image(12, 1, OF_NOBODY, 112, (1000, 1000))),
    ];
    for (session, span) in spans {
        let found = found(span);
        store.append_rows(session, [Row::of_span(found.span.clone(), &found.resource)]).unwrap();
    }
    store
}

fn spans(store: &Store, user: UserId, inquiry: Inquiry) -> Spans {
    match answer(store, user, inquiry).unwrap() {
        Reply::Spans(spans) => spans,
        other => panic!("{other:?}"),
    }
}

/// The last byte of each span's id, with its name.
fn told(store: &Store, user: UserId, inquiry: Inquiry) -> Vec<(u8, String)> {
    let found = spans(store, user, inquiry).unpack().unwrap();
    let mut told: Vec<_> = found.into_iter().map(|found| (found.span.span_id[7], found.span.name)).collect();
    told.sort();
    told
}

fn numbers(store: &Store, user: UserId, inquiry: Inquiry) -> Vec<u8> {
    told(store, user, inquiry).into_iter().map(|(number, _)| number).collect()
}

fn search(words: Words) -> Inquiry {
    Inquiry::Search { words: Box::new(words) }
}

fn some(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_user_sees_their_own_processes_whole_and_of_others_only_that_they_ran() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let expected = [
        (1, "program-101 secret-101"),
        (2, "program-102"),
        (4, "program-104"),
        (5, "write secret-101"),
        (6, "continue"),
        (7, "write secret-101"),
        (9, "program-109"),
    ];
    let expected: Vec<_> = expected.map(|(number, name)| (number, name.to_owned())).to_vec();
    let after = Seq::BEFORE_ANY;
    for inquiry in [
        search(Words::default()),
        Inquiry::Trace { id: [1; 16], after },
        Inquiry::Session { id: OF_ALICE, after },
        Inquiry::Spans { ids: (1..=20).map(id).map(WireId::from).collect() },
        Inquiry::StoredSince { after },
    ] {
        assert_eq!(told(&store, ALICE, inquiry.clone()), expected, "{inquiry:?}");
        let all = numbers(&store, UserId::ROOT, inquiry.clone());
        assert!(all.len() >= 10, "root sees {all:?}");
    }
    let answer = format!("{:?}", spans(&store, ALICE, search(Words::default())).unpack().unwrap());
    for hidden in [102, 104, 108, 109, 111, 112] {
        assert!(!answer.contains(&format!("secret-{hidden}")), "{hidden}: {answer}");
    }
}

#[test]
fn another_users_session_and_one_of_an_older_store_are_not_there() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let after = Seq::BEFORE_ANY;
    assert_eq!(numbers(&store, BOB, search(Words::default())), [11]);
    for inquiry in [
        Inquiry::Session { id: OF_ALICE, after },
        Inquiry::Session { id: OF_NOBODY, after },
        Inquiry::Session { id: SessionId([0xd; 16]), after },
        Inquiry::Spans { ids: vec![id(1).into(), id(12).into()] },
        Inquiry::Children { of: vec![id(2).into()] },
        Inquiry::Effects { of: vec![id(3).into()] },
        Inquiry::Lossy { sessions: vec![OF_ALICE] },
        search(Words { session: Some(OF_ALICE.to_string()), ..Words::default() }),
    ] {
        assert_eq!(numbers(&store, BOB, inquiry.clone()), [0; 0], "{inquiry:?}");
    }
    // What is linked to a user's own, or below it, is not thereby theirs.
    assert_eq!(numbers(&store, ALICE, Inquiry::Effects { of: vec![id(1).into()] }), [6]);
    assert_eq!(numbers(&store, ALICE, Inquiry::Children { of: vec![id(1).into()] }), [2, 5, 9]);
    let ids = |user, inquiry| match answer(&store, user, inquiry).unwrap() {
        Reply::SessionIds(ids) => ids.len(),
        Reply::TraceIds(ids) => ids.len(),
        Reply::SpanIds(ids) => ids.len(),
        Reply::Sessions(listed) => listed.len(),
        other => panic!("{other:?}"),
    };
    let like = |text: &str| text.to_owned();
    assert_eq!(ids(BOB, Inquiry::SessionsLike { beginning: like("0a0a") }), 0);
    assert_eq!(ids(ALICE, Inquiry::SessionsLike { beginning: like("0A0a") }), 1);
    assert_eq!(ids(UserId(1002), Inquiry::TracesLike { beginning: like("0101") }), 0);
    assert_eq!(ids(BOB, Inquiry::TracesLike { beginning: like("0101") }), 1);
    assert_eq!(ids(BOB, Inquiry::SpansLike { beginning: like("0000000000000001") }), 0);
    assert_eq!(ids(ALICE, Inquiry::SpansLike { beginning: like("0000000000000001") }), 1);
    assert_eq!(ids(ALICE, Inquiry::SpansLike { beginning: like("0000000000000003") }), 0, "it is hidden");
    for (user, count) in [(ALICE, 1), (BOB, 1), (UserId(1002), 0), (UserId::ROOT, 3)] {
        assert_eq!(ids(user, Inquiry::Sessions { limit: usize::MAX }), count);
    }
}

#[test]
fn what_is_hidden_is_not_found_by_asking_for_it() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    for words in [
        Words { path: some(&["/secret-102"]), ..Words::default() },
        Words { path: some(&["/usr/bin/program-104"]), ..Words::default() },
        Words { attribute: some(&["process.command_args=secret-104"]), ..Words::default() },
        Words { exe: some(&["program-102"]), action: some(&["file"]), ..Words::default() },
        Words { pid: some(&["108"]), ..Words::default() },
    ] {
        assert_eq!(numbers(&store, ALICE, search(words.clone())), [0; 0], "{words:?}");
        assert!(!numbers(&store, UserId::ROOT, search(words.clone())).is_empty(), "{words:?}");
    }
    let that_it_ran = Words { exe: some(&["program-102"]), ..Words::default() };
    assert_eq!(numbers(&store, ALICE, search(that_it_ran)), [2]);
}

#[test]
fn a_cause_that_is_hidden_is_counted_and_one_that_is_only_named_stays() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let found = spans(&store, ALICE, Inquiry::Spans { ids: vec![id(5).into()] }).unpack().unwrap();
    let links: Vec<u8> = found[0].span.links.iter().map(|link| link.span_id[7]).collect();
    assert_eq!((links, found[0].span.dropped_links_count), (vec![4, 11], 1));
}

#[test]
fn a_long_answer_comes_in_parts() {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    for number in 0..1_200_u16 {
        let mut span = image(200, 1, OF_ALICE, i64::from(number), (1000, 1000));
        span.span_id[..2].copy_from_slice(&(number + 1).to_be_bytes());
        let found = found(span);
        store.append_rows(OF_ALICE, [Row::of_span(found.span.clone(), &found.resource)]).unwrap();
    }
    let (mut cursor, mut pages, mut count) = (None, 0, 0);
    loop {
        let words = Words { cursor, limit: Some("100000".to_owned()), ..Words::default() };
        let page = spans(&store, ALICE, search(words));
        (pages, count) = (pages + 1, count + page.len());
        cursor = match page.next {
            Some(Next::Cursor(cursor)) => Some(cursor),
            _ => break,
        };
    }
    assert_eq!((pages, count), (3, 1_207));
    let (mut after, mut pages, mut count) = (Seq::BEFORE_ANY, 0, 0);
    loop {
        let part = spans(&store, ALICE, Inquiry::Trace { id: [1; 16], after });
        (pages, count) = (pages + 1, count + part.len());
        after = match part.next {
            Some(Next::Behind(place)) => place,
            _ => break,
        };
    }
    assert_eq!((pages, count), (3, 1_207));
}

#[test]
fn what_asks_for_too_much_or_is_no_id_is_refused() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let like = |beginning: &str| Inquiry::SessionsLike { beginning: beginning.to_owned() };
    for inquiry in [
        like("0*0a"),
        like("abc"),
        like(&"0".repeat(33)),
        Inquiry::SpansLike { beginning: "0".repeat(17) },
        Inquiry::Spans { ids: vec![id(1).into(); 1_001] },
        Inquiry::Lossy { sessions: vec![OF_ALICE; 1_001] },
        search(Words { exe: vec!["*".to_owned(); 33], ..Words::default() }),
        search(Words { subtree: Some("1".to_owned()), ..Words::default() }),
    ] {
        let refused = answer(&store, ALICE, inquiry.clone());
        assert!(matches!(refused, Err(Trouble::Malformed(_))), "{inquiry:?}: {refused:?}");
    }
    let unclear = answer(&store, ALICE, search(Words { limit: Some("0".to_owned()), ..Words::default() }));
    assert!(matches!(unclear, Err(Trouble::Word(_))), "{unclear:?}");
}
