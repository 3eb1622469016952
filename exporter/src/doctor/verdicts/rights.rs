//! Whether the collector can be root here, with the capabilities that it wants.

use super::Question;
use crate::doctor::facts::{CAPABILITIES, Facts, Sudo, Version};
use crate::doctor::report::{Check, Group, Need};

pub(super) fn root(facts: &Facts) -> Check {
    let check = Question { id: "rights.root", group: Group::Rights, title: "root", need: Need::Needed };
    let means = "The collector runs as root; your command does not.";
    let rights = &facts.rights;
    match &rights.sudo {
        _ if rights.is_root => check.ok("you are root", means),
        _ if rights.no_new_privileges => check.broken(
            "this process may not gain privileges (no_new_privs)",
            "sudo cannot make the collector root from here; a sandbox or container has forbidden it.",
            "run agentsight outside of the sandbox, or start it as root",
        ),
        Sudo::Free => check.ok("sudo, without a password", means),
        Sudo::Asks => check.ok(
            "sudo, which asks for a password",
            format!("{means} You are asked once a run; whether you may, sudo says only then."),
        ),
        Sudo::NotAsked | Sudo::Silent => {
            check.unknown("sudo did not answer", "Without it the collector cannot become root.", "sudo true")
        }
        Sudo::Missing => check.broken(
            "you are not root, and sudo is not installed",
            "The collector cannot become root.",
            "su -c 'agentsight doctor', or as root: apt install sudo && adduser USER sudo",
        ),
        Sudo::Refuses(words) => check.broken(
            format!("sudo refuses: {words}"),
            "The collector cannot become root.",
            "ask an administrator for the right to run agentsight by sudo",
        ),
    }
}

pub(super) fn capabilities(facts: &Facts) -> Check {
    let check = Question { id: "rights.capabilities", group: Group::Rights, title: "capabilities", need: Need::Needed };
    let rights = &facts.rights;
    // Of root itself its own count; of a user, what root could have here.
    let had = |name: &str| if rights.is_root { rights.has(name) } else { rights.may_have(name) };
    let names: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).filter(|name| had(name)).collect();
    let found = match (names.as_slice(), rights.is_root) {
        ([], _) => "none of those for tracing".to_owned(),
        (names, true) => names.join(", "),
        (names, false) => format!("root may have {}", names.join(", ")),
    };
    let grant = "start the container with --cap-add=BPF --cap-add=PERFMON --cap-add=SYS_PTRACE";
    if !can_trace(facts.kernel.version, had) {
        return check.broken(found, "Loading programs takes CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN.", grant);
    }
    if !had("CAP_SYS_PTRACE") {
        let means = "Without CAP_SYS_PTRACE what /proc tells about other users' processes stays closed.";
        return check.limited(found, means, grant);
    }
    check.ok(found, "Enough to load programs and to read about processes.")
}

/// `CAP_BPF` and `CAP_PERFMON` were split from `CAP_SYS_ADMIN` in 5.8 (a17b53c4a4b5).
fn can_trace(version: Option<Version>, had: impl Fn(&str) -> bool) -> bool {
    let split = version.is_none_or(|version| version >= Version(5, 8));
    had("CAP_SYS_ADMIN") || split && had("CAP_BPF") && had("CAP_PERFMON")
}

pub(super) fn pid_namespace(facts: &Facts) -> Check {
    let check =
        Question { id: "rights.pid_namespace", group: Group::Rights, title: "pid namespace", need: Need::Needed };
    let means = "The kernel names processes by their ids on the host.";
    match facts.rights.in_first_pid_namespace {
        Some(true) => check.ok("the host's", means),
        Some(false) => check.broken(
            "one of a container",
            format!("{means} In here they have other ids, and would not be recognised."),
            "start the container with --pid=host",
        ),
        None => check.unknown("/proc/self/ns/pid cannot be read", means, "sudo mount -t proc proc /proc"),
    }
}

pub(super) fn user_namespace(facts: &Facts) -> Check {
    let check =
        Question { id: "rights.user_namespace", group: Group::Rights, title: "user namespace", need: Need::Needed };
    let means = "Loading programs takes root of the host, not root of a container.";
    match facts.rights.in_first_user_namespace {
        Some(true) => check.ok("the host's", means),
        Some(false) => check.broken(
            "one of a container",
            means,
            "run agentsight on the host, or in a container that is not rootless",
        ),
        // Kernels without user namespaces have no such file.
        None => check.ok("the kernel has none", means),
    }
}

pub(super) fn container(facts: &Facts) -> Check {
    let check = Question { id: "rights.container", group: Group::Rights, title: "container", need: Need::Information };
    let means = "In a container the host's pid namespace, /sys and capabilities must be given to it.";
    match &facts.rights.container {
        Some(name) => check.ok(format!("it looks like {name}"), means),
        None => check.ok("none", means),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::{well, well_without_root};

    #[test]
    fn each_answer_of_sudo_has_its_verdict() {
        let status = |sudo| {
            let mut facts = well_without_root();
            facts.rights.sudo = sudo;
            root(&facts).status
        };
        assert_eq!(status(Sudo::Free), Status::Ok);
        assert_eq!(status(Sudo::Asks), Status::Ok);
        assert_eq!(status(Sudo::Silent), Status::Unknown);
        assert_eq!(status(Sudo::Missing), Status::Broken);
        assert_eq!(status(Sudo::Refuses("alice may not run sudo".to_owned())), Status::Broken);
    }

    #[test]
    fn a_sandbox_without_new_privileges_is_not_blamed_on_sudo() {
        let mut facts = well_without_root();
        facts.rights.no_new_privileges = true;
        assert!(root(&facts).found.contains("no_new_privs"));
    }

    fn with_capabilities(version: Version, names: &[&str]) -> Status {
        let mut facts = well();
        facts.kernel.version = Some(version);
        facts.rights.effective =
            CAPABILITIES.iter().filter(|(name, _)| names.contains(name)).map(|(_, bit)| 1 << bit).sum();
        capabilities(&facts).status
    }

    #[test]
    fn before_the_split_only_the_old_capability_counts() {
        let split = ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE"];
        assert_eq!(with_capabilities(Version(5, 10), &split), Status::Ok);
        assert_eq!(with_capabilities(Version(5, 4), &split), Status::Broken);
        assert_eq!(with_capabilities(Version(5, 4), &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]), Status::Ok);
        assert_eq!(with_capabilities(Version(5, 10), &["CAP_BPF", "CAP_PERFMON"]), Status::Limited);
        assert_eq!(with_capabilities(Version(5, 10), &["CAP_BPF"]), Status::Broken);
    }

    #[test]
    fn of_a_user_it_counts_what_root_could_have() {
        let mut facts = well_without_root();
        assert_eq!(capabilities(&facts).status, Status::Ok);
        facts.rights.bounding = 0;
        assert_eq!(capabilities(&facts).status, Status::Broken);
    }

    #[test]
    fn a_containers_pid_namespace_is_broken_and_the_engines_option_mends_it() {
        let mut facts = well();
        facts.rights.in_first_pid_namespace = Some(false);
        let check = pid_namespace(&facts);
        assert_eq!(check.status, Status::Broken);
        assert!(check.mend.unwrap().contains("--pid=host"));
    }
}
