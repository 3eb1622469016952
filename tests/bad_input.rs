//! Whatever is wrong, AgentSight says what it is and how to mend it, and does not start the command half-traced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::recordings;
use agentsight_tests::requirement::{need_program, need_root};
use agentsight_tests::run::{Finished, run};
use agentsight_tests::unprivileged::User;

#[test]
fn an_unknown_command_is_127_as_in_a_shell() {
    let finished = Agentsight::as_root().run(["run", "--no-tree", "--", "no-such-command-anywhere"]).expect_code(127);
    assert_says(&finished, &["no-such-command-anywhere", "not found"]);
}

#[test]
fn a_command_that_is_a_missing_path_is_127_as_in_a_shell() {
    let finished = Agentsight::as_root().run(["run", "--no-tree", "--", "./nowhere/at-all"]).expect_code(127);
    assert_says(&finished, &["./nowhere/at-all", "No such file"]);
}

#[test]
fn a_file_that_is_not_executable_is_126_as_in_a_shell() {
    let agentsight = Agentsight::as_root();
    let file = agentsight.directory().join("plain");
    fs::write(&file, "echo never\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let finished = agentsight.run(["run", "--no-tree", "--", path_text(&file)]).expect_code(126);
    assert_says(&finished, &["plain", "ermission denied"]);
}

#[test]
fn no_command_at_all_is_2_with_the_usage() {
    let finished = Agentsight::without_rights().run(["run"]).expect_code(2);
    assert_says(&finished, &["Usage", "run"]);
}

#[test]
fn a_mistyped_option_is_2_with_the_nearest_and_is_not_taken_for_the_command() {
    assert_refused(&["--tre"], &["--tre", "--tree"]);
    let finished = Agentsight::without_rights().run(["record", "--recordin", "file", "--", "true"]).expect_code(2);
    assert_says(&finished, &["--recordin", "--recording"]);
}

#[test]
fn an_endpoint_that_is_no_url_is_2_and_the_command_is_not_started() {
    assert_refused(&["--endpoint", "no url at all"], &["no url at all"]);
}

#[test]
fn an_endpoint_of_an_unknown_scheme_is_2_and_the_command_is_not_started() {
    assert_refused(&["--endpoint", "gopher://127.0.0.1:70"], &["gopher"]);
}

#[test]
fn an_unknown_protocol_is_2_and_the_known_ones_are_named() {
    assert_refused(
        &["--endpoint", "http://127.0.0.1:4317", "--protocol", "pigeon"],
        &["pigeon", "grpc", "http/protobuf"],
    );
    // Also where nothing would be sent: what was typed was meant.
    assert_refused(&["--protocol", "pigeon"], &["pigeon", "grpc", "http/protobuf"]);
}

#[test]
fn an_output_that_cannot_be_written_is_2_and_the_command_is_not_started() {
    assert_refused(&["--output", "/nowhere/at/all.jsonl"], &["/nowhere/at/all.jsonl", "No such file"]);
}

#[test]
fn a_user_without_root_and_sudo_is_told_how_to_get_it() {
    let user = User::new();
    let witness = user.directory().join("started");
    let touch = need_program("touch", "coreutils");
    let mut command = user.agentsight(["run", "--no-tree", "--", path_text(&touch), path_text(&witness)]);
    let finished = run(&mut command, Duration::from_secs(30)).expect_code(2);
    assert_says(&finished, &["root", "sudo"]);
    assert!(!witness.exists(), "the command was started all the same");
}

#[test]
fn a_kernel_without_btf_is_2_and_named() {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("started");
    let finished = in_other_mounts("mount -t tmpfs none /sys/kernel/btf", &agentsight, &["touch", path_text(&witness)]);
    assert_says(&finished.expect_code(2), &["BTF", "/sys/kernel/btf/vmlinux"]);
    assert!(!witness.exists(), "the command was started untraced");
}

#[test]
fn tracefs_that_is_not_mounted_is_mounted_or_not_needed() {
    let agentsight = Agentsight::as_root();
    let unmount =
        "for at in /sys/kernel/tracing /sys/kernel/debug; do while umount -l $at 2>/dev/null; do :; done; done";
    let finished = in_other_mounts(unmount, &agentsight, &["sh", "-c", "expr 1 + 2; exit 5"]).expect_code(5);
    let trace = agentsight.read(&agentsight.directory().join("trace.jsonl"), &finished);
    trace.assert_whole();
    assert_eq!(trace.processes().spans.len(), 2, "{trace}");
}

#[test]
fn a_recording_that_is_missing_is_named() {
    let finished = Agentsight::without_rights().run(["replay", "/nowhere/run.agsr"]).expect_code(2);
    assert_says(&finished, &["/nowhere/run.agsr", "No such file"]);
}

#[test]
fn a_file_that_is_no_recording_is_refused() {
    let agentsight = Agentsight::without_rights();
    for (name, bytes) in [("empty", &b""[..]), ("text", b"#!/bin/sh\necho hello\n"), ("zeros", &[0; 4096])] {
        let file = agentsight.directory().join(name);
        fs::write(&file, bytes).unwrap();
        let finished = agentsight.run(["replay", path_text(&file)]).expect_code(2);
        assert_says(&finished, &[path_text(&file), "recording"]);
    }
}

#[test]
fn a_truncated_recording_shows_what_it_has_and_says_where_it_ends() {
    let whole = fs::read(recordings::path("oddities")).unwrap();
    let finished = replay_bytes(&whole[..whole.len() - 3]);
    assert_ne!(finished.code(), 0, "a truncated recording must not look whole\n{}", finished.stdout);
    assert!(
        finished.stdout.contains("setpriv"),
        "what was readable should be shown:\n{}\n{}",
        finished.stdout,
        finished.stderr
    );
    assert_says(&finished, &["run.agsr", "truncated at byte"]);
}

#[test]
fn a_corrupt_recording_shows_what_comes_before_and_says_where_it_breaks() {
    let mut bytes = fs::read(recordings::path("oddities")).unwrap();
    // In the last frame: a frame stands for about a second.
    let at = bytes.len() - 3;
    bytes[at] ^= 0xff;
    let finished = replay_bytes(&bytes);
    assert_ne!(finished.code(), 0, "a corrupt recording must not look whole\n{}", finished.stdout);
    assert!(
        finished.stdout.contains("setpriv"),
        "what was readable should be shown:\n{}\n{}",
        finished.stdout,
        finished.stderr
    );
    assert_says(&finished, &["run.agsr", "corrupt at byte"]);
}

#[test]
fn no_byte_of_a_recording_makes_the_replay_panic() {
    let whole = fs::read(recordings::path("pipeline")).unwrap();
    // A step that is prime to any record's size, so that all parts of a record are hit.
    for at in (0..whole.len()).step_by(whole.len() / 37 + 1) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let finished = replay_bytes(&bytes);
        assert!(!finished.stderr.contains("panicked"), "byte {at} flipped:\n{}", finished.stderr);
        assert_ne!(finished.code(), 0, "byte {at} flipped, and nobody noticed");
    }
}

