//! Answers as text and as data: tables and trees for people, JSON for programs, dot and mermaid for pictures.
//!
//! Nothing that a traced program said reaches a terminal, a picture or a page unescaped.

pub mod content;
pub mod json;
pub mod picture;
mod slice_text;
mod table;

pub use slice_text::slice_text;
pub use table::{readings_table, sessions_table, spans_table};
