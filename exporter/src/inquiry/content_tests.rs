//! Whose contents a user is told.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;

use super::tests::{ALICE, BOB, OF_ALICE, OF_BOB, burst, image, of, store};
use super::wire::{Inquiry, Reply};
use super::{Trouble, answer};
use crate::content::ContentHash;
use crate::query::fixture::{With, found, id, key_value, span, text};
use crate::session::{SessionId, UserId};
use crate::spans::model::{ContentLayout, Signal, SpanContent};
use crate::store::scratch::Scratch;
use crate::store::{Row, Store};

/// Each span of these has moved its own number, in words.
fn moved(store: &mut Store, session: SessionId, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        let bytes = format!("bytes of {number}").into_bytes();
        let layout = ContentLayout { runs: vec![(0, bytes.len() as u64)], complete: true, ..ContentLayout::default() };
        let (trace_id, span_id) = (id(number).trace_id, id(number).span_id);
        let hash = ContentHash([number; 32]);
        let content = SpanContent { trace_id, span_id, hash, bytes, layout };
        store.append(session, &[Signal::Content(Box::new(content))]).unwrap();
    }
}

/// What this user is told that a span moved; the error says that it may be another's.
fn told(store: &Store, user: UserId, number: u8) -> Result<Option<String>, ()> {
    match answer(store, user, Inquiry::Content { of: id(number).into() }) {
        Ok(Reply::Content(moved)) => {
            Ok(moved.map(|moved| String::from_utf8(moved.unpack(id(number)).unwrap().bytes).unwrap()))
        }
        Err(Trouble::MayBeAnothers) => Err(()),
        other => panic!("{other:?}"),
    }
}

fn bytes_of(number: u8) -> Result<Option<String>, ()> {
    Ok(Some(format!("bytes of {number}")))
}

#[test]
fn a_user_is_told_what_their_own_processes_moved_and_never_what_others_did() {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    // Of images too, though they move nothing: that they may be seen in part does not open them.
    moved(&mut store, OF_ALICE, 1..=10);
    moved(&mut store, OF_BOB, 11..=12);
    for own in [5, 7] {
        assert_eq!(told(&store, ALICE, own), bytes_of(own));
    }
    for hidden in [2, 3, 4, 8, 9, 10, 11, 12, 13] {
        assert_eq!(told(&store, ALICE, hidden), Ok(None), "{hidden}");
    }
    assert_eq!((told(&store, BOB, 5), told(&store, BOB, 11)), (Ok(None), bytes_of(11)));
    for number in 1..=12 {
        assert_eq!(told(&store, UserId::ROOT, number), bytes_of(number));
    }
    assert_eq!(told(&store, UserId::ROOT, 13), Ok(None));
}

#[test]
fn of_a_span_without_contents_nothing_is_told() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    for user in [ALICE, BOB, UserId::ROOT] {
        assert_eq!(told(&store, user, 5), Ok(None));
    }
}

/// Alice's, that a rule of hers or nobody's named.
fn own(number: u8, parent: u8, pid: i64) -> Span {
    image(number, parent, OF_ALICE, pid, (1000, 1000))
}

fn exit(number: u8, parent: u8, pid: i64) -> Span {
    of(span(number, parent, "exit", (number.into(), 200)), OF_ALICE, pid)
        .says("agentsight.object.type", "process")
        .says("agentsight.action", "exit")
        .counts("process.pid", pid)
}

fn becoming(user: i64, mut span: Span) -> Span {
    let attributes = vec![key_value("process.user.id", Value::IntValue(user))];
    span.events.push(Event { name: "setuid".to_owned(), attributes, ..Event::default() });
    span
}

