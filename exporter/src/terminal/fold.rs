//! Siblings with nothing to tell apart, told as one.

use agentsight_semconv as semconv;

use super::attribute::is_set;
use super::deed::{Deeds, Telling};
use super::family::Family;
use super::label::shown_name;
use super::row::{End, end};

/// A run of like siblings longer than this shows only its first.
const RUN_LIMIT: usize = 5;
const RUN_SHOWN: usize = 3;

/// One line of a list of siblings.
pub(super) enum Item {
    One(usize),
    /// Children that are copies of their parent, and did nothing that has a line of its own.
    Forks {
        name: String,
        count: usize,
    },
    More {
        name: String,
        count: usize,
    },
}

/// Siblings with nothing to tell apart, next to each other, become one line: a compiler reads and writes what its neighbours
/// do not, but all of them do it.
pub(super) fn fold<'a>(family: &Family<'a>, deeds: &Deeds<'a>, children: &[usize]) -> Vec<Item> {
    let likeness = |place: &usize| {
        let member = &family.members[*place];
        let did = deeds.by(*place);
        let is_telling = did.iter().any(|deed| deeds.telling(*place, deed) <= Telling::Network);
        let quiet = member.children.is_empty() && matches!(end(member), End::Success) && !is_telling;
        let is_fork = is_set(&member.span.attributes, semconv::AGENTSIGHT_PROCESS_FORK) && did.is_empty();
        quiet.then(|| (is_fork, shown_name(member.span)))
    };
    let mut items = Vec::new();
    for run in children.chunk_by(|one, next| likeness(one).is_some_and(|it| Some(it) == likeness(next))) {
        match likeness(&run[0]) {
            Some((true, name)) if run.len() > 1 => items.push(Item::Forks { name, count: run.len() }),
            Some((false, name)) if run.len() > RUN_LIMIT => {
                items.extend(run[..RUN_SHOWN].iter().map(|place| Item::One(*place)));
                items.push(Item::More { name, count: run.len() - RUN_SHOWN });
            }
            Some(_) | None => items.extend(run.iter().map(|place| Item::One(*place))),
        }
    }
    items
}
