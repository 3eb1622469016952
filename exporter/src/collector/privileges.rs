//! Giving up what is no longer needed once everything is attached.

use caps::{CapSet, Capability};

/// What was not given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivilegesError {
    #[error("the collector could not give up its privileges: {0}")]
    Capabilities(#[from] caps::errors::CapsError),
    #[error("the collector could not give up gaining privileges by an exec (no_new_privs): {0}")]
    NoNewPrivileges(#[from] nix::Error),
}

/// What draining takes: reading the programs' counters is a `bpf()` call, which asks for this capability where
/// `kernel.unprivileged_bpf_disabled` is set. Before Linux 5.8 it is part of `CAP_SYS_ADMIN`.
fn needed() -> Capability {
    if caps::runtime::thread_all_supported().contains(&Capability::CAP_BPF) {
        Capability::CAP_BPF
    } else {
        Capability::CAP_SYS_ADMIN
    }
}

/// Keeps only what draining takes, for good: the bounding, ambient and inheritable sets are emptied too, and no exec
/// gives anything back.
///
/// Capabilities belong to threads, so this comes before the first thread is made.
///
/// # Errors
/// The kernel refused, which it has no reason to.
pub(super) fn drop_privileges() -> Result<(), PrivilegesError> {
    let needed = needed();
    let held = caps::read(None, CapSet::Effective)?;
    // Dropping from the bounding set takes CAP_SETPCAP, which a container may not have given us.
    if held.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::runtime::thread_all_supported() {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let kept = held.contains(&needed).then_some(needed).into_iter().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(nix::sys::prctl::set_no_new_privs()?)
}
