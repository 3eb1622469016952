//! What processes do to each other and to themselves: the typed events of `control.bpf.c`.

pub(crate) mod wire;

use serde::{Deserialize, Serialize};

use crate::{BurstId, Doer, KernelNanos, OpenId, ProcessKey};

/// A signal was sent to a process (kill, tkill, tgkill, pidfd_send_signal, rt_sigqueueinfo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// When.
    pub at: KernelNanos,
    /// Who sent it.
    pub by: Doer,
    /// Who gets it.
    pub target: ProcessKey,
    /// Its number.
    pub signal: u32,
}

/// A parent heard of a child's end (wait4, waitid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// End of the call.
    pub at: KernelNanos,
    /// Who waited.
    pub by: Doer,
    /// The child's process id, as the caller's pid namespace has it.
    pub child_vpid: u32,
}

/// A descriptor was passed: sent over a socket (SCM_RIGHTS), or taken (pidfd_getfd).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// When.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// The open file that was passed.
    pub open: OpenId,
    /// The burst of the socket that it went through; `None` for pidfd_getfd.
    pub over: Option<BurstId>,
    /// Sent, or received.
    pub side: PassSide,
}

/// Which end of the passing this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassSide {
    /// By the sender.
    Sent,
    /// By the receiver.
    Received,
}

/// Another call that a reader of an audit trail wants to know of, done by an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// End of the call.
    pub at: KernelNanos,
    /// Who.
    pub by: Doer,
    /// Which call.
    pub kind: CallKind,
    /// Its telling arguments: see [`CallKind`]; 0 where there is none.
    pub arguments: [u64; 2],
    /// The process that it was done to, where there is one.
    pub target: Option<ProcessKey>,
    /// 0, or the error number.
    pub error: u32,
}

/// Which call, and what its arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// setuid, setreuid, setresuid: the effective user id afterwards.
    Setuid,
    /// setgid, setregid, setresgid: the effective group id afterwards.
    Setgid,
    /// ptrace: the request, the other process's id as the caller's pid namespace has it.
    Ptrace,
    /// process_vm_writev: bytes written, the other process's id as above.
    ProcessVmWritev,
    /// process_vm_readv: bytes read, the other process's id as above.
    ProcessVmReadv,
    /// memfd_create.
    MemfdCreate,
    /// io_uring_setup, on a kernel whose io_uring is not followed: entries, flags.
    IoUringSetup,
    /// A 32-bit system call that has no decoding: its number; said once a process and number.
    CompatCall,
    /// bind: port or 0.
    Bind,
    /// listen: backlog, port or 0.
    Listen,
    /// mmap, shared and writable: length, offset; shmat that may write: 0, 0.
    MapShared,
    /// chroot, pivot_root.
    Chroot,
    /// unshare, setns: flags.
    Namespaces,
    /// mount, move_mount, umount.
    Mount,
    /// bpf: the command.
    Bpf,
    /// init_module, finit_module.
    LoadModule,
    /// io_uring_setup of a ring whose requests are followed: entries, flags.
    IoUringFollowed,
    /// A request to io_uring whose doings are not seen: operation (255: unknown), flags of its
    /// submission; said once an image.
    IoUringUnseen,
}
