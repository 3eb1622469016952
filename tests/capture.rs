//! What of contents may be captured: asked for on the command line, allowed or refused by a daemon's configuration.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs::python;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::trace::{Span, Trace};
use agentsight_tests::unprivileged::User;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn what_is_no_pattern_or_network_is_refused_before_anything_runs() {
    let agentsight = Agentsight::as_root();
    for (option, value, words) in [
        ("--capture", "./config.json", "without `.` and `..`"),
        ("--no-capture", "{a", "`\\{` for the brace itself"),
        ("--capture-net", "api:http", "a port is a number"),
    ] {
        let refused = agentsight.run(["run", option, value, "--", "/bin/echo", "it ran"]).expect_code(2);
        assert!(refused.stderr.contains(words), "{option} {value}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{option}");
    }
}

#[test]
fn a_run_that_captures_is_as_any_other_to_the_command() {
    let agentsight = Agentsight::as_root();
    let all = ["--capture", "**", "--capture-net", "*", "--capture-pipes", "--capture-unix", "--capture-tty"];
    let script = "for i in 1 2 3; do echo $i | sort | cat /dev/null -; done; exit 7";
    let command = ["--no-daemon", "--", "/bin/sh", "-c", script];
    let finished = agentsight.run(["run"].into_iter().chain(all).chain(command)).expect_code(7);
    assert_eq!(finished.stdout, "1\n2\n3\n");
    assert!(!finished.stderr.contains("lost"), "{}", finished.stderr);
}

