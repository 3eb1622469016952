//! What spans moved, as people and programs get it: by the command, over HTTP, through the daemon's socket. Each shows what is
//! there, marks what is not, writes down who reads, and tells nobody what is not theirs. The contents are put into the store by
//! the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, path_text};
use agentsight_tests::daemon::Daemon;
use agentsight_tests::executable;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::server::Server;
use agentsight_tests::store::put_content;
use agentsight_tests::terminal::Terminal;
use agentsight_tests::unprivileged::User;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// What is captured: text, a secret of seven bytes, and what no terminal should get.
const BYTES: &[u8] = b"{\"folder\": 7, \"password\": \"*******\"}\n\x1b[2J\xff";

fn layout() -> Value {
    json!({"runs": [[0, 37], [4096, 5]], "holes": [{"range": {"start": 37, "end": 40}, "cause": "budget"}],
        "redacted": [{"start": 27, "end": 34}], "lost_chunks": 0, "complete": true})
}

/// Has traced `cat`, whose reading of `input` has contents; with that span's ids.
fn traced() -> (Agentsight, String, String) {
    let agentsight = Agentsight::as_root();
    let input = agentsight.directory().join("input");
    fs::write(&input, "anything").expect("the directory is ours");
    let run = ["run", "--no-tree", "--no-self-telemetry", "--", "cat", path_text(&input)];
    let _ = agentsight.run(run).expect_code(0);
    let (trace, span) = of_cat(&agentsight, "**/input");
    put_content(&agentsight, (&trace, &span), 1, BYTES, &layout());
    (agentsight, trace, span)
}

/// The ids of the span of `cat`'s reading a file.
#[track_caller]
fn of_cat(agentsight: &Agentsight, path: &str) -> (String, String) {
    ids(agentsight, &["--exe", "cat", "--action", "read", "--path", path])
}

/// The ids of the first span that matches.
#[track_caller]
fn ids(agentsight: &Agentsight, filter: &[&str]) -> (String, String) {
    let found = agentsight.run([&["query", "--format", "json"], filter].concat()).expect_code(0);
    let found: Value = serde_json::from_str(&found.stdout).expect("it is JSON");
    let text = |name: &str| found["spans"][0][name].as_str().unwrap_or_else(|| panic!("{found}")).to_owned();
    (text("trace_id"), text("span_id"))
}

#[test]
fn the_command_shows_contents_as_text_as_digits_and_as_they_are() {
    let (agentsight, trace, span) = traced();
    let ask = |arguments: &[&str]| agentsight.run([&["content"], arguments].concat()).expect_code(0);
    let text = ask(&[&span]);
    assert_eq!(
        text.stdout,
        "{\"folder\": 7, \"password\": \"⟦7 bytes redacted⟧\"}\n⟦3 bytes missing: a limit of the capture was reached⟧⟦on at 4096⟧\\e[2J\\xff\n"
    );
    assert!(
        text.stderr.contains("3 bytes missing, in 1 place") && text.stderr.contains("7 bytes redacted"),
        "{text:?}"
    );
    assert_eq!(ask(&["--exe", "cat", "--action", "read", "--path", "**/input"]).stdout, text.stdout);
    assert_eq!(ask(&[&format!("{trace}:{span}")]).stdout, text.stdout);
    let digits = ask(&[&span, "--hex"]).stdout;
    assert!(
        digits.starts_with("00000000  7b 22 66 6f 6c 64 65 72  22 3a 20 37 2c 20 22 70  |{\"folder\": 7, \"p|\n"),
        "{digits}"
    );
    assert!(digits.ends_with("00001000  1b 5b 32 4a ff                                    |.[2J.|\n"), "{digits}");
    assert!(digits.contains(" ** ** **"), "{digits}");

    let file = agentsight.directory().join("raw");
    let mut raw = agentsight.command(["content", &span, "--raw"]);
    raw.stdout(fs::File::create(&file).expect("the directory is ours"));
    assert!(raw.status().expect("agentsight starts").success());
    assert_eq!(fs::read(&file).expect("it was written"), BYTES);
    let terminal = Terminal::start(&agentsight.command(["content", &span, "--raw"]));
    let refused = terminal.end().expect_code(2);
    assert!(refused.stdout.contains("--raw > FILE") && !refused.stdout.contains("\u{1b}[2J"), "{refused:?}");
}

