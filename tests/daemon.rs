//! The daemon: rules, new and running processes, callers without sudo, another configuration, and its supervisor.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::daemon::{Agent, Daemon};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::{Started, run};
use agentsight_tests::store::count_unsent;
use agentsight_tests::trace::{Span, Trace, Value};
use agentsight_tests::unprivileged::User;
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// `nobody`, whom `unprivileged::User` is.
const NOBODY: i64 = 65534;

#[test]
fn a_process_that_matches_a_rule_has_a_session_whether_it_is_new_or_was_running() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let other = Agent::new(agentsight.directory().path(), "other");
    let before = agent.start("(sleep 600.5 & read end; kill $!) ; true");
    let daemon = Daemon::start(&agentsight, &rule(&agent, &receiver), &[]);
    let after = agent.start("sleep 0.5; /bin/echo hello; read end; exit 3");
    let unwanted = other.start("/bin/echo nobody asked; read end");
    let sessions = || receiver.trace().spans.iter().filter_map(session_of).collect::<BTreeSet<_>>().len();
    wait_for("the echo of the new one", LIMIT, || (sessions() >= 1).then_some(()));
    drop((before, after, unwanted));
    wait_for("both sessions", LIMIT, || (sessions() == 2).then_some(()));
    wait_for("their ends", LIMIT, || {
        let ended = receiver.trace().spans.iter().filter(|span| is_of(span, "agent") && has_ended(span)).count();
        (ended >= 3).then_some(())
    });
    let _ = daemon.stop().expect_code(0);

    let trace = receiver.trace();
    assert!(trace.spans.iter().all(|span| !is_of(span, "other")), "{trace}");
    let first =
        trace.spans.iter().find(|span| is_true(span, "agentsight.process.already_running") && span.parent.is_none());
    let first = trace.of_id(&first.expect("the running one was taken over").trace_id);
    first.assert_whole();
    assert!(first.spans.iter().any(|span| span.text("process.executable.name") == "sleep"), "{first}");
    let second = trace.spans.iter().find(|span| span.text("process.executable.name") == "echo").expect("it was seen");
    let second = trace.of_id(&second.trace_id);
    second.assert_whole();
    assert!(
        second.spans.iter().any(|span| is_of(span, "agent") && span.int("process.exit.code") == Some(3)),
        "{second}"
    );
}

#[test]
fn rules_look_at_the_command_line_the_user_and_the_control_group() {
    let (user, receiver) = (User::new(), Receiver::start());
    let agentsight = Agentsight::as_root();
    let agent = Agent::new(user.directory().path(), "agent");
    let cgroup = fs::read_to_string("/proc/self/cgroup").expect("Linux has it");
    let place = |path: &str| path_text(&user.directory().join(path)).to_owned();
    let config = format!(
        "export: {{endpoint: '{}'}}\nself_telemetry: false\nrules:
  - {{executable: '{}', command_line: '* --magic-word*', service: by-words}}
  - {{executable: '{}', user: {NOBODY}, service: by-user}}
  - {{executable: '{}', cgroup: '/no/such/group', service: by-group}}\n",
        receiver.endpoint(),
        place("agent"),
        place("agent"),
        place("agent"),
    );
    assert!(!cgroup.contains("/no/such/group"));
    let daemon = Daemon::start(&agentsight, &config, &[]);
    let mut as_nobody = Command::new("setpriv");
    as_nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&agent.path);
    let commands = [
        agent.command(["-c", "sleep 1.1", "agent", "--magic-word", "please"]),
        agent.command(["-c", "sleep 1.1"]),
        std::mem::replace(as_nobody.args(["-c", "sleep 1.1"]), Command::new("true")),
    ];
    let started = commands.map(|mut command| Started::new(&mut command));
    wait_for("two sessions", LIMIT, || (services(&receiver.trace()).len() >= 2).then_some(()));
    for started in started {
        let _ = started.finish(LIMIT).expect_code(0);
    }
    let _ = daemon.stop().expect_code(0);
    assert_eq!(services(&receiver.trace()), BTreeSet::from(["by-user".to_owned(), "by-words".to_owned()]));
}

