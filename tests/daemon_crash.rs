//! A daemon that is killed at any moment, that of its start included, and followed by another: commands do not notice, what
//! was stored is in a real Jaeger once, what had no end is marked, and what lives on is linked to what was.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::jaeger::Jaeger;
use agentsight_tests::random::Random;
use agentsight_tests::run::{Finished, Started};
use agentsight_tests::store::{all_spans, count_unsent};
use agentsight_tests::trace::{Span, Trace, Value};

const LIMIT: Duration = Duration::from_secs(60);
/// In each a daemon is killed while commands run, and the next one while it starts or soon after: 54 kills.
const ROUNDS: usize = 27;
/// About as long as the command takes.
const LATEST_KILL_MILLIS: u64 = 500;
/// Twice as long as a daemon takes to be ready, on a machine at rest: it attaches, adopts what a dead one left, and opens its socket.
const LATEST_KILL_AT_START_MILLIS: u64 = 800;

const SCRIPT: &str =
    "for i in 1 2 3 4 5 6 7; do /bin/true & (/bin/true; exit $i); echo $i; sleep 0.03; done; wait; exit 7";
const SAYS: &str = "1\n2\n3\n4\n5\n6\n7\n";

#[test]
fn a_daemon_killed_at_any_moment_harms_no_command_and_the_next_one_delivers_and_goes_on() {
    let (agentsight, jaeger) = (Agentsight::as_root(), Jaeger::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let endpoint = jaeger.http_endpoint();
    let config = format!(
        "export: {{endpoint: '{endpoint}'}}\nself_telemetry: false\nlive_after: 300ms\nrules: [{{executable: '{}'}}]\n",
        agent.path.display()
    );
    // It lives through all of them.
    let survivor = agent.start("read end; exit 0");
    let survivor_pid = i64::from(survivor.id());
    // Moments differ from run to run by chance alone otherwise; with a seed a bad one can be looked for again.
    let mut random = Random::new(11);
    let mut daemon = Daemon::start(&agentsight, &config, &[]);
    for number in 0..ROUNDS {
        let run = ["run", "--no-tree", "--endpoint", &endpoint, "--", "sh", "-c", SCRIPT];
        let stub = Started::new(&mut agentsight.command(run));
        // Rules at the same time: about half of these are alive at the kill.
        let ruled = Started::new(&mut agent.command(["-c", &format!("sleep 0.{}; exit 3", number % 7 + 1)]));
        let moment = random.below(LATEST_KILL_MILLIS);
        kill_after(daemon, moment);
        let next = Daemon::launch(&[], &agentsight, &config, &[]);
        let moment_at_start = random.below(LATEST_KILL_AT_START_MILLIS);
        kill_after(next, moment_at_start);
        daemon = Daemon::start(&agentsight, &config, &[]);
        assert_is_untouched(&stub.finish(LIMIT), &format!("killed after {moment} ms and {moment_at_start} ms"));
        let _ = ruled.finish(LIMIT).expect_code(3);
    }
    drop(survivor);
    // Nothing is left open or unsent when the last one is stopped.
    let store = agentsight.directory().join("store").join("agentsight.db");
    wait_for("all that is stored", LIMIT, || (count_unsent(&store) == (0, 0)).then_some(()));
    let _ = daemon.stop().expect_code(0);

    let stored = all_spans(&store);
    let trace = wait_for("all that is stored to be in Jaeger", LIMIT, || {
        let seen = in_jaeger(&jaeger, &stored);
        (seen.spans.len() >= stored.len()).then_some(seen)
    });
    let seen: BTreeSet<_> = trace.spans.iter().map(|span| (span.trace_id.clone(), span.id.clone())).collect();
    assert_eq!(seen, stored, "Jaeger has what was stored, and no more");
    // Nothing twice, no orphan.
    let faults: Vec<String> = trace.faults(&[]).iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let incomplete = trace.spans.iter().filter(|span| is_true(span, "agentsight.span.incomplete"));
    let incomplete: Vec<_> = incomplete.collect();
    assert!(incomplete.len() > ROUNDS, "{} spans are incomplete", incomplete.len());
    assert!(incomplete.iter().all(|span| span.status_code == 0 && span.int("process.exit.code").is_none()));
    assert_is_a_chain(&trace, survivor_pid);
}

fn kill_after(daemon: Daemon, millis: u64) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(millis) {
        thread::sleep(Duration::from_millis(1));
    }
    daemon.kill();
}

/// A command that was never started is no loss; what is promised is that a started one is left alone.
#[track_caller]
fn assert_is_untouched(finished: &Finished, moment: &str) {
    if finished.code() == 2 && finished.stdout.is_empty() {
        assert!(finished.stderr.contains("the command was not started"), "{moment}: {}", finished.stderr);
    } else {
        assert_eq!((finished.code(), finished.stdout.as_str()), (7, SAYS), "{moment}: {}", finished.stderr);
    }
}

/// What Jaeger has of the traces that these spans are in.
fn in_jaeger(jaeger: &Jaeger, stored: &BTreeSet<(String, String)>) -> Trace {
    let traces: BTreeSet<&str> = stored.iter().map(|(trace, _)| trace.as_str()).collect();
    let found = traces.into_iter().filter_map(|id| jaeger.trace_now(id));
    Trace { spans: found.flat_map(|trace| trace.spans).collect(), ..Trace::default() }
}

/// Each session of the survivor says where it goes on from, back to the first; and the last one saw its end.
#[track_caller]
fn assert_is_a_chain(trace: &Trace, pid: i64) {
    let images = trace.spans.iter().filter(|span| span.int("process.pid") == Some(pid) && span.name == "agent");
    let images: Vec<_> = images.collect();
    let sessions: BTreeSet<_> = images.iter().map(|span| span.text("agentsight.session.id")).collect();
    assert_eq!(sessions.len(), images.len(), "{pid} has two spans in one session");
    // A daemon that was killed before it had stored anything is as if it had not been.
    assert!(images.len() > ROUNDS / 2, "{} sessions of {pid}", images.len());
    let ids: BTreeSet<_> = images.iter().map(|span| (&span.trace_id, &span.id)).collect();
    let links = images.iter().flat_map(|span| span.links.iter().filter(|link| link.is("segment")));
    let links: Vec<_> = links.map(|link| (&link.trace_id, &link.span_id)).collect();
    let linked: BTreeSet<_> = links.iter().copied().collect();
    assert_eq!(linked.len(), links.len(), "two sessions go on from one");
    assert!(linked.is_subset(&ids), "a link leads to nothing that was sent");
    let unlinked = images.iter().filter(|span| !span.links.iter().any(|link| link.is("segment")));
    let unlinked: Vec<_> = unlinked.map(|span| span.text("agentsight.session.id")).collect();
    assert_eq!(linked.len(), images.len() - 1, "only the first goes on from none, but so do {unlinked:?}");
    let is_end = |span: &&Span| span.int("process.pid") == Some(pid) && span.int("process.exit.code").is_some();
    let ends: Vec<_> = trace.spans.iter().filter(is_end).map(|span| span.int("process.exit.code")).collect();
    assert_eq!(ends, [Some(0)], "the survivor ends once");
}

fn is_true(span: &Span, name: &str) -> bool {
    span.attributes.get(name) == Some(&Value::Bool(true))
}
