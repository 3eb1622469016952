//! The lines of the tree, before they are fitted to a terminal.

use std::time::Duration;

use agentsight_semconv as semconv;

use super::attribute::{int, is_set, text};
use super::deed::{Deeds, Telling};
use super::duration;
use super::escape::printable;
use super::family::{Family, Member};
use super::fold::{Item, fold};
use super::label::label;
use super::told::{Told, folded, is_told_by_another, told, unseen};

/// A tree longer than this says less of each process.
const ROWS_MAX: usize = 200;

/// One line before it is fitted to the width.
pub(super) struct Row {
    pub(super) branch: String,
    pub(super) content: Content,
}

pub(super) enum Content {
    Image {
        label: String,
        pid: String,
        duration: String,
        end: End,
    },
    /// Something that the image above it did.
    Deed(Told),
    /// Something that is only counted.
    Fold(String),
}

pub(super) enum End {
    /// It was replaced by the next.
    None,
    Success,
    Failure(String),
    /// It was not seen to end.
    Running,
}

/// The lines of the tree, in its order; branches take at most `branch_limit` columns.
pub(super) fn rows<'a>(family: &Family<'a>, deeds: &Deeds<'a>, branch_limit: usize) -> Vec<Row> {
    let drawn = |detail| rows_in(family, deeds, branch_limit, detail);
    let all = drawn(Detail::MOST);
    if all.len() <= ROWS_MAX {
        return all;
    }
    let some = drawn(Detail::SOME);
    if some.len() <= ROWS_MAX { some } else { drawn(Detail::LEAST) }
}

/// How much is said of what one image did.
#[derive(Clone, Copy)]
struct Detail {
    /// Lines an image.
    deeds: usize,
    /// What tells less than this is only counted.
    least: Telling,
    counted: Counted,
}

/// What is counted of that which has no line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    All,
    /// Not what every program reads.
    Own,
    /// Nothing of an image of which nothing is told.
    BesideOthers,
}

impl Detail {
    const MOST: Self = Self { deeds: 8, least: Telling::Little, counted: Counted::All };
    const SOME: Self = Self { deeds: 3, least: Telling::Talk, counted: Counted::Own };
    const LEAST: Self = Self { deeds: 3, least: Telling::Rights, counted: Counted::BesideOthers };
}

fn rows_in<'a>(family: &Family<'a>, deeds: &Deeds<'a>, branch_limit: usize, detail: Detail) -> Vec<Row> {
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
        let items = fold(family, deeds, &family.members[place].children);
        let beside = shorten(format!("{below}{}", if items.is_empty() { "   " } else { "│  " }), branch_limit);
        let contents = deed_contents(family, deeds, place, detail);
        rows.extend(contents.into_iter().map(|content| Row { branch: beside.clone(), content }));
        let last = items.len().saturating_sub(1);
        for (index, item) in items.into_iter().enumerate().rev() {
            let (own, under) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let branch = |end: &str| shorten(format!("{below}{end}"), branch_limit);
            pending.push((item, branch(own), branch(under)));
        }
    }
    rows
}

/// What an image did, the most telling first, and how much more.
fn deed_contents<'a>(family: &Family<'a>, deeds: &Deeds<'a>, place: usize, detail: Detail) -> Vec<Content> {
    let all = deeds.by(place);
    let mut telling: Vec<_> = all
        .iter()
        .map(|deed| (deeds.telling(place, deed), deed))
        .filter(|(telling, deed)| *telling <= detail.least && !is_told_by_another(deed, all))
        .collect();
    // By time, where they tell as much.
    telling.sort_by_key(|(telling, _)| *telling);
    let shown = telling.iter().take(detail.deeds);
    let mut contents: Vec<Content> = shown.map(|(_, deed)| Content::Deed(told(deeds, family, place, deed))).collect();
    contents.extend(unseen(&family.members[place]).map(Content::Deed));
    let more = all.iter().filter(|deed| !is_told_by_another(deed, all)).count() - telling.len().min(detail.deeds);
    let folded = folded(&family.members[place]).filter(|_| detail.counted == Counted::All);
    let more = (more > 0).then(|| format!("{more} more"));
    let counted: Vec<String> = more.into_iter().chain(folded).collect();
    let is_alone = contents.is_empty() && detail.counted == Counted::BesideOthers;
    if !counted.is_empty() && !is_alone {
        contents.push(Content::Fold(format!("… and {}", counted.join(", "))));
    }
    contents
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
    let content = Content::Image {
        label: format!("{arrow}{}", label(member.span)),
        pid: int(&member.span.attributes, semconv::PROCESS_PID).map(|pid| pid.to_string()).unwrap_or_default(),
        duration: duration(Duration::from_nanos(time)),
        end: end(member),
    };
    Row { branch, content }
}

fn folded_row(item: Item, branch: String) -> Row {
    let label = match item {
        Item::Forks { name, count } => format!("{name} ({count} forks)"),
        Item::More { name, count } => format!("… {count} more {name}"),
        Item::One(_) => String::new(),
    };
    Row { branch, content: Content::Fold(label) }
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
