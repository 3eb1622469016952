//! Who we are, and in what we are enclosed.

use std::fs;
use std::path::Path;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::unistd::Uid;

use super::line;
use super::sudo::{self, Sudo};

/// This process's rights and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Rights {
    pub(in crate::doctor) is_root: bool,
    /// Bit masks as in `/proc/self/status`.
    pub(in crate::doctor) effective: u64,
    pub(in crate::doctor) bounding: u64,
    pub(in crate::doctor) no_new_privileges: bool,
    pub(in crate::doctor) sudo: Sudo,
    /// `None`: could not be seen.
    pub(in crate::doctor) in_first_pid_namespace: Option<bool>,
    pub(in crate::doctor) in_first_user_namespace: Option<bool>,
    /// What container we seem to be in.
    pub(in crate::doctor) container: Option<String>,
    /// In bytes; `None`: unlimited.
    pub(in crate::doctor) locked_memory: Option<u64>,
    /// The control group's, in bytes; `None`: unlimited.
    pub(in crate::doctor) memory: Option<u64>,
}

/// The capabilities that AgentSight may want, with their bits (include/uapi/linux/capability.h).
pub(in crate::doctor) const CAPABILITIES: [(&str, u32); 5] =
    [("CAP_SYS_PTRACE", 19), ("CAP_SYS_ADMIN", 21), ("CAP_SYS_RESOURCE", 24), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

impl Rights {
    pub(in crate::doctor) fn has(&self, capability: &str) -> bool {
        is_in(self.effective, capability)
    }

    /// Whether root could have it here.
    pub(in crate::doctor) fn may_have(&self, capability: &str) -> bool {
        is_in(self.bounding, capability)
    }
}

fn is_in(mask: u64, capability: &str) -> bool {
    CAPABILITIES.iter().any(|(name, bit)| *name == capability && mask & (1 << bit) != 0)
}

pub(super) fn look() -> Rights {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = |name| field(&status, name).and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
    let is_root = Uid::effective().is_root();
    Rights {
        is_root,
        effective: mask("CapEff"),
        bounding: mask("CapBnd"),
        no_new_privileges: field(&status, "NoNewPrivs") == Some("1"),
        sudo: if is_root { Sudo::NotAsked } else { sudo::ask() },
        // PROC_PID_INIT_INO and PROC_USER_INIT_INO (include/linux/proc_ns.h).
        in_first_pid_namespace: is_namespace("pid", "pid:[4026531836]"),
        in_first_user_namespace: is_namespace("user", "user:[4026531837]"),
        container: container(),
        locked_memory: getrlimit(Resource::RLIMIT_MEMLOCK)
            .ok()
            .map(|(soft, _)| soft)
            .filter(|soft| *soft != RLIM_INFINITY),
        memory: memory_limit(),
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn is_namespace(kind: &str, first: &str) -> Option<bool> {
    fs::read_link(format!("/proc/self/ns/{kind}")).ok().map(|link| link.as_os_str() == first)
}

fn container() -> Option<String> {
    let marks =
        [("/.dockerenv", "docker"), ("/run/.containerenv", "podman"), ("/run/host/container-manager", "nspawn")];
    if let Some((_, name)) = marks.iter().find(|(path, _)| Path::new(path).exists()) {
        return Some((*name).to_owned());
    }
    std::env::var("KUBERNETES_SERVICE_HOST").ok().map(|_| "kubernetes".to_owned())
}

/// The lowest limit from our own control group up to the top that we can see.
fn memory_limit() -> Option<u64> {
    let groups = line("/proc/self/cgroup")?;
    let limits = memory_folders(&groups).into_iter().flat_map(|(root, group, file)| {
        let path = Path::new(root).join(group.trim_start_matches('/'));
        path.ancestors()
            .take_while(|folder| folder.starts_with(root))
            .map(|folder| folder.join(file))
            .collect::<Vec<_>>()
    });
    // "max", and version 1's largest number of pages, are no limits.
    limits
        .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
        .filter(|limit| *limit < 1 << 60)
        .min()
}

/// Where the memory controller may be mounted, our group there, and the name of its limit.
fn memory_folders(groups: &str) -> Vec<(&'static str, &str, &'static str)> {
    let mut folders = Vec::new();
    for group in groups.lines() {
        let mut fields = group.splitn(3, ':');
        match (fields.next(), fields.next(), fields.next()) {
            (Some("0"), Some(""), Some(path)) => folders.push(("/sys/fs/cgroup", path, "memory.max")),
            (_, Some(controllers), Some(path)) if controllers.split(',').any(|name| name == "memory") => {
                folders.push(("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"));
            }
            _ => {}
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_status_is_found_by_its_whole_name() {
        let status = "CapInh:\t0000000000000000\nCapEff:\t000001fffeffffff\nNoNewPrivs:\t0\n";
        assert_eq!(field(status, "CapEff"), Some("000001fffeffffff"));
        assert_eq!(field(status, "Cap"), None);
        let mask = u64::from_str_radix(field(status, "CapEff").unwrap(), 16).unwrap();
        assert!(is_in(mask, "CAP_BPF") && is_in(mask, "CAP_SYS_ADMIN"));
        assert!(!is_in(mask, "CAP_SYS_RESOURCE"), "the one that this mask lacks");
    }

    #[test]
    fn both_versions_of_control_groups_have_a_memory_limit() {
        let both = "4:memory:/a/b\n3:cpuset:/\n0::/c";
        assert_eq!(
            memory_folders(both),
            [("/sys/fs/cgroup/memory", "/a/b", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "/c", "memory.max")]
        );
    }
}
