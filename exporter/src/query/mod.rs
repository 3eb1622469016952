//! Questions: which spans, why, and what came of it. The same for every source.
//!
//! Nothing here knows the clock, the terminal or the network; a backend's source ([`backend`]) alone talks to one.

pub mod action;
mod ask;
pub mod backend;
pub mod filter;
pub mod glob;
pub mod memory;
pub mod moment;
mod of_store;
pub mod slice;
pub mod source;
mod subtree;
pub mod words;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use ask::{Cursor, CursorError, Page, Question, ask, sort_value};
pub use filter::Filter;
pub use of_store::StoreSource;
pub use source::{Source, SourceError};
pub use subtree::{Membership, Subtree};
