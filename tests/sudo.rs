//! A user's `agentsight run` asks sudo once, for the collector alone; `sudo agentsight run` runs the command as the user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::path_text;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::run::{Finished, run};
use agentsight_tests::sudoer::{EXTRA_GROUP, NAME, PASSWORD, Rights, SudoTerminal, Sudoer, UID};
use agentsight_tests::terminal::Terminal;

const LIMIT: Duration = Duration::from_secs(60);
/// What the command says of the user it runs as, a line each.
const WHO: &str = "id -u; id -g; id -G; echo $HOME $USER; env | grep -c ^SUDO_ || true";

#[test]
fn a_users_command_runs_as_the_user_with_their_path_and_sudo_is_called_once() {
    for terminal in [SudoTerminal::Callers, SudoTerminal::Own] {
        let (user, receiver) = (Sudoer::new(Rights::Everything, terminal), Receiver::start());
        let endpoint = receiver.endpoint();
        let mut command = run_as_user(&user, &["--endpoint", &endpoint], &["sh", "-c", &format!("{WHO}; echo $PATH")]);
        let finished = run(&mut command, LIMIT).expect_code(0);
        let home = user.home("");
        let home = path_text(&home).trim_end_matches('/');
        let path = format!("{home}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        assert_eq!(finished.stdout, format!("{UID}\n{UID}\n{UID} {EXTRA_GROUP}\n{home} {NAME}\n0\n{path}\n"));
        assert_eq!(user.sudo_calls(), 1, "{terminal:?}");
        wait_for("the spans", LIMIT, || (receiver.trace().spans.len() >= 5).then_some(()));
        let trace = receiver.trace();
        assert_eq!(trace.only("env").int("process.user.id"), Some(i64::from(UID)), "{trace}");
    }
}

#[test]
fn the_collector_outlives_a_sudo_that_has_a_terminal_of_its_own() {
    // The end of sudo's terminal comes with a hangup, which must not meet the collector: a matter of moments, so often.
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Own);
    for _ in 0..7 {
        let command = run_as_user(&user, &["--output", "trace.jsonl"], &["true"]);
        let finished = Terminal::start(&command).end().expect_code(0);
        assert!(!finished.stdout.contains("tracing stopped"), "{}", finished.stdout);
    }
}

#[test]
fn a_user_whom_sudo_refuses_is_told_so_and_nothing_is_started() {
    let user = Sudoer::new(Rights::Nothing, SudoTerminal::Own);
    let mut terminal = Terminal::start(&run_as_user(&user, &[], &["touch", "started"]));
    terminal.wait_for(&format!("password for {NAME}"));
    terminal.type_text(&format!("{PASSWORD}\n"));
    let finished = terminal.end().expect_code(2);
    for words in ["is not in the sudoers file", "sudo did not start the collector", "the command would have run as you"]
    {
        assert!(finished.stdout.contains(words), "`{words}` is not in:\n{}", finished.stdout);
    }
    assert!(!user.home("started").exists());
}

#[test]
fn without_a_terminal_for_the_password_the_message_says_what_to_do() {
    let user = Sudoer::new(Rights::EverythingForThePassword, SudoTerminal::Callers);
    let mut command = user.command(["setsid", "--wait"]);
    command.arg(user.agentsight()).args(["run", "--no-tree", "--", "touch", "started"]);
    let finished = run(&mut command, LIMIT).expect_code(2);
    assert!(finished.stderr.contains("sudo did not start the collector"), "{}", finished.stderr);
    assert!(!user.home("started").exists());
}

#[test]
fn a_sudo_that_records_what_programs_read_and_write_is_named_with_the_rule_that_exempts_us() {
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Recorded);
    let finished = run(&mut run_as_user(&user, &[], &["touch", "started"]), LIMIT).expect_code(2);
    let rule = format!("Defaults!{} !log_input, !log_output", path_text(&user.agentsight()));
    assert!(finished.stderr.contains(&rule), "{}", finished.stderr);
    assert!(!user.home("started").exists());
}

