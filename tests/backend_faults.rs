//! Backends that are down, slow, refuse or answer nonsense: the traced program does not notice, and what was stored arrives when
//! they are well again, each span under one id.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::backend::free_ports;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::mood::Mood;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::Finished;
use agentsight_tests::store::Stored;
use agentsight_tests::trace::Span;

const LIMIT: Duration = Duration::from_secs(90);
const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];
/// 41 programs, and a word about how long they took, in milliseconds.
const SCRIPT: &str = "begun=$(date +%s%N); i=0; while [ $i -lt 41 ]; do /bin/true; i=$((i+1)); done
echo $((($(date +%s%N) - begun) / 1000000)); exit 7";
/// What the script may take: a fifth of a second on an idle machine, and far less than any wait for a backend here.
const NOTICED: Duration = Duration::from_secs(8);
/// How long the sender waits for an answer.
const PATIENCE: &str = "400";

#[test]
fn a_backend_in_whatever_mood_costs_neither_the_program_its_time_nor_the_user_a_span() {
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            scope.spawn(move || {
                for mood in [
                    Mood::Slow(Duration::from_secs(60)),
                    Mood::Busy(Duration::from_secs(1)),
                    Mood::BadGateway,
                    Mood::Unavailable,
                    Mood::Locked,
                    Mood::Page,
                    Mood::Noise,
                ] {
                    let receiver = Receiver::start();
                    receiver.set_mood(mood);
                    let agentsight = Agentsight::as_root();
                    let finished = traced(&agentsight, &receiver.endpoint(), protocol);
                    assert!(receiver.requests() > 0, "{protocol}, {mood:?}: nothing was tried");
                    assert!(finished.stderr.contains("wait in the store"), "{protocol}, {mood:?}: {}", finished.stderr);
                    let stored = Stored::newest(&agentsight);
                    receiver.set_mood(Mood::Well);
                    assert_arrives(&agentsight, &receiver, protocol, &stored, &format!("{protocol}, {mood:?}"));
                }
            });
        }
    });
}

#[test]
fn what_a_backend_refuses_for_good_is_counted_and_said_and_is_still_in_the_store() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start();
        receiver.set_mood(Mood::Refusing);
        let agentsight = Agentsight::as_root();
        let finished = traced(&agentsight, &receiver.endpoint(), protocol);
        assert!(finished.stderr.contains("refused"), "{protocol}: {}", finished.stderr);
        assert!(!finished.stderr.contains('\u{1b}'), "{protocol}: {:?}", finished.stderr);
        let stored = Stored::newest(&agentsight);
        receiver.set_mood(Mood::Well);
        let export = ["export", "--since", "1h", "--endpoint", &receiver.endpoint(), "--protocol", protocol];
        let _ = agentsight.run(export).expect_code(0);
        assert_has(&receiver, &stored, protocol);
    }
}

#[test]
fn a_port_where_no_backend_speaks_costs_nothing_either() {
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            scope.spawn(move || {
                for manner in [Manner::Closes, Manner::Shouts, Manner::Listens] {
                    let stranger = Stranger::start(manner);
                    let port = stranger.port;
                    let agentsight = Agentsight::as_root();
                    let finished = traced(&agentsight, &format!("http://127.0.0.1:{port}"), protocol);
                    assert!(
                        finished.stderr.contains("wait in the store"),
                        "{protocol}, {manner:?}: {}",
                        finished.stderr
                    );
                    let stored = Stored::newest(&agentsight);
                    drop(stranger);
                    let receiver = Receiver::start_on(port);
                    assert_arrives(&agentsight, &receiver, protocol, &stored, &format!("{protocol}, {manner:?}"));
                }
            });
        }
    });
}