/// `run` with these options is refused with status 2, says all `words`, and does not start the command.
#[track_caller]
fn assert_refused(options: &[&str], words: &[&str]) {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("started");
    let command = ["--", "touch", path_text(&witness)];
    let finished = agentsight.run(["run", "--no-tree"].iter().chain(options).chain(&command)).expect_code(2);
    assert_says(&finished, words);
    assert!(!witness.exists(), "the command was started all the same");
}

/// Asserts that standard error has all `words`, and is a message and not a panic.
#[track_caller]
fn assert_says(finished: &Finished, words: &[&str]) {
    for word in words {
        assert!(finished.stderr.contains(word), "`{word}` is not in the message:\n{}", finished.stderr);
    }
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

/// Traces `program` in a mount namespace of its own, which `change` has changed before.
fn in_other_mounts(change: &str, agentsight: &Agentsight, program: &[&str]) -> Finished {
    need_root();
    let mut command = Command::new(need_program("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private", "sh", "-e", "-c", &format!("{change}; exec \"$@\""), "sh"]);
    command.arg(binary()).args(["run", "--no-tree", "--output"]).arg(agentsight.directory().join("trace.jsonl"));
    command.arg("--").args(program).env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
    run(&mut command, Duration::from_secs(60))
}

fn replay_bytes(bytes: &[u8]) -> Finished {
    let agentsight = Agentsight::without_rights();
    let file: &Path = &agentsight.directory().join("run.agsr");
    fs::write(file, bytes).expect("the test's directory is writable");
    agentsight.run(["replay", path_text(file)])
}