#[test]
fn the_password_is_asked_for_on_the_terminal_which_is_then_the_commands() {
    for sudo_terminal in [SudoTerminal::Callers, SudoTerminal::Own] {
        let user = Sudoer::new(Rights::EverythingForThePassword, sudo_terminal);
        let script = "tty; stty -a | grep -ow -- '-*echo'; echo read''y; read -r line; echo got $line; exit 4";
        let mut terminal = Terminal::start(&run_as_user(&user, &[], &["sh", "-c", script]));
        terminal.wait_for(&format!("[sudo] password for {NAME}, to let AgentSight trace: "));
        terminal.type_text(&format!("{PASSWORD}\n"));
        let name = terminal.name.display().to_string();
        let before = terminal.wait_for("ready\n");
        assert_eq!(before.trim(), format!("{name}\necho"), "{sudo_terminal:?}");
        terminal.type_text("a line\n");
        terminal.wait_for("got a line\n");
        let finished = terminal.end().expect_code(4);
        assert!(!finished.stdout.contains(PASSWORD), "the password was echoed:\n{}", finished.stdout);
        assert_eq!(user.sudo_calls(), 1);
    }
}

#[test]
fn ctrl_c_at_the_password_starts_nothing() {
    let user = Sudoer::new(Rights::EverythingForThePassword, SudoTerminal::Own);
    let mut terminal = Terminal::start(&run_as_user(&user, &[], &["touch", "started"]));
    terminal.wait_for("to let AgentSight trace: ");
    terminal.type_text("\x03");
    let finished = terminal.end();
    assert_ne!(finished.code(), 0, "{}", finished.stdout);
    assert!(!user.home("started").exists());
}

#[test]
fn a_run_started_by_sudo_runs_the_command_as_the_user_who_called_it() {
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Own);
    let finished = run_by_sudo(&user, &["--output", "trace.jsonl"], &["sh", "-c", WHO]).expect_code(0);
    let home = user.home("");
    let home = path_text(&home).trim_end_matches('/');
    assert_eq!(finished.stdout, format!("{UID}\n{UID}\n{UID} {EXTRA_GROUP}\n{home} {NAME}\n0\n"));
}

#[test]
fn a_command_that_secure_path_hides_is_explained() {
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Own);
    user.write_program(".local/bin/my-agent", "#!/bin/sh\necho hello\n");
    let finished = run_by_sudo(&user, &[], &["my-agent"]).expect_code(127);
    let place = user.home(".local/bin/my-agent");
    for words in ["my-agent: command not found", "secure_path", path_text(&place), "agentsight run -- my-agent"] {
        assert!(finished.stderr.contains(words), "`{words}` is not in:\n{}", finished.stderr);
    }
}

#[test]
fn the_output_of_a_run_started_by_sudo_belongs_to_the_user_and_to_nobody_else() {
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Own);
    let _ = run_by_sudo(&user, &["--output", "trace.jsonl"], &["true"]).expect_code(0);
    let file = fs::metadata(user.home("trace.jsonl")).expect("it was written");
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (UID, UID, 0o600));
    assert!(file.len() > 100);
}

#[test]
fn an_output_that_the_user_may_not_write_is_refused_though_root_might() {
    let user = Sudoer::new(Rights::Everything, SudoTerminal::Own);
    let precious = user.roots("precious");
    fs::write(&precious, "root's").expect("the directory is ours");
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o644)).expect("it is ours");
    symlink(&precious, user.home("link")).expect("the home is ours to fill");
    let new = user.roots("new.jsonl");
    for output in [path_text(&precious), path_text(&new), "link"] {
        for form in ["--output", "--recording"] {
            let mut command = user.command(["sudo"]);
            command.arg(user.agentsight()).args([if form == "--output" { "run" } else { "record" }, "--no-tree", form]);
            command.args([output, "--", "touch", path_text(&user.home("started"))]);
            let finished = run(&mut command, LIMIT).expect_code(2);
            assert!(finished.stderr.contains("ermission denied"), "{form} {output}:\n{}", finished.stderr);
        }
    }
    assert_eq!(fs::read_to_string(&precious).expect("it is there"), "root's");
    assert!(!new.exists() && !user.home("started").exists());
}

fn run_as_user(user: &Sudoer, options: &[&str], program: &[&str]) -> Command {
    let mut command = user.command([user.agentsight()]);
    command.args(["run", "--no-tree"]).args(options).arg("--").args(program);
    command
}

fn run_by_sudo(user: &Sudoer, options: &[&str], program: &[&str]) -> Finished {
    let mut command = user.command(["sudo"]);
    command.arg(user.agentsight()).args(["run", "--no-tree"]).args(options).arg("--").args(program);
    run(&mut command, LIMIT)
}
