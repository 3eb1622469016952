//! Limits of memory.

use super::{Question, mebibytes};
use crate::doctor::facts::{Facts, Version};
use crate::doctor::report::{Check, Group, Need};

/// The ring of 8 MiB and the maps beside it, with room to spare.
const LOCKED_BYTES: u64 = 64 << 20;
/// A collector takes 30 MB, and up to 100 MB more while the disk is full.
const COLLECTOR_BYTES: u64 = 192 << 20;

pub(super) fn locked_memory(facts: &Facts) -> Check {
    let check =
        Question { id: "rights.locked_memory", group: Group::Rights, title: "locked memory", need: Need::Feature };
    // Since 5.11 maps count as memory of the control group (97306be45fbe).
    if facts.kernel.version.is_some_and(|version| version >= Version(5, 11)) {
        return check.ok("not asked for by this kernel", "Before Linux 5.11 the ring and maps count as locked memory.");
    }
    let means = "Before Linux 5.11 the ring and maps count as locked memory.";
    match facts.rights.locked_memory {
        _ if facts.rights.is_root && facts.rights.has("CAP_SYS_RESOURCE") => check.ok("root may raise it", means),
        None => check.ok("unlimited", means),
        Some(bytes) if bytes >= LOCKED_BYTES => check.ok(mebibytes(bytes), means),
        Some(_) if !facts.rights.is_root && facts.rights.may_have("CAP_SYS_RESOURCE") => {
            check.ok("root may raise it", means)
        }
        Some(bytes) => check.limited(mebibytes(bytes), means, "ulimit -l unlimited"),
    }
}

pub(super) fn memory(facts: &Facts) -> Check {
    let check = Question { id: "rights.memory", group: Group::Rights, title: "memory limit", need: Need::Feature };
    let means = "The collector takes some 40 MB, the ring included, and more where the disk is full.";
    match facts.rights.memory {
        None => check.ok("none", means),
        Some(bytes) if bytes >= COLLECTOR_BYTES => check.ok(mebibytes(bytes), means),
        Some(bytes) => check.limited(
            format!("{} for this control group", mebibytes(bytes)),
            format!("{means} The kernel may end the collector, or your command."),
            "give the container or service 256 MiB more (docker run --memory, systemd's MemoryMax=)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::well;

    #[test]
    fn the_limit_of_locked_memory_matters_only_before_it_was_accounted_elsewhere() {
        let mut facts = well();
        facts.rights.locked_memory = Some(64 << 10);
        facts.rights.effective = 0;
        assert_eq!(locked_memory(&facts).status, Status::Ok);
        facts.kernel.version = Some(Version(5, 10));
        assert_eq!(locked_memory(&facts).status, Status::Limited);
        facts.rights.effective = u64::MAX;
        assert_eq!(locked_memory(&facts).status, Status::Ok);
    }

    #[test]
    fn a_tight_control_group_is_said() {
        let mut facts = well();
        facts.rights.memory = Some(64 << 20);
        assert_eq!(
            (memory(&facts).status, memory(&facts).found.as_str()),
            (Status::Limited, "64 MiB for this control group")
        );
        facts.rights.memory = Some(4 << 30);
        assert_eq!(memory(&facts).status, Status::Ok);
    }
}
