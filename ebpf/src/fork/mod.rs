//! A process was created: the typed event of `fork.bpf.c`.

use serde::{Deserialize, Serialize};

use crate::{ExecNumber, FlowPoint, KernelNanos, ProcessKey, Tid};

/// `fork`, `vfork` or `clone` without `CLONE_THREAD`. A new thread is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// When the child was made.
    pub at: KernelNanos,
    /// The child.
    pub process: ProcessKey,
    /// The child's process id in its own pid namespace.
    pub vpid: u32,
    /// The process that called fork: not `real_parent`, which `CLONE_PARENT` sets to another.
    pub parent: ProcessKey,
    /// The thread that called fork.
    pub parent_tid: Tid,
    /// Which image of the parent called fork.
    pub parent_exec: ExecNumber,
    /// The image that did it has new sources since it last forked or exec'd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowPoint>,
    /// The child is the root of its session: its parent is the launcher, which is not traced.
    pub root: bool,
}
