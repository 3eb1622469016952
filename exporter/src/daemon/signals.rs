//! The daemon's signals: SIGHUP reads the configuration again, SIGTERM and SIGINT end it.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::collector::queue::Inlet;
use crate::collector::sessions::Input;

/// From here on, in every thread that is made later too, they wait to be heard.
pub(crate) fn hold() -> nix::Result<SigSet> {
    let mut held = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
        held.add(signal);
    }
    held.thread_block()?;
    Ok(held)
}

/// Hears them, on a thread of its own.
pub(crate) fn hear(held: SigSet, to: Inlet<Input>) -> io::Result<()> {
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(signal) = held.wait() {
            let input = if signal == Signal::SIGHUP { Input::Reload } else { Input::Stop };
            if to.send(input).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}
