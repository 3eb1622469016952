//! The clock that the programs stamp their events with.

use nix::time::{ClockId, clock_gettime};

use crate::{Clock, KernelNanos, WallNanos};

/// Which clock the programs read: boot time where the kernel has the helper, else monotonic time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelClock {
    /// `CLOCK_BOOTTIME`, which goes on while the machine sleeps.
    Boottime,
    /// `CLOCK_MONOTONIC`, before Linux 5.8.
    Monotonic,
}

impl KernelClock {
    /// Now.
    #[must_use]
    pub fn now(self) -> KernelNanos {
        KernelNanos(read(match self {
            Self::Boottime => ClockId::CLOCK_BOOTTIME,
            Self::Monotonic => ClockId::CLOCK_MONOTONIC,
        }))
    }

    /// Both clocks at the same moment, as near as two readings can be.
    #[must_use]
    pub fn read_both(self) -> Clock {
        let before = self.now();
        let wall = WallNanos(read(ClockId::CLOCK_REALTIME));
        let after = self.now();
        Clock { at: KernelNanos(before.0.midpoint(after.0)), wall }
    }
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux has had this clock since 2.6.39");
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}