#[test]
fn a_user_without_any_rights_runs_a_command_through_the_daemon() {
    let (user, receiver) = (User::new(), Receiver::start());
    let agentsight = Agentsight::as_root();
    let daemon = Daemon::start(&agentsight, "self_telemetry: false\n", &[]);
    let script = "/bin/echo one; /bin/echo two >&2; exit 5";
    let mut command =
        user.agentsight(["run", "--tree", "--endpoint", &receiver.endpoint(), "--", "/bin/sh", "-c", script]);
    let finished = run(command.env("AGENTSIGHT_SOCKET", daemon.socket()), LIMIT).expect_code(5);
    assert_eq!(finished.stdout, "one\n");
    for words in ["two\n", "sh -c", "exit 5", "nothing lost", "spans sent to"] {
        assert!(finished.stderr.contains(words), "`{words}` is not in:\n{}", finished.stderr);
    }
    let trace = receiver.trace();
    trace.assert_whole();
    let images: Vec<_> = trace.spans.iter().filter(|span| is_image(span)).collect();
    assert_eq!(images.len(), 3, "{trace}");
    assert!(images.iter().all(|span| span.int("process.user.id") == Some(NOBODY)), "{trace}");
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn two_runs_at_once_have_each_their_own_spans_and_files() {
    let user = User::new();
    let agentsight = Agentsight::as_root();
    let daemon = Daemon::start(&agentsight, "", &[]);
    let start = |name: &str| {
        let output = user.directory().join(name);
        let script = format!("for i in 1 2 3 4 5 6 7; do /bin/echo {name}; done; exit 7");
        let mut command =
            user.agentsight(["run", "--no-tree", "-o", path_text(&output), "--", "/bin/sh", "-c", &script]);
        Started::new(command.env("AGENTSIGHT_SOCKET", daemon.socket()))
    };
    let both = ["left", "right"].map(|name| (name, start(name)));
    for (name, started) in both {
        let finished = started.finish(LIMIT).expect_code(7);
        let trace = agentsight.read(&user.directory().join(name), &finished);
        trace.assert_whole();
        let words: Vec<_> = trace.spans.iter().filter(|span| is_of(span, "echo") && is_image(span)).collect();
        assert_eq!(words.len(), 7, "{trace}");
        assert!(words.iter().all(|span| span.texts("process.command_args").last() == Some(&name)), "{trace}");
    }
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn what_moves_in_two_sessions_at_once_is_linked_within_each_and_never_between_them() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let daemon = Daemon::start(&agentsight, &format!("live_after: 300ms\n{}", rule(&agent, &receiver)), &[]);
    // Both work in one folder, at the same time, on files of their own.
    let folder = path_text(agentsight.directory().path()).to_owned();
    let work = |name: &str| {
        fs::write(agentsight.directory().join(&format!("{name}.in")), "b\na\n").expect("the directory is ours");
        let rounds = "for i in 1 2 3 4 5";
        format!(
            "cd {folder}; {rounds}; do cat {name}.in | sort > {name}.out; cat {name}.out > {name}.copy; done; exit 0"
        )
    };
    let by_rule = agent.start(&format!("read end; {}", work("left")));
    wait_for("the session by rule", LIMIT, || {
        receiver.trace().spans.iter().any(|span| is_of(span, "agent")).then_some(())
    });
    let run = ["run", "--no-tree", "--endpoint", &receiver.endpoint(), "--", "/bin/sh", "-c", &work("right")];
    let by_run = Started::new(&mut agentsight.command(run));
    // The end of its input lets it begin to work.
    drop(by_rule);
    let _ = by_run.finish(LIMIT).expect_code(0);
    wait_for("the end of the agent", LIMIT, || {
        receiver.trace().spans.iter().any(|span| is_of(span, "agent") && has_ended(span)).then_some(())
    });
    let _ = daemon.stop().expect_code(0);

    let trace = receiver.trace();
    let sessions: BTreeSet<_> = trace.spans.iter().filter_map(session_of).collect();
    assert_eq!(sessions.len(), 2, "{trace}");
    for (name, other) in [("left", "right"), ("right", "left")] {
        let is_out = |span: &&Span| span.text("file.path").ends_with(&format!("{name}.out"));
        let out: Vec<_> = trace.spans.iter().filter(is_out).collect();
        let session = out.first().and_then(|span| session_of(span)).expect("bursts of the file were sent");
        trace.of_id(&out[0].trace_id).assert_whole();
        let own: Vec<_> = trace.spans.iter().filter(|span| session_of(span).as_ref() == Some(&session)).collect();
        let ids: BTreeSet<_> = own.iter().map(|span| (&span.trace_id, &span.id)).collect();
        let foreign = own.iter().find(|span| span.text("file.path").contains(&format!("/{other}.")));
        assert!(foreign.is_none(), "{name} has {foreign:?}");
        let links = |span: &Span| span.links.iter().map(|link| (link.trace_id.clone(), link.span_id.clone())).collect();
        let linked: Vec<(String, String)> = own.iter().flat_map(|span| -> Vec<_> { links(span) }).collect();
        assert!(linked.iter().all(|(trace, span)| ids.contains(&(trace, span))), "{name} is linked to another");
        // `cat` read what `sort` wrote, and `sort` what the first `cat` wrote.
        for reader in ["cat", "sort"] {
            let fed = own.iter().filter(|span| is_of(span, reader) && span.text("agentsight.action") == "read");
            let fed = fed.filter(|span| !span.links.is_empty()).count();
            assert!(fed > 0, "{name}: no read of {reader} is linked to what wrote it: {trace}");
        }
    }
}

#[test]
fn everybody_may_attach_to_their_own_processes_and_to_no_other() {
    let user = User::new();
    let agentsight = Agentsight::as_root();
    let daemon = Daemon::start(&agentsight, "", &[]);
    let agent = Agent::new(user.directory().path(), "agent");
    let roots = agent.start("read end");
    let attach = |pid: u32| {
        let output = user.directory().join("attached");
        let pid = pid.to_string();
        let mut command = user.agentsight(["attach", "--no-tree", "-o", path_text(&output), "--pid", &pid]);
        (Started::new(command.env("AGENTSIGHT_SOCKET", daemon.socket())), output)
    };
    let refused = attach(roots.id()).0.finish(LIMIT).expect_code(2);
    assert!(refused.stderr.contains("is not one of your own"), "{}", refused.stderr);
    drop(roots);

    let mut own = Command::new("setpriv");
    own.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&agent.path)
        .args(["-c", "sleep 1; exit 4"]);
    let mut own = own.spawn().expect("setpriv is there");
    // setpriv becomes the agent by its exec.
    let is_agent = || fs::read_link(format!("/proc/{}/exe", own.id())).is_ok_and(|path| path == agent.path);
    wait_for("the agent", LIMIT, || is_agent().then_some(()));
    let (attached, output) = attach(own.id());
    let finished = attached.finish(LIMIT).expect_code(0);
    let _ = own.wait();
    let trace = agentsight.read(&output, &finished);
    assert_eq!(trace.only("agent").int("process.exit.code"), Some(4), "{trace}");
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn a_run_inside_of_a_session_joins_it() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let daemon = Daemon::start(&agentsight, &rule(&agent, &receiver), &[]);
    let inner = agentsight.command(["run", "--no-tree", "--", "/bin/echo", "inner"]);
    let script =
        format!("sleep 0.5; exec {} run --no-tree -- /bin/echo inner", path_text(inner.get_program().as_ref()));
    let mut command = agent.command(["-c", &script]);
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_eq!(run(&mut command, LIMIT).expect_code(0).stdout, "inner\n");
    wait_for("the echo", LIMIT, || receiver.trace().spans.iter().any(|span| is_of(span, "echo")).then_some(()));
    let _ = daemon.stop().expect_code(0);
    let trace = receiver.trace();
    assert_eq!(trace.spans.iter().filter_map(session_of).collect::<BTreeSet<_>>().len(), 1, "{trace}");
    trace.assert_whole();
}

