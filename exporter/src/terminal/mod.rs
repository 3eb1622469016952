//! What a person sees on the terminal: the process tree, made of finished spans alone, so that a live
//! run, a replay and a stored session are drawn by the same hand.
//!
//! Nothing of a traced program reaches the terminal unescaped: a name can neither move the cursor nor colour a line.

mod duration;
mod escape;
mod family;
mod tree;
mod width;

use serde::{Deserialize, Serialize};

pub use duration::duration;
pub use escape::{printable, shell_word};
pub use tree::tree;
pub use width::{fit, width};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStyle {
    /// Columns of the terminal.
    pub width: u16,
    /// Colours and dimming, by ANSI escape sequences.
    pub colour: bool,
}
