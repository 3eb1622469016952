//! Lines fitted to the width of a terminal, and coloured.

use std::fmt::Write;

use super::TreeStyle;
use super::row::{End, Row};
use super::width::{fit, width};

/// Columns that labels keep however narrow the terminal is; the columns on the right give way.
const LABEL_MIN: usize = 24;

pub(super) const DIM: &str = "\x1b[2m";
pub(super) const RED: &str = "\x1b[31m";
pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const RESET: &str = "\x1b[0m";

/// Each row as a line that ends with a newline.
pub(super) fn draw(rows: &[Row], style: TreeStyle) -> String {
    let columns = Columns::of(rows, usize::from(style.width));
    let paint = |colour: &str, text: &str| {
        if style.colour && !text.trim().is_empty() { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    };
    let mut drawn = String::new();
    for row in rows {
        let room = columns.label.saturating_sub(row.branch.chars().count());
        let label = fit(&row.label, room);
        let padding = " ".repeat(room.saturating_sub(width(&label)));
        let branch = paint(DIM, &row.branch);
        let label = match row.end {
            End::Failure(_) => paint(BOLD, &label),
            End::None if row.pid.is_empty() => paint(DIM, &label),
            End::None | End::Success | End::Running => label,
        };
        let mut line = format!("{branch}{label}");
        if columns.right && !row.pid.is_empty() {
            let numbers = format!("  {:>1$}  {2:>3$}", row.pid, columns.pid, row.duration, columns.duration);
            let end = match &row.end {
                End::None => String::new(),
                End::Success => paint(DIM, "exit 0"),
                End::Failure(how) => paint(RED, how),
                End::Running => "running".to_owned(),
            };
            // Writing to a String cannot fail.
            let _ = write!(line, "{padding}{}  {end}", paint(DIM, &numbers));
        }
        drawn.push_str(line.trim_end());
        drawn.push('\n');
    }
    drawn
}

/// Widths of the columns; all rows share them, so that numbers stand under numbers.
struct Columns {
    label: usize,
    pid: usize,
    duration: usize,
    right: bool,
}

impl Columns {
    fn of(rows: &[Row], total: usize) -> Self {
        let widest = |of: &dyn Fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
        let pid = widest(&|row| width(&row.pid));
        let duration = widest(&|row| width(&row.duration));
        let end = widest(&|row| match &row.end {
            End::None => 0,
            End::Success => "exit 0".len(),
            End::Failure(how) => width(how),
            End::Running => "running".len(),
        });
        let right = pid + duration + end + 6;
        let natural = widest(&|row| row.branch.chars().count() + width(&row.label));
        if total >= right + LABEL_MIN {
            Self { label: natural.min(total - right), pid, duration, right: true }
        } else {
            Self { label: total, pid, duration, right: false }
        }
    }
}
