//! What AgentSight may do and keep is little: one capability, files of root's alone, no secret of argument lists, and
//! nothing of the environment but five variables.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, contains, path_text};
use agentsight_tests::collector::Collector;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::held::Held;
use agentsight_tests::programs::{self, python};
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::need_program;
use agentsight_tests::run::{Started, run};

const LIMIT: Duration = Duration::from_secs(60);
/// Stands beside every secret, so that a search that finds nothing is known to have looked at the right bytes.
const VISIBLE: &str = "plainly-to-be-seen";

/// Arguments, and what of each is secret.
const SECRET_ARGUMENTS: [(&str, &str); 7] = [
    ("--password=Tr0ub4dor-and-3", "Tr0ub4dor-and-3"),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "292c6912E7710c838347Ae178B4a"),
    ("sk-ant-api03-Zm9vYmFyYmF6cXV4cXV1eGNvcmdlZ3JhdWx0Z2FycGx5", "FyYmF6cXV4cXV1eGNvcmdl"),
    ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("https://user:s3cr3t-of-the-url@example.org/", "s3cr3t-of-the-url"),
    ("Authorization: Bearer abcdefghijklmnop0123456789", "abcdefghijklmnop0123456789"),
    ("OPENAI_API_KEY=proj-9f8e7d6c5b4a39281706", "9f8e7d6c5b4a39281706"),
];

#[test]
fn once_attached_every_thread_of_the_collector_may_do_nothing_but_read_counters() {
    // The capability bits of linux/capability.h: CAP_BPF is new in Linux 5.8, before that CAP_SYS_ADMIN has its place.
    let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    let needed = format!("{:016x}", 1_u64 << if last >= 39 { 39 } else { 21 });
    let nothing = format!("{:016x}", 0);
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let held = Held::start(&agentsight, &["--endpoint", &receiver.endpoint()], "exit 0");
    // All threads are there once spans are stored and sent.
    held.command_does("/bin/true");
    wait_for("a span", LIMIT, || (!receiver.trace().spans.is_empty()).then_some(()));
    let mut names = BTreeSet::new();
    for thread in fs::read_dir(format!("/proc/{}/task", held.collector.0)).expect("it lives").flatten() {
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in\n{status}")).to_owned()
        };
        let sets = ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"].map(field);
        assert_eq!(sets, [&needed, &needed, &nothing, &nothing, &nothing].map(String::clone), "{status}");
        assert_eq!(field("NoNewPrivs"), "1", "{status}");
        names.insert(field("Name"));
    }
    assert!(names.len() >= 4, "these threads only: {names:?}");
    let _ = held.let_go().expect_code(0);
}

