//! Draining what the programs wrote: records out, none before what led to it.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::merge::Merge;
use super::perf_buffers::PerfBuffers;
use super::ring_buffer::RingBuffer;
use super::{Carrier, KernelClock, LiveError};
use crate::{DecodeError, Event, SessionNumber};

/// The programs wake nobody for a record of `transfers` before half of its room is used, so it is looked at this often.
const TRANSFERS_DELAY: Duration = Duration::from_millis(100);

/// The reading end of all kinds of records, however the kernel carries them. One thread drains it.
pub struct Ring {
    source: Source,
    merge: Merge,
    clock: KernelClock,
}

/// Lifecycle first, then transfers, then contents where they are captured: a burst's beginning before its payload.
pub(super) enum Source {
    RingBuffers(Vec<RingBuffer>),
    PerfBuffers(Vec<PerfBuffers>),
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
    pub(super) fn new(source: Source, clock: KernelClock) -> Self {
        Self { source, merge: Merge::default(), clock }
    }

    /// How the records come.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        match self.source {
            Source::RingBuffers(_) => Carrier::RingBuffer,
            Source::PerfBuffers(_) => Carrier::PerfBuffers,
        }
    }

    /// Hands over every record that was made before this call, in order of time; returns how many.
    pub fn drain(&mut self, mut each: impl FnMut(Result<(SessionNumber, Event), DecodeError>)) -> usize {
        let Self { source, merge, clock } = self;
        let before = clock.now();
        let mut undecodable = 0;
        let mut refuse = |error| {
            undecodable += 1;
            each(Err(error));
        };
        match source {
            Source::RingBuffers(rings) => {
                for ring in rings.iter_mut() {
                    let read = ring.read(|record| {
                        match merge.take(record) {
                            // What lies behind it waits in the ring, so a flood cannot hold the drain up.
                            Ok(made) if made >= before => return ControlFlow::Break(()),
                            Ok(_) => {}
                            Err(error) => refuse(error),
                        }
                        ControlFlow::Continue(())
                    });
                    // Out of address space or memory: the next drain tries again, and what the ring has no room for
                    // meanwhile is counted as lost.
                    drop(read);
                }
            }
            Source::PerfBuffers(maps) => {
                for buffers in maps {
                    buffers.read(|record| {
                        if let Err(error) = merge.take(record) {
                            refuse(error);
                        }
                    });
                }
            }
        }
        undecodable + merge.hand_over(before, |event| each(Ok(event)))
    }

    /// Sleeps until there are records to drain, `other` is readable, or the time is over. It may end early.
    ///
    /// # Errors
    /// The kernel refused to wait.
    pub fn wait(&self, other: BorrowedFd<'_>, limit: Duration) -> Result<Woken, LiveError> {
        let mut descriptors = vec![PollFd::new(other.as_fd(), PollFlags::POLLIN)];
        let limit = if self.merge.has_waiting() { Duration::ZERO } else { limit.min(TRANSFERS_DELAY) };
        match &self.source {
            Source::RingBuffers(rings) => {
                descriptors.extend(rings.iter().map(|ring| PollFd::new(ring.as_fd(), PollFlags::POLLIN)));
            }
            Source::PerfBuffers(maps) => {
                let buffers = maps.iter().flat_map(PerfBuffers::descriptors);
                descriptors.extend(buffers.map(|cpu| PollFd::new(cpu, PollFlags::POLLIN)));
            }
        }
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
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
