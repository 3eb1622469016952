//! `doctor` says what is so on this machine, with rights and without, and its exit code follows from it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use agentsight_tests::agentsight::{Agentsight, binary, path_text, without_opentelemetry};
use agentsight_tests::executable;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::{need_program, need_root};
use agentsight_tests::run::{Finished, run};
use agentsight_tests::trace::Trace;
use agentsight_tests::unprivileged::User;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A report, and how the program that made it ended.
struct Report {
    json: Value,
    finished: Finished,
}

impl Report {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let finished = run(command, LIMIT);
        let json = serde_json::from_str(&finished.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{}\n{}", finished.stdout, finished.stderr));
        let report = Self { json, finished };
        report.assert_shape();
        report
    }

    /// The documented shape, and an exit code that is the report's.
    #[track_caller]
    fn assert_shape(&self) {
        let is_one_of = |value: &Value, words: &[&str]| value.as_str().is_some_and(|word| words.contains(&word));
        for name in ["agentsight", "kernel", "arch"] {
            assert!(self.json[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {}", self.json);
        }
        assert!(self.json["as_root"].is_boolean());
        assert_eq!(self.json["exit_code"], self.finished.code());
        assert_eq!(
            self.json["status"],
            ["ok", "limited", "broken"][usize::try_from(self.finished.code()).expect("a code is no negative number")]
        );
        let mut ids = Vec::new();
        for check in self.checks() {
            let text = |name: &str| {
                check[name].as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{name}: {check}"))
            };
            ids.push(text("id"));
            let _ = (text("title"), text("found"), text("means"));
            assert!(is_one_of(&check["group"], &["kernel", "programs", "rights", "store", "backend"]), "{check}");
            assert!(is_one_of(&check["need"], &["needed", "feature", "speed", "information"]), "{check}");
            assert!(is_one_of(&check["status"], &["ok", "limited", "broken", "unknown"]), "{check}");
            let matters = is_one_of(&check["need"], &["needed", "feature"]) && check["status"] != "ok";
            assert!(check["mend"].is_string() || !matters && check["mend"].is_null(), "nothing mends it: {check}");
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id is there twice");
    }

    fn checks(&self) -> &[Value] {
        self.json["checks"].as_array().expect("checks is an array")
    }

    #[track_caller]
    fn check(&self, id: &str) -> &Value {
        self.checks().iter().find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {}", self.json))
    }

    #[track_caller]
    fn assert_status(&self, id: &str, status: &str) -> &Self {
        assert_eq!(self.check(id)["status"], status, "{}", self.check(id));
        self
    }

    #[track_caller]
    fn assert_mend(&self, id: &str, words: &str) -> &Self {
        let mend = self.check(id)["mend"].as_str().unwrap_or_else(|| panic!("{}", self.check(id)));
        assert!(mend.contains(words), "`{words}` is not in {}", self.check(id));
        self
    }
}

fn as_root(options: &[&str]) -> Report {
    Report::of(&mut Agentsight::as_root().command(["doctor", "--json"].iter().chain(options)))
}

/// As root, after `change` in a mount namespace of its own.
fn in_other_mounts(change: &str, more_namespaces: &[&str], options: &[&str]) -> Report {
    need_root();
    let agentsight = Agentsight::as_root();
    let mut command = Command::new(need_program("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private"]).args(more_namespaces);
    command
        .args(["sh", "-e", "-c", &format!("{change}; exec \"$@\""), "sh"])
        .arg(binary())
        .args(["doctor", "--json"])
        .args(options);
    without_opentelemetry(&mut command);
    Report::of(command.env("AGENTSIGHT_STORE", agentsight.directory().join("store")))
}

#[test]
fn where_these_tests_can_trace_nothing_that_tracing_needs_is_broken() {
    let report = as_root(&[]);
    for id in [
        "kernel.btf",
        "programs.tracing",
        "programs.raw_tracepoint",
        "rights.root",
        "rights.pid_namespace",
        "store.folder",
    ] {
        report.assert_status(id, "ok");
    }
    assert_ne!(report.json["status"], "broken");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(report.json["kernel"], kernel.trim());
    assert_eq!(report.json["as_root"], true);
}

#[test]
fn looking_leaves_nothing_behind() {
    let agentsight = Agentsight::as_root();
    let report = Report::of(&mut agentsight.command(["doctor", "--json"]));
    assert!(report.check("store.folder")["found"].as_str().unwrap().contains("first run"));
    assert!(!agentsight.directory().join("store").exists());
}

#[test]
fn a_user_without_sudo_and_without_hope_of_capabilities_cannot_trace() {
    let report = Report::of(&mut User::new().agentsight(["doctor", "--json"]));
    report.assert_status("rights.root", "broken").assert_mend("rights.root", "sudo");
    report.assert_status("rights.capabilities", "broken").assert_mend("rights.capabilities", "--cap-add");
    report.assert_status("programs.tracing", "unknown").assert_mend("programs.tracing", "sudo agentsight doctor");
    assert_eq!((report.finished.code(), &report.json["as_root"]), (2, &Value::Bool(false)));
}

#[test]
fn sudo_is_asked_in_a_way_in_which_it_cannot_ask_back() {
    for (answer, status, exit_code) in [
        ("exit 0", "ok", 1),
        ("echo 'sudo: a password is required' >&2; exit 1", "ok", 1),
        ("echo 'alice is not allowed to run sudo on host' >&2; exit 1", "broken", 2),
    ] {
        let user = User::new();
        let (sudo, asked) = (user.directory().join("sudo"), user.directory().join("asked"));
        executable::write(&sudo, format!("#!/bin/sh\nprintf '%s;' \"$@\" >> {}\n{answer}\n", path_text(&asked)));
        // With the capabilities that root could have left as they are, so that sudo alone decides.
        let mut command = Command::new(need_program("setpriv", "util-linux"));
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.arg(user.directory().join("agentsight")).args(["doctor", "--json"]);
        without_opentelemetry(&mut command);
        let report = Report::of(command.env("PATH", user.directory().path()));
        report.assert_status("rights.root", status);
        assert_eq!(report.finished.code(), exit_code, "what only root can see is unknown: {}", report.json);
        assert_eq!(fs::read_to_string(&asked).unwrap(), "-n;true;");
    }
}

#[test]
fn a_kernel_without_type_information_cannot_be_traced() {
    let report = in_other_mounts("mount -t tmpfs none /sys/kernel/btf", &[], &[]);
    report.assert_status("kernel.btf", "broken").assert_mend("kernel.btf", "--btf");
    report.assert_status("programs.tracing", "broken");
    // The way around that is named works, with what the test has hidden.
    let copied = in_other_mounts(
        "mount -t tmpfs none /mnt; cp /sys/kernel/btf/vmlinux /mnt; mount -t tmpfs none /sys/kernel/btf",
        &[],
        &["--btf", "/mnt/vmlinux"],
    );
    copied.assert_status("kernel.btf", "ok").assert_status("programs.tracing", "ok");
    // Maps need no type information.
    report.assert_status("programs.ring_buffer", "ok");
    assert_eq!(report.finished.code(), 2);
}

#[test]
fn a_pid_namespace_of_its_own_is_found_and_the_way_out_named() {
    let report = in_other_mounts("mount -t proc proc /proc", &["--pid", "--fork"], &[]);
    report.assert_status("rights.pid_namespace", "broken").assert_mend("rights.pid_namespace", "--pid=host");
    assert_eq!(report.finished.code(), 2);
}

#[test]
fn an_unmounted_tracefs_is_said_and_changes_nothing() {
    let unmount =
        "for at in /sys/kernel/tracing /sys/kernel/debug; do while umount -l $at 2>/dev/null; do :; done; done";
    let report = in_other_mounts(unmount, &[], &[]);
    report.assert_status("kernel.tracefs", "limited").assert_mend("kernel.tracefs", "mount -t tracefs");
    assert_ne!(report.finished.code(), 2);
}

#[test]
fn a_store_that_another_user_owns_is_refused() {
    let agentsight = Agentsight::as_root();
    let store = agentsight.directory().join("store");
    fs::create_dir(&store).unwrap();
    chown(&store, Some(65534), Some(65534)).unwrap();
    let report = Report::of(&mut agentsight.command(["doctor", "--json"]));
    report.assert_status("store.folder", "broken").assert_mend("store.folder", path_text(&store));
    assert_eq!(report.finished.code(), 2);
}

#[test]
fn a_backend_that_takes_spans_is_known_by_an_export_of_none() {
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::start();
        let report = as_root(&["--endpoint", &receiver.endpoint(), "--protocol", protocol]);
        report.assert_status("backend.traces", "ok");
        let found = report.check("backend.traces")["found"].as_str().unwrap();
        assert!(found.contains(&receiver.endpoint()) && found.contains(protocol), "{found}");
        assert_eq!(receiver.trace(), Trace::default());
    }
}

#[test]
fn a_backend_that_is_away_or_something_else_is_said_with_what_mends_it() {
    let unauthorised = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    for (scheme, protocol, answer, mend) in [
        ("http", "http/protobuf", unauthorised, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http", "http/protobuf", missing, "4318"),
        ("http", "http/protobuf", page, "4318"),
        ("http", "http/protobuf", "SSH-2.0-OpenSSH_9.2\r\n", "4318"),
        ("http", "grpc", missing, "4317"),
        ("http", "grpc", "SSH-2.0-OpenSSH_9.2\r\n", "4317"),
        ("https", "http/protobuf", missing, "http://"),
        ("https", "grpc", missing, "http://"),
    ] {
        let endpoint = format!("{scheme}://127.0.0.1:{}", answering(answer));
        let report = as_root(&["--endpoint", &endpoint, "--protocol", protocol]);
        report.assert_status("backend.traces", "broken").assert_mend("backend.traces", mend);
        assert_eq!(report.finished.code(), 1, "spans wait in the store: {}", report.json);
    }
    // Nobody listens on the port that was just let go.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        let report = as_root(&["--endpoint", &format!("http://{free}"), "--protocol", protocol]);
        report.assert_status("backend.traces", "broken").assert_mend("backend.traces", "start the backend");
    }
}

#[test]
fn settings_that_would_stop_a_run_are_found_before_one() {
    let report = as_root(&["--endpoint", "gopher://127.0.0.1:70"]);
    report.assert_status("backend.traces", "broken");
    assert!(report.check("backend.traces")["found"].as_str().unwrap().contains("gopher"));
    assert_eq!(report.finished.code(), 2);
}

#[test]
fn the_text_fits_80_columns_and_has_the_conclusion_at_its_end() {
    let finished = Agentsight::as_root().run(["doctor", "--verbose", "--endpoint", "http://127.0.0.1:9"]);
    assert!(finished.stdout.lines().all(|line| line.chars().count() <= 80), "{}", finished.stdout);
    assert!(!finished.stdout.contains('\x1b'), "colours in a file:\n{}", finished.stdout);
    let last = finished.stdout.lines().last().unwrap();
    assert!(last.contains("backend.traces"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_terminal_gets_colours_unless_the_user_wants_none() {
    let agentsight = Agentsight::as_root();
    let on_terminal = |no_color: &str| {
        let mut command = Command::new(need_program("script", "bsdutils"));
        command.args(["-qec", &format!("{} doctor", path_text(binary())), "/dev/null"]);
        without_opentelemetry(&mut command);
        command.env("NO_COLOR", no_color).env("AGENTSIGHT_STORE", agentsight.directory().join("store"));
        run(&mut command, LIMIT).stdout
    };
    assert!(on_terminal("").contains("\x1b[32mok"));
    assert!(!on_terminal("1").contains('\x1b'));
}

/// A port of the loopback where every caller gets these bytes.
fn answering(bytes: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has free ports");
    let port = listener.local_addr().expect("a listener has an address").port();
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            // What the caller says is read, so that closing does not take the answer back (RFC 1122, 4.2.2.13).
            let _ = caller.set_read_timeout(Some(Duration::from_millis(200)));
            let _ = caller.read(&mut [0; 65_536]).and_then(|_| caller.write_all(bytes.as_bytes()));
            let _ = caller.read(&mut [0; 65_536]);
        }
    });
    port
}

#[test]
fn the_folder_that_is_judged_is_the_one_that_a_run_would_use() {
    let agentsight = Agentsight::as_root();
    let report = Report::of(&mut agentsight.command(["doctor", "--json"]));
    let store: &Path = &agentsight.directory().join("store");
    assert!(report.check("store.folder")["found"].as_str().unwrap().contains(path_text(store)));
    // Root's own variable is not heeded for a user, whose collector is started by sudo.
    let user = User::new();
    let mut command = user.agentsight(["doctor", "--json"]);
    let report = Report::of(command.env("AGENTSIGHT_STORE", store));
    assert!(report.check("store.folder")["found"].as_str().unwrap().contains("/var/lib/agentsight"));
}
