//! Whatever becomes of the collector, its store or the backend: the command's output and exit code are its own, and the
//! user is told what happened.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::backend::free_ports;
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::held::Held;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::{need_program, need_root};
use agentsight_tests::run::{Finished, Started, run};
use agentsight_tests::trace::Span;
use nix::sys::signal::{Signal, kill};

const LIMIT: Duration = Duration::from_secs(60);
/// What a stub waits for the collector once the command has ended, and the slack of a loaded machine.
const LINGER_AND_SUMMARY: Duration = Duration::from_secs(1 + 2 + 4);
/// How many collectors are killed at random moments.
const KILLS: usize = 23;

#[test]
fn a_collector_killed_at_any_moment_leaves_output_and_exit_code_alone() {
    need_root();
    // Moments differ from run to run by chance alone otherwise; with a seed a bad one can be looked for again.
    let random = Random(AtomicU64::new(20_261_122));
    let (next, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let since = match next.fetch_add(1, Ordering::Relaxed) {
                        KILLS.. => break,
                        number if number % 3 == 0 => Since::Start,
                        _ => Since::CommandsStart,
                    };
                    let moment = Duration::from_millis(random.next() % 600);
                    told.fetch_add(usize::from(kill_at(since, moment)), Ordering::Relaxed);
                }
            });
        }
    });
    let told = told.into_inner();
    assert!(told >= 3, "only {told} of {KILLS} kills met a running command: the moments are badly chosen");
}

/// Where a moment is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// The start of `agentsight run`.
    Start,
    /// The start of the command, which on a loaded machine may come much later.
    CommandsStart,
}

/// Kills the collector at this moment; true when the command ran and the user was told.
fn kill_at(since: Since, moment: Duration) -> bool {
    let agentsight = Agentsight::as_root();
    let running = agentsight.directory().join("running");
    let script = format!(": > {}; for i in 1 2 3 4 5 6 7; do echo $i; sleep 0.05; done; exit 7", path_text(&running));
    let stub = Started::new(&mut agentsight.command(["run", "--no-tree", "--", "sh", "-c", &script]));
    if since == Since::CommandsStart {
        wait_for("the command", LIMIT, || running.exists().then_some(()));
    }
    let begun = Instant::now();
    while begun.elapsed() < moment {
        thread::sleep(Duration::from_millis(1));
    }
    if let Some(collector) = Collector::of(stub.id()) {
        collector.signal(Signal::SIGKILL);
    }
    let finished = stub.finish(LIMIT);
    let context =
        format!("killed {moment:?} after {since:?}: code {}\n{}{}", finished.code(), finished.stdout, finished.stderr);
    if finished.code() == 2 {
        assert!(finished.stdout.is_empty(), "started and not run to its end, {context}");
        assert!(finished.stderr.contains("tracing began") || finished.stderr.contains("not started"), "{context}");
        return false;
    }
    assert_eq!((finished.code(), finished.stdout.as_str()), (7, "1\n2\n3\n4\n5\n6\n7\n"), "{context}");
    if !finished.stderr.is_empty() {
        assert_tells_when(&finished);
    }
    !finished.stderr.is_empty()
}

#[test]
fn a_collector_killed_before_it_attaches_means_that_nothing_is_started() {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("started");
    let arguments = ["run", "--no-tree", "--", "touch", path_text(&witness)];
    let finished = wait_for("a collector that is caught before it attaches", LIMIT, || {
        let stub = Started::new(&mut agentsight.command(arguments));
        let collector = Collector::wait_for(stub.id());
        collector.signal(Signal::SIGSTOP);
        // Stopped too late where the command was started already.
        let is_early = !witness.exists();
        collector.signal(Signal::SIGKILL);
        let finished = stub.finish(LIMIT);
        (is_early && finished.code() != 0).then_some(finished)
    });
    let finished = finished.expect_code(2);
    assert!(finished.stderr.contains("the collector ended before tracing began"), "{}", finished.stderr);
    assert!(!witness.exists());
}

