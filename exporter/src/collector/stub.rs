//! The collector's end of the channel: a thread that hears the stub, and one that speaks to it.
//!
//! Speaking never blocks the pipeline: a stub that was stopped (Ctrl-Z) does not read.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use super::drain::Waker;
use super::work::Input;
use crate::channel::{self, ToCollector, ToStub};

/// The way to the stub. Whether it still listens is no concern of the pipeline's.
#[derive(Debug)]
pub(super) struct Stub {
    to: Sender<ToStub>,
    ended: Receiver<()>,
}

impl Stub {
    pub(super) fn speak_over(socket: UnixStream) -> io::Result<Self> {
        let (to, from) = mpsc::channel::<ToStub>();
        let (end, ended) = mpsc::channel();
        thread::Builder::new().name("to-stub".to_owned()).spawn(move || {
            for message in from {
                if channel::send(&socket, &message).is_err() {
                    break;
                }
            }
            drop(end);
        })?;
        Ok(Self { to, ended })
    }

    pub(super) fn say(&self, message: ToStub) {
        // A stub that is gone has nobody to show it to.
        let _ = self.to.send(message);
    }

    /// Waits until everything has been said, or the stub has been deaf for so long.
    pub(super) fn close(self, limit: Duration) {
        drop(self.to);
        let _ = self.ended.recv_timeout(limit);
    }
}

/// Hears the stub for as long as it lives.
pub(super) fn hear(socket: UnixStream, to: SyncSender<Input>, waker: Waker) -> io::Result<()> {
    thread::Builder::new().name("from-stub".to_owned()).spawn(move || {
        loop {
            let input = match channel::receive(&socket) {
                Ok(Some(ToCollector::End)) => Input::End,
                Ok(Some(ToCollector::Request(_))) => continue,
                Ok(None) | Err(_) => Input::StubGone,
            };
            let last = matches!(input, Input::StubGone);
            if to.send(input).is_err() || last {
                break;
            }
            waker.wake();
        }
    })?;
    Ok(())
}
