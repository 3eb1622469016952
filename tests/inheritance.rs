//! The command has what its caller has: environment, place, limits, descriptors, signals; and its status is passed on.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text};
use agentsight_tests::programs::python;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Finished, run};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn exit_codes_and_signals_are_passed_on_as_a_shell_gives_them() {
    let agentsight = Agentsight::as_root();
    for (script, code) in [("exit 0", 0), ("exit 5", 5), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
    {
        let finished = agentsight.run(["run", "--no-tree", "--", "sh", "-c", script]);
        assert_eq!(finished.code(), code, "of `{script}`:\n{}", finished.stderr);
    }
}

#[test]
fn the_environment_is_the_callers_but_for_the_trace_context() {
    let agentsight = Agentsight::as_root();
    let environment = |program: &[&str]| {
        let mut command = Command::new("env");
        command.args(["-i", "EMPTY=", "MANY=a=b=c", "LINES=one\ntwo", "LATIN1=\u{e4}", "SECRET=none"]);
        command.arg(format!("AGENTSIGHT_STORE={}", agentsight.directory().join("store").display())).args(program);
        let text = run(&mut command, LIMIT).expect_code(0).stdout;
        text.split('\0').map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let env = need_program("env", "coreutils");
    let outside = environment(&[path_text(&env), "-0"]);
    let mut inside = environment(&[path_text(binary()), "run", "--no-tree", "--", path_text(&env), "-0"]);
    let context: Vec<_> = inside.extract_if(.., |variable| variable.starts_with("TRACEPARENT=00-")).collect();
    assert_eq!(context.len(), 1, "the command should be told its trace: {inside:?}");
    assert_eq!(inside, outside);
}

#[test]
fn the_place_the_limits_and_the_descriptors_are_the_callers() {
    let agentsight = Agentsight::as_root();
    let file = agentsight.directory().join("five");
    let script =
        "cd /usr; umask 027; ulimit -n 177; ulimit -c 0; ulimit -s 4096; exec 5>>\"$FILE\" 7</dev/null 100</dev/zero
        exec nice -n 3 \"$@\"";
    let show = "pwd; umask; nice; ulimit -a; for fd in /proc/self/fd/*; do
            case $(readlink $fd) in (pipe*|*/fd|'') ;; (*) echo ${fd##*/} $(readlink $fd);; esac
        done; echo x >&5";
    let surroundings = |program: &[&str]| {
        let mut command = agentsight.command::<&str>([]);
        command = with_environment_of(&command, Command::new(need_program("bash", "bash")));
        command.args(["-c", script, "bash"]).args(program).args(["bash", "-c", show]).env("FILE", &file);
        run(&mut command, LIMIT).expect_code(0).stdout
    };
    let outside = surroundings(&["env"]);
    let inside = surroundings(&[path_text(binary()), "run", "--no-tree", "--"]);
    assert!(outside.contains("\n0027\n3\n") && outside.contains("100 /dev/zero"), "{outside}");
    assert_eq!(inside, outside);
    assert_eq!(fs::read_to_string(&file).expect("it was written to"), "x\nx\n");
}

#[test]
fn ignored_and_blocked_signals_stay_so_and_the_others_are_default() {
    let agentsight = Agentsight::as_root();
    let signals = |dispositions: &[&str], program: &[&str]| {
        let command = agentsight.command::<&str>([]);
        let mut command = with_environment_of(&command, Command::new("env"));
        command.args(dispositions).args(program).args(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
        run(&mut command, LIMIT).expect_code(0).stdout
    };
    let traced = [path_text(binary()), "run", "--no-tree", "--"];
    let default = ["--default-signal"];
    assert_eq!(signals(&default, &traced), signals(&default, &[]));
    let some =
        ["--default-signal", "--ignore-signal=INT,PIPE,HUP,CHLD,TSTP,TTOU,USR1", "--block-signal=USR2,TERM,WINCH"];
    let outside = signals(&some, &[]);
    assert_ne!(outside, signals(&default, &[]), "env should have changed something");
    assert_eq!(signals(&some, &traced), outside);
}

#[test]
fn a_caller_that_ignores_the_end_of_children_still_gets_the_exit_code() {
    let agentsight = Agentsight::as_root();
    let command = agentsight.command::<&str>([]);
    let mut command = with_environment_of(&command, Command::new("env"));
    command.arg("--ignore-signal=CHLD").arg(binary()).args(["run", "--no-tree", "--", "sh", "-c", "exit 5"]);
    let _ = run(&mut command, LIMIT).expect_code(5);
}

#[test]
fn a_command_whose_reader_leaves_ends_by_sigpipe() {
    let agentsight = Agentsight::as_root();
    let command = agentsight.command::<&str>([]);
    let mut command = with_environment_of(&command, Command::new(need_program("bash", "bash")));
    command.args(["-c", "\"$0\" run --no-tree -- yes | head -n1; echo ${PIPESTATUS[*]}"]).arg(binary());
    assert_eq!(run(&mut command, LIMIT).expect_code(0).stdout, "y\n141 0\n");
}

#[test]
fn standard_input_and_output_pass_every_byte() {
    let agentsight = Agentsight::as_root();
    let file = agentsight.directory().join("bytes");
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|index| (index % 251) as u8).collect();
    fs::write(&file, &bytes).expect("the test's directory is writable");
    let mut command = agentsight.command(["run", "--no-tree", "--", "cat"]);
    let output = command.stdin(File::open(&file).expect("just written")).output().expect("agentsight was built");
    assert!(output.stdout == bytes, "{} bytes came through", output.stdout.len());
}

#[test]
fn the_callers_pipes_are_not_held_open_by_a_collector_that_still_delivers() {
    let agentsight = Agentsight::as_root();
    // Nobody answers there, so the collector goes on trying for half a minute after the stub has ended.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    let endpoint = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    let command = agentsight.command::<&str>([]);
    let mut command = with_environment_of(&command, Command::new(need_program("bash", "bash")));
    // Descriptors 1, 2 and 9 are one pipe, whose end is seen when the last of them is closed.
    command.args(["-c", "exec \"$@\" 2>&1 9>&1", "bash"]).arg(binary());
    command.args(["run", "--no-tree", "--endpoint", &endpoint, "--", "echo", "done"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("bash was found");
    let mut pipe = child.stdout.take().expect("it is piped");
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.read_to_string(&mut text).map(|_| text);
        // The test may have given up.
        let _ = end.send(read);
    });
    let text = ended.recv_timeout(Duration::from_secs(15)).expect("the pipe should end with the stub");
    assert!(text.expect("it is a pipe").starts_with("done\n"));
    assert!(child.wait().expect("it is our child").success());
}

#[test]
fn a_signal_that_another_process_sends_to_the_stub_reaches_the_command_once() {
    let agentsight = Agentsight::as_root();
    for name in ["TERM", "HUP", "USR1", "USR2", "INT", "QUIT", "WINCH", "ALRM"] {
        assert_eq!(signalled(&agentsight, name, "kill -s \"$1\" \"$stub\"").stdout, "once\n", "SIG{name}");
    }
}

#[test]
fn a_descendant_that_signals_its_whole_group_is_not_echoed_by_the_stub() {
    let agentsight = Agentsight::as_root();
    // `kill 0` in a shell's trap is a common way to end all that a script has started.
    let program = format!("{} & exec sh -c 'kill -s TERM 0; wait'", "sleep 0");
    let script = format!(
        "import os, signal, subprocess
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})
child = subprocess.Popen(['sh', '-c', \"{program}\"])
signal.sigwait({{signal.SIGTERM}})
print('twice' if signal.sigtimedwait({{signal.SIGTERM}}, 0.5) else 'once')"
    );
    let finished = agentsight.run(["run", "--no-tree", "--", python(), "-c", &script]).expect_code(0);
    assert_eq!(finished.stdout, "once\n");
}

/// The signal's sender is a shell in another process group; the command counts what comes.
fn signalled(agentsight: &Agentsight, name: &str, send: &str) -> Finished {
    let count = format!(
        "import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIG{name}}})
print('ready', flush=True)
signal.sigwait({{signal.SIG{name}}})
print('twice' if signal.sigtimedwait({{signal.SIG{name}}}, 0.2) else 'once', flush=True)"
    );
    let script = format!(
        "set -m; coproc \"${{@:2}}\"; stub=$COPROC_PID; read line <&${{COPROC[0]}}; [[ $line = ready ]] || exit 9
        exec 8<&${{COPROC[0]}}; {send}; cat <&8; wait $stub"
    );
    let command = agentsight.command::<&str>([]);
    let mut command = with_environment_of(&command, Command::new(need_program("bash", "bash")));
    command.args(["-c", &script, "bash", name]).arg(binary());
    command.args(["run", "--no-tree", "--", python(), "-c", &count]);
    run(&mut command, LIMIT).expect_code(0)
}

/// The environment that the harness gives to `agentsight`, for a program that will start it.
fn with_environment_of(agentsight: &Command, mut other: Command) -> Command {
    for (name, value) in agentsight.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}