#[test]
fn a_backend_that_comes_and_goes_gets_every_span() {
    /// Long enough for several comings and goings; one more span every few milliseconds.
    const LONG: &str = "i=0; while [ $i -lt 211 ]; do /bin/true; sleep 0.02; i=$((i+1)); done; exit 7";
    thread::scope(|scope| {
        for protocol in PROTOCOLS {
            scope.spawn(move || {
                let [port] = free_ports();
                let endpoint = format!("http://127.0.0.1:{port}");
                let agentsight = Agentsight::as_root();
                let is_over = AtomicBool::new(false);
                let mut arrived = thread::scope(|scope| {
                    let cycles = scope.spawn(|| {
                        let mut kept = Vec::new();
                        while !is_over.load(Ordering::Relaxed) {
                            let receiver = Receiver::start_on(port);
                            // Up until something came, and then cut off in the midst of it, and down for a while.
                            let begun = Instant::now();
                            while receiver.requests() < 2 && begun.elapsed() < Duration::from_millis(700) {
                                thread::sleep(Duration::from_millis(5));
                            }
                            kept.push(receiver.stop().spans);
                            thread::sleep(Duration::from_millis(150));
                        }
                        kept
                    });
                    let finished = agentsight.run(run(&endpoint, protocol, LONG).iter().map(String::as_str));
                    is_over.store(true, Ordering::Relaxed);
                    let _ = finished.expect_code(7);
                    cycles.join().expect("a receiver starts whenever the one before has ended")
                });
                assert!(arrived.iter().filter(|spans| !spans.is_empty()).count() > 1, "it was never cut off");
                let stored = Stored::newest(&agentsight);
                let receiver = Receiver::start_on(port);
                wait_for("everything that was stored", LIMIT, || {
                    deliver_the_rest(&agentsight);
                    let now = arrived.iter().flatten().cloned().chain(receiver.trace().spans).collect::<Vec<_>>();
                    stored.spans.keys().all(|id| ids(&now).contains(id)).then_some(())
                });
                arrived.push(receiver.trace().spans);
                assert_each_is_one(&arrived.concat(), protocol);
            });
        }
    });
}

fn run(endpoint: &str, protocol: &str, script: &str) -> Vec<String> {
    [
        "run",
        "--no-tree",
        "--no-self-telemetry",
        "--endpoint",
        endpoint,
        "--protocol",
        protocol,
        "--",
        "sh",
        "-c",
        script,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Traces the script, which must end as ever, in its own time.
#[track_caller]
fn traced(agentsight: &Agentsight, endpoint: &str, protocol: &str) -> Finished {
    let mut command = agentsight.command(run(endpoint, protocol, SCRIPT));
    command.env("OTEL_EXPORTER_OTLP_TIMEOUT", PATIENCE);
    let finished = agentsight_tests::run::run(&mut command, LIMIT).expect_code(7);
    let took: u64 = finished.stdout.trim().parse().unwrap_or_else(|_| panic!("its output: {:?}", finished.stdout));
    assert!(Duration::from_millis(took) < NOTICED, "{protocol}: the program took {took} ms");
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    finished
}

/// The next collector, of whatever session, sends what the one before could not.
fn deliver_the_rest(agentsight: &Agentsight) {
    let _ = agentsight.run(["run", "--no-tree", "--no-self-telemetry", "--", "sleep", "0.3"]).expect_code(0);
}

#[track_caller]
fn assert_arrives(agentsight: &Agentsight, receiver: &Receiver, protocol: &str, stored: &Stored, what: &str) {
    assert!(stored.spans.len() > 41, "{what}: only {} spans were stored", stored.spans.len());
    wait_for(&format!("everything that was stored ({what})"), LIMIT, || {
        deliver_the_rest(agentsight);
        let arrived = ids(&receiver.trace().spans);
        stored.spans.keys().all(|id| arrived.contains(id)).then_some(())
    });
    assert_has(receiver, stored, protocol);
}

#[track_caller]
fn assert_has(receiver: &Receiver, stored: &Stored, what: &str) {
    let arrived = receiver.trace().spans;
    let missing: Vec<_> = stored.spans.keys().filter(|id| !ids(&arrived).contains(*id)).collect();
    assert!(missing.is_empty(), "{what}: stored and not arrived: {missing:?}");
    assert_each_is_one(&arrived, what);
}

/// What came twice is the same span, not another one under the same id.
#[track_caller]
fn assert_each_is_one(arrived: &[Span], what: &str) {
    let mut once: BTreeMap<_, &Span> = BTreeMap::new();
    for span in arrived {
        let first = once.entry((&span.trace_id, &span.id)).or_insert(span);
        assert_eq!(*first, span, "{what}: two spans of one id");
    }
}

fn ids(spans: &[Span]) -> BTreeSet<(String, String)> {
    spans.iter().map(|span| (span.trace_id.clone(), span.id.clone())).collect()
}

/// What somebody does who listens on a port and is no backend.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Hangs up at once.
    Closes,
    /// Says what is no protocol's, and hangs up.
    Shouts,
    /// Takes all that is said, and never says a word.
    Listens,
}

/// Such a one, until it is dropped.
struct Stranger {
    port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stranger {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
        let port = listener.local_addr().expect("a listener has an address").port();
        listener.set_nonblocking(true).expect("a socket can be set so");
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut held = Vec::new();
            while !told.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => match manner {
                        Manner::Closes => {}
                        Manner::Shouts => {
                            let noise: Vec<u8> = (0..=255).rev().cycle().take(4_096).collect();
                            let _ = stream.write_all(&noise);
                            let _ = stream.read(&mut [0; 1_024]);
                        }
                        Manner::Listens => held.push(stream),
                    },
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Self { port, is_over, thread: Some(thread) }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
