//! Who and when: newtypes for the numbers that are silent when mixed up.
//!
//! tgid, tid and pid: the kernel gives every thread a *tid* and every process (thread group) a
//! *tgid*, which is the tid of its first thread and what user space calls the process id. The word
//! "pid" means one in the kernel and the other in user space, so it is used for neither here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process (thread group) id in the initial pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tgid(pub u32);

/// A thread id in the initial pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tid(pub u32);

/// Nanoseconds of the kernel clock that the programs read (`CLOCK_BOOTTIME`, or
/// `CLOCK_MONOTONIC` before 5.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelNanos(pub u64);

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallNanos(pub u64);

/// The number by which the programs know a session, for as long as they are loaded. Records carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionNumber(pub u32);

impl SessionNumber {
    /// Of records that belong to no session.
    pub const NOBODY: Self = Self(0);
    /// The only one of a collector that has one session.
    pub const FIRST: Self = Self(1);
}

/// How often a process has exec'd since it was forked; 0 is the image it was forked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecNumber(pub u32);

/// A process, for as long as this boot lasts: a tgid is used again, a tgid with its start is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// The thread group id.
    pub tgid: Tgid,
    /// `task_struct::start_boottime` of the thread group's leader, nanoseconds.
    pub start: KernelNanos,
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.tgid.0, self.start.0)
    }
}

/// Who did something: an image's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doer {
    /// The process.
    pub process: ProcessKey,
    /// Which of its images.
    pub exec: ExecNumber,
    /// The thread.
    pub tid: Tid,
}
