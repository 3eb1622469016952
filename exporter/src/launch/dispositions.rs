//! Two signals that this program needs otherwise than its caller may want them, and that the command gets back.
//!
//! SIGPIPE: Rust's runtime ignores it before `main`, and a command that inherited that would not end when its reader
//! does (`yes | head`). SIGCHLD: a caller that ignores it leaves nobody an exit status to wait for.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

/// What the caller ignored.
static IGNORED: [(Signal, AtomicBool); 2] =
    [(Signal::SIGPIPE, AtomicBool::new(false)), (Signal::SIGCHLD, AtomicBool::new(false))];

extern "C" fn note() {
    for (number, is_ignored) in &IGNORED {
        // SAFETY: the default disposition runs no code of ours; nothing else runs yet, since this is called by the
        // dynamic loader before Rust's own start.
        let previous = unsafe { signal(*number, SigHandler::SigDfl) };
        is_ignored.store(matches!(previous, Ok(SigHandler::SigIgn)), Ordering::Relaxed);
    }
}

// SAFETY: the loader calls every pointer in .init_array once, as a C function; `note` is one and cannot unwind.
#[unsafe(link_section = ".init_array")]
#[used]
static NOTE_BEFORE_MAIN: extern "C" fn() = note;

/// Sets both to what they were when this program was started.
pub(super) fn restore() {
    for (number, is_ignored) in &IGNORED {
        let handler = if is_ignored.load(Ordering::Relaxed) { SigHandler::SigIgn } else { SigHandler::SigDfl };
        // SAFETY: neither of the two is a function that could run in signal context.
        let _ = unsafe { signal(*number, handler) };
    }
}
