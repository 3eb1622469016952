//! A process replaced its image: the typed event of `exec.bpf.c`.

mod container;

use serde::{Deserialize, Serialize};

pub use container::{Container, Runtime};

use crate::{Captured, ExecNumber, FlowPoint, KernelNanos, ProcessKey, Tid};

/// A successful `execve` or `execveat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// When the new image was complete, just before its first instruction.
    pub at: KernelNanos,
    /// The process, the same before and after.
    pub process: ProcessKey,
    /// The number of the new image; 1 is the first exec after the fork.
    pub exec: ExecNumber,
    /// The thread that called exec; it is the leader afterwards.
    pub caller_tid: Tid,
    /// The process id in the process's own pid namespace.
    pub vpid: u32,
    /// `real_parent` at that moment, for when the fork was not seen.
    pub parent: ProcessKey,
    /// After the exec: a set-user-id program has its new ids here.
    pub credentials: Credentials,
    /// Id of the cgroup v2 directory; where no cgroup v2 is in use, that of its root.
    pub cgroup_id: u64,
    /// Path of its control group below the root of the hierarchy: the unified one's, or where that says no more than
    /// its root, a v1 controller's.
    #[serde(default)]
    pub cgroup: Captured,
    /// The container that it runs in; the kernel knows of none, so capture finds it by the control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<Container>>,
    /// Path of the file that runs (of the interpreter, for a script), as seen from the process's root.
    pub executable: Captured,
    /// The file that runs has no name any more, or never had one (memfd).
    pub executable_deleted: bool,
    /// Path that was asked for: the script's, where `executable` is its interpreter.
    pub requested: Captured,
    /// Working directory, as seen from the process's root.
    pub working_directory: Captured,
    /// `argv`, each argument followed by a NUL byte. `Gap::Truncated::total` is the length of all.
    pub args: Captured,
    /// How many secrets were replaced in the fields of this event.
    #[serde(default)]
    pub redactions: u32,
    /// The image that did it has new sources since it last forked or exec'd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowPoint>,
    /// Of a process that an earlier session traced until its collector died: the span that it had there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<EarlierSpan>,
    /// The few environment variables that are read.
    pub environment: Environment,
}

/// A span of an earlier session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierSpan {
    /// Its trace.
    pub trace_id: [u8; 16],
    /// Its id in the trace.
    pub span_id: [u8; 8],
}

/// The user and group ids of a process, in the initial user namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
}

/// The only environment variables that ever leave the process's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `TRACEPARENT`.
    pub traceparent: Option<Captured>,
    /// `TRACESTATE`.
    pub tracestate: Option<Captured>,
    /// `BAGGAGE`.
    pub baggage: Option<Captured>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: Option<Captured>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource_attributes: Option<Captured>,
    /// The environment was larger than what is searched, or not readable: a variable that is absent here may exist.
    #[serde(default)]
    pub incomplete: bool,
}
