//! The live kernel: loading the programs, attaching them, and draining their ring.
//!
//! Everything here needs privileges and talks to the kernel through aya; nothing interprets what it gets.

mod clock;
mod cost;
mod errors;
mod features;
mod probes;
mod ring;
mod tree;

pub use clock::KernelClock;
pub use cost::{Cost, keep_statistics};
pub use errors::LiveError;
pub use features::{Feature, Support, try_features};
pub use probes::{BtfSource, Options, Probes};
pub use ring::{Ring, Woken};
pub use tree::Tree;
