//! Lines fitted to the width of a terminal, and coloured.

use std::fmt::Write;

use super::TreeStyle;
use super::row::{Content, End, Row};
use super::told::Told;
use super::width::{fit, width};

/// Columns that labels keep however narrow the terminal is; the columns on the right give way.
const LABEL_MIN: usize = 24;
/// Between what an image did, and why.
const GAP: &str = "  ";

pub(super) const DIM: &str = "\x1b[2m";
pub(super) const RED: &str = "\x1b[31m";
pub(super) const CYAN: &str = "\x1b[36m";
pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const RESET: &str = "\x1b[0m";

/// Each row as a line that ends with a newline.
pub(super) fn draw(rows: &[Row], style: TreeStyle) -> String {
    let all = usize::from(style.width);
    let columns = Columns::of(rows, all);
    let paint = |colour: &str, text: &str| {
        if style.colour && !text.trim().is_empty() { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    };
    let mut drawn = String::new();
    for Row { branch, content } in rows {
        let taken = branch.chars().count();
        let branch = paint(DIM, branch);
        let line = match content {
            Content::Image { label, pid, duration, end } => {
                let room = columns.label.saturating_sub(taken);
                let label = fit(label, room);
                let padding = " ".repeat(room.saturating_sub(width(&label)));
                let label = if let End::Failure(_) = end { paint(BOLD, &label) } else { label };
                let mut line = format!("{branch}{label}");
                if columns.right {
                    let numbers = format!("  {:>1$}  {2:>3$}", pid, columns.pid, duration, columns.duration);
                    // Writing to a String cannot fail.
                    let _ = write!(line, "{padding}{}  {}", paint(DIM, &numbers), end_text(end, paint));
                }
                line
            }
            Content::Deed(Told { text, because, failed }) => {
                let text = fit(text, all.saturating_sub(taken));
                let because = fit(because, all.saturating_sub(taken + width(&text) + GAP.len()));
                let text = if *failed { paint(RED, &text) } else { text };
                format!("{branch}{text}{GAP}{}", paint(CYAN, &because))
            }
            Content::Fold(label) => format!("{branch}{}", paint(DIM, &fit(label, all.saturating_sub(taken)))),
        };
        drawn.push_str(line.trim_end());
        drawn.push('\n');
    }
    drawn
}

fn end_text(end: &End, paint: impl Fn(&str, &str) -> String) -> String {
    match end {
        End::None => String::new(),
        End::Success => paint(DIM, "exit 0"),
        End::Failure(how) => paint(RED, how),
        End::Running => "running".to_owned(),
    }
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
        let (mut label, mut pid, mut duration, mut end) = (0, 0, 0, 0);
        for Row { branch, content } in rows {
            let own = match content {
                Content::Image { label, pid: its_pid, duration: its_duration, end: its_end } => {
                    pid = pid.max(width(its_pid));
                    duration = duration.max(width(its_duration));
                    end = end.max(width(&end_text(its_end, |_, text| text.to_owned())));
                    label
                }
                Content::Fold(label) => label,
                // What an image did has the whole line.
                Content::Deed(_) => continue,
            };
            label = label.max(branch.chars().count() + width(own));
        }
        let right = pid + duration + end + 6;
        if total >= right + LABEL_MIN {
            Self { label: label.min(total - right), pid, duration, right: true }
        } else {
            Self { label: total, pid, duration, right: false }
        }
    }
}