/// What Alice is told of burst 20, whose link to burst 19 says what both have in common: its text, and that.
fn said_of_bytes(life: impl IntoIterator<Item = Span>, cause: Span) -> (bool, bool) {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    let mut effect = burst(20, 21, OF_ALICE, 120).says("agentsight.content.text", "folder=7").because("flow", 19, 0.95);
    let excerpt = key_value("agentsight.link.match.excerpt", text("folder: 7"));
    effect.links[0].attributes.push(excerpt);
    for span in life.into_iter().chain([cause, effect]) {
        let found = found(span);
        store.append_rows(OF_ALICE, [Row::of_span(found.span.clone(), &found.resource)]).unwrap();
    }
    let Ok(Reply::Spans(spans)) = answer(&store, ALICE, Inquiry::Spans { ids: vec![id(20).into()] }) else {
        panic!("it is theirs to see")
    };
    let span = spans.unpack().unwrap().remove(0).span;
    let said = format!("{:?}", span.links);
    assert!(span.links.is_empty() || said.contains("agentsight.link.confidence"), "{said}");
    (format!("{:?}", span.attributes).contains("folder=7"), said.contains("folder: 7"))
}

#[test]
fn what_a_span_or_a_link_says_of_bytes_is_told_like_the_bytes() {
    let promoted = || own(21, 1, 120).admits("agentsight.span.promoted");
    let by_shell = || burst(19, 1, OF_ALICE, 101);
    assert_eq!(said_of_bytes([own(21, 1, 120)], by_shell()), (true, true));
    assert_eq!(said_of_bytes([promoted()], by_shell()), (false, false));
    assert_eq!(said_of_bytes([promoted(), exit(22, 21, 120)], by_shell()), (true, true));
    let other = own(23, 1, 123).admits("agentsight.span.promoted");
    assert_eq!(said_of_bytes([own(21, 1, 120), other], burst(19, 23, OF_ALICE, 123)), (true, false));
    assert_eq!(said_of_bytes([own(21, 1, 120)], burst(19, 2, OF_ALICE, 102)), (true, false), "the cause is hidden");
}

/// Of a process that spans 21 and so on tell of, what burst 20 moved.
fn told_of_life(life: impl IntoIterator<Item = Span>) -> Result<Option<String>, ()> {
    let scratch = Scratch::new();
    let mut store = store(&scratch);
    for span in life.into_iter().chain([burst(20, 21, OF_ALICE, 120)]) {
        let found = found(span);
        store.append_rows(OF_ALICE, [Row::of_span(found.span.clone(), &found.resource)]).unwrap();
    }
    moved(&mut store, OF_ALICE, [20]);
    assert_eq!(told(&store, UserId::ROOT, 20), bytes_of(20), "root is told of every life");
    told(&store, ALICE, 20)
}

#[test]
fn of_a_process_that_may_still_become_anothers_nothing_is_told_until_it_has_ended() {
    let promoted = || own(21, 1, 120).admits("agentsight.span.promoted");
    assert_eq!(told_of_life([own(21, 1, 120)]), bytes_of(20));
    assert_eq!(told_of_life([promoted()]), Err(()));
    assert_eq!(told_of_life([promoted(), exit(22, 21, 120)]), bytes_of(20));
    assert_eq!(told_of_life([promoted(), exit(22, 21, 120).admits("agentsight.span.incomplete")]), Err(()));
    assert_eq!(told_of_life([promoted(), becoming(0, exit(22, 21, 120))]), Ok(None));
    assert_eq!(told_of_life([promoted(), becoming(1000, exit(22, 21, 120))]), bytes_of(20));
    assert_eq!(told_of_life([own(21, 1, 120).admits("agentsight.span.incomplete")]), Err(()));
    let busy = Span { dropped_events_count: 1, ..own(21, 1, 120) };
    assert_eq!(told_of_life([busy]), Err(()), "what it did past the limit of events may have been that");
}

#[test]
fn a_copy_of_a_process_is_anothers_where_the_original_had_become_so() {
    let copy = || own(21, 23, 120).admits("agentsight.process.fork");
    let promoted = || own(23, 1, 123).admits("agentsight.span.promoted");
    assert_eq!(told_of_life([own(23, 1, 123), copy()]), bytes_of(20));
    assert_eq!(told_of_life([promoted(), copy()]), Err(()));
    assert_eq!(told_of_life([promoted(), becoming(0, exit(24, 23, 123)), copy()]), Ok(None));
    assert_eq!(told_of_life([becoming(0, own(23, 1, 123)), copy()]), Ok(None));
    assert_eq!(told_of_life([copy()]), Err(()), "its original is not there");
}
