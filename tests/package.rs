//! The packages: the .deb and the .rpm are installed in a clean Debian, the daemon traces as its unit would start it, and after
//! the removal nothing is left but data; the archive holds the same. By `make test-package`, which makes them first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentsight_tests::backend::Running;
use agentsight_tests::deadline::wait_for;
use agentsight_tests::debian::{Debian, package};
use agentsight_tests::directory::Directory;
use agentsight_tests::receiver::Receiver;
use agentsight_tests::requirement::{need_program, need_root};
use agentsight_tests::run::run;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn the_deb_installs_traces_and_leaves_nothing_but_data() {
    need_root();
    let debian = Debian::new();
    let before = debian.files();
    fs::copy(package("deb"), debian.root.join("agentsight.deb")).expect("the root is ours");
    let _ = debian.run(&["dpkg", "--install", "/agentsight.deb"]).expect_code(0);
    fs::remove_file(debian.root.join("agentsight.deb")).expect("it was put there");
    daemon_traces_what_a_rule_names(&debian);

    let _ = debian.run(&["dpkg", "--purge", "agentsight"]).expect_code(0);
    assert_eq!(left(&debian, &before), BTreeSet::new());
}

/// By Debian's `rpm`, which works on any root; what stands there is not asked for what the package needs: it needs nothing.
#[test]
fn the_rpm_installs_traces_and_leaves_nothing_but_data_and_a_changed_configuration() {
    need_root();
    let debian = Debian::new();
    let before = debian.files();
    let rpm = |arguments: &[&str], package: &Path| {
        let mut command = Command::new(need_program("rpm", "rpm"));
        command.arg("--root").arg(&debian.root).args(["--dbpath", "/var/lib/rpm"]).args(arguments).arg(package);
        let _ = run(&mut command, LIMIT).expect_code(0);
    };
    rpm(&["--nodeps", "--install"], &package("rpm"));
    rpm(&["--nodeps", "--verify"], Path::new("agentsight"));
    daemon_traces_what_a_rule_names(&debian);

    rpm(&["--nodeps", "--erase"], Path::new("agentsight"));
    let mut left = left(&debian, &before);
    // Where packages are .rpm, the distribution itself has these folders; they are empty.
    left.retain(|path| {
        !["usr/share/fish", "usr/share/zsh", "usr/share/licenses"].iter().any(|own| path.starts_with(own))
    });
    assert_eq!(left, ["etc/agentsight", "etc/agentsight/agentsight.yaml.rpmsave"].map(str::to_owned).into());
}

