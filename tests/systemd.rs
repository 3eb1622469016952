//! The unit under systemd itself: a Debian boots in an emulated machine, installs the .deb, and says what it sees.
//! By `make test-package`, which makes the package first.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agentsight_tests::debian::{Debian, package};
use agentsight_tests::directory::Directory;
use agentsight_tests::requirement::{need_program, need_root};
use agentsight_tests::run::run;

/// An emulated processor takes two minutes for all of it; beside other work, more.
const LIMIT: Duration = Duration::from_secs(900);
const RULES: &str = "rules: [{executable: '*/dash', command_line: '*tulip*', service: tulip-agent}]\n";
/// `CAP_DAC_READ_SEARCH`, `CAP_SYS_PTRACE`, `CAP_PERFMON` and `CAP_BPF`, as bits.
const CAPABILITIES: &str = "000000c000080004";

#[test]
fn under_systemd_the_installed_unit_runs_serves_users_reloads_is_watched_and_stops() {
    need_root();
    let directory = Directory::new();
    let debian = Debian::new();
    fs::copy(package("deb"), debian.root.join("root/agentsight.deb")).expect("the root is ours");
    fs::write(debian.root.join("root/good.yaml"), RULES).expect("the root is ours");
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    fs::copy(here.join("probe.sh"), debian.root.join("root/probe.sh")).expect("the root is ours");
    let unit = "etc/systemd/system/probe.service";
    fs::copy(here.join("probe.service"), debian.root.join(unit)).expect("systemd is there");
    let _ = debian.run(&["systemctl", "enable", "probe.service"]).expect_code(0);
    let _ = debian.run(&["systemctl", "set-default", "multi-user.target"]).expect_code(0);

    let said = boot(&debian, &directory);
    let facts: BTreeMap<&str, &str> =
        said.lines().filter_map(|line| line.trim_end().split_once("fact ")?.1.split_once(' ')).collect();
    let capabilities = format!("{CAPABILITIES} {CAPABILITIES} 1");
    let expected = [
        ("after-install", "0 active enabled"),
        ("type", "notify 1min"),
        ("priority", "-5 300"),
        ("capabilities", capabilities.as_str()),
        ("modes", "700 755 666"),
        ("run-of-a-user", "7"),
        ("sessions", "2 1"),
        ("codes", "\"process.exit.code\":3 \"process.exit.code\":7 "),
        ("bad-reload", "0"),
        ("bad-reload-said", "1 active"),
        ("good-reload", "0 active"),
        ("same-process", "yes"),
        ("watched", "0 active"),
        ("after-standstill", "1 active"),
        ("run-after-standstill", "5"),
        ("stopped", "inactive success 0"),
        ("kept", "3"),
        ("after-purge", "0 inactive 0 /var/lib/agentsight/agentsight.db"),
    ];
    for (name, value) in expected {
        assert_eq!(facts.get(name).map(|fact| fact.trim()), Some(value.trim()), "{name}\n{said}");
    }
    assert!(!facts.contains_key("late"), "{said}");
}

/// All that the machine says on its console, from its start to its end.
fn boot(debian: &Debian, directory: &Directory) -> String {
    let qemu = need_program("qemu-system-x86_64", "qemu-system-x86");
    let _ = need_program("cpio", "cpio");
    let initrd = directory.join("initrd");
    let pack = "cd \"$0\" && rm -rf usr/share/doc usr/share/locale usr/share/man var/cache/apt var/lib/apt && \
        find . -print0 | cpio --null --create --format=newc --quiet >\"$1\"";
    let mut command = Command::new("sh");
    let _ = run(command.args(["-c", pack]).arg(&debian.root).arg(&initrd), LIMIT).expect_code(0);
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/fetch.sh");
    let fetched = Command::new(fetch).args(["bookworm", "6.1"]).stderr(Stdio::inherit()).output().expect("it is there");
    assert!(fetched.status.success(), "no kernel 6.1 could be fetched");
    let kernel = Path::new(String::from_utf8_lossy(&fetched.stdout).trim()).join("vmlinuz");

    let mut machine = Command::new(qemu);
    // As in tests/kernels/run.sh.
    machine.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2", "-m", "3072"]);
    machine.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
    machine.args([
        "-append",
        "console=ttyS0 panic=-1 quiet no_timer_check rdinit=/lib/systemd/systemd \
         systemd.mask=serial-getty@ttyS0.service systemd.show_status=no",
    ]);
    machine.args(["-nographic", "-no-reboot", "-nic", "none"]).stdin(Stdio::null());
    run(&mut machine, LIMIT).expect_code(0).stdout
}
