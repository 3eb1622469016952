//! The collector's end of the channel: a thread that hears the stub, and one that speaks to it.
//!
//! Speaking never blocks the pipeline: a stub that was stopped (Ctrl-Z) does not read.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use agentsight_ebpf::SessionNumber;

use super::drain::Waker;
use super::queue::Inlet;
use super::sessions::Input;
use crate::channel::{self, ToCollector, ToStub};

/// So much waits for a stub that was stopped (Ctrl-Z) while its descendants go on; what is more is missing from its
/// files, and that is said. The store has it all the same.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// The way to the stub. Whether it still listens is no concern of the pipeline's.
#[derive(Debug)]
pub(crate) struct Stub {
    to: Sender<ToStub>,
    ended: Mutex<Receiver<()>>,
    /// Bytes for files that the stub has not taken yet.
    waiting: Arc<AtomicUsize>,
    overflowed: AtomicBool,
}

impl Stub {
    pub(crate) fn speak_over(socket: UnixStream) -> io::Result<Self> {
        let (to, from) = mpsc::channel::<ToStub>();
        let (end, ended) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        thread::Builder::new().name("to-stub".to_owned()).spawn(move || {
            for message in from {
                if channel::send(&socket, &message).is_err() {
                    break;
                }
                taken.fetch_sub(file_bytes(&message), Ordering::Relaxed);
            }
            drop(end);
        })?;
        Ok(Self { to, ended: Mutex::new(ended), waiting, overflowed: AtomicBool::new(false) })
    }

    pub(crate) fn say(&self, message: ToStub) {
        let bytes = file_bytes(&message);
        if bytes > 0 && self.waiting.load(Ordering::Relaxed) > WAITING_BYTES_MAX {
            if !self.overflowed.swap(true, Ordering::Relaxed) {
                let message = "agentsight's own process was stopped for long: --output or the recording has a gap";
                self.say(ToStub::Notice { message: message.to_owned() });
            }
            return;
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        // A stub that is gone has nobody to show it to.
        let _ = self.to.send(message);
    }

    /// Waits until everything has been said, or the stub has been deaf for so long.
    pub(crate) fn close(self, limit: Duration) {
        drop(self.to);
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(limit);
    }
}

fn file_bytes(message: &ToStub) -> usize {
    if let ToStub::Output { bytes, .. } = message { bytes.len() } else { 0 }
}

/// Hears the stub for as long as it lives.
pub(crate) fn hear(socket: UnixStream, session: SessionNumber, to: Inlet<Input>, waker: Waker) -> io::Result<()> {
    thread::Builder::new().name("from-stub".to_owned()).spawn(move || {
        loop {
            let input = match channel::receive(&socket) {
                Ok(Some(ToCollector::End)) => Input::End(session),
                Ok(Some(ToCollector::Request(_) | ToCollector::Question(_))) => continue,
                Ok(None) | Err(_) => Input::StubGone(session),
            };
            let last = matches!(input, Input::StubGone(_));
            if to.send(input).is_err() || last {
                break;
            }
            waker.wake();
        }
    })?;
    Ok(())
}
