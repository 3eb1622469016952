//! In a container that withholds what tracing takes, the message says how to start it, and nothing is run.

use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::run;

#[test]
fn a_pid_namespace_of_its_own_is_refused_with_the_option_that_mends_it() {
    assert_refused(&["unshare", "--pid", "--fork", "--mount-proc"], &["pid namespace", "--pid=host"]);
}

#[test]
fn root_without_capabilities_is_refused_with_what_is_missing() {
    assert_refused(&["setpriv", "--inh-caps=-all", "--bounding-set=-all"], &["CAP_BPF", "CAP_SYS_ADMIN"]);
}

/// `run` inside of `confine` gives 2, says all `words`, and does not start the command.
#[track_caller]
fn assert_refused(confine: &[&str], words: &[&str]) {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("started");
    let mut command = Command::new(need_program(confine[0], "util-linux"));
    command.args(&confine[1..]).arg(binary()).args(["run", "--no-tree", "--", "touch", path_text(&witness)]);
    command.env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
    let finished = run(&mut command, Duration::from_secs(60)).expect_code(2);
    for word in words {
        assert!(finished.stderr.contains(word), "`{word}` is not in the message:\n{}", finished.stderr);
    }
    assert!(!witness.exists(), "the command was started all the same");
}
