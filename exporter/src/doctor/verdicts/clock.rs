//! The clocks that spans get their times from.

use agentsight_ebpf::live::Feature;

use super::Question;
use crate::doctor::facts::Facts;
use crate::doctor::report::{Check, Group, Need};

/// 2025-01-01: this program did not exist before.
const BEFORE_US: u64 = 1_735_689_600;

pub(super) fn clock(facts: &Facts) -> Check {
    let check = Question { id: "kernel.clock", group: Group::Kernel, title: "clock", need: Need::Feature };
    let source = facts.kernel.clock_source.as_deref().unwrap_or("unknown source");
    let no_boot_clock = facts.live.as_ref().is_some_and(|live| live.refusal(Feature::BootClock).is_some());
    if facts.kernel.wall_seconds < BEFORE_US {
        return check.limited(
            format!("{source}; the date is before 2025"),
            "Spans carry this date: backends will not show them where you look.",
            "sudo timedatectl set-ntp true",
        );
    }
    if no_boot_clock {
        return check.limited(
            format!("{source}, without the clock that counts on in sleep"),
            "Spans that were open while this machine slept look shorter than they were.",
            "boot Linux 5.8 or later",
        );
    }
    check.ok(source, "Spans have the kernel's own times.")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::facts::Live;
    use crate::doctor::report::Status;
    use crate::doctor::verdicts::fixture::well;

    #[test]
    fn a_date_from_before_this_program_is_said_before_all_else() {
        let mut facts = well();
        assert_eq!(clock(&facts).status, Status::Ok);
        facts.live = Some(Live::refusing(Ok(Duration::ZERO), &[Feature::BootClock]));
        assert!(clock(&facts).means.contains("slept"));
        facts.kernel.wall_seconds = 86_400;
        assert!(clock(&facts).mend.unwrap().contains("timedatectl"));
    }
}
