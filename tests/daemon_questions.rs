//! Questions of a user without any rights, through the daemon's socket: their own sessions are answered like root's, others' are
//! not there, and of what other users' processes did in their sessions they learn only that it ran.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::daemon::Daemon;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::executable;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Finished, Started, run};
use agentsight_tests::unprivileged::User;
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const CONFIG: &str = "self_telemetry: false\n";
/// What only root's processes are told.
const SECRET: &str = "hush-hush-4711";

fn by_user(user: &User, daemon: &Daemon<'_>, arguments: &[&str]) -> Finished {
    run(user.agentsight(arguments).env("AGENTSIGHT_SOCKET", daemon.socket()), LIMIT)
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

fn ids(answer: &Value) -> BTreeSet<String> {
    let spans = answer["spans"].as_array().expect("an answer has spans");
    spans.iter().filter_map(|span| span["span_id"].as_str().map(str::to_owned)).collect()
}

fn names(answer: &Value) -> Vec<&str> {
    let spans = answer["spans"].as_array().expect("an answer has spans");
    spans.iter().filter_map(|span| span["executable"].as_str()).collect()
}

#[test]
fn a_users_questions_about_their_own_session_are_answered_like_roots() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, CONFIG, &[]);
    // Many processes, so that an answer has several pages; and data that goes from one to another.
    let script = "i=0; while [ $i -lt 600 ]; do /bin/true; i=$((i+1)); done; echo 1 > made; /usr/bin/expr 1 + 2; /bin/cat made; exit 3";
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/sh", "-c", script]).expect_code(3);
    let by_root = |arguments: &[&str]| agentsight.run(arguments).expect_code(0);
    let by_user = |arguments: &[&str]| by_user(&user, &daemon, arguments).expect_code(0);

    let sessions = json(&by_user(&["sessions", "--format", "json"]));
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    assert_eq!(sessions, json(&by_root(&["sessions", "--format", "json"])));
    let session = sessions[0]["id"].as_str().expect("it has an id");
    let trace = sessions[0]["trace_id"].as_str().expect("it has a trace");
    let questions: [&[&str]; 14] = [
        &["query", "--limit", "100000", "--format", "json"],
        &["query", "--limit", "100000", "--sort=-duration", "--format", "json"],
        &["query", "--exe", "expr", "--format", "json"],
        &["query", "--action", "file", "--path", "**/made", "--sort=-bytes", "--format", "json"],
        &["query", "--status", "error", "--since", "1h", "--format", "json"],
        &["query", "--session", "last", "--exe", "c*", "--format", "json"],
        &["query", "--trace", &trace[..8], "--limit", "2", "--format", "json"],
        &["query", "--exe", "expr", "--format", "mermaid"],
        &["show", "last"],
        &["show", trace, "--format", "json"],
        &["show", &session[..8], "--format", "ndjson"],
        &["why", "--exe", "cat", "--action", "read", "--path", "**/made", "--last", "--format", "json"],
        &["impact", "--exe", "*sh", "--action", "exec", "--last", "--spans", "5000", "--format", "json"],
        &["why", "--exe", "expr", "--last", "--format", "tree"],
    ];
    for question in questions {
        let (theirs, roots) = (by_user(question), by_root(question));
        assert!(theirs.stdout == roots.stdout, "{question:?}:\n{}\n---\n{}", theirs.stdout, roots.stdout);
    }
    let all = json(&by_user(questions[0]));
    assert!(names(&all).iter().filter(|name| **name == "true").count() >= 600, "an answer is whole");
    // Its subtree is all of it.
    let root = all["spans"][0]["pid"].to_string();
    let subtree = json(&by_user(&["query", "--subtree", &root, "--limit", "100000", "--format", "json"]));
    assert_eq!(ids(&subtree), ids(&all));
    // Page by page, it is the same.
    let (mut paged, mut cursor): (BTreeSet<String>, Option<String>) = (BTreeSet::new(), None);
    loop {
        let mut question = vec!["query", "--limit", "150", "--format", "json"];
        question.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = json(&by_user(&question));
        assert!(ids(&page).len() <= 150);
        paged.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all));
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn another_users_session_is_not_there() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, CONFIG, &[]);
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/echo", "own"]).expect_code(0);
    let _ = agentsight.run(["run", "--no-tree", "--", "/bin/echo", SECRET]).expect_code(0);
    let roots = json(&agentsight.run(["sessions", "--format", "json"]).expect_code(0));
    assert_eq!(roots.as_array().map(Vec::len), Some(2), "root sees both: {roots}");
    let (session, trace) = (&roots[0]["id"], &roots[0]["trace_id"]);
    let (session, trace) = (session.as_str().expect("it has an id"), trace.as_str().expect("it has a trace"));
    let spans = json(&agentsight.run(["query", "--session", session, "--format", "json"]).expect_code(0));
    let span = spans["spans"][0]["span_id"].as_str().expect("it has spans").to_owned();

    let ask = |arguments: &[&str]| by_user(&user, &daemon, arguments);
    let own = json(&ask(&["sessions", "--format", "json"]).expect_code(0));
    assert_eq!(own.as_array().map(Vec::len), Some(1), "{own}");
    assert_eq!(own[0]["command"], "/bin/echo own", "{own}");
    for question in [
        &["query", "--format", "json"][..],
        &["query", "--exe", "echo", "--format", "json"],
        &["query", "--attribute", &format!("agentsight.session.id={session}"), "--format", "json"],
        &["show", "last", "--format", "json"],
    ] {
        let answer = ask(question).expect_code(0).stdout;
        assert!(!answer.contains(SECRET) && !answer.contains(session) && !answer.contains(&span), "{answer}");
    }
    // Whatever is asked about it is answered as of what never was.
    let (nobodys, no_span) = ("0123456789abcdef".repeat(2), "0123456789abcdef");
    for (question, by) in [
        (vec!["show", session], (session, nobodys.as_str())),
        (vec!["show", trace], (trace, nobodys.as_str())),
        (vec!["show", &trace[..6]], (&trace[..6], "012345")),
        (vec!["query", "--session", session], (session, &nobodys)),
        (vec!["query", "--trace", trace], (trace, &nobodys)),
        (vec!["why", &span], (&span, no_span)),
        (vec!["impact", &span[..8]], (&span[..8], "01234567")),
    ] {
        let replaced: Vec<&str> = question.iter().map(|word| if *word == by.0 { by.1 } else { *word }).collect();
        let (refused, of_nothing) = (ask(&question).expect_code(1), ask(&replaced).expect_code(1));
        assert!(refused.stderr.contains("there is no "), "{}", refused.stderr);
        assert_eq!(refused.stderr.replace(by.0, by.1), of_nothing.stderr);
        assert_eq!(refused.stdout, "");
    }
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn of_a_setuid_programs_doings_in_their_session_a_user_learns_only_that_it_ran() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, CONFIG, &[]);
    // Run by root's rights, it starts a program with arguments that only root may read, whose output the user takes.
    let (keeper, list) = (user.directory().join("keeper"), user.directory().join("list"));
    executable::copy(need_program("xargs", "findutils"), &keeper);
    fs::set_permissions(&keeper, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    fs::write(&list, SECRET).expect("the directory is ours");
    fs::set_permissions(&list, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let script = format!(
        "echo data | {} -a {} /usr/bin/tee kept > /dev/null; /bin/cat kept > copy; exit 3",
        path_text(&keeper),
        path_text(&list)
    );
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/sh", "-c", &script]).expect_code(3);

    let all = ["query", "--limit", "100000", "--format", "json"];
    let everything = agentsight.run(all).expect_code(0);
    assert!(everything.stdout.contains(SECRET), "root sees it: {}", everything.stdout);
    let is_tee = |span: &&Value| span["executable"] == "tee" && span["action"] == "exec";
    let of_tee = |answer: &Value| {
        let found = answer["spans"].as_array().expect("an answer has spans").iter().find(is_tee).cloned();
        found.unwrap_or_else(|| panic!("tee ran: {answer}"))
    };
    let full = of_tee(&json(&everything));
    assert_eq!(full["attributes"]["process.user.id"], 0, "it ran by root's rights: {full}");

    let answered = by_user(&user, &daemon, &all).expect_code(0);
    let reduced = of_tee(&json(&answered));
    for kept in ["span_id", "trace_id", "parent_id", "pid", "start", "end", "executable"] {
        assert_eq!(reduced[kept], full[kept], "{kept} of {reduced}");
    }
    assert_eq!(reduced["name"], "tee");
    let kept: BTreeSet<&str> =
        reduced["attributes"].as_object().expect("it has some").keys().map(String::as_str).collect();
    for hidden in ["process.command_args", "process.executable.path", "process.working_directory", "process.exit.code"]
    {
        assert!(full["attributes"].get(hidden).is_some() && !kept.contains(hidden), "{hidden}: {reduced}");
    }
    let names = json(&answered);
    let did = names["spans"].as_array().expect("an answer has spans");
    let did = did.iter().filter(|span| span["executable"] == "tee" || span["executable"] == "keeper");
    assert!(did.clone().count() >= 2, "both ran: {names}");
    assert!(did.clone().all(|span| span["object"] == "process" && span["events"] == serde_json::json!([])), "{names}");

    // What it wrote and the user read: that there is a cause stays, not which.
    let read = ["query", "--exe", "cat", "--action", "read", "--path", "**/kept", "--format", "json"];
    let of_root = json(&agentsight.run(read).expect_code(0))["spans"][0].clone();
    let of_user = json(&by_user(&user, &daemon, &read).expect_code(0))["spans"][0].clone();
    let links = |span: &Value| span["links"].as_array().map_or(0, Vec::len);
    assert_eq!((links(&of_root), &of_root["dropped_links"]), (1, &Value::Null), "{of_root}");
    assert!(
        of_root["attributes"]["agentsight.causes"][0].as_str().is_some_and(|cause| cause.contains("tee")),
        "{of_root}"
    );
    assert_eq!((links(&of_user), &of_user["dropped_links"]), (0, &Value::from(1)), "{of_user}");
    assert_eq!(of_user["attributes"]["agentsight.causes"], Value::Null, "{of_user}");

    let tee = full["span_id"].as_str().expect("it has an id");
    for question in [
        &all[..],
        &["sessions", "--format", "json"],
        &["show", "last"],
        &["show", "last", "--format", "json"],
        &["why", tee, "--format", "json"],
        &["impact", tee, "--format", "json"],
        &["why", "--exe", "cat", "--action", "read", "--path", "**/kept", "--last", "--format", "json"],
        &["impact", "--exe", "*sh", "--action", "exec", "--last", "--format", "json"],
    ] {
        let answer = by_user(&user, &daemon, question).expect_code(0);
        assert!(!answer.stdout.contains(SECRET), "{question:?}: {}", answer.stdout);
    }
    // Nor by asking for what it did until something matches.
    for question in [
        &["query", "--attribute", &format!("process.command_args={SECRET}")][..],
        &["query", "--exe", "tee", "--path", "**"],
        &["query", "--exe", "tee", "--action", "write"],
        &["query", "--exe", "keeper", "--action", "file"],
    ] {
        let answer = by_user(&user, &daemon, question).expect_code(0);
        assert_eq!(answer.stdout, "", "{question:?}");
    }
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn a_session_that_a_rule_began_is_its_users_and_goes_on_to_be_under_the_next_daemon() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let agent = user.directory().join("agent");
    executable::copy("/bin/sh", &agent);
    let config = format!("{CONFIG}live_after: 300ms\nrules: [{{executable: '{}'}}]\n", path_text(&agent));
    let daemon = Daemon::start(&agentsight, &config, &[]);
    let mut running = std::process::Command::new("setpriv");
    running.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&agent);
    running
        .args(["-c", "read end; /bin/echo after"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut running = running.spawn().expect("setpriv is there");
    let shown = |daemon: &Daemon<'_>, count: usize| {
        let listed = by_user(&user, daemon, &["sessions", "--format", "json"]);
        let listed: Value = serde_json::from_str(&listed.stdout).ok()?;
        (listed.as_array().map(Vec::len) == Some(count)).then_some(())
    };
    wait_for("the session", LIMIT, || shown(&daemon, 1));
    daemon.kill();
    let daemon = Daemon::start(&agentsight, &config, &[]);
    wait_for("the session that follows it", LIMIT, || shown(&daemon, 2));
    drop(running.stdin.take());
    let _ = running.wait();
    wait_for("the echo", LIMIT, || {
        let answer = by_user(&user, &daemon, &["query", "--exe", "echo", "--format", "ndjson"]);
        answer.stdout.contains("after").then_some(())
    });
    let _ = daemon.stop().expect_code(0);
}

#[test]
fn new_matches_are_said_as_they_come_and_others_spans_are_none() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, CONFIG, &[]);
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/echo", "first"]).expect_code(0);
    let question = ["query", "--follow", "--since", "1h", "--exe", "echo", "--action", "exec", "--format", "ndjson"];
    let mut command = user.agentsight(question);
    let output = user.directory().join("followed");
    let file = fs::File::create(&output).expect("the directory is ours");
    let mut following = command.env("AGENTSIGHT_SOCKET", daemon.socket()).stdout(file).spawn().expect("it is built");
    let followed = || fs::read_to_string(&output).unwrap_or_default();
    wait_for("what was before", LIMIT, || followed().contains("first").then_some(()));
    let _ = agentsight.run(["run", "--no-tree", "--", "/bin/echo", SECRET]).expect_code(0);
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/echo", "second"]).expect_code(0);
    wait_for("what came", LIMIT, || followed().contains("second").then_some(()));
    kill(nix::unistd::Pid::from_raw(i32::try_from(following.id()).expect("it is a pid")), Signal::SIGTERM)
        .expect("it runs");
    let _ = following.wait();
    assert!(!followed().contains(SECRET), "{}", followed());
    assert_eq!(followed().lines().count(), 2, "{}", followed());
    let _ = daemon.stop().expect_code(0);
}

