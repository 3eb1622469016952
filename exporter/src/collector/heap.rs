//! One heap for all threads of a collector, so that its memory stays as small as what it holds.
//!
//! glibc gives each of the first threads an arena of its own, which keeps what it once held. A session has threads of its
//! own, so a daemon that has seen thousands of sessions grew by a mebibyte a minute (`make soak`) though it held no more.

/// To be called before there is a second thread.
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers and keeps no pointer; nobody else allocates meanwhile.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}
