//! Spans, sessions, and who read contents, as tables.

use std::time::Duration;

use agentsight_ebpf::WallNanos;

use super::json::command;
use crate::facts::Facts;
use crate::query::moment::Clock;
use crate::store::{Reading, SessionState, SessionSummary, StoredSpan};
use crate::terminal::{duration, fit, printable, width};

/// Spans, one a line, under a heading; a line is no wider than `columns`.
#[must_use]
pub fn spans_table(spans: &[StoredSpan], clock: &Clock, columns: usize) -> String {
    let all_today = spans.iter().all(|found| clock.is_today(WallNanos(found.span.start_time_unix_nano)));
    let rows: Vec<[String; 8]> = spans.iter().map(|found| row(found, clock, all_today)).collect();
    draw(["TIME", "PID", "EXE", "ACTION", "WHAT", "BYTES", "TOOK", "SPAN"], &rows, columns, 4)
}

/// Sessions, one a line.
#[must_use]
pub fn sessions_table(sessions: &[SessionSummary], clock: &Clock, columns: usize) -> String {
    let rows: Vec<[String; 5]> = sessions
        .iter()
        .map(|summary| {
            let state = match summary.state {
                SessionState::Running => "running".to_owned(),
                SessionState::Ended(ended) => duration(Duration::from_nanos(ended.0.saturating_sub(summary.started.0))),
                SessionState::Abandoned => "abandoned".to_owned(),
            };
            let command = summary.root.as_ref().map(|root| command(&root.span)).unwrap_or_default();
            let id: String = summary.id.to_string().chars().take(12).collect();
            [clock.local(summary.started), id, summary.spans.to_string(), state, printable(&command).into_owned()]
        })
        .collect();
    draw(["STARTED", "SESSION", "SPANS", "TOOK", "COMMAND"], &rows, columns, 4)
}

/// Who read the contents of a span, one a line.
#[must_use]
pub fn readings_table(readings: &[Reading], clock: &Clock) -> String {
    let rows: Vec<[String; 5]> = readings
        .iter()
        .map(|reading| {
            let by = reading.by;
            let (first, last) = (clock.local(reading.first), clock.local(reading.last));
            [by.user.0.to_string(), by.door.as_str().to_owned(), reading.times.to_string(), first, last]
        })
        .collect();
    draw(["USER", "BY", "TIMES", "FIRST", "LAST"], &rows, usize::MAX, 1)
}

fn row(found: &StoredSpan, clock: &Clock, all_today: bool) -> [String; 8] {
    let span = &found.span;
    let facts = Facts::of(span);
    let start = WallNanos(span.start_time_unix_nano);
    let time = if all_today { clock.time_of_day(start) } else { clock.local(start) };
    let text = |text: Option<&str>| text.map(|text| printable(text).into_owned()).unwrap_or_default();
    let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    let mut what = what(found, &facts);
    if facts.failed {
        let message = span.status.as_ref().map(|status| status.message.as_str()).unwrap_or_default();
        what = format!("{what} [{}]", if message.is_empty() { "error" } else { message });
    }
    let took = Duration::from_nanos(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
    let id = hex::encode(&span.span_id);
    let name = |facts: &Facts<'_>| text(facts.action);
    [
        time,
        number(facts.pid),
        text(facts.executable),
        name(&facts),
        printable(&what).into_owned(),
        number(facts.bytes),
        duration(took),
        id,
    ]
}

/// What was done it to: a path, the other end, a command.
fn what(found: &StoredSpan, facts: &Facts<'_>) -> String {
    let is_process = facts.object == Some(agentsight_semconv::value::object_type::PROCESS);
    match (facts.host, facts.port, facts.path) {
        _ if is_process => command(&found.span),
        (_, _, Some(path)) => path.to_owned(),
        (Some(host), Some(port), _) => format!("{host}:{port}"),
        (Some(host), None, _) => host.to_owned(),
        _ => found.span.name.clone(),
    }
}

/// Columns as wide as their widest, the one of number `flexible` as wide as there is room for.
fn draw<const N: usize>(heading: [&str; N], rows: &[[String; N]], columns: usize, flexible: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut widths: [usize; N] = heading.map(width);
    for row in rows {
        for (column, text) in row.iter().enumerate() {
            widths[column] = widths[column].max(width(text));
        }
    }
    let others: usize =
        widths.iter().enumerate().filter(|(column, _)| *column != flexible).map(|(_, width)| width + 2).sum();
    widths[flexible] = widths[flexible].min(columns.saturating_sub(others).max(20));
    let mut drawn = String::new();
    let heading = heading.map(str::to_owned);
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (column, text) in row.iter().enumerate() {
            let text = fit(text, widths[column]);
            line.push_str(&text);
            line.push_str(&" ".repeat(widths[column].saturating_sub(width(&text)) + 2));
        }
        drawn.push_str(line.trim_end());
        drawn.push('\n');
    }
    drawn
}
