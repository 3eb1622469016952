//! What the matcher finds and what it does not, measured; and that no secret leaves.
//! The tables that these tests print are those of `docs/content.md`.
#![allow(clippy::unwrap_used)]

mod documents;
mod escapes;
mod flows;
mod matching;
mod random;
mod secrets;