#[test]
fn a_collector_killed_while_the_command_runs_is_told_with_the_time_of_day() {
    let agentsight = Agentsight::as_root();
    let held = Held::start(&agentsight, &[], "exit 7");
    held.collector.signal(Signal::SIGKILL);
    let finished = held.let_go().expect_code(7);
    assert_eq!(finished.stdout, "ready\n");
    assert_tells_when(&finished);
}

#[test]
fn a_collector_that_hangs_does_not_harm_the_command_and_is_waited_for_no_longer_than_said() {
    let agentsight = Agentsight::as_root();
    let held = Held::start(&agentsight, &[], "i=0; while [ $i -lt 97 ]; do /bin/true; i=$((i+1)); done; exit 6");
    let collector = held.collector;
    collector.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    let finished = held.let_go().expect_code(6);
    let waited = begun.elapsed();
    assert!(waited < LINGER_AND_SUMMARY + Duration::from_secs(2), "waited {waited:?}");
    assert!(finished.stderr.contains("the collector is still at work"), "{}", finished.stderr);
    // It wakes up, finds its session over and ends by itself, with everything in the store.
    collector.signal(Signal::SIGCONT);
    collector.wait_for_end();
    assert!(agentsight.store_holds("/bin/true"));
}

#[test]
fn a_collector_that_hangs_before_it_attaches_is_given_up_after_ten_seconds() {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("started");
    let arguments = ["run", "--no-tree", "--", "touch", path_text(&witness)];
    let (collector, finished) = wait_for("a collector that is caught before it attaches", LIMIT, || {
        let stub = Started::new(&mut agentsight.command(arguments));
        let collector = Collector::wait_for(stub.id());
        collector.signal(Signal::SIGSTOP);
        let finished = stub.finish(LIMIT);
        let is_early = finished.code() == 2;
        if !is_early {
            // The command had been started: another try.
            collector.signal(Signal::SIGKILL);
            let _ = fs::remove_file(&witness);
        }
        is_early.then_some((collector, finished))
    });
    // Before its first word or after it.
    assert!(finished.stderr.contains("did not answer within 10s; the command was not started"), "{}", finished.stderr);
    collector.signal(Signal::SIGCONT);
    collector.wait_for_end();
    assert!(!witness.exists());
}

#[test]
fn a_stub_that_is_killed_leaves_the_command_running_and_traced_to_its_end() {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let held = Held::start(&agentsight, &["--endpoint", &receiver.endpoint()], "/bin/echo later; exit 6");
    kill(held.stub.id(), Signal::SIGKILL).expect("the stub lives");
    let collector = held.collector;
    assert_eq!(held.let_go().stdout, "ready\nlater\n");
    collector.wait_for_end();
    let trace = receiver.trace();
    trace.assert_whole();
    assert_eq!(trace.roots()[0].int("process.exit.code"), Some(6), "{trace}");
}

#[test]
fn what_a_killed_collector_had_stored_is_sent_by_the_next_one() {
    let agentsight = Agentsight::as_root();
    let [port] = free_ports();
    let endpoint = format!("http://127.0.0.1:{port}");
    let held = Held::start(&agentsight, &["--endpoint", &endpoint, "--live-after", "1h"], "exit 0");
    held.command_does("/bin/echo a-sentence-that-is-stored");
    wait_for("the span in the store", LIMIT, || agentsight.store_holds("a-sentence-that-is-stored").then_some(()));
    held.collector.signal(Signal::SIGKILL);
    let _ = held.let_go().expect_code(0);
    // Now there is a backend, and a run that has nothing to do with it.
    let receiver = Receiver::start_on(port);
    let _ = agentsight.run(["run", "--no-tree", "--", "sh", "-c", "sleep 0.53; true"]).expect_code(0);
    wait_for("the span of the first run", LIMIT, || {
        let trace = receiver.trace();
        trace
            .spans
            .iter()
            .any(|span| span.texts("process.command_args").contains(&"a-sentence-that-is-stored"))
            .then_some(())
    });
    let is_second = |span: &Span| span.texts("process.command_args").contains(&"0.53");
    assert!(!receiver.trace().spans.iter().any(is_second), "a run without an endpoint was sent to another's");
}

#[test]
fn a_backend_that_is_gone_costs_nothing_but_a_sentence() {
    let [port] = free_ports();
    let finished = run_with_backend(port);
    assert!(finished.stderr.contains("wait in the store for"), "{}", finished.stderr);
}

