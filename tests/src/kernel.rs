//! What the kernel that the tests run on is like.

use std::fs;

/// Whether it may preempt tracing programs, as Linux does from 7.0 on. It then skips those on system calls at times,
/// which AgentSight says as `agentsight.loss.missed`.
///
/// # Panics
/// When `/proc` is not mounted.
#[must_use]
pub fn preempts_programs() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.expect("a release begins with a number") >= 7
}
