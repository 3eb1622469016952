//! What a person sees on the terminal: the process tree, made of finished spans alone, so that a live
//! run, a replay and a stored session are drawn by the same hand.
//!
//! Nothing of a traced program reaches the terminal unescaped: a name can neither move the cursor nor colour a line.

mod amount;
mod attribute;
mod because;
mod deed;

mod draw;
mod escape;
mod family;
mod fold;
mod json;
mod label;
mod object;

mod row;
mod told;
mod tree;
mod width;

use serde::{Deserialize, Serialize};

pub use crate::duration::duration;
pub use escape::{printable, shell_word};
pub use json::json;
pub use tree::tree;
pub use width::{fit, width};

use crate::spans::model::Span;

/// What the session's end looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A tree, for people.
    Tree(TreeStyle),
    /// One JSON object, for programs.
    Json,
}

/// What these spans tell, and the lines of `footer`. Ends with a newline, unless there is nothing.
#[must_use]
pub fn summary(spans: &[Span], format: Format, footer: &[String]) -> String {
    match format {
        Format::Tree(style) => tree(spans, style, footer),
        Format::Json => json(spans, footer),
    }
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStyle {
    /// Columns of the terminal.
    pub width: u16,
    /// Colours and dimming, by ANSI escape sequences.
    pub colour: bool,
}
