//! File systems of the kernel's.

use super::Question;
use crate::doctor::facts::{Cgroups, Facts, FileSystem};
use crate::doctor::report::{Check, Group, Need, Status};

pub(super) fn tracefs(facts: &Facts) -> Check {
    let check = Question { id: "kernel.tracefs", group: Group::Kernel, title: "tracefs", need: Need::Information };
    let means = "AgentSight's hooks do without it; other kinds of probes are set up there.";
    judge(check, &facts.mounts.tracefs, means, "sudo mount -t tracefs tracefs /sys/kernel/tracing")
}

pub(super) fn bpf_file_system(facts: &Facts) -> Check {
    let check = Question { id: "kernel.bpffs", group: Group::Kernel, title: "bpffs", need: Need::Information };
    let means = "AgentSight pins nothing there; tools such as bpftool do.";
    judge(check, &facts.mounts.bpf, means, "sudo mount -t bpf bpf /sys/fs/bpf")
}

fn judge(check: Question, found: &FileSystem, means: &str, mend: &str) -> Check {
    match found {
        FileSystem::Mounted(place) => check.ok(format!("mounted at {place}"), means),
        FileSystem::Mountable => check.limited("not mounted", means, mend),
        FileSystem::Unknown => check.answer(Status::Limited, "the kernel has none", means, None),
    }
}

pub(super) fn control_groups(facts: &Facts) -> Check {
    let check = Question { id: "kernel.cgroups", group: Group::Kernel, title: "control groups", need: Need::Feature };
    let means = "They tell which container a process is in.";
    match facts.mounts.cgroups {
        Cgroups::Unified => check.ok("version 2", means),
        Cgroups::Hybrid => check.ok("versions 1 and 2", means),
        Cgroups::Legacy => check.ok("version 1", means),
        Cgroups::Nowhere => check.limited("not mounted", means, "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Grade;
    use crate::doctor::verdicts::fixture::well;

    #[test]
    fn an_unmounted_tracefs_is_said_with_its_command_and_stops_nothing() {
        let mut facts = well();
        facts.mounts.tracefs = FileSystem::Mountable;
        let check = tracefs(&facts);
        assert_eq!((check.status, check.grade()), (Status::Limited, Grade::Fine));
        assert!(check.mend.unwrap().starts_with("sudo mount -t tracefs"));
    }
}
