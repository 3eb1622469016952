//! What the terminal can show.

use std::env;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use agentsight::terminal::{Format, TreeStyle};

use super::SummaryFormat;

/// Width where there is no terminal to ask.
const WIDTH_WITHOUT_TERMINAL: u16 = 120;

/// How to sum a session up on `output`: as was asked for, else as a tree.
pub(super) fn format_of(asked: Option<SummaryFormat>, output: &(impl AsFd + IsTerminal)) -> Format {
    match asked {
        Some(SummaryFormat::Json) => Format::Json,
        Some(SummaryFormat::Tree) | None => Format::Tree(style_of(output)),
    }
}

/// How to draw on `output`: its width, and colours where it is a terminal and `NO_COLOR` is not set.
pub(super) fn style_of(output: &(impl AsFd + IsTerminal)) -> TreeStyle {
    let colour = output.is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = columns.or_else(|| terminal_width(output)).unwrap_or(WIDTH_WITHOUT_TERMINAL);
    TreeStyle { width, colour }
}

fn terminal_width(output: impl AsFd) -> Option<u16> {
    terminal_size::terminal_size_of(output).map(|(width, _)| width.0).filter(|width| *width > 0)
}
