//! On a real terminal the command is as if the caller's shell had started it: its terminal, its keys, its job control.

use std::fs;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::deadline::wait_for;
use agentsight_tests::programs::python;
use agentsight_tests::run::exit_code;
use agentsight_tests::terminal::Terminal;

/// Signals are blocked before it says that it is ready, so that each one sent is counted, however fast they come.
const COUNT_SIGINT: &str = "import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print('read' + 'y', flush=True)
signal.sigwait({signal.SIGINT})
again = signal.sigtimedwait({signal.SIGINT}, 0.5)
print('came', 'twice' if again else 'once', flush=True)";

#[test]
fn the_command_has_the_callers_terminal_in_the_foreground() {
    let script = "tty; tty <&1; tty <&2; stty size; ps -o pgid= -o tpgid= -o sid= -p $$";
    let agentsight = Agentsight::as_root();
    let terminal = Terminal::start(&traced(&agentsight, &["sh", "-c", script]));
    let (name, leader) = (terminal.name.display().to_string(), terminal.leader().to_string());
    let finished = terminal.end().expect_code(0);
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert_eq!(lines[..4], [name.as_str(), &name, &name, "24 80"], "{}", finished.stdout);
    let ids: Vec<_> = lines[4].split_whitespace().collect();
    assert_eq!(ids, [leader.as_str(); 3], "process group, foreground group and session:\n{}", finished.stdout);
}

#[test]
fn a_new_window_size_reaches_the_command() {
    let agentsight = Agentsight::as_root();
    let script = "trap 'stty size' WINCH; echo read''y; while :; do sleep 0.05; done";
    let mut terminal = Terminal::start(&traced(&agentsight, &["sh", "-c", script]));
    terminal.wait_for("ready");
    terminal.resize(41, 97);
    terminal.wait_for("41 97");
    terminal.type_text("\x03");
    let _ = terminal.end().expect_code(130);
}

#[test]
fn ctrl_c_reaches_the_command_once_and_the_exit_code_is_its_own() {
    let agentsight = Agentsight::as_root();
    let mut terminal = Terminal::start(&traced(&agentsight, &[python(), "-c", COUNT_SIGINT]));
    terminal.wait_for("ready");
    terminal.type_text("\x03");
    terminal.wait_for("came once");
    let _ = terminal.end().expect_code(0);
}

#[test]
fn ctrl_c_that_kills_the_command_is_130_and_the_trace_is_whole() {
    let agentsight = Agentsight::as_root();
    let output = agentsight.directory().join("trace.jsonl");
    let arguments =
        ["run", "--no-tree", "--output", path_text(&output), "--", "sh", "-c", "echo read''y; exec sleep 600"];
    let mut terminal = Terminal::start(&agentsight.command(arguments));
    terminal.wait_for("ready");
    terminal.type_text("\x03");
    let finished = terminal.end().expect_code(130);
    let trace = agentsight.read(&output, &finished);
    trace.assert_whole();
    // The shell's or, when its exec was faster than the key, the sleep's.
    let images = trace.processes();
    let last = images.spans.iter().max_by_key(|span| span.start_nanos).expect("there is one");
    assert_eq!(last.text("error.type"), "SIGINT", "{trace}");
}

#[test]
fn ctrl_backslash_that_kills_the_command_is_131() {
    let agentsight = Agentsight::as_root();
    let script = "ulimit -c 0; echo read''y; exec sleep 600";
    let mut terminal = Terminal::start(&traced(&agentsight, &["sh", "-c", script]));
    terminal.wait_for("ready");
    terminal.type_text("\x1c");
    let _ = terminal.end().expect_code(131);
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    let agentsight = Agentsight::as_root();
    let mut shell = Terminal::bash(&traced(&agentsight, &[]));
    let run = run_line("sh -c \"echo ready; exec sleep 600\"");
    shell.type_text(&format!("{run}\n"));
    shell.wait_for("\nready\n");
    shell.type_text("\x1a");
    shell.wait_for("$ ");
    shell.type_text("jobs\n");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    // All of it is stopped, the stub and the command; ps is not, so this ends.
    shell.type_text("ps -o stat= -o comm= --ppid $$ | grep agentsight | cut -c1\n");
    shell.wait_for("\nT\n");
    shell.type_text("fg\n");
    shell.wait_for("agentsight");
    // The shell says so before it hands the terminal over.
    wait_for("the job in the foreground", Duration::from_secs(20), || {
        foreground_name(&shell).filter(|name| name != "bash")
    });
    shell.type_text("\x03");
    shell.wait_for("$ ");
    shell.type_text("echo code=$?\n");
    shell.wait_for("\ncode=130\n");
    leave(shell);
}

#[test]
fn a_background_job_that_reads_the_terminal_is_stopped_and_fg_lets_it_read() {
    let agentsight = Agentsight::as_root();
    let mut shell = Terminal::bash(&traced(&agentsight, &[]));
    shell.type_text(&format!("{} &\n", run_line("cat")));
    shell.wait_for("$ ");
    shell.type_text("until jobs | grep Stopped; do sleep 0.1; done\n");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    shell.type_text("fg\n");
    shell.wait_for("agentsight");
    shell.wait_for("\n");
    shell.type_text("a line\n");
    shell.wait_for("a line\na line\n");
    shell.type_text("\x04");
    shell.wait_for("$ ");
    leave(shell);
}

