//! Giving up what is no longer needed once everything is attached.

use caps::{CapSet, Capability};

/// What was not given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegesError {
    #[error("the collector could not give up its privileges: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    #[error("the collector could not give up gaining privileges by an exec (no_new_privs): {0}")]
    NoNewPrivileges(#[from] nix::Error),
}

/// Reading the programs' counters is a `bpf()` call, which asks for `CAP_BPF` where `kernel.unprivileged_bpf_disabled` is
/// set. To run the iterator takes `CAP_PERFMON`; to read what `/proc` says of another user's process `CAP_SYS_PTRACE`; to
/// read what a container engine wrote down `CAP_DAC_READ_SEARCH`. Before Linux 5.8 the first two are part of
/// `CAP_SYS_ADMIN`.
fn needed(still: Still) -> Vec<Capability> {
    let has_bpf = caps::runtime::thread_all_supported().contains(&Capability::CAP_BPF);
    let mut needed = match (has_bpf, still) {
        (true, Still::Draining) => vec![Capability::CAP_BPF],
        (true, Still::Adopting) => vec![Capability::CAP_BPF, Capability::CAP_PERFMON],
        (false, _) => vec![Capability::CAP_SYS_ADMIN],
    };
    if still == Still::Adopting {
        needed.extend([Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH]);
    }
    needed
}

/// What is still to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Still {
    /// Reading the counters.
    Draining,
    /// Taking running processes in, too, and looking at what they are.
    Adopting,
}

/// Keeps only what is still to be done takes, for good: the bounding, ambient and inheritable sets are emptied too, and no exec
/// gives anything back.
///
/// Capabilities belong to threads, so this comes before the first thread is made.
///
/// # Errors
/// The kernel refused, which it has no reason to.
pub(crate) fn drop_privileges(still: Still) -> Result<(), PrivilegesError> {
    let needed = needed(still);
    let held = caps::read(None, CapSet::Effective)?;
    // Dropping from the bounding set takes CAP_SETPCAP, which a container may not have given us.
    if held.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported() {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let kept = needed.into_iter().filter(|capability| held.contains(capability)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(nix::sys::prctl::set_no_new_privs()?)
}
