//! What can go wrong between us and the kernel, with how to mend it.

use std::io;
use std::path::PathBuf;

use crate::{PolicyError, Tgid};

/// Tracing could not start.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The kernel has no BTF, or it cannot be read.
    #[error(
        "the kernel's type information (BTF) could not be read from {path}: {reason}\n\
         The kernel must be built with CONFIG_DEBUG_INFO_BTF (Debian, Ubuntu, Fedora and RHEL kernels are), \
         or name a file that describes it: --btf FILE"
    )]
    Btf {
        /// Where it was looked for.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// Reading kernel memory is forbidden.
    #[error(
        "the kernel is locked down (lockdown=confidentiality), which forbids every program that reads kernel memory\n\
         Boot with lockdown=integrity, or without lockdown, to trace on this machine"
    )]
    Lockdown,
    /// Not privileged.
    #[error(
        "the kernel refused to load the tracing programs: {reason}\n\
         Tracing needs root, or the capabilities CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before Linux 5.8); \
         inside a container they must be granted by the engine"
    )]
    Privileges {
        /// What the kernel said.
        reason: String,
    },
    /// The object was refused for another reason.
    #[error("the kernel refused the tracing programs: {reason}\nAGENTSIGHT_LOG=debug shows the verifier's log")]
    Load {
        /// What the kernel said.
        reason: String,
    },
    /// A program could not be attached.
    #[error("the probe {hook} could not be attached: {reason}")]
    Attach {
        /// The hook.
        hook: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// There is nothing to attach to.
    #[error("no process has the id {} (it may have ended, or be a thread or a kernel thread)", tgid.0)]
    NoSuchProcess {
        /// As given.
        tgid: Tgid,
    },
    /// A map operation failed.
    #[error("the map {map} of the tracing programs could not be used: {reason}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// What a session wants of payload cannot be followed.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Nothing was made ready for payload.
    #[error("contents are not captured here: the tracing programs were loaded without room for them")]
    NoCapture,
    /// The table of all sessions is full.
    #[error(
        "the patterns of files to capture need {needed} states, and {left} are left\n\
         Ask for fewer files, or wait until another session with contents has ended"
    )]
    CaptureRoom {
        /// Of this session.
        needed: usize,
        /// For it.
        left: usize,
    },
    /// The ring could not be waited for.
    #[error("waiting for events failed: {0}")]
    Wait(#[source] io::Error),
}
