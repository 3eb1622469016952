//! The lines of the tree, before they are fitted to a terminal.

use std::time::Duration;

use agentsight_semconv as semconv;

use super::attribute::{int, is_set, text};
use super::duration;
use super::escape::printable;
use super::family::{Family, Member};
use super::fold::{Item, fold};
use super::label::label;

/// One line before it is fitted to the width.
pub(super) struct Row {
    pub(super) branch: String,
    pub(super) label: String,
    pub(super) pid: String,
    pub(super) duration: String,
    pub(super) end: End,
}

pub(super) enum End {
    /// Not an image, or one that was replaced by the next.
    None,
    Success,
    Failure(String),
    /// It was not seen to end.
    Running,
}

/// One line an image or fold, in the order of the tree; branches take at most `branch_limit` columns.
pub(super) fn rows(family: &Family<'_>, branch_limit: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    // A stack of its own: a chain of a million execs must not end on the thread's.
    let mut pending: Vec<(Item, String, String)> = Vec::new();
    for root in family.roots.iter().rev() {
        pending.push((Item::One(*root), String::new(), String::new()));
    }
    while let Some((item, branch, below)) = pending.pop() {
        let Item::One(place) = item else {
            rows.push(folded_row(item, branch));
            continue;
        };
        rows.push(row(family, place, branch));
        let items = fold(family, &family.members[place].children);
        let last = items.len().saturating_sub(1);
        for (index, item) in items.into_iter().enumerate().rev() {
            let (own, under) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = |end: &str| shorten(format!("{below}{end}"), branch_limit);
            pending.push((item, branch(own), branch(under)));
        }
    }
    rows
}

/// How an image ended.
pub(super) fn end(member: &Member<'_>) -> End {
    let attributes = &member.last().attributes;
    let is = |name| is_set(attributes, name);
    if is(semconv::AGENTSIGHT_SPAN_INCOMPLETE) || is(semconv::AGENTSIGHT_SPAN_PROMOTED) {
        return End::Running;
    }
    match (text(attributes, semconv::ERROR_TYPE), int(attributes, semconv::PROCESS_EXIT_CODE)) {
        (_, Some(0)) => End::Success,
        (_, Some(code)) => End::Failure(format!("exit {code}")),
        (Some(signal), None) if is(semconv::AGENTSIGHT_PROCESS_CORE_DUMPED) => {
            End::Failure(format!("{} (core)", printable(signal)))
        }
        (Some(signal), None) => End::Failure(printable(signal).into_owned()),
        (None, None) => End::None,
    }
}

fn row(family: &Family<'_>, place: usize, branch: String) -> Row {
    let member = &family.members[place];
    let last = member.last();
    let arrow = if family.replaces_parent(place) { "⇒ " } else { "" };
    // An end in a later trace starts where that one does.
    let time = last.end.0.saturating_sub(last.start.0.min(member.span.start.0));
    Row {
        branch,
        label: format!("{arrow}{}", label(member.span)),
        pid: int(&member.span.attributes, semconv::PROCESS_PID).map(|pid| pid.to_string()).unwrap_or_default(),
        duration: duration(Duration::from_nanos(time)),
        end: end(member),
    }
}

fn folded_row(item: Item, branch: String) -> Row {
    let label = match item {
        Item::Forks { name, count } => format!("{name} ({count} forks)"),
        Item::More { name, count } => format!("… {count} more {name}"),
        Item::One(_) => String::new(),
    };
    Row { branch, label, pid: String::new(), duration: String::new(), end: End::None }
}

/// Deep down only the nearest branches are drawn.
fn shorten(branch: String, limit: usize) -> String {
    let columns = branch.chars().count();
    if columns <= limit.max(4) {
        return branch;
    }
    let tail: String = branch.chars().skip(columns + 1 - limit.max(4)).collect();
    format!("…{tail}")
}
