//! What the caller wanted of SIGPIPE: Rust's runtime sets it to "ignore" before `main`, and a command that
//! inherited that would not end when its reader does (`yes | head`).

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

static IGNORED_BY_CALLER: AtomicBool = AtomicBool::new(false);

extern "C" fn note() {
    // SAFETY: reading a disposition by setting it and setting it back is what sigaction is for; nothing else runs
    // yet, since this is called by the dynamic loader before Rust's own start.
    let previous = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    if matches!(previous, Ok(SigHandler::SigIgn)) {
        IGNORED_BY_CALLER.store(true, Ordering::Relaxed);
    }
}

// SAFETY: the loader calls every pointer in .init_array once, as a C function; `note` is one and cannot unwind.
#[unsafe(link_section = ".init_array")]
#[used]
static NOTE_BEFORE_MAIN: extern "C" fn() = note;

/// Sets SIGPIPE to what it was when this program was started.
pub(super) fn restore() {
    let handler = if IGNORED_BY_CALLER.load(Ordering::Relaxed) { SigHandler::SigIgn } else { SigHandler::SigDfl };
    // SAFETY: neither of the two is a function that could run in signal context.
    let _ = unsafe { signal(Signal::SIGPIPE, handler) };
}
