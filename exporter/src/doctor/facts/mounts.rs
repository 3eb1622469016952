//! File systems of the kernel's: mounted, or mountable.

use std::fs;

/// Those that are of interest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Mounts {
    pub(in crate::doctor) tracefs: FileSystem,
    pub(in crate::doctor) bpf: FileSystem,
    pub(in crate::doctor) cgroups: Cgroups,
}

/// One kind of file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum FileSystem {
    /// Where.
    Mounted(String),
    /// The kernel has it.
    Mountable,
    /// The kernel has it not.
    Unknown,
}

/// Which hierarchies of control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Cgroups {
    /// Version 2 alone.
    Unified,
    /// Both.
    Hybrid,
    /// Version 1 alone.
    Legacy,
    /// None.
    Nowhere,
}

pub(super) fn look() -> Mounts {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    read(&mounts, &known)
}

fn read(mounts: &str, known: &str) -> Mounts {
    let cgroups = match (mounted(mounts, "cgroup2").is_some(), mounted(mounts, "cgroup").is_some()) {
        (true, false) => Cgroups::Unified,
        (true, true) => Cgroups::Hybrid,
        (false, true) => Cgroups::Legacy,
        (false, false) => Cgroups::Nowhere,
    };
    Mounts { tracefs: file_system(mounts, known, "tracefs"), bpf: file_system(mounts, known, "bpf"), cgroups }
}

fn file_system(mounts: &str, known: &str, kind: &str) -> FileSystem {
    match mounted(mounts, kind) {
        Some(place) => FileSystem::Mounted(place.to_owned()),
        None if known.lines().any(|line| line.split_whitespace().last() == Some(kind)) => FileSystem::Mountable,
        None => FileSystem::Unknown,
    }
}

/// The first place where this kind is mounted (proc(5): the fields after ` - ` begin with the kind).
fn mounted<'a>(mounts: &'a str, kind: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() == Some(kind) { before.split(' ').nth(4) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 23 0:13 / /sys/kernel/tracing rw,relatime shared:12 master:3 - tracefs tracefs rw
";
    const KNOWN: &str = "nodev\tsysfs\nnodev\ttracefs\nnodev\tbpf\n\text4\n";

    #[test]
    fn what_is_mounted_is_told_from_what_could_be() {
        let read = read(MOUNTS, KNOWN);
        assert_eq!(read.tracefs, FileSystem::Mounted("/sys/kernel/tracing".to_owned()));
        assert_eq!(read.bpf, FileSystem::Mountable);
        assert_eq!(file_system(MOUNTS, "", "bpf"), FileSystem::Unknown);
        assert_eq!(read.cgroups, Cgroups::Hybrid);
    }
}
