//! What a user asks on the command line about what was traced: lists, trees, filters, why and impact.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::backend::Running;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::held::Held;
use agentsight_tests::run::{Finished, Started};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// Has traced `sh`, which ran `expr` and a `false`.
fn traced() -> Agentsight {
    let agentsight = Agentsight::as_root();
    let script = "expr 1 + 2; /bin/false; ls /nonexistent; exit 3";
    let _ = agentsight.run(["run", "--no-tree", "--", "sh", "-c", script]).expect_code(3);
    agentsight
}

fn ask(agentsight: &Agentsight, arguments: &[&str]) -> Finished {
    agentsight.run(arguments).expect_code(0)
}

fn json(agentsight: &Agentsight, arguments: &[&str]) -> Value {
    let finished = ask(agentsight, &[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

fn names(answer: &Value) -> Vec<&str> {
    let spans = answer["spans"].as_array().expect("an answer has spans");
    spans.iter().filter_map(|span| span["executable"].as_str()).collect()
}

#[test]
fn sessions_show_and_query_say_what_was_traced() {
    let agentsight = traced();
    let sessions = json(&agentsight, &["sessions"]);
    assert_eq!(sessions[0]["state"], "ended", "{sessions}");
    assert!(sessions[0]["spans"].as_u64() >= Some(4), "{sessions}");
    assert!(sessions[0]["command"].as_str().is_some_and(|command| command.starts_with("sh -c expr")), "{sessions}");
    let tree = ask(&agentsight, &["show", "last"]).stdout;
    assert!(tree.contains("├─ expr 1 + 2") && tree.contains("exit 3"), "{tree}");
    let trace = sessions[0]["trace_id"].as_str().expect("a session has a trace");
    assert_eq!(ask(&agentsight, &["show", &trace[..8]]).stdout, tree);

    let all = json(&agentsight, &["query", "--action", "process"]);
    assert_eq!(names(&all)[1..], ["expr", "false", "ls"], "{all}");
    let failed = json(&agentsight, &["query", "--status", "error", "--since", "5m", "--exe", "f*", "--action", "exec"]);
    assert_eq!(names(&failed), ["false"]);
    let pid = failed["spans"][0]["pid"].to_string();
    assert_eq!(names(&json(&agentsight, &["query", "--pid", &pid, "--action", "exec"])), ["false"]);
    assert_eq!(
        json(&agentsight, &["query", "--subtree", &pid, "--action", "exec"])["spans"].as_array().map(Vec::len),
        Some(1)
    );
    assert!(names(&json(&agentsight, &["query", "--until", "1h"])).is_empty(), "nothing an hour ago");
    assert_eq!(names(&json(&agentsight, &["query", "--path", "/usr/bin/ex*"])), ["expr"]);
}

#[test]
fn pages_join_to_the_whole_answer() {
    let agentsight = traced();
    let whole = json(&agentsight, &["query", "--sort", "-start"]);
    let mut spans = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments = vec!["query", "--sort", "-start", "--limit", "1"];
        arguments.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = json(&agentsight, &arguments);
        spans.extend(page["spans"].as_array().expect("a page has spans").clone());
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(Some(&spans), whole["spans"].as_array());
    assert!(spans.len() >= 4);
}

#[test]
fn why_goes_up_and_impact_goes_down() {
    let agentsight = traced();
    let why = json(&agentsight, &["why", "--exe", "expr", "--action", "exec", "--last"]);
    assert_eq!(names(&why).len(), 2, "{why}");
    assert_eq!(why["edges"][0]["type"], "parent", "{why}");
    let root = why["spans"][1]["span_id"].as_str().expect("a span has an id").to_owned();
    let impact = json(&agentsight, &["impact", &root]);
    let started = ["expr", "false", "ls"].iter().all(|name| names(&impact).contains(name));
    assert!(started, "{impact}");
    let text = ask(&agentsight, &["impact", &root]).stdout;
    assert!(text.contains("├─ parent: "), "{text}");
    for format in ["dot", "mermaid"] {
        let picture = ask(&agentsight, &["why", "--exe", "ls", "--last", "--format", format]).stdout;
        assert!(picture.contains("->") && picture.contains("parent"), "{picture}");
    }
    let several = agentsight.run(["why", "--action", "exec"]).expect_code(2);
    assert!(several.stderr.contains("--last"), "{}", several.stderr);
}

#[test]
fn follow_says_new_matches_as_they_come() {
    let agentsight = traced();
    let following = Started::new(
        &mut agentsight.command(["query", "--follow", "--exe", "expr", "--action", "exec", "--format", "ndjson"]),
    );
    let id = following.id();
    // It has looked once by the time that it waits: only then is what comes new.
    wait_for("it to wait", LIMIT, || {
        let state = fs::read_to_string(format!("/proc/{id}/syscall")).ok()?;
        // clock_nanosleep
        state.starts_with("230 ").then_some(())
    });
    let _ = agentsight.run(["run", "--no-tree", "--", "expr", "40", "+", "2"]).expect_code(0);
    wait_for("the look after", LIMIT, || {
        let stored = json(&agentsight, &["query", "--exe", "expr", "--action", "exec"]);
        (names(&stored).len() == 2).then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    // Not SIGINT: who starts the tests in the background has them ignore it, and so does what they start.
    kill(id, Signal::SIGTERM).expect("it runs");
    let finished = following.finish(LIMIT);
    let lines: Vec<Value> =
        finished.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(lines.len(), 1, "{}", finished.stdout);
    assert_eq!(lines[0]["attributes"]["process.command_args"][1], "40", "{}", finished.stdout);
}

#[test]
fn follow_of_a_subtree_says_what_its_processes_do_while_they_run_and_nothing_else() {
    let agentsight = Agentsight::as_root();
    let held = Held::start(&agentsight, &[], "exit 0");
    held.command_does("/bin/true");
    let store = agentsight.directory().join("store/agentsight.db");
    wait_for("the store", LIMIT, || store.exists().then_some(()));
    // The command is `sh`; its own span ends with the session, and says what its descendants are of from the beginning.
    let first = wait_for("the first program", LIMIT, || {
        let found = json(&agentsight, &["query", "--exe", "true", "--action", "exec"]);
        found["spans"][0]["attributes"]["process.parent_pid"].as_i64()
    });
    let question = ["query", "--follow", "--since", "1h", "--action", "exec", "--format", "ndjson", "--subtree"];
    let following = |pid: i64| {
        let said = agentsight.directory().join(&format!("said-of-{pid}"));
        let mut command = agentsight.command(question.iter().chain(&[&*pid.to_string()]));
        command.stdout(fs::File::create(&said).expect("the directory is ours"));
        (Running(command.spawn().expect("agentsight starts")), said)
    };
    let ((_one, of_command), (_other, of_nobody)) = (following(first), following(1));
    held.command_does("sh -c 'expr 1 + 2; : and no exec in its place'");
    wait_for("what came before and what comes now", LIMIT, || {
        let said = fs::read_to_string(&of_command).ok()?;
        ["true", "expr"].iter().all(|name| said.contains(&format!("\"executable\":\"{name}\""))).then_some(())
    });
    assert_eq!(fs::read_to_string(of_nobody).expect("it was made"), "");
    let _ = held.let_go().expect_code(0);
}

#[test]
fn a_copy_of_the_store_is_asked_without_rights_and_the_store_is_not() {
    let agentsight = traced();
    let copy = agentsight.directory().join("copy.db");
    // The last to close the store leaves all in one file.
    let log = agentsight.directory().join("store/agentsight.db-wal");
    wait_for("the collector to be done with the store", LIMIT, || (!log.exists()).then_some(()));
    fs::copy(agentsight.directory().join("store/agentsight.db"), &copy).expect("root may read it");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).expect("root may change it");
    fs::set_permissions(agentsight.directory().join("."), fs::Permissions::from_mode(0o755)).expect("it is ours");
    let as_nobody = |arguments: &[&str]| {
        let inner = agentsight.command(arguments);
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--"]).arg(inner.get_program()).args(inner.get_args());
        agentsight_tests::run::run(&mut command, LIMIT)
    };
    let shown = as_nobody(&["show", "--store", path_text(&copy)]).expect_code(0);
    assert!(shown.stdout.contains("expr 1 + 2"), "{}", shown.stdout);
    let before = fs::read(&copy).expect("it is there");
    let _ = as_nobody(&["query", "--store", path_text(&copy)]).expect_code(0);
    assert!(fs::read(&copy).expect("it is there") == before, "a copy is not changed");
}

#[test]
fn what_makes_no_sense_is_refused_with_how_to_say_it() {
    let agentsight = traced();
    for (arguments, told) in [
        (&["query", "--action", "x' OR 1=1 --"][..], "network, file"),
        (&["query", "--since", "soon"], "10:30"),
        (&["query", "--limit", "-1"], "limit"),
        (&["query", "--cursor", "../../etc"], "cursor"),
        (&["why"], "--last"),
        (&["query", "--store", "/etc/hostname"], "not a database"),
        (&["query", "--store", "/nonexistent/x"], "No such file"),
        (&["query", "--format", "dot", "--follow"], "--follow goes with"),
    ] {
        let refused = agentsight.run(arguments).expect_code(2);
        assert!(refused.stderr.contains(told), "{arguments:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    }
    for arguments in [&["show", "feedbeef"][..], &["why", "0123456789abcdef"], &["why", "--exe", "nothing", "--last"]] {
        let refused = agentsight.run(arguments).expect_code(1);
        assert!(refused.stderr.contains("no "), "{}", refused.stderr);
    }
    let nothing = Agentsight::as_root();
    let refused = nothing.run(["sessions"]).expect_code(2);
    assert!(refused.stderr.contains("nothing has been traced"), "{}", refused.stderr);
}