#[test]
fn a_new_configuration_holds_at_once_and_a_bad_one_is_refused_with_its_place() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let mut daemon = Daemon::start(&agentsight, "self_telemetry: false\n", &[]);
    let running = agent.start("read end; exit 9");
    assert_eq!(daemon.reload(&rule(&agent, &receiver)), "STATUS=1 rules, 1 sessions", "the running one is taken over");

    let file = agentsight.directory().join("agentsight.yaml");
    let refused = daemon.reload("rules:\n  - exectable: x\n");
    for words in
        ["the old one stays", &format!("{}:2:5: ", file.display()), "`exectable`", "did you mean `executable`?"]
    {
        assert!(refused.contains(words), "`{words}` is not in {refused}");
    }
    let second = agent.start("read end; exit 11");
    let store = agentsight.directory().join("store").join("agentsight.db");
    wait_for("both to be open", LIMIT, || (count_unsent(&store).0 == 2).then_some(()));
    drop((running, second));
    wait_for("both ends", LIMIT, || {
        let codes: BTreeSet<_> =
            receiver.trace().spans.iter().filter_map(|span| span.int("process.exit.code")).collect();
        (codes == BTreeSet::from([9, 11])).then_some(())
    });
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn its_supervisor_is_told_of_its_life_and_its_end() {
    let agentsight = Agentsight::as_root();
    let mut daemon = Daemon::start(&agentsight, "", &[]);
    for _ in 0..3 {
        daemon.wait_to_be_told("WATCHDOG=1");
    }
    daemon.signal(Signal::SIGTERM);
    daemon.wait_to_be_told("STOPPING=1");
    let _ = daemon.finish().expect_code(0);
    assert!(!agentsight.directory().join("daemon.sock").exists());
}