#[test]
fn what_was_not_captured_is_not_there_and_a_backend_has_none() {
    let (agentsight, trace, _) = traced();
    let (_, image) = ids(&agentsight, &["--exe", "cat", "--action", "exec"]);
    let refused = agentsight.run(["content", &image]).expect_code(1);
    assert!(
        refused.stderr.contains("there are no contents of span") && refused.stderr.contains("--capture"),
        "{refused:?}"
    );
    assert_eq!(refused.stdout, "");
    let backend = ["content", &format!("{trace}:{image}"), "--backend", "jaeger=http://127.0.0.1:1"];
    let refused = agentsight.run(backend).expect_code(2);
    assert!(refused.stderr.contains("only the store"), "{refused:?}");
}

#[test]
fn who_reads_is_written_down_and_of_a_copy_nobody() {
    let (agentsight, _, span) = traced();
    let readers = |store: &[&str]| {
        let asked = agentsight.run([&["content", &span, "--readers"], store].concat()).expect_code(0);
        let lines = asked.stdout.lines().skip(1);
        lines.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(readers(&[]), [""; 0]);
    for form in ["--hex", "--raw"] {
        let _ = agentsight.run(["content", &span, form]).expect_code(0);
    }
    let mut by_sudo = agentsight.command(["content", &span]);
    let _ = run(by_sudo.env("SUDO_UID", "65534"), LIMIT).expect_code(0);
    assert_eq!(readers(&[]), ["0 command 2", "65534 command 1"]);
    let copy = agentsight.directory().join("copy.db");
    fs::copy(agentsight.directory().join("store/agentsight.db"), &copy).expect("there is a store");
    let copy = ["--store", path_text(&copy)];
    let shown = agentsight.run([&["content", &span], &copy[..]].concat()).expect_code(0);
    assert!(shown.stdout.starts_with("{\"folder\": 7,"), "{shown:?}");
    assert_eq!(readers(&copy), readers(&[]));
}

#[test]
fn over_http_contents_take_their_own_token_and_jaegers_api_has_none() {
    let (agentsight, trace, span) = traced();
    let path = format!("/api/v1/spans/{trace}/{span}/content");
    let closed = Server::start(&agentsight);
    for (token, code, reason) in [(closed.token(), 403, "forbidden"), ("0123456789abcdef", 401, "unauthorized")] {
        let (got, answer) = closed.get_by(token, &path);
        assert_eq!((got, answer["error"]["reason"].as_str()), (code, Some(reason)), "{answer}");
    }
    let server = Server::start_with_contents(&agentsight);
    let (code, answer) = server.get(&path);
    assert_eq!((code, answer["error"]["reason"].as_str()), (403, Some("forbidden")), "{answer}");
    assert!(answer.to_string().contains("--content-token-file"), "{answer}");
    let (code, answer) = server.get_by(server.content_token(), &path);
    assert_eq!(code, 200, "{answer}");
    let digits: String = BYTES.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        answer,
        json!({
            "trace_id": trace, "span_id": span, "hash": "01".repeat(32), "bytes": BYTES.len(),
            "runs": [
                {"offset": 0, "hex": &digits[..74], "text": "{\"folder\": 7, \"password\": \"*******\"}\n"},
                {"offset": 4096, "hex": &digits[74..]},
            ],
            "holes": [{"start": 37, "end": 40, "cause": "budget"}],
            "redacted": [{"start": 27, "end": 34}],
            "lost_chunks": 0,
            "complete": true,
        })
    );
    let none = format!("/api/v1/spans/{trace}/{}/content", "0123456789abcdef");
    assert_eq!(server.get_by(server.content_token(), &none).0, 404);
    let readers = agentsight.run(["content", &span, "--readers"]).expect_code(0).stdout;
    assert!(readers.lines().nth(1).is_some_and(|line| line.starts_with("0     http  1")), "{readers}");

    let service = "unknown_service%3Acat";
    let range = "query.start_time_min=2020-01-01T00:00:00Z&query.start_time_max=2099-01-01T00:00:00Z";
    for (path, codes) in [
        (format!("/api/traces/{trace}"), 200),
        (format!("/api/v3/traces/{trace}"), 200),
        (format!("/api/traces?service={service}"), 200),
        (format!("/api/v3/traces?query.service_name={service}&{range}&query.num_traces=10"), 200),
        (format!("/api/v1/traces/{trace}"), 200),
        (format!("/api/v1/spans/{trace}/{span}"), 200),
        (format!("/api/v1/spans/{trace}/{span}/why"), 200),
        (format!("/api/traces/{trace}/{span}/content"), 404),
        (format!("/api/v3/traces/{trace}/{span}/content"), 404),
        (format!("/api/traces/{trace}/content"), 404),
        (format!("/api/v3/traces/{trace}/content"), 404),
    ] {
        for token in [server.token(), server.content_token()] {
            let (code, answer) = server.get_by(token, &path);
            assert_eq!(code, codes, "{path}: {answer}");
            assert!(!answer.to_string().contains("folder"), "{path}: {answer}");
        }
    }
}

