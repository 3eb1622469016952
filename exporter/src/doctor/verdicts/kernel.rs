//! The kernel's version and switches.

use super::Question;
use crate::doctor::facts::{BTF, Btf, Facts, Lockdown, Version};
use crate::doctor::report::{Check, Group, Need};

/// Raw tracepoints with `task_struct *`, BTF, and a verifier that takes a million instructions.
const OLDEST: Version = Version(5, 4);
/// The ring buffer.
const WITH_RING_BUFFER: Version = Version(5, 8);

pub(super) fn version(facts: &Facts) -> Check {
    let check = Question { id: "kernel.version", group: Group::Kernel, title: "version", need: Need::Needed };
    let found = format!("Linux {} on {}", facts.kernel.release, facts.kernel.arch);
    let upgrade = "boot Linux 5.8 or later (Debian 11, Ubuntu 20.10, RHEL 9 and later have it)";
    match (facts.kernel.version, facts.kernel.arch) {
        (_, arch) if !["x86_64", "aarch64"].contains(&arch) => {
            check.broken(found, "AgentSight knows the processors x86_64 and aarch64 alone.", "use another machine")
        }
        (None, _) => check.unknown(found, "This is no version that AgentSight understands.", upgrade),
        (Some(version), _) if version < OLDEST => {
            check.broken(found, "Before Linux 5.4 the kernel lacks what the tracing programs need.", upgrade)
        }
        (Some(version), _) if version < WITH_RING_BUFFER => {
            let means =
                "Before Linux 5.8 there is no ring buffer, whose order and loss are better than the older kind's.";
            check.limited(found, means, upgrade)
        }
        (_, "aarch64") => {
            check.limited(found, "AgentSight is built for aarch64 too, and tested on x86_64 alone.", "use x86_64")
        }
        _ => check.ok(found, "New enough for everything."),
    }
}

pub(super) fn type_information(facts: &Facts) -> Check {
    let check = Question { id: "kernel.btf", group: Group::Kernel, title: "BTF", need: Need::Needed };
    let means =
        "The tracing programs learn from BTF where this kernel keeps things; without it they would read garbage.";
    let mend = "boot a kernel with CONFIG_DEBUG_INFO_BTF, or: agentsight run --btf FILE";
    match &facts.kernel.btf {
        Btf::There => check.ok(BTF, means),
        Btf::Given(path) => check.ok(format!("{}, as you say", path.display()), means),
        Btf::Missing => check.broken(format!("{BTF} is not there"), means, mend),
        Btf::SomethingElse => check.broken(format!("{BTF} holds something else"), means, mend),
        Btf::Unreadable(reason) => check.unknown(format!("{BTF}: {reason}"), means, super::AS_ROOT),
    }
}

pub(super) fn lockdown(facts: &Facts) -> Check {
    let check = Question { id: "kernel.lockdown", group: Group::Kernel, title: "lockdown", need: Need::Needed };
    let attached = facts.live.as_ref().is_some_and(|live| live.tracing.is_ok());
    match facts.kernel.lockdown {
        Lockdown::Off => check.ok("off", "Programs may read kernel memory."),
        Lockdown::Integrity => {
            check.ok("integrity", "Programs may read kernel memory, which is all that tracing takes.")
        }
        Lockdown::Confidentiality => check.broken(
            "confidentiality",
            "No program may read kernel memory, so nothing can be traced.",
            "boot with lockdown=integrity on the kernel's command line",
        ),
        Lockdown::Unseen if attached => check.ok("not active", "Programs may read kernel memory: they were let."),
        Lockdown::Unseen => check.unknown(
            "/sys/kernel/security/lockdown is not there",
            "A kernel in lockdown=confidentiality traces nothing; most kernels are not.",
            "sudo mount -t securityfs securityfs /sys/kernel/security",
        ),
    }
}

pub(super) fn unprivileged_bpf(facts: &Facts) -> Check {
    let check = Question {
        id: "kernel.unprivileged_bpf",
        group: Group::Kernel,
        title: "unprivileged eBPF",
        need: Need::Information,
    };
    let means = "AgentSight loads its programs as root, so it works either way.";
    match facts.kernel.unprivileged_bpf_disabled {
        Some(0) => check.limited(
            "allowed to everybody",
            format!("{means} That every user may load programs is a risk of its own."),
            "sudo sysctl kernel.unprivileged_bpf_disabled=1",
        ),
        Some(_) => check.ok("kept from users", means),
        None => check.ok("the kernel has no switch for it", means),
    }
}

pub(super) fn statistics(facts: &Facts) -> Check {
    let check =
        Question { id: "kernel.bpf_stats", group: Group::Kernel, title: "eBPF statistics", need: Need::Feature };
    let means = "AgentSight's own metrics say what its programs cost.";
    match (facts.kernel.bpf_stats_enabled, facts.kernel.version) {
        (Some(true), _) => check.ok("always on", means),
        // BPF_ENABLE_STATS came with 5.8 (d46edd671a14).
        (_, Some(version)) if version >= WITH_RING_BUFFER => check.ok("on while a session runs", means),
        (Some(false), _) => check.limited("off", means, "sudo sysctl kernel.bpf_stats_enabled=1"),
        (None, _) => check.limited("the kernel has none", means, "boot Linux 5.8 or later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::{well, well_without_root};

    fn status_of(release: Version, arch: &'static str) -> Status {
        let mut facts = well();
        facts.kernel.version = Some(release);
        facts.kernel.arch = arch;
        version(&facts).status
    }

    #[test]
    fn the_version_is_judged_by_what_it_brought() {
        assert_eq!(status_of(Version(5, 3), "x86_64"), Status::Broken);
        assert_eq!(status_of(Version(5, 4), "x86_64"), Status::Limited);
        assert_eq!(status_of(Version(5, 10), "x86_64"), Status::Ok);
        assert_eq!(status_of(Version(10, 0), "x86_64"), Status::Ok);
        assert_eq!(status_of(Version(6, 12), "aarch64"), Status::Limited);
        assert_eq!(status_of(Version(6, 12), "s390x"), Status::Broken);
    }

    #[test]
    fn missing_type_information_is_broken_and_the_way_around_is_named() {
        let mut facts = well();
        facts.kernel.btf = Btf::Missing;
        let check = type_information(&facts);
        assert_eq!(check.status, Status::Broken);
        assert!(check.mend.unwrap().contains("--btf"));
    }

    #[test]
    fn a_lockdown_that_cannot_be_seen_is_known_to_be_off_once_programs_attach() {
        let (mut seen, mut unseen) = (well(), well_without_root());
        for facts in [&mut seen, &mut unseen] {
            facts.kernel.lockdown = Lockdown::Unseen;
        }
        assert_eq!((lockdown(&seen).status, lockdown(&unseen).status), (Status::Ok, Status::Unknown));
        seen.kernel.lockdown = Lockdown::Confidentiality;
        assert_eq!(lockdown(&seen).status, Status::Broken);
    }

    #[test]
    fn statistics_need_a_switch_only_on_kernels_that_cannot_turn_them_on_for_a_session() {
        let mut facts = well();
        assert_eq!(statistics(&facts).status, Status::Ok);
        facts.kernel.version = Some(Version(5, 4));
        assert_eq!(statistics(&facts).mend.unwrap(), "sudo sysctl kernel.bpf_stats_enabled=1");
    }
}
