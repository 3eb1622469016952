//! A user's questions about their own sessions, which the daemon answers: over its socket, because the store is root's alone.
//!
//! Whoever asks is known by the kernel's word. They get the spans of sessions whose root process was theirs; of what other users'
//! processes did in there, only that they ran, and never what they moved. Root gets everything. Each answer is bounded in time and size.

#[cfg(feature = "live")]
mod answer;
mod asker;
#[cfg(feature = "live")]
mod content;
#[cfg(test)]
#[cfg(feature = "live")]
mod content_tests;
#[cfg(feature = "live")]
mod reduce;
#[cfg(feature = "live")]
mod sight;
#[cfg(test)]
#[cfg(feature = "live")]
mod tests;
mod wire;

#[cfg(feature = "live")]
pub(crate) use answer::{TIME_LIMIT, Trouble, answer};
pub use asker::{Asker, DaemonSource};
pub use wire::{Inquiry, Listed, Moved, Next, Packed, Reply, Spans, WireId};