#[test]
fn a_shell_inside_has_job_control_and_the_terminal_comes_back() {
    let agentsight = Agentsight::as_root();
    let mut shell = Terminal::bash(&traced(&agentsight, &[]));
    shell.type_text(&format!("{}\n", run_line("env PS1=inner% bash --norc --noprofile -i")));
    shell.wait_for("\ninner%");
    shell.type_text("sleep 601\n");
    shell.wait_for("\n");
    let sleeper = wait_for("the sleep in the foreground", Duration::from_secs(20), || foreground_command(&shell));
    assert_eq!(sleeper, "sleep");
    shell.type_text("\x1a");
    shell.wait_for("inner%");
    shell.type_text("jobs\n");
    shell.wait_for("Stopped");
    shell.wait_for("inner%");
    shell.type_text("fg\n");
    shell.wait_for("sleep 601\n");
    // The shell says so before it hands the terminal over.
    wait_for("the sleep in the foreground again", Duration::from_secs(20), || foreground_command(&shell));
    shell.type_text("\x03");
    shell.wait_for("inner%");
    shell.type_text("echo inner=$?\n");
    shell.wait_for("\ninner=130\n");
    shell.type_text("exit 7\n");
    shell.wait_for("\n$ ");
    shell.type_text("echo code=$?\n");
    shell.wait_for("\ncode=7\n");
    shell.type_text("sleep 602\n");
    wait_for("the sleep in the foreground", Duration::from_secs(20), || foreground_command(&shell));
    shell.type_text("\x1a");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    shell.type_text("fg\n");
    shell.wait_for("sleep 602\n");
    // The shell says so before it hands the terminal over.
    wait_for("the sleep in the foreground again", Duration::from_secs(20), || foreground_command(&shell));
    shell.type_text("\x03");
    shell.wait_for("$ ");
    leave(shell);
}

#[test]
fn a_shell_inside_that_suspends_itself_comes_back_with_fg() {
    let agentsight = Agentsight::as_root();
    let mut shell = Terminal::bash(&traced(&agentsight, &[]));
    shell.type_text(&format!("{}\n", run_line("env PS1=inner% bash --norc --noprofile -i")));
    shell.wait_for("\ninner%");
    shell.type_text("suspend\n");
    shell.wait_for("Stopped");
    shell.wait_for("$ ");
    shell.type_text("fg\n");
    shell.wait_for("agentsight");
    shell.wait_for("inner%");
    shell.type_text("echo still he''re\n");
    shell.wait_for("\nstill here\n");
    shell.type_text("exit 3\n");
    shell.wait_for("\n$ ");
    shell.type_text("echo code=$?\n");
    shell.wait_for("\ncode=3\n");
    leave(shell);
}

#[test]
fn a_hangup_reaches_the_command_though_the_stub_leads_the_session() {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("hung-up");
    let script =
        format!("trap 'echo hup > {}; exit 3' HUP; echo ready; while :; do sleep 0.05; done", witness.display());
    let mut terminal = Terminal::start(&traced(&agentsight, &["sh", "-c", &script]));
    terminal.wait_for("ready");
    let mut stub = terminal.hang_up();
    let status = wait_for("the stub's end", Duration::from_secs(20), || stub.try_wait().expect("it is our child"));
    assert_eq!((exit_code(status), fs::read_to_string(&witness).ok().as_deref()), (3, Some("hup\n")));
}

#[test]
fn a_hangup_ends_a_command_under_a_shell_too() {
    let agentsight = Agentsight::as_root();
    let witness = agentsight.directory().join("hung-up");
    let mut shell = Terminal::bash(&traced(&agentsight, &[]));
    let script =
        format!("trap \"echo hup > {}; exit 3\" HUP; echo ready; while :; do sleep 0.05; done", witness.display());
    shell.type_text(&format!("{}\n", run_line(&format!("sh -c '{script}'"))));
    shell.wait_for("\nready\n");
    let mut leader = shell.hang_up();
    wait_for("the command's trap", Duration::from_secs(20), || witness.exists().then_some(()));
    let _ = wait_for("bash's end", Duration::from_secs(20), || leader.try_wait().expect("it is our child"));
}

/// The tree is for the terminal; what is under test is what the command sees of it.
fn traced(agentsight: &Agentsight, program: &[&str]) -> Command {
    agentsight.command(["run", "--no-tree", "--"].iter().chain(program))
}

fn run_line(program: &str) -> String {
    format!("{} run --no-tree -- {program}", path_text(binary()))
}

/// The name of the program that leads the terminal's foreground group.
fn foreground_command(terminal: &Terminal) -> Option<String> {
    foreground_name(terminal).filter(|name| name != "bash" && name != "agentsight")
}

/// Name of the leader of the terminal's foreground process group.
fn foreground_name(terminal: &Terminal) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", terminal.leader())).ok()?;
    // After the name in parentheses: state, ppid, pgrp, session, tty, and the foreground group.
    let group = stat.rsplit(") ").next()?.split(' ').nth(5)?.to_owned();
    Some(fs::read_to_string(format!("/proc/{group}/comm")).ok()?.trim().to_owned())
}

fn leave(mut shell: Terminal) {
    shell.type_text("exit 0\n");
    let _ = shell.end().expect_code(0);
}
