//! Ahead in the queue for a processor: who records must not wait for long behind those whom it records.
//!
//! The ring and the queue behind it hold what a busy tree says in two seconds. Beside a thousand busy processes the threads
//! of a collector waited as long for a processor, though they need a fifth of one (`docs/performance.md`). Ahead of others
//! they take no more of it, only sooner.

use std::fs;

use nix::libc;
use nix::unistd::{getpid, getsid};

/// Three times the weight of others.
const NICE: i32 = -5;

/// Raises it as far as the kernel lets us, which takes `CAP_SYS_NICE`; without that all stays as it is. To be called before
/// there is a second thread, and before that right is given up.
pub(crate) fn raise() {
    // SAFETY: it takes numbers, and changes the calling thread alone; threads to come inherit it.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
    }
    // Where the kernel divides the processors between sessions (`sched_autogroup`), that alone would only put us ahead of
    // ourselves. A session that is somebody else's as well stays as it is.
    if getsid(None) == Ok(getpid()) {
        let _ = fs::write("/proc/self/autogroup", NICE.to_string());
    }
}
