//! Draining what the programs wrote: records out, none before what led to it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use aya::maps::{MapData, PerfEventArray, RingBuf};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::perf_buffers::PerfBuffers;
use super::{Carrier, KernelClock, LiveError};
use crate::{DecodeError, Event, SessionNumber, decode};

/// The reading end of the lifecycle records, however the kernel carries them. One thread drains it.
pub struct Ring {
    source: Source,
}

enum Source {
    RingBuffer(RingBuf<MapData>),
    PerfBuffers(PerfBuffers),
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
    pub(super) fn over_ring_buffer(map: RingBuf<MapData>) -> Self {
        Self { source: Source::RingBuffer(map) }
    }

    pub(super) fn over_perf_buffers(
        map: PerfEventArray<MapData>,
        bytes: u32,
        clock: KernelClock,
    ) -> Result<Self, LiveError> {
        PerfBuffers::open(map, bytes, clock).map(|buffers| Self { source: Source::PerfBuffers(buffers) })
    }

    /// How the records come.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        match self.source {
            Source::RingBuffer(_) => Carrier::RingBuffer,
            Source::PerfBuffers(_) => Carrier::PerfBuffers,
        }
    }

    /// Hands over every record that was there at the call, and maybe later ones; returns how many.
    pub fn drain(&mut self, mut each: impl FnMut(Result<(SessionNumber, Event), DecodeError>)) -> usize {
        match &mut self.source {
            Source::RingBuffer(ring) => {
                let mut records = 0;
                while let Some(record) = ring.next() {
                    each(decode(&record));
                    records += 1;
                }
                records
            }
            Source::PerfBuffers(buffers) => buffers.drain(each),
        }
    }

    /// Sleeps until there is a record, `other` is readable, or the time is over.
    ///
    /// # Errors
    /// The kernel refused to wait.
    pub fn wait(&self, other: BorrowedFd<'_>, limit: Duration) -> Result<Woken, LiveError> {
        let mut descriptors = vec![PollFd::new(other.as_fd(), PollFlags::POLLIN)];
        let mut limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match &self.source {
            Source::RingBuffer(ring) => {
                // SAFETY: the descriptor belongs to self.source, which outlives this call.
                let ring = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
                descriptors.push(PollFd::new(ring, PollFlags::POLLIN));
            }
            Source::PerfBuffers(buffers) => {
                descriptors.extend(buffers.descriptors().map(|cpu| PollFd::new(cpu, PollFlags::POLLIN)));
                if buffers.has_waiting() {
                    limit = PollTimeout::ZERO;
                }
            }
        }
        match poll(&mut descriptors, limit) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(LiveError::Wait(io::Error::from(error))),
        }
        let other_is_ready = descriptors[0].revents().is_some_and(|events| !events.is_empty());
        Ok(if other_is_ready { Woken::Other } else { Woken::Ring })
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("carrier", &self.carrier()).finish_non_exhaustive()
    }
}