#[test]
fn a_daemon_captures_for_callers_what_its_configuration_allows_and_nothing_else() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let ask = |daemon: &Daemon, options: &[&str]| -> Finished {
        let all = [&["run", "--no-tree"], options, &["--", "/bin/echo", "it ran"]].concat();
        run(user.agentsight(&all).env("AGENTSIGHT_SOCKET", daemon.socket()), LIMIT)
    };
    let silent = Daemon::start(&agentsight, "", &[]);
    let refused = ask(&silent, &["--capture", "config.json"]).expect_code(2);
    assert!(refused.stderr.contains("its configuration has no `capture:` section"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    assert_eq!(ask(&silent, &["--no-capture", "*"]).expect_code(0).stdout, "it ran\n", "that asks for nothing");
    let _ = silent.stop().expect_code(0);

    let allowing = "capture: {allow: ['*.yaml', /srv/], deny: '*.key', net: ['127.0.0.0/8:80'], streams: pipe}";
    let daemon = Daemon::start(&agentsight, allowing, &[]);
    for options in [
        ["--capture", "a*.yaml"].as_slice(),
        &["--capture", "/srv/**/x.key", "--capture-pipes"],
        &["--capture-net", "127.0.0.1:80", "--capture-burst-bytes", "4000000000"],
    ] {
        assert_eq!(ask(&daemon, options).expect_code(0).stdout, "it ran\n", "{options:?}");
    }
    for (options, words) in [
        (["--capture", "*.json"].as_slice(), "*.json is not allowed to be captured"),
        (&["--capture", "*"], "* is not allowed"),
        (&["--capture-net", "127.0.0.1"], "is not allowed"),
        (&["--capture-net", "api.internal:80"], "api.internal:80 is not allowed"),
        (&["--capture-unix"], "(capture: streams:)"),
    ] {
        let refused = ask(&daemon, options).expect_code(2);
        assert!(refused.stderr.contains(words), "{options:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{options:?}");
    }
    let _ = daemon.stop().expect_code(0);
}

/// Moves `in.txt` every way: at once, a byte at a time where it is short, in pieces; over files, pipes and sockets.
const MOVES: &str = r#"
import os, socket
text = open('in.txt', 'rb', buffering=0).read()
if len(text) < 100_000:
    source = os.open('in.txt', os.O_RDONLY)
    bytewise = os.open('bytewise', os.O_CREAT | os.O_WRONLY)
    while byte := os.read(source, 1): os.write(bytewise, byte)
pieces = os.open('pieces', os.O_CREAT | os.O_RDWR)
os.writev(pieces, [text[at:at + len(text) // 200] for at in range(0, len(text), len(text) // 200)])
os.preadv(pieces, [bytearray(5), bytearray(len(text))], 0)
def move(write, read):
    if os.fork() == 0:
        os.close(read); left = text
        while left: left = left[os.write(write, left):]
        os._exit(0)
    os.close(write)
    while os.read(read, 1 << 20): pass
    os.wait()
r, w = os.pipe(); move(w, r)
a, b = socket.socketpair(); move(a.detach(), b.detach())
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname()); move(client.detach(), server.accept()[0].detach())
"#;

/// The names of spans whose contents are these bytes, as a whole, when `text` was moved.
fn hops(text: &str, expected: &str, capture: &[&str]) -> BTreeSet<String> {
    let agentsight = Agentsight::as_root();
    let folder = path_text(agentsight.directory().path());
    fs::write(agentsight.directory().join("in.txt"), text).expect("the directory is ours");
    fs::write(agentsight.directory().join("expected"), expected).expect("the directory is ours");
    let printed = run(Command::new("sha256sum").arg(agentsight.directory().join("expected")), LIMIT).expect_code(0);
    let expected = printed.stdout.split_whitespace().next().expect("it prints the hash first");

    let program = format!("import os; os.chdir({folder:?})\n{MOVES}");
    let options = [&["--no-daemon", "--capture-burst-bytes", "4000000"], capture].concat();
    let traced = agentsight.trace(&options, &[python(), "-S", "-c", &program]);
    let is_it = |span: &&Span| span.text("agentsight.content.hash") == expected;
    traced.trace.spans.iter().filter(is_it).map(|span| span.name.clone()).collect()
}

const ALL_FILES: [&str; 2] = ["--capture", "**/agentsight-test.*/*"];
const STREAMS: [&str; 4] = ["--capture-pipes", "--capture-unix", "--capture-net", "127.0.0.1"];

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("line {number} of what is moved\n")).collect()
}

#[test]
fn a_secret_is_redacted_at_every_hop() {
    let secret = "hunter2-and-more-of-it";
    let text = format!("{}{{\"user\": \"me\", \"password\": \"{secret}\"}}\n{}", lines(300), lines(211));
    let all = [&ALL_FILES, &STREAMS[..]].concat();
    let redacted = text.replace(secret, &"*".repeat(secret.len()));
    assert_eq!(hops(&text, &text, &all), BTreeSet::new());
    let found = hops(&text, &redacted, &all);
    assert_eq!(found.len(), 10, "{found:?}");
}

/// The names of spans with contents in what a run that captures so much wrote.
fn captured(agentsight: &Agentsight, options: &[&str], program: &str) -> BTreeSet<String> {
    let options = [&["--no-daemon"], options].concat();
    names_with_contents(&agentsight.trace(&options, &[python(), "-S", "-c", program]).trace)
}

fn names_with_contents(trace: &Trace) -> BTreeSet<String> {
    let has = |span: &&Span| span.int("agentsight.content.bytes").is_some();
    trace.spans.iter().filter(has).map(|span| span.name.clone()).collect()
}

const REQUEST: &str = "
import socket
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(('localhost', server.getsockname()[1])); taken, _ = server.accept()
client.sendall(b'request'); taken.recv(99); taken.sendall(b'answer'); client.recv(99)
";

#[test]
fn a_hosts_name_is_as_good_as_its_address() {
    let agentsight = Agentsight::as_root();
    let both = ["read tcp", "write tcp"].map(str::to_owned).into();
    assert_eq!(captured(&agentsight, &["--capture-net", "localhost"], REQUEST), both);
    assert_eq!(captured(&agentsight, &["--capture-net", "localhost:1"], REQUEST), BTreeSet::new());
}

#[test]
fn the_sessions_of_a_rule_have_captured_what_the_configuration_allows() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    for name in ["wanted.json", "secret.json", "other.txt"] {
        fs::write(agentsight.directory().join(name), name).expect("the directory is ours");
    }
    let config = format!(
        "export: {{endpoint: '{}'}}\ncapture: {{allow: '*.json', deny: 'secret.*'}}\nrules: [{{executable: '{}', capture: true}}]",
        receiver.endpoint(),
        agent.path.display(),
    );
    let daemon = Daemon::start(&agentsight, &config, &[]);
    let folder = path_text(agentsight.directory().path());
    // Again and again: whoever is adopted has done something before.
    let reads = "while :; do cat wanted.json secret.json other.txt; sleep 0.1; done";
    let running = agent.start(&format!("cd {folder}; ({reads}) & read end; kill $!"));
    wait_for("what it read last", LIMIT, || {
        let trace = receiver.trace();
        trace.spans.iter().any(|span| span.name == "read other.txt").then_some(())
    });
    drop(running);
    let _ = daemon.stop().expect_code(0);
    assert_eq!(names_with_contents(&receiver.trace()), BTreeSet::from(["read wanted.json".to_owned()]));
}
