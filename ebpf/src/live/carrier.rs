//! The two ways of a record out of the kernel, and the object of programs for each.

use aya::include_bytes_aligned;
use aya::maps::MapType;
use aya::sys::is_map_supported;

use super::KernelClock;

static RING_BUFFER: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ring_buffer.bpf.o"));
static PERF_BUFFER: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/perf_buffer.bpf.o"));

/// How records travel from the programs to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One ring for all CPUs, in order: Linux 5.8 and later.
    RingBuffer,
    /// A perf buffer per CPU, put in order here: every kernel.
    PerfBuffers,
}

impl Carrier {
    /// The ring buffer, unless the kernel says that it has none.
    #[must_use]
    pub fn best() -> Self {
        match is_map_supported(MapType::RingBuf) {
            Ok(false) => Self::PerfBuffers,
            // Where even the question was refused, loading will be too, and has the better message.
            Ok(true) | Err(_) => Self::RingBuffer,
        }
    }

    /// What the programs stamp their records with: the helper for boot time is as old as the ring buffer.
    pub(super) fn clock(self) -> KernelClock {
        match self {
            Self::RingBuffer => KernelClock::Boottime,
            Self::PerfBuffers => KernelClock::Monotonic,
        }
    }

    /// The programs, compiled for this carrier.
    pub(super) fn object(self) -> &'static [u8] {
        match self {
            Self::RingBuffer => RING_BUFFER,
            Self::PerfBuffers => PERF_BUFFER,
        }
    }
}