/// A frame of CBOR behind its length, as callers speak; a map of one key is an enum's variant.
fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("it is short");
    [&length.to_le_bytes()[..], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("it is short").to_be_bytes();
    [&[0x79][..], &length, text.as_bytes()].concat()
}

fn variant(name: &str, content: &[u8]) -> Vec<u8> {
    [&[0xa1][..], &text(name), content].concat()
}

#[test]
fn malformed_questions_are_refused_and_hurt_nobody() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, CONFIG, &[]);
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/echo", "own"]).expect_code(0);
    let question = |content: &[u8]| frame(&variant("Question", content));
    let like = |beginning: &str| {
        let content = variant("beginning", &text(beginning));
        ["SessionsLike", "TracesLike", "SpansLike"].map(|name| question(&variant(name, &content)))
    };
    // Lists of a thousand and one of something, which are more than a question may hold.
    let many = |element: &[u8]| [&[0x99, 0x03, 0xe9][..], &element.repeat(1_001)].concat();
    let search = |word: &str, list: &[u8]| question(&variant("Search", &variant("words", &variant(word, list))));
    let id = [&[0x82, 0x90][..], &[1; 16], &[0x88], &[1; 8]].concat();
    let mut refused = vec![
        question(&text("NoSuchQuestion")),
        question(&variant("Sessions", &variant("limit", &text("many")))),
        question(&variant("Children", &variant("of", &many(&id)))),
        question(&variant("Effects", &variant("of", &many(&id)))),
        question(&variant("Lossy", &variant("sessions", &many(&text(&"00".repeat(16)))))),
        search("exe", &many(&text("*"))),
        search("pid", &[&[0x81][..], &text("1; DROP TABLE span")].concat()),
        search("path", &[&[0x81][..], &text("/a/[")].concat()),
        search("subtree", &text("1")),
        search("cursor", &text("../../etc/passwd")),
        search("since", &text("soon")),
        frame(&[0xff; 40]),
        [&u32::MAX.to_le_bytes()[..], &[0; 40]].concat(),
    ];
    for beginning in ["****", "", "abc", "0123' OR 1=1 --", &"0".repeat(33)] {
        refused.extend(like(beginning));
    }
    for bytes in &refused {
        let mut socket = UnixStream::connect(daemon.socket()).expect("it listens");
        socket.set_read_timeout(Some(LIMIT)).expect("the time is not zero");
        socket.write_all(bytes).expect("it reads");
        socket.shutdown(std::net::Shutdown::Write).expect("it is open");
        let mut answer = Vec::new();
        // It hangs up on what it has not read to the end.
        let _reset = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let shown: String = bytes.iter().take(80).map(|byte| char::from(*byte)).collect();
        assert!(answer.contains("Refused") || answer.contains("Failed"), "{shown:?}: {answer:?}");
        // With the byte before it, an answer's name.
        assert!(
            ["eSpans", "hSpanIds", "hTraceIds", "jSessionIds"].iter().all(|name| !answer.contains(name)),
            "{shown:?}"
        );
    }
    // Half a frame, and hanging up without a word.
    for bytes in [&refused[0][..9], &[]] {
        let mut socket = UnixStream::connect(daemon.socket()).expect("it listens");
        socket.write_all(bytes).expect("it reads");
    }
    // More at a time than one user may have: who comes later is told so, and root is not in their way.
    let well_formed = question(&text("LastStored"));
    let connect = || {
        let mut socket = UnixStream::connect(daemon.socket()).expect("it listens");
        socket.write_all(&well_formed).expect("it reads");
        socket
    };
    let crowd: Vec<UnixStream> = (0..8).map(|_| connect()).collect();
    let asked = by_user(&user, &daemon, &["sessions", "--format", "json"]).expect_code(0);
    assert_eq!(json(&asked).as_array().map(Vec::len), Some(1));
    let run_meanwhile = Started::new(
        user.agentsight(["run", "--no-tree", "--", "/bin/echo", "again"]).env("AGENTSIGHT_SOCKET", daemon.socket()),
    );
    let _ = run_meanwhile.finish(LIMIT).expect_code(0);
    drop(crowd);
    let _ = daemon.stop().expect_code(0);
}
