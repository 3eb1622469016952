//! The edges of a trace by names that another run gives, too: no ids, no times, no numbers of bursts.
//!
//! `flow` edges are left out: they say what may have been, and that hangs on who was first. So are those of `join`: which
//! of its children a parent that waits for any of them has heard of when it ends, is decided by the scheduler.

use std::collections::{BTreeMap, BTreeSet};

use super::account::{Account, At, is_process};
use super::image_name::base_name;
use super::near_miss::image;
use super::parse::Scenario;
use super::verdict::counts;

/// The edges of one run of a scenario.
#[must_use]
pub fn edges(scenario: &Scenario, account: &Account<'_>) -> BTreeSet<String> {
    let places = places(account);
    let parents = (0..account.images.len()).map(|index| format!("image {}", places[index]));
    let links = account.links.iter().filter(|link| !matches!(link.link_type, "flow" | "join") && counts(account, link));
    let links = links.filter_map(|link| {
        let end = |at| end(scenario, account, &places, at);
        Some(format!("{}: {} -> {}", link.link_type, end(link.cause?), end(link.effect)))
    });
    parents.chain(links).collect()
}

/// What one run has and another has not, a line each.
#[must_use]
pub fn differences(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Vec<String> {
    let only = |here: &BTreeSet<String>, there, whose| {
        here.difference(there).map(|edge| format!("only in {whose} run: {edge}")).collect::<Vec<_>>()
    };
    [only(first, second, "the first"), only(second, first, "the other")].concat()
}

/// For each image the way to it from the root, brothers of one name told apart by their order.
fn places(account: &Account<'_>) -> Vec<String> {
    let mut born: BTreeMap<(Option<usize>, &str), usize> = BTreeMap::new();
    let mut names = Vec::new();
    for found in &account.images {
        let name = found.span.text("process.executable.name");
        let number = born.entry((found.parent, name)).or_default();
        *number += 1;
        names.push(format!("{name}#{number}"));
    }
    let place = |index: usize| {
        let (mut way, mut at) = (names[index].clone(), account.images[index].parent);
        for _ in 0..account.images.len() {
            let Some(parent) = at else { break };
            way = format!("{}/{way}", names[parent]);
            at = account.images[parent].parent;
        }
        way
    };
    (0..account.images.len()).map(place).collect()
}

fn end(scenario: &Scenario, account: &Account<'_>, places: &[String], at: At) -> String {
    let span = account.span(at);
    let place = match account.owner(at) {
        Some(owner) => places.get(owner).cloned().unwrap_or_else(|| image(&account.images[owner])),
        None => "nobody".into(),
    };
    if is_process(span) {
        return place;
    }
    // A name that the scenario does not know was made up in that run, as `sed -i` does.
    let name = base_name(span.text("file.path"));
    let name = if scenario.text.contains(name) { name } else { "…" };
    format!("{place}.{}({} {name})", span.text("agentsight.action"), span.text("agentsight.object.type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::made::Made;

    /// `sed` writes a file of this name, and `cat` reads it; with pids and times that differ by `shift`.
    fn run(temporary: &str, shift: i64, with_link: bool) -> BTreeSet<String> {
        let scenario = Scenario::parse("x", "run: sed -i s/a/b/ in.txt; cat in.txt\nread cat in.txt").unwrap();
        let mut made = Made::default();
        let at = shift.unsigned_abs();
        let bash = made.image("bash", 1 + shift, None, at..900 + at);
        let sed = made.image("sed", 2 + shift, Some(bash), 10 + at..50 + at);
        let write = made.doing(sed, "file", "write", temporary, 5, 20 + at..30 + at);
        let cat = made.image("cat", 3 + shift, Some(bash), 60 + at..90 + at);
        let read = made.doing(cat, "file", "read", "/d/in.txt", 5, 70 + at..80 + at);
        if with_link {
            made.link("file", write, read, 5, 1.0);
            made.link("flow", write, cat, 0, 0.5);
        }
        edges(&scenario, &Account::of(&made.trace))
    }

    #[test]
    fn runs_that_differ_in_ids_times_and_made_up_names_have_the_same_edges() {
        let first = run("/d/sedAbc123", 0, true);
        assert_eq!(differences(&first, &run("/d/sedXyz789", 500, true)), Vec::<String>::new());
        assert!(first.contains("file: bash#1/sed#1.write(file …) -> bash#1/cat#1.read(file in.txt)"), "{first:?}");
        assert!(!first.iter().any(|edge| edge.starts_with("flow")), "{first:?}");
    }

    #[test]
    fn an_edge_that_only_one_run_has_is_named() {
        let found = differences(&run("/d/sedAbc123", 0, true), &run("/d/sedAbc123", 0, false));
        assert_eq!(
            found,
            ["only in the first run: file: bash#1/sed#1.write(file …) -> bash#1/cat#1.read(file in.txt)"]
        );
    }
}
