//! Perf buffers, one per CPU, for kernels without a ring buffer: several streams made one again.
//!
//! A child's exec may be read, on its CPU, before its fork, on another. One rule restores the order: the clock is read
//! *before* any buffer, then every buffer to its end, and only what is stamped before that reading is handed over, by
//! time; the rest waits for the next drain. Whatever led to such an event (the fork, say) was in its buffer before the
//! event was stamped, so before any buffer was read: it is among them, and its stamp is the earlier one.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray};
use aya::util::online_cpus;

use super::probes::chain;
use super::{KernelClock, LiveError};
use crate::{DecodeError, Event, KernelNanos, SessionNumber, decode};

/// An exec record has up to 29 KiB, and a buffer that holds two of them still takes one while the other is read.
const BUFFER_BYTES_MIN: usize = 64 << 10;
/// The smallest page of any machine; where pages are larger, so are the buffers.
const PAGE_BYTES: usize = 4096;

/// The reading ends of all CPUs.
pub(super) struct PerfBuffers {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    merge: Merge,
    clock: KernelClock,
    /// A record that lies across its buffer's end, put together.
    torn: Vec<u8>,
}

impl PerfBuffers {
    /// Opens one on each CPU that is online. What runs on a CPU that comes later is counted as lost by the programs.
    pub(super) fn open(mut map: PerfEventArray<MapData>, bytes: u32, clock: KernelClock) -> Result<Self, LiveError> {
        let failed = |reason| LiveError::Map { map: "lifecycle", reason };
        let cpus = online_cpus().map_err(|(path, error)| failed(format!("{path}: {error}")))?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX) / cpus.len().max(1);
        let pages = (bytes.max(BUFFER_BYTES_MIN) / PAGE_BYTES).next_power_of_two();
        let buffers = cpus
            .into_iter()
            .map(|cpu| {
                map.open(cpu, Some(pages))
                    .map_err(|error| failed(format!("the buffer of CPU {cpu}: {}", chain(&error))))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { buffers, merge: Merge::default(), clock, torn: Vec::new() })
    }

    /// Hands over every record that was made before this call; returns how many.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Result<(SessionNumber, Event), DecodeError>)) -> usize {
        let before = self.clock.now();
        let Self { buffers, merge, torn, .. } = self;
        let mut undecodable = 0;
        for buffer in buffers {
            buffer.for_each(|event| {
                // What was lost for want of room is counted by the programs, with its kind.
                let PerfEvent::Sample { head, tail } = event else { return };
                let record = if tail.is_empty() {
                    head
                } else {
                    torn.clear();
                    torn.extend_from_slice(head);
                    torn.extend_from_slice(tail);
                    torn.as_slice()
                };
                match decode(record) {
                    Ok(event) => merge.waiting.push(event),
                    Err(error) => {
                        undecodable += 1;
                        each(Err(error));
                    }
                }
            });
        }
        undecodable + merge.hand_over(before, |event| each(Ok(event)))
    }

    /// Whether something was read that the next drain will hand over.
    pub(super) fn has_waiting(&self) -> bool {
        !self.merge.waiting.is_empty()
    }

    /// What becomes readable when a record is written.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.buffers.iter().map(AsFd::as_fd)
    }
}

/// What was read and not yet handed over.
#[derive(Default)]
struct Merge {
    waiting: Vec<(SessionNumber, Event)>,
}

impl Merge {
    /// Hands over what is stamped before `before`, by time; returns how many that were.
    fn hand_over(&mut self, before: KernelNanos, mut each: impl FnMut((SessionNumber, Event))) -> usize {
        // Each CPU's records are in order already, which is what this sort is quick on.
        self.waiting.sort_by_key(|(_, event)| event.at());
        let ready = self.waiting.partition_point(|(_, event)| event.at() < before);
        self.waiting.drain(..ready).for_each(&mut each);
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    fn hand_over(merge: &mut Merge, before: u64) -> Vec<u64> {
        let mut times = Vec::new();
        merge.hand_over(KernelNanos(before), |(_, event)| times.push(event.at().0));
        times
    }

    fn read(merge: &mut Merge, times: &[u64]) {
        let tick = |at: &u64| (SessionNumber::FIRST, Event::Tick(Tick { at: KernelNanos(*at) }));
        merge.waiting.extend(times.iter().map(tick));
    }

    #[test]
    fn records_of_several_cpus_come_out_by_time() {
        let mut merge = Merge::default();
        read(&mut merge, &[10, 40, 70]);
        read(&mut merge, &[20, 30, 80]);
        assert_eq!(hand_over(&mut merge, 100), [10, 20, 30, 40, 70, 80]);
    }

    #[test]
    fn what_was_written_while_the_buffers_were_read_waits_for_what_led_to_it() {
        let mut merge = Merge::default();
        // The clock was read at 50. CPU 0 was read first, then wrote 60, a fork; CPU 1 wrote 65, the exec.
        read(&mut merge, &[10]);
        read(&mut merge, &[20, 65]);
        assert_eq!(hand_over(&mut merge, 50), [10, 20]);
        read(&mut merge, &[60]);
        assert_eq!(hand_over(&mut merge, 90), [60, 65]);
    }
}
