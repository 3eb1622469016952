//! Answers on standard output.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::super::screen;

/// Writes text; a reader that has seen enough (`| head`) is told apart from trouble by the caller.
pub(super) fn text(text: &str) -> io::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes as they are: never to a terminal.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// One JSON value, readable.
pub(super) fn json(value: &Value) -> io::Result<()> {
    text(&format!("{value:#}\n"))
}

/// One JSON value a line.
pub(super) fn lines(values: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let lines: Vec<String> = values.into_iter().map(|value| format!("{value}\n")).collect();
    text(&lines.concat())
}

/// Columns that a table may take: as many as it likes where no terminal shows them.
pub(super) fn columns() -> usize {
    let stdout = io::stdout();
    if stdout.is_terminal() { usize::from(screen::style_of(&stdout).width) } else { usize::MAX }
}
