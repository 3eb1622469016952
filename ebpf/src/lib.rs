//! What the kernel said: the eBPF programs, their loader (feature `live`), and [`Event`], the only
//! thing that leaves this crate.
//!
//! An event is a statement of the kernel without interpretation. It says what could not be seen
//! ([`Captured`]) and never guesses. This crate knows nothing of graphs, spans or backends.

mod captured;
mod event;
mod exec;
mod exit;
mod fork;
mod identity;
#[cfg(feature = "live")]
pub mod live;
mod loss;
mod wire;

pub use captured::{Captured, Gap};
pub use event::{Clock, Event, Tick};
pub use exec::{Container, Credentials, Environment, Exec, Runtime};
pub use exit::Exit;
pub use fork::Fork;
pub use identity::{ExecNumber, KernelNanos, ProcessKey, Tgid, Tid, WallNanos};
pub use loss::{Loss, LossKind};
pub use wire::{DecodeError, decode};
