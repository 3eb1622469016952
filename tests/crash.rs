//! Collectors that die at any moment: what they had stored arrives with the next one's help, whole, once, and marked
//! where the end of something was not seen; in a real Jaeger.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::random::Random;
use agentsight_tests::run::Started;
use agentsight_tests::store::Stored;
use agentsight_tests::trace::{Trace, Value};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// At a time, each with a store of its own: as many as keep a machine of two cores busy.
const STORES: u64 = 3;
const KILLS_PER_STORE: usize = 67;

/// Says its name, runs a few commands at once, and ends.
const SCRIPT: &str = "echo ready > $0; for i in 1 2 3 4 5 6 7 8 9; do
    /bin/true & (/bin/true; exit $i); echo $i; sleep 0.03
done; wait; exit 7";
const SAYS: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

#[test]
fn what_a_killed_collector_had_stored_arrives_whole_and_once_and_what_it_had_not_seen_end_is_marked() {
    let jaeger = Jaeger::start();
    thread::scope(|scope| {
        for seed in 1..=STORES {
            let jaeger = &jaeger;
            scope.spawn(move || kill_many(jaeger, seed));
        }
    });
}

fn kill_many(jaeger: &Jaeger, seed: u64) {
    let agentsight = Agentsight::as_root();
    let endpoint = jaeger.http_endpoint();
    // Moments differ from run to run by chance alone otherwise; with a seed a bad one can be looked for again.
    let mut random = Random::new(seed);
    // A little longer than the command takes on this machine now, so that some collectors die after its end.
    let latest = time_unharmed(&agentsight, &endpoint) * 5 / 4;
    let latest = u64::try_from(latest.as_millis()).expect("it takes seconds at most");
    let sessions: Vec<Stored> = (0..KILLS_PER_STORE)
        .map(|number| {
            // One trace for all, or many small ones; and all of it promoted, or nothing.
            let options: &[&str] = match number % 3 {
                0 => &[],
                1 => &["--segment-spans", "5"],
                _ => &["--segment-spans", "5", "--live-after", "1ms"],
            };
            let moment = Duration::from_millis(random.below(latest));
            kill_at(&agentsight, &endpoint, options, moment)
        })
        .collect();
    let open = sessions.iter().filter(|stored| !stored.open.is_empty()).count();
    assert!(open * 4 > KILLS_PER_STORE, "only {open} kills left something open: the moments are badly chosen");

    // The next collector, of whatever session, sends what the dead have left.
    let is_there = |stored: &Stored| of_session(jaeger, stored).spans.len() >= stored.spans.len() + stored.open.len();
    wait_for("everything that was stored to be in Jaeger", LIMIT, || {
        let arguments = ["run", "--no-tree", "--no-self-telemetry", "--endpoint", &endpoint, "--", "sleep", "0.3"];
        let _ = agentsight.run(arguments).expect_code(0);
        sessions.iter().all(is_there).then_some(())
    });
    for stored in &sessions {
        assert_is_whole(&of_session(jaeger, stored), stored);
    }
}

/// How long the command takes, once it has begun, when nobody kills its collector.
fn time_unharmed(agentsight: &Agentsight, endpoint: &str) -> Duration {
    let (stub, begun) = begin(agentsight, endpoint, &[]);
    let _ = stub.finish(LIMIT).expect_code(7);
    std::fs::remove_file(agentsight.directory().join("ready")).expect("the command made it");
    begun.elapsed()
}

fn begin(agentsight: &Agentsight, endpoint: &str, options: &[&str]) -> (Started, Instant) {
    let ready = agentsight.directory().join("ready");
    let ready_text = ready.to_str().expect("the tests make paths of UTF-8 alone");
    let run = ["run", "--no-tree", "--no-self-telemetry", "--endpoint", endpoint];
    let program = ["--", "sh", "-c", SCRIPT, ready_text];
    let stub = Started::new(&mut agentsight.command(run.iter().chain(options).chain(&program)));
    wait_for("the command", LIMIT, || ready.exists().then_some(()));
    (stub, Instant::now())
}

/// Runs the command, kills its collector so long after the command has begun, and looks at what was stored by then.
fn kill_at(agentsight: &Agentsight, endpoint: &str, options: &[&str], moment: Duration) -> Stored {
    let (stub, begun) = begin(agentsight, endpoint, options);
    let collector = Collector::of(stub.id());
    while begun.elapsed() < moment {
        thread::sleep(Duration::from_millis(1));
    }
    if let Some(collector) = collector {
        collector.signal(Signal::SIGKILL);
        collector.wait_for_end();
    }
    let finished = stub.finish(LIMIT).expect_code(7);
    assert_eq!(finished.stdout, SAYS, "killed after {moment:?}");
    std::fs::remove_file(agentsight.directory().join("ready")).expect("the command made it");
    Stored::newest(agentsight)
}

/// What Jaeger has of the traces that a session is in.
fn of_session(jaeger: &Jaeger, stored: &Stored) -> Trace {
    let mut all = Trace::default();
    for id in stored.trace_ids() {
        all.spans.extend(jaeger.trace_now(id).unwrap_or_default().spans);
    }
    all
}

#[track_caller]
fn assert_is_whole(seen: &Trace, stored: &Stored) {
    if stored.spans.is_empty() && stored.open.is_empty() {
        return; // It died before it could store anything.
    }
    // No orphan, nothing twice, one root.
    seen.joined().assert_whole();
    let ids: BTreeSet<_> = seen.spans.iter().map(|span| (span.trace_id.clone(), span.id.clone())).collect();
    let missing: Vec<_> = stored.spans.keys().filter(|id| !ids.contains(*id)).collect();
    assert!(missing.is_empty(), "stored and not in Jaeger: {missing:?}\n{seen}");
    assert_eq!(ids.len(), stored.spans.len() + stored.open.len(), "{seen}\n{stored:?}");
    for span in &seen.spans {
        let was_stored = stored.spans.contains_key(&(span.trace_id.clone(), span.id.clone()));
        let incomplete = span.attributes.get("agentsight.span.incomplete") == Some(&Value::Bool(true));
        if was_stored {
            continue;
        }
        assert!(incomplete && span.status_code == 0 && span.int("process.exit.code").is_none(), "{span:?}");
        assert_eq!(span.end_nanos, stored.last_moment().max(span.start_nanos + 1), "{span:?}");
        if span.name != "exit" {
            assert!(stored.open.contains_key(&(span.trace_id.clone(), span.id.clone())), "{span:?}");
        }
    }
}
