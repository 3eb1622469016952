//! The live kernel: loading the programs, attaching them, and draining their ring.
//!
//! Everything here needs privileges and talks to the kernel through aya; nothing interprets what it gets.

mod adoption;
mod capture;
mod carrier;
mod clock;
mod cost;
mod counts;
mod errors;
mod features;
mod harvest;
mod hooks;
mod io_uring;
mod merge;
mod meter;
mod perf_buffers;
mod probes;
mod ring;
mod ring_buffer;
mod running;
mod statistics;
mod syscalls;
mod tree;

pub use capture::CaptureRoom;
pub use carrier::Carrier;
pub use clock::KernelClock;
pub use cost::Cost;
#[cfg(test)]
pub(crate) use counts::SESSION_SLOTS;
pub use errors::LiveError;
pub use features::{Feature, Support, try_features};
pub use harvest::Harvest;
pub use meter::Meter;
pub use probes::{BtfSource, Options, Probes, Sessions};
pub use ring::{Ring, Woken};
pub use running::{describe_running, is_alive, leave_undescribed, look_at, user_ids};
pub use statistics::Statistics;
pub use tree::Tree;
