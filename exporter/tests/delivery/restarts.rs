//! Senders that die, start again, or meet each other.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use agentsight::otlp::sender::{Sender, SenderOptions, SenderState};
use agentsight::store::{BatchLimit, Counts, Kind, Row, SettingsJson, Store};
use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::Status;

use crate::desk::{Desk, PATIENCE, endpoint, options, resource, session, span, until};
use crate::grpc_receiver::GrpcReceiver;

const GRPC: (&str, &str) = ("PROTOCOL", "grpc");

fn one_by_one() -> SenderOptions {
    SenderOptions { limit: BatchLimit { bytes: 3 << 20, rows: 1 }, ..options() }
}

#[tokio::test]
async fn a_sender_that_died_midway_is_followed_by_one_that_loses_nothing() {
    let (reached, wait) = mpsc::channel();
    let receiver = GrpcReceiver::answering(move |n, _| match n {
        // Taken, but the sender dies before it can note it.
        11 => {
            reached.send(()).unwrap();
            Ok(ExportTraceServiceResponse::default())
        }
        _ => Ok(ExportTraceServiceResponse::default()),
    })
    .await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=23);
    let sender = Sender::start(desk.dir(), id, one_by_one()).await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || wait.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    drop(sender);

    let sender = loop {
        // The lock ends with the dropped task, which the runtime needs a moment for.
        if let Some(sender) = Sender::start(desk.dir(), id, one_by_one()).await.unwrap() {
            break sender;
        }
        tokio::task::yield_now().await;
    };
    let progress = sender.drain(PATIENCE).await;
    assert_eq!((progress.counts.sent, progress.counts.pending), (23, 0));
    let mut taken = receiver.taken();
    let deliveries = taken.len();
    taken.dedup();
    assert_eq!(taken, (1..=23).collect::<Vec<_>>());
    assert!(deliveries <= 24, "at most the request in flight goes twice: {deliveries}");
}

#[tokio::test]
async fn one_sender_at_a_time_serves_a_destination() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    let first = desk.sender(id).await;
    assert!(Sender::start(desk.dir(), id, options()).await.unwrap().is_none());
    desk.append("test", 1..=3);
    first.drain(PATIENCE).await;
    assert_eq!(receiver.taken(), [1, 2, 3]);
}

#[tokio::test]
async fn settings_are_erased_once_the_session_is_over_and_all_is_delivered() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC, ("HEADERS", "k=s3cret")]));
    desk.append("test", 1..=3);
    let sender = desk.sender(id).await;
    sender.drain(PATIENCE).await;
    assert!(desk.store.destination(id).unwrap().is_some());
    desk.store.end_session(desk.session, WallNanos(9)).unwrap();
    sender.waker().wake();
    until(&sender, |state| *state == SenderState::Finished).await;
    assert!(desk.store.destination(id).unwrap().is_none());
    assert_eq!(desk.store.counts(id).unwrap(), Counts { sent: 3, ..Counts::default() });
    drop(sender);
    assert!(Sender::start(desk.dir(), id, options()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_dead_sessions_spans_are_delivered_by_whoever_comes_next() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=5);
    let left: Vec<_> = desk.store.undelivered().unwrap();
    assert_eq!(left.len(), 1);
    let sender = desk.sender(left[0].id).await;
    sender.drain(PATIENCE).await;
    assert_eq!(receiver.taken(), [1, 2, 3, 4, 5]);
    assert!(desk.store.undelivered().unwrap().is_empty());
}

#[tokio::test]
async fn draining_ends_at_its_deadline_and_says_what_waits() {
    let receiver = GrpcReceiver::answering(|_, _| Err(Status::unavailable("down"))).await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    desk.append("test", 1..=5);
    let sender = desk.sender(id).await;
    let progress = sender.drain(std::time::Duration::from_millis(200)).await;
    assert_eq!(progress.counts, Counts { pending: 5, ..Counts::default() });
    assert!(matches!(progress.state, SenderState::Waiting(reason) if reason.contains("down")));
}

#[tokio::test]
async fn rows_that_arrive_wake_an_idle_sender() {
    let receiver = GrpcReceiver::start().await;
    let mut desk = Desk::new();
    let id = desk.destination(Kind::Span, &endpoint(&receiver.url(), &[GRPC]));
    let sender = desk.sender(id).await;
    until(&sender, |state| *state == SenderState::Idle).await;
    let waker = sender.waker();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            desk.append("test", [1]);
            waker.wake();
        });
    });
    let mut progress = sender.progress();
    tokio::time::timeout(PATIENCE, progress.wait_for(|now| now.counts.sent == 1)).await.unwrap().unwrap();
    assert_eq!(receiver.taken(), [1]);
}

/// Set for the child process of the next test: the folder of its store.
const CHILD: &str = "AGENTSIGHT_TEST_STORE";

#[test]
fn kill_9_loses_nothing_that_was_said_to_be_stored_and_frees_every_lock() {
    const NAME: &str = "restarts::kill_9_loses_nothing_that_was_said_to_be_stored_and_frees_every_lock";
    if let Some(dir) = std::env::var_os(CHILD) {
        append_for_ever(Path::new(&dir));
    }
    let scratch = Desk::new();
    let dir = scratch.dir().join("child");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, &dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    said.find(|line| line == "stored 101").expect("the child died by itself");
    let mut store = Store::open(&dir).unwrap();
    let id = store.undelivered().unwrap()[0].id;
    assert!(store.lock_destination(id).unwrap().is_none());
    assert!(store.unended_sessions().unwrap().is_empty());

    child.kill().unwrap();
    child.wait().unwrap();
    let last = said.last().map_or(101, |line| line.strip_prefix("stored ").unwrap().parse().unwrap());
    let pending = store.counts(id).unwrap().pending;
    assert!(pending == last || pending == last + 1, "{last} were said to be stored, {pending} are");
    assert!(store.lock_destination(id).unwrap().is_some());
    assert_eq!(store.unended_sessions().unwrap().len(), 1);
}

fn append_for_ever(dir: &Path) -> ! {
    let mut store = Store::open(dir).unwrap();
    let session = session(1);
    let _lives = store.begin_session(&session, None, WallNanos(1)).unwrap();
    let id = store.add_destination(session.id, Kind::Span, &SettingsJson(String::new())).unwrap();
    let _sends = store.lock_destination(id).unwrap().unwrap();
    for number in 1.. {
        store.append_rows(session.id, [Row::of_span(span(number, "work"), &resource("test"))]).unwrap();

        println!("stored {number}");
    }
    unreachable!("numbers do not end before the kill");
}
