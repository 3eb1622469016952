//! What of contents may be captured: asked for on the command line, allowed or refused by a daemon's configuration.

use std::time::Duration;

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::daemon::Daemon;
use agentsight_tests::run::{Finished, run};
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