#[test]
fn a_backend_that_never_answers_costs_nothing_but_a_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    let finished = run_with_backend(listener.local_addr().expect("it has one").port());
    assert!(
        finished.stderr.contains("on their way to") || finished.stderr.contains("wait in the store"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_backend_that_refuses_is_quoted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    let port = listener.local_addr().expect("it has one").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || refuse(client));
        }
    });
    let finished = run_with_backend(port);
    assert!(finished.stderr.contains("refused") && finished.stderr.contains("400"), "{}", finished.stderr);
}

#[test]
fn a_full_disk_is_said_and_the_command_does_not_notice() {
    let agentsight = Agentsight::as_root();
    let store = agentsight.directory().join("store");
    fs::create_dir(&store).expect("the directory is ours");
    // Each process has two kilobytes of arguments: together they are several times what the disk holds.
    let script =
        "i=0; a=$(printf %02000d 0); while [ $i -lt 997 ]; do /bin/true $a; i=$((i+1)); done; echo done; exit 7";
    let finished = with_store_on("size=700k", &agentsight, &["sh", "-c", script]).expect_code(7);
    assert_eq!(finished.stdout, "done\n");
    for words in ["could not be stored", "disk is full"] {
        assert!(finished.stderr.contains(words), "`{words}` is not in:\n{}", finished.stderr);
    }
}

#[test]
fn a_disk_that_is_full_or_read_only_from_the_start_means_that_nothing_is_started() {
    for options in ["size=4k", "ro"] {
        let agentsight = Agentsight::as_root();
        fs::create_dir(agentsight.directory().join("store")).expect("the directory is ours");
        let witness = agentsight.directory().join("started");
        let finished = with_store_on(options, &agentsight, &["touch", path_text(&witness)]).expect_code(2);
        assert!(finished.stderr.contains("store"), "{options}:\n{}", finished.stderr);
        assert!(!witness.exists());
    }
}

fn run_with_backend(port: u16) -> Finished {
    let agentsight = Agentsight::as_root();
    let endpoint = format!("http://127.0.0.1:{port}");
    let begun = Instant::now();
    let finished = agentsight.run(["run", "--no-tree", "--endpoint", &endpoint, "--", "sh", "-c", "echo done; exit 7"]);
    let took = begun.elapsed();
    let finished = finished.expect_code(7);
    assert_eq!(finished.stdout, "done\n");
    assert!(took < LINGER_AND_SUMMARY + Duration::from_secs(3), "took {took:?}");
    finished
}

fn refuse(mut client: TcpStream) {
    let mut bytes = [0; 65_536];
    // What is asked is of no interest; it fits in one read.
    while client.read(&mut bytes).is_ok_and(|length| length > 0) {
        let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    }
}

/// With the store on a small disk of its own.
fn with_store_on(options: &str, agentsight: &Agentsight, program: &[&str]) -> Finished {
    let mut command = Command::new(need_program("unshare", "util-linux"));
    let store = agentsight.directory().join("store");
    let mount = format!("mount -t tmpfs -o {options},mode=700 none {}; exec \"$@\"", path_text(&store));
    command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", &mount, "sh"]).arg(binary());
    command.args(["run", "--no-tree", "--"]).args(program).env("AGENTSIGHT_STORE", &store);
    run(&mut command, LIMIT)
}

#[track_caller]
fn assert_tells_when(finished: &Finished) {
    let text =
        finished.stderr.split("tracing stopped at ").nth(1).unwrap_or_else(|| panic!("not told:\n{}", finished.stderr));
    let time: String = text.chars().take_while(|character| *character != ' ').collect();
    assert!(time.len() == 8 && time.matches(':').count() == 2, "`{time}` is no time of day:\n{}", finished.stderr);
    assert!(text.contains("The command was not touched"), "{}", finished.stderr);
}

/// A linear congruential generator (Knuth, MMIX); the high bits are the good ones.
struct Random(AtomicU64);

impl Random {
    fn next(&self) -> u64 {
        let step = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(step(state)));
        before.expect("the update is never refused") >> 33
    }
}