#[test]
fn two_tokens_that_are_one_are_refused() {
    let agentsight = Agentsight::as_root();
    let _ = agentsight.run(["run", "--no-tree", "--no-self-telemetry", "--", "true"]).expect_code(0);
    let file = agentsight.directory().join("token");
    let file = path_text(&file);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--token-file", file, "--content-token-file", file];
    let refused = agentsight.run(serve).expect_code(2);
    assert!(refused.stderr.contains("a file of its own"), "{refused:?}");
}

fn by_user(user: &User, daemon: &Daemon<'_>, arguments: &[&str]) -> Finished {
    run(user.agentsight(arguments).env("AGENTSIGHT_SOCKET", daemon.socket()), LIMIT)
}

#[test]
fn through_the_daemon_a_user_reads_what_their_own_processes_moved_and_nothing_else() {
    let (agentsight, user) = (Agentsight::as_root(), User::new());
    let daemon = Daemon::start(&agentsight, "self_telemetry: false\n", &[]);
    let keeper = user.directory().join("keeper");
    executable::copy(need_program("cat", "coreutils"), &keeper);
    fs::set_permissions(&keeper, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    // By root's rights for itself, by the user's for what comes after it.
    let script = format!("echo 1 > made; /bin/cat made; {} made; exit 3", path_text(&keeper));
    let _ = by_user(&user, &daemon, &["run", "--no-tree", "--", "/bin/sh", "-c", &script]).expect_code(3);
    let others = agentsight.directory().join("others");
    fs::write(&others, "root's").expect("the directory is ours");
    let _ = agentsight.run(["run", "--no-tree", "--", "/bin/cat", path_text(&others)]).expect_code(0);

    let whole = json!({"runs": [[0, 9]], "holes": [], "redacted": [], "lost_chunks": 0, "complete": true});
    let own = of_cat(&agentsight, "**/made");
    let keepers = ids(&agentsight, &["--exe", "keeper", "--action", "read", "--path", "**/made"]);
    let roots = of_cat(&agentsight, "**/others");
    for (number, (trace, span)) in (1..).zip([&own, &keepers, &roots]) {
        put_content(&agentsight, (trace, span), number, format!("moved no{number}").as_bytes(), &whole);
    }
    let ask = |(trace, span): &(String, String)| by_user(&user, &daemon, &["content", &format!("{trace}:{span}")]);
    assert_eq!(ask(&own).expect_code(0).stdout, "moved no1\n");
    let digits = by_user(&user, &daemon, &["content", &own.1, "--hex"]).expect_code(0).stdout;
    assert!(digits.contains("|moved no1|"), "{digits}");
    // What is there and not theirs is told as what never was.
    let nothing = (keepers.0.clone(), "0123456789abcdef".to_owned());
    let of_nothing = ask(&nothing).expect_code(1).stderr;
    let hidden = ask(&keepers).expect_code(1);
    assert_eq!((hidden.stdout.as_str(), hidden.stderr.replace(&keepers.1, &nothing.1)), ("", of_nothing));
    for whose in [&keepers, &roots] {
        let refused = by_user(&user, &daemon, &["content", &whose.1]).expect_code(1);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("there is no span"), "{refused:?}");
    }
    assert_eq!(ask(&roots).expect_code(1).stdout, "");
    let refused = by_user(&user, &daemon, &["content", &own.1, "--readers"]).expect_code(2);
    assert!(refused.stderr.contains("sudo agentsight content --readers"), "{refused:?}");

    for (of, lines) in [(&own, "65534 daemon 2"), (&keepers, ""), (&roots, "")] {
        let readers = agentsight.run(["content", &of.1, "--readers"]).expect_code(0).stdout;
        let first: Vec<&str> = readers.lines().nth(1).unwrap_or_default().split_whitespace().take(3).collect();
        assert_eq!(first.join(" "), lines, "{readers}");
    }
    let log = daemon.stop().expect_code(0).stderr;
    let read = log.lines().filter(|line| line.contains("contents are read") && line.contains("user=65534"));
    assert_eq!(read.count(), 2, "{log}");
}