#[test]
fn a_second_daemon_is_told_that_there_is_one() {
    let agentsight = Agentsight::as_root();
    let daemon = Daemon::start(&agentsight, "", &[]);
    let second = agentsight.run(["daemon"]).expect_code(2);
    assert!(second.stderr.contains("another daemon of AgentSight runs"), "{}", second.stderr);
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn when_it_is_stopped_what_it_has_is_delivered_and_what_goes_on_is_linked_to_what_was() {
    let (agentsight, receiver) = (Agentsight::as_root(), Receiver::start());
    let agent = Agent::new(agentsight.directory().path(), "agent");
    let config = rule(&agent, &receiver);
    let daemon = Daemon::start(&agentsight, &config, &[]);
    let running = agent.start("sleep 0.5; /bin/echo before; read end; exit 13");
    wait_for("the agent", LIMIT, || receiver.trace().spans.iter().any(|span| is_of(span, "echo")).then_some(()));
    let _ = daemon.stop().expect_code(0);

    let daemon = Daemon::start(&agentsight, &config, &[]);
    // What it runs is read from /proc, as long as it is there.
    let store = agentsight.directory().join("store").join("agentsight.db");
    wait_for("the agent again", LIMIT, || (count_unsent(&store).0 > 0).then_some(()));
    drop(running);
    wait_for("its end", LIMIT, || {
        receiver.trace().spans.iter().any(|span| span.int("process.exit.code") == Some(13)).then_some(())
    });
    let _ = daemon.stop().expect_code(0);
    let trace = receiver.trace();
    let of_agent = |incomplete: bool| {
        let spans = trace.spans.iter().filter(|span| is_of(span, "agent"));
        let found: Vec<_> = spans.filter(|span| is_true(span, "agentsight.span.incomplete") == incomplete).collect();
        assert_eq!(found.len(), 1, "{trace}");
        found[0]
    };
    let (old, new) = (of_agent(true), of_agent(false));
    assert_ne!(session_of(old), session_of(new));
    let link = new.links.iter().find(|link| link.is("segment")).expect("the new one says where it comes from");
    assert_eq!((&link.trace_id, &link.span_id), (&old.trace_id, &old.id), "{trace}");
}

#[test]
fn the_schema_is_json_and_a_configuration_can_be_checked() {
    let agentsight = Agentsight::as_root();
    let schema: serde_json::Value =
        serde_json::from_str(&agentsight.run(["daemon", "--print-schema"]).expect_code(0).stdout).expect("it is JSON");
    assert_eq!(schema["additionalProperties"], false);
    for (name, kind) in [("socket", "string"), ("rules", "array")] {
        let types = schema["properties"][name]["type"].to_string();
        assert!(types.contains(kind), "{name}: {types}");
    }
    let file = agentsight.directory().join("agentsight.yaml");
    let check = |text: &str| {
        fs::write(&file, text).expect("the directory is ours");
        agentsight.run(["daemon", "--check", "--config", path_text(&file)])
    };
    let _ = check(include_str!("../examples/agentsight.yaml")).expect_code(0);
    let refused = check("rules: 3\n").expect_code(2);
    assert!(refused.stderr.contains("agentsight.yaml:1:8: "), "{}", refused.stderr);
}

/// The unit that ships, as far as a test can do without systemd: what it lets the daemon keep is enough.
#[test]
fn the_capabilities_of_its_unit_are_enough_and_it_keeps_no_other() {
    let unit = include_str!("../exporter/systemd/agentsight.service");
    let capabilities =
        unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).expect("it is bounded");
    let kept = capabilities.split(' ').map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()));
    let bounded = format!("--bounding-set=-all{}", kept.collect::<String>());
    let (agentsight, user, receiver) = (Agentsight::as_root(), User::new(), Receiver::start());
    let agent = Agent::new(user.directory().path(), "agent");
    let daemon = Daemon::start_by(&["setpriv", &bounded], &agentsight, &rule(&agent, &receiver), &[]);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("it runs");
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
        u64::from_str_radix(line.trim(), 16).expect("it is a number").count_ones()
    };
    assert_eq!((set("CapEff:"), set("CapPrm:"), set("CapInh:")), (4, 4, 0), "{status}");

    // Another user's process is taken over, and what it runs is read, by those rights alone.
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&agent.path)
        .args(["-c", "sleep 1; exit 6"]);
    let _ = run(&mut command, LIMIT).expect_code(6);
    let is_end = |span: &Span| span.int("process.exit.code") == Some(6);
    wait_for("its end", LIMIT, || receiver.trace().spans.iter().any(is_end).then_some(()));
    let trace = receiver.trace();
    let agent = trace.spans.iter().find(|span| is_end(span)).expect("it was there");
    assert_eq!(agent.texts("process.command_args").last(), Some(&"sleep 1; exit 6"), "{trace}");
    let _ = daemon.stop().expect_code(0);
}

fn rule(agent: &Agent, receiver: &Receiver) -> String {
    format!(
        "export: {{endpoint: '{}'}}\nself_telemetry: false\nrules: [{{executable: '{}'}}]\n",
        receiver.endpoint(),
        agent.path.display()
    )
}

fn services(trace: &Trace) -> BTreeSet<String> {
    trace
        .spans
        .iter()
        .filter_map(|span| match span.resource.get("service.name") {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

fn session_of(span: &Span) -> Option<String> {
    Some(span.text("agentsight.session.id").to_owned()).filter(|id| !id.is_empty())
}

fn is_of(span: &Span, program: &str) -> bool {
    span.text("process.executable.name") == program
}

/// Of a process, and not of what it moved.
fn is_image(span: &Span) -> bool {
    span.text("agentsight.object.type") == "process"
}

fn has_ended(span: &Span) -> bool {
    span.int("process.exit.code").is_some()
}

fn is_true(span: &Span, name: &str) -> bool {
    span.attributes.get(name) == Some(&Value::Bool(true))
}
