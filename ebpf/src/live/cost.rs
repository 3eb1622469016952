//! What the programs cost, as the kernel itself accounts it.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use aya::programs::ProgramFd;

/// The kernel's account of the programs, summed over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time spent in the programs since they were loaded.
    pub run_time: Duration,
    /// How often they ran.
    pub run_count: u64,
    /// How often the kernel skipped one because it was already running on that CPU (5.12 and later say so).
    pub missed: u64,
}

impl Cost {
    /// What `/proc/self/fdinfo` says of one program: `recursion_misses` has no other way out through aya.
    pub(super) fn of(program: &ProgramFd) -> Self {
        let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
        let mut cost = Self::default();
        let Ok(text) = fs::read_to_string(path) else { return cost };
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let Ok(value) = value.trim().parse() else { continue };
            match key {
                "run_time_ns" => cost.run_time = Duration::from_nanos(value),
                "run_cnt" => cost.run_count = value,
                "recursion_misses" => cost.missed = value,
                _ => {}
            }
        }
        cost
    }

    /// Adds what another program cost.
    pub(super) fn add(&mut self, other: Self) {
        self.run_time += other.run_time;
        self.run_count += other.run_count;
        self.missed += other.missed;
    }
}
