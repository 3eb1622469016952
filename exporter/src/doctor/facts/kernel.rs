//! What the kernel says it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use agentsight_ebpf::live::BtfSource;

use super::line;

/// The running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Kernel {
    pub(in crate::doctor) release: String,
    /// Major and minor number.
    pub(in crate::doctor) version: Option<Version>,
    pub(in crate::doctor) arch: &'static str,
    pub(in crate::doctor) btf: Btf,
    pub(in crate::doctor) lockdown: Lockdown,
    /// `kernel.unprivileged_bpf_disabled`, where the kernel has it.
    pub(in crate::doctor) unprivileged_bpf_disabled: Option<u8>,
    /// `kernel.bpf_stats_enabled`, where the kernel has it.
    pub(in crate::doctor) bpf_stats_enabled: Option<bool>,
    pub(in crate::doctor) clock_source: Option<String>,
    /// Seconds since 1970, by the wall clock.
    pub(in crate::doctor) wall_seconds: u64,
}

/// As in 6.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::doctor) struct Version(pub(in crate::doctor) u32, pub(in crate::doctor) u32);

/// The kernel's type information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Btf {
    /// It begins as it should.
    There,
    /// The user names a file in its place.
    Given(PathBuf),
    Missing,
    SomethingElse,
    Unreadable(String),
}

/// `/sys/kernel/security/lockdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Lockdown {
    Off,
    Integrity,
    Confidentiality,
    /// securityfs is not mounted, or the kernel has no lockdown: both look alike.
    Unseen,
}

pub(in crate::doctor) const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn look(given: Option<&BtfSource>) -> Kernel {
    let release = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    Kernel {
        version: version(&release),
        release,
        arch: std::env::consts::ARCH,
        btf: given.map_or_else(btf, |source| Btf::Given(source.path.clone())),
        lockdown: line("/sys/kernel/security/lockdown").map_or(Lockdown::Unseen, |text| lockdown(&text)),
        unprivileged_bpf_disabled: line("/proc/sys/kernel/unprivileged_bpf_disabled")
            .and_then(|text| text.parse().ok()),
        bpf_stats_enabled: line("/proc/sys/kernel/bpf_stats_enabled").map(|text| text != "0"),
        clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        wall_seconds: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    }
}

fn version(release: &str) -> Option<Version> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some(Version(numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn lockdown(text: &str) -> Lockdown {
    match text {
        text if text.contains("[confidentiality]") => Lockdown::Confidentiality,
        text if text.contains("[integrity]") => Lockdown::Integrity,
        _ => Lockdown::Off,
    }
}

fn btf() -> Btf {
    let mut magic = [0; 2];
    match File::open(BTF).and_then(|mut file| file.read_exact(&mut magic)) {
        // BTF_MAGIC (include/uapi/linux/btf.h), in the machine's own order.
        Ok(()) if u16::from_ne_bytes(magic) == 0xeb9f => Btf::There,
        Ok(()) => Btf::SomethingElse,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Btf::Missing,
        Err(error) => Btf::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_releases_are_read_as_two_numbers() {
        let releases = ["6.18.44-fc", "5.10.0-32-cloud-amd64", "7.0-rc3", "4.18.0-553.el8_10.x86_64", "linux", ""];
        let versions = releases.map(version);
        let expected = [Some((6, 18)), Some((5, 10)), Some((7, 0)), Some((4, 18)), None, None];
        assert_eq!(versions, expected.map(|pair| pair.map(|(major, minor)| Version(major, minor))));
    }

    #[test]
    fn the_mode_in_brackets_is_the_one_that_holds() {
        assert_eq!(lockdown("none [integrity] confidentiality"), Lockdown::Integrity);
        assert_eq!(lockdown("none integrity [confidentiality]"), Lockdown::Confidentiality);
        assert_eq!(lockdown("[none] integrity confidentiality"), Lockdown::Off);
    }
}
