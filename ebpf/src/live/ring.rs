//! Draining the ring: records out, in the order in which the kernel reserved them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::LiveError;
use crate::{DecodeError, Event, decode};

/// The reading end of the lifecycle ring. One thread drains it.
pub struct Ring {
    ring: RingBuf<MapData>,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Records may be there, or the time is over.
    Ring,
    /// The other descriptor is readable.
    Other,
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Hands over every record that is there now; returns how many.
    pub fn drain(&mut self, mut each: impl FnMut(Result<Event, DecodeError>)) -> usize {
        let mut records = 0;
        while let Some(record) = self.ring.next() {
            each(decode(&record));
            records += 1;
        }
        records
    }

    /// Sleeps until the ring has a record, `other` is readable, or the time is over.
    ///
    /// # Errors
    /// The kernel refused to wait on the ring.
    pub fn wait(&self, other: BorrowedFd<'_>, limit: Duration) -> Result<Woken, LiveError> {
        // SAFETY: the descriptor belongs to self.ring, which outlives this call.
        let ring = unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) };
        let mut descriptors = [PollFd::new(ring, PollFlags::POLLIN), PollFd::new(other.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut descriptors, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(LiveError::Wait(io::Error::from(error))),
        }
        let other_is_ready = descriptors[1].revents().is_some_and(|events| !events.is_empty());
        Ok(if other_is_ready { Woken::Other } else { Woken::Ring })
    }
}
