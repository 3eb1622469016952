//! A daemon that is killed at any moment, and followed by another: commands do not notice, what was stored arrives once,
//! what had no end is marked, and what lives on is linked to what was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use std::{fs, thread};

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::random::Random;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::Started;
use agentsight_tests::trace::{Span, Trace, Value};

const LIMIT: Duration = Duration::from_secs(60);
/// With those of `crash.rs`, which kills the collectors of single runs, far more than fifty.
const KILLS: usize = 17;
/// About as long as the command takes.
const LATEST_KILL_MILLIS: u64 = 500;

const SCRIPT: &str =
    "for i in 1 2 3 4 5 6 7; do /bin/true & (/bin/true; exit $i); echo $i; sleep 0.03; done; wait; exit 7";
const SAYS: &str = "1\n2\n3\n4\n5\n6\n7\n";

#[test]
fn a_daemon_killed_at_any_moment_harms_no_command_and_the_next_one_delivers_and_goes_on() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let endpoint = receiver.endpoint();
    let config = format!(
        "export: {{endpoint: '{endpoint}'}}\nself_telemetry: false\nlive_after: 300ms\nrules: [{{executable: '{}'}}]\n",
        agent.path.display()
    );
    // It lives through all of them.
    let survivor = agent.start("read end; exit 0");
    let survivor = survivor.id().to_string().parse::<i64>().map(|id| (id, survivor)).expect("it is a number");
    let mut random = Random::new(11);
    let mut daemon = Daemon::start(&agentsight, &config, &[]);
    for number in 0..KILLS {
        let run = ["run", "--no-tree", "--endpoint", &endpoint, "--", "sh", "-c", SCRIPT];
        let stub = Started::new(&mut agentsight.command(run));
        // Rules at the same time: about half of these are alive at the kill.
        let ruled = Started::new(&mut agent.command(["-c", &format!("sleep 0.{}; exit 3", number % 7 + 1)]));
        let begun = Instant::now();
        let moment = Duration::from_millis(random.below(LATEST_KILL_MILLIS));
        // A command that was never started is no loss; what is promised is that a started one is left alone.
        while begun.elapsed() < moment {
            thread::sleep(Duration::from_millis(1));
        }
        daemon.kill();
        let finished = stub.finish(LIMIT);
        if finished.code() == 2 && finished.stdout.is_empty() {
            assert!(finished.stderr.contains("the command was not started"), "{moment:?}: {}", finished.stderr);
        } else {
            assert_eq!((finished.code(), finished.stdout.as_str()), (7, SAYS), "{moment:?}: {}", finished.stderr);
        }
        daemon = Daemon::start(&agentsight, &config, &[]);
        let _ = ruled.finish(LIMIT).expect_code(3);
    }
    drop(survivor.1);
    let is_end = |span: &&Span| span.int("process.pid") == Some(survivor.0) && span.int("process.exit.code") == Some(0);
    wait_for("the survivor's end", LIMIT, || receiver.trace().spans.iter().find(is_end).map(drop));
    // Nothing is left open or unsent when the last one is stopped.
    wait_for("all that is stored", LIMIT, || (unsent(&agentsight) == (0, 0)).then_some(()));
    let _ = daemon.stop().expect_code(0);

    let trace = with_repetitions_once(receiver.trace());
    let orphans: Vec<String> = trace.faults(&[]).iter().map(ToString::to_string).collect();
    assert!(orphans.is_empty(), "{orphans:?}");
    let incomplete = trace.spans.iter().filter(|span| is_true(span, "agentsight.span.incomplete"));
    let incomplete: Vec<_> = incomplete.collect();
    assert!(incomplete.len() > KILLS, "{} spans are incomplete", incomplete.len());
    assert!(incomplete.iter().all(|span| span.status_code == 0 && span.int("process.exit.code").is_none()));
    assert_is_a_chain(&trace, survivor.0);
}

/// Each session of the survivor says where it goes on from, back to the first.
fn assert_is_a_chain(trace: &Trace, pid: i64) {
    let images = trace.spans.iter().filter(|span| span.int("process.pid") == Some(pid) && span.name != "exit");
    let images: Vec<_> = images.collect();
    let sessions: BTreeSet<_> = images.iter().map(|span| span.text("agentsight.session.id")).collect();
    assert_eq!(sessions.len(), images.len(), "{pid} has two spans in one session");
    // A daemon that was killed before it had stored anything is as if it had not been.
    assert!(images.len() > KILLS / 2, "{} sessions of {pid}", images.len());
    let ids: BTreeSet<_> = images.iter().map(|span| (&span.trace_id, &span.id)).collect();
    let links = images.iter().flat_map(|span| span.links.iter().filter(|link| link.is("segment")));
    let links: Vec<_> = links.map(|link| (&link.trace_id, &link.span_id)).collect();
    let linked: BTreeSet<_> = links.iter().copied().collect();
    assert_eq!(linked.len(), links.len(), "two sessions go on from one");
    assert!(linked.is_subset(&ids), "a link leads to nothing that was sent");
    let unlinked = images.iter().filter(|span| !span.links.iter().any(|link| link.is("segment")));
    let unlinked: Vec<_> = unlinked.map(|span| span.text("agentsight.session.id")).collect();
    assert_eq!(linked.len(), images.len() - 1, "only the first goes on from none, but so do {unlinked:?}");
}

/// Delivery is at least once: what comes again must be the same, which backends take for one.
#[track_caller]
fn with_repetitions_once(trace: Trace) -> Trace {
    let mut by_id: BTreeMap<_, Span> = BTreeMap::new();
    for span in trace.spans {
        let id = (span.trace_id.clone(), span.id.clone());
        let first = by_id.entry(id).or_insert_with(|| span.clone());
        assert_eq!(*first, span, "one id, two contents");
    }
    Trace { spans: by_id.into_values().collect(), ..Trace::default() }
}

/// Spans that are open, and rows that are not sent.
fn unsent(agentsight: &Agentsight) -> (u64, u64) {
    let store = agentsight.directory().join("store").join("agentsight.db");
    if fs::metadata(&store).is_err() {
        return (0, 0);
    }
    agentsight_tests::store::count_unsent(&store)
}

fn is_true(span: &Span, name: &str) -> bool {
    span.attributes.get(name) == Some(&Value::Bool(true))
}
