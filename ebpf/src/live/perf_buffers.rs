//! Perf buffers, one per CPU, for kernels without a ring buffer.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::perf::{PerfEvent, PerfEventArrayBuffer};
use aya::maps::{MapData, PerfEventArray};
use aya::util::online_cpus;

use super::LiveError;
use super::probes::chain;

/// An exec record has up to 29 KiB, and a buffer that holds two of them still takes one while the other is read.
const BUFFER_BYTES_MIN: usize = 64 << 10;
/// The smallest page of any machine; where pages are larger, so are the buffers.
const PAGE_BYTES: usize = 4096;

/// The reading ends of one map on all CPUs.
pub(super) struct PerfBuffers {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    /// A record that lies across its buffer's end, put together.
    torn: Vec<u8>,
}

impl PerfBuffers {
    /// Opens one on each CPU that is online; together they have `bytes`. What runs on a CPU that comes later is counted
    /// as lost by the programs.
    pub(super) fn open(mut map: PerfEventArray<MapData>, name: &'static str, bytes: u32) -> Result<Self, LiveError> {
        let failed = |reason| LiveError::Map { map: name, reason };
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
        Ok(Self { buffers, torn: Vec::new() })
    }

    /// Every record that was there when its buffer was come to.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8])) {
        let Self { buffers, torn } = self;
        for buffer in buffers {
            buffer.for_each(|event| {
                // What was lost for want of room is counted by the programs, with its kind.
                let PerfEvent::Sample { head, tail } = event else { return };
                if tail.is_empty() {
                    return each(head);
                }
                torn.clear();
                torn.extend_from_slice(head);
                torn.extend_from_slice(tail);
                each(torn);
            });
        }
    }

    /// What becomes readable when a record is written.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.buffers.iter().map(AsFd::as_fd)
    }
}