#[test]
fn the_rpm_and_the_archive_hold_what_the_deb_holds() {
    let list = |program: &str, option: &str, path: PathBuf| {
        let output = Command::new(program).arg(option).arg(path).output().expect("it was found");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let _ = (need_program("dpkg-deb", "dpkg"), need_program("rpm", "rpm"));
    let deb = list("dpkg-deb", "--contents", package("deb"));
    let rpm = list("rpm", "-qlp", package("rpm"));
    let archive = list("tar", "-tzf", package("gz"));
    let everywhere =
        ["agentsight", "agentsight.service", "agentsight.yaml", "agentsight.1", "agentsight-run.1", "agentsight.fish"];
    for name in everywhere {
        for (kind, text) in [("deb", &deb), ("rpm", &rpm), ("archive", &archive)] {
            let there = text.lines().any(|line| line.trim_end_matches(".gz").ends_with(&format!("/{name}")));
            assert!(there, "no {name} in the {kind}:\n{text}");
        }
    }
    let sums = package("deb").with_file_name("SHA256SUMS");
    let mut check = Command::new("sha256sum");
    check.arg("--check").arg(&sums).current_dir(sums.parent().expect("it is in a folder"));
    let checked = run(&mut check, LIMIT).expect_code(0);
    assert_eq!(checked.stdout.matches(": OK").count(), 3, "{}", checked.stdout);
}

#[test]
fn the_program_of_the_archive_runs_where_there_is_nothing_else() {
    need_root();
    let directory = Directory::new();
    let mut unpack = Command::new("tar");
    unpack.args(["--strip-components=1", "-xzf"]).arg(package("gz")).arg("-C").arg(directory.path());
    let _ = run(&mut unpack, LIMIT).expect_code(0);
    let said =
        run(Command::new("chroot").arg(directory.path()).args(["/agentsight", "--version"]), LIMIT).expect_code(0);
    assert_eq!(said.stdout.trim(), format!("agentsight {}", env!("CARGO_PKG_VERSION")));
}

/// That the daemon which was installed traces a process that its configuration names, and ends when it is told to.
#[track_caller]
fn daemon_traces_what_a_rule_names(debian: &Debian) {
    let check = ["agentsight", "daemon", "--check", "--config", "/etc/agentsight/agentsight.yaml"];
    let _ = debian.run(&check).expect_code(0);

    let backend = Receiver::start();
    let rules = "rules: [{executable: '*/dash', command_line: '*tulip*', service: tulip-agent}]";
    let config = format!("export: {{endpoint: '{}', protocol: grpc}}\n{rules}\n", backend.endpoint());
    fs::write(debian.root.join("etc/agentsight/agentsight.yaml"), config).expect("the package made it");
    let daemon = start_daemon(debian);
    let _ = debian.run(&["sh", "-c", "expr 1 + 2; : tulip; exit 3"]).expect_code(3);
    wait_for("the trace of the rule's session", LIMIT, || {
        let trace = backend.trace();
        let of_rule = trace.spans.iter().filter(|span| format!("{:?}", span.resource).contains("tulip-agent"));
        let codes: BTreeSet<_> = of_rule.filter_map(|span| span.int("process.exit.code")).collect();
        (codes == [0, 3].into()).then_some(())
    });
    let Ok(id) = i32::try_from(daemon.0.id()) else { panic!("a process id fits in 31 bits") };
    kill(Pid::from_raw(id), Signal::SIGTERM).expect("it runs");
    let mut daemon = daemon;
    let ended = wait_for("the daemon's end", LIMIT, || daemon.0.try_wait().expect("it is ours"));
    assert_eq!(ended.code(), Some(0));
}

/// What the installed unit starts, with no more capabilities than it has there, once it takes sessions.
fn start_daemon(debian: &Debian) -> Running {
    let unit = fs::read_to_string(debian.root.join("usr/lib/systemd/system/agentsight.service"))
        .or_else(|_| fs::read_to_string(debian.root.join("lib/systemd/system/agentsight.service")))
        .expect("the package has a unit");
    let setting = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit says no {name}"))
    };
    let capabilities: Vec<String> = setting("CapabilityBoundingSet")
        .split(' ')
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let bounding = format!("--bounding-set=-all,{}", capabilities.join(","));
    let mut words = vec!["setpriv", "--no-new-privs", &bounding];
    words.extend(setting("ExecStart").split(' '));
    // As StateDirectory and RuntimeDirectory do.
    let _ = debian.run(&["mkdir", "-p", "-m", "0700", "/var/lib/agentsight"]).expect_code(0);
    let _ = debian.run(&["mkdir", "-p", "/run/agentsight"]).expect_code(0);
    let mut daemon = Running(debian.command(&words).spawn().expect("it was found"));
    wait_for("the daemon's socket", LIMIT, || {
        if let Some(status) = daemon.0.try_wait().expect("it is ours") {
            panic!("the daemon ended with {status}");
        }
        debian.root.join("run/agentsight/daemon.sock").exists().then_some(())
    });
    daemon
}

/// What is there beside `before` and the data, which stay. Nothing of what was there is gone.
#[track_caller]
fn left(debian: &Debian, before: &BTreeSet<String>) -> BTreeSet<String> {
    let after = debian.files();
    let gone: Vec<_> = before.difference(&after).collect();
    assert!(gone.is_empty(), "gone: {gone:?}");
    assert!(after.iter().any(|path| path.starts_with("var/lib/agentsight/")), "the data stays");
    after.difference(before).filter(|path| !path.starts_with("var/lib/agentsight")).cloned().collect()
}
