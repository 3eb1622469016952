//! One heap for all threads of a collector, which gives back what only the beginning needed.
//!
//! glibc gives each of the first threads an arena of its own, which keeps what it once held; a session has threads of its
//! own, so a daemon would keep the most that each of many arenas ever held: in 10 minutes of `make soak` 8 MiB more, and
//! still growing.

/// To be called before there is a second thread.
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers and keeps no pointer; nobody else allocates meanwhile.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives back to the system what is free: reading the kernel's type information takes thirty megabytes for a moment,
/// and the heap would keep what lies below whatever outlives that moment.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and touches only what nobody holds.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