#[test]
fn the_store_is_roots_alone_whatever_the_callers_umask() {
    let agentsight = Agentsight::as_root();
    let inner = agentsight.command(["run", "--no-tree", "--", "true"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    let _ = run(command.env("AGENTSIGHT_STORE", agentsight.directory().join("store")), LIMIT).expect_code(0);
    let mode = |path: &Path| fs::symlink_metadata(path).map(|file| (file.uid(), file.mode() & 0o7777));
    assert_eq!(mode(&agentsight.directory().join("store")).expect("it was made"), (0, 0o700));
    let files: Vec<_> = fs::read_dir(agentsight.directory().join("store")).expect("it was made").flatten().collect();
    assert!(!files.is_empty());
    for file in files {
        // SQLite removes its own when the collector ends, which may be now.
        let Ok(mode) = mode(&file.path()) else { continue };
        assert_eq!(mode, (0, 0o600), "{}", file.path().display());
    }
}

#[test]
fn a_store_that_belongs_to_somebody_else_is_refused() {
    let agentsight = Agentsight::as_root();
    let store = agentsight.directory().join("store");
    fs::create_dir(&store).expect("the directory is ours");
    chown(&store, Some(65_534), None).expect("root gives what it has");
    let witness = agentsight.directory().join("started");
    let finished = agentsight.run(["run", "--no-tree", "--", "touch", path_text(&witness)]).expect_code(2);
    assert!(finished.stderr.contains("belongs to user 65534"), "{}", finished.stderr);
    assert!(!witness.exists());
}

#[test]
fn secrets_of_argument_lists_are_kept_and_sent_nowhere() {
    let agentsight = Agentsight::as_root();
    let receiver = Receiver::start();
    let recording = agentsight.directory().join("run.agsr");
    let output = agentsight.directory().join("trace.jsonl");
    let mut program = vec!["--", "echo", VISIBLE];
    program.extend(SECRET_ARGUMENTS.map(|(argument, _)| argument));
    let record = ["record", "--tree", "-o", path_text(&recording), "--endpoint", &receiver.endpoint()];
    let recorded = agentsight.run(record.iter().chain(&program)).expect_code(0);
    let _ = agentsight.run(["run", "--no-tree", "--output", path_text(&output)].iter().chain(&program)).expect_code(0);
    wait_for("the spans", LIMIT, || (!receiver.trace().spans.is_empty()).then_some(()));
    let received = format!("{:?}", receiver.trace());
    let kept = [
        ("the receiver", received.into_bytes()),
        ("the recording", unpack(&recording)),
        ("--output", fs::read(&output).expect("it was written")),
        ("the store", store_bytes(&agentsight)),
    ];
    for (place, bytes) in &kept {
        assert!(contains(bytes, VISIBLE.as_bytes()), "{place} does not even hold what may be seen");
        assert_no_secrets(place, bytes);
    }
    assert_no_secrets("the tree", recorded.stderr.as_bytes());
}

#[test]
fn a_traced_process_that_gets_hold_of_the_channel_cannot_end_its_own_trace() {
    let program = programs::path("thief.py");
    let traced = Agentsight::as_root().trace(&["--linger", "100ms"], &[python(), path_text(&program)]);
    let finished = traced.finished.expect_code(0);
    assert!(finished.stdout.contains("took 1"), "root may take it: {}", finished.stdout);
    assert_eq!(traced.trace.only("echo").int("process.exit.code"), Some(0), "{}", traced.trace);
    traced.trace.assert_whole();
}

#[test]
fn the_environment_beyond_five_variables_leaves_no_trace_in_the_kernels_maps_or_in_any_file() {
    const SECRET: &str = "environment_s3cr3t";
    let agentsight = Agentsight::as_root();
    let place = |name| agentsight.directory().join(name);
    let long = "x".repeat(100_000) + SECRET;
    // Beside the wanted ones, longer and shorter than them, without a value, and far behind.
    let assignments = [
        format!("A_{SECRET}=1"),
        format!("OTEL_SERVICE_NAME={VISIBLE}"),
        format!("OTEL_SERVICE_NAMES={SECRET}"),
        format!("OTEL_SERVICE_NAM={SECRET}"),
        format!("TRACEPARENT_={SECRET}"),
        format!("LONG={long}"),
        format!("PASSWORD={SECRET}"),
    ];
    let more = (0..997).map(|index| format!("V{index}={SECRET}{index}"));
    let file = place("environment");
    let all: Vec<_> = assignments.into_iter().chain(more).map(|assignment| format!("export '{assignment}'")).collect();
    fs::write(&file, all.join("\n")).expect("the directory is ours");
    // The secret is in a file that the shell reads, since the shell's own arguments are traced.
    let recording = place("run.agsr");
    let script = format!(". {}; /bin/echo {VISIBLE}; exec sleep 600.25", path_text(&file));
    let arguments =
        ["record", "--no-tree", "--no-self-telemetry", "-o", path_text(&recording), "--", "sh", "-c", &script];
    let stub = Started::new(&mut agentsight.command(arguments));
    // Which is the last exec with that environment.
    wait_for("the sleep", LIMIT, || runs_child(&agentsight, "sleep").then_some(()));
    let collector = Collector::wait_for(stub.id());
    let maps = dump_maps(collector);
    assert!(contains(&maps, b"sleep\x00600.25\0"), "the maps do not even hold what the last exec left there");
    assert!(!contains(&maps, SECRET.as_bytes()), "the environment is still in a map");
    nix::sys::signal::kill(stub.id(), nix::sys::signal::Signal::SIGTERM).expect("the stub lives");
    let _ = stub.finish(LIMIT).expect_code(143);
    // SQLite moves pages from one of its files to the other as the collector ends.
    let store = wait_for("the store", LIMIT, || {
        Some(store_bytes(&agentsight)).filter(|bytes| contains(bytes, VISIBLE.as_bytes()))
    });
    for (name, bytes) in [("the recording", unpack(&recording)), ("the store", store)] {
        assert!(contains(&bytes, VISIBLE.as_bytes()), "{name} does not even hold the name of the service");
        assert!(!contains(&bytes, SECRET.as_bytes()), "{name} holds a part of the environment");
    }
}

#[track_caller]
fn assert_no_secrets(place: &str, bytes: &[u8]) {
    for (argument, secret) in SECRET_ARGUMENTS {
        assert!(!contains(bytes, secret.as_bytes()), "{place} holds the secret of {argument}");
    }
}

fn store_bytes(agentsight: &Agentsight) -> Vec<u8> {
    let files = fs::read_dir(agentsight.directory().join("store")).expect("there is a store").flatten();
    files.flat_map(|file| fs::read(file.path()).unwrap_or_default()).collect()
}

/// All that a recording holds: its frames are compressed one by one.
fn unpack(recording: &Path) -> Vec<u8> {
    let bytes = fs::read(recording).expect("it was written");
    let mut rest = bytes.get(10..).expect("a recording begins with a magic number and a version");
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let payload = after.get(4..4 + length).expect("the frame is whole");
        zstd::Decoder::new(payload).and_then(|mut decoder| decoder.read_to_end(&mut all)).expect("it is zstd");
        rest = &after[4 + length..];
    }
    all
}

/// The bytes of every map that this collector holds, but for the ring, which only its own reader may see.
fn dump_maps(collector: Collector) -> Vec<u8> {
    // Debian has it where only root's PATH looks.
    let elsewhere = Path::new("/usr/sbin/bpftool");
    let bpftool = if elsewhere.exists() { elsewhere.to_owned() } else { need_program("bpftool", "bpftool") };
    let mut all = Vec::new();
    for descriptor in fs::read_dir(format!("/proc/{}/fdinfo", collector.0)).expect("it lives").flatten() {
        let info = fs::read_to_string(descriptor.path()).unwrap_or_default();
        let Some(id) = info.lines().find_map(|line| line.strip_prefix("map_id:")) else { continue };
        let output =
            Command::new(&bpftool).args(["-j", "map", "dump", "id", id.trim()]).output().expect("it was found");
        let dump: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        collect_bytes(&dump, &mut all);
    }
    all
}

/// bpftool gives bytes as `"0x2f"`, in lists; what else it makes of them, by the map's type information, is left.
fn collect_bytes(value: &serde_json::Value, all: &mut Vec<u8>) {
    match value {
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_bytes(value, all)),
        serde_json::Value::Object(fields) => {
            let raw = ["key", "value", "values", "cpu"];
            fields
                .iter()
                .filter(|(name, _)| raw.contains(&name.as_str()))
                .for_each(|(_, value)| collect_bytes(value, all));
        }
        serde_json::Value::String(text) => {
            all.extend(text.strip_prefix("0x").and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        }
        _ => {}
    }
}

/// Whether a process with this test's directory in its environment runs this program.
fn runs_child(agentsight: &Agentsight, name: &str) -> bool {
    let is_ours = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        contains(&environment, path_text(agentsight.directory().path()).as_bytes())
    };
    let runs = |process: &Path| fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == name);
    let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    processes.map(|process| process.path()).any(|process| runs(&process) && is_ours(&process))
}
