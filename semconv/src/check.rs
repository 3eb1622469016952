//! The two checks by which tests hold what is emitted against the registry.

use std::collections::BTreeSet;

use crate::{ALL, lookup};

/// Those of the names that the registry does not declare, each once, sorted.
///
/// Leave out resource attributes that came from a traced process's `OTEL_RESOURCE_ATTRIBUTES`: they are its names, not ours.
pub fn undeclared<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let unknown: BTreeSet<_> = names.into_iter().filter(|name| lookup(name).is_none()).collect();
    unknown.into_iter().map(str::to_owned).collect()
}

/// Declared names that are not among these, sorted: no test has seen them emitted.
pub fn unseen<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'static str> {
    let seen: BTreeSet<_> = names.into_iter().collect();
    ALL.iter().map(|declared| declared.name.as_str()).filter(|name| !seen.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_declared_is_reported_once() {
        let names = ["process.pid", "process.pidd", "agentsight.loss", "agentsight.nothing", "process.pidd"];
        assert_eq!(undeclared(names), ["agentsight.nothing", "process.pidd"]);
    }

    #[test]
    fn every_declared_name_is_unseen_until_it_is_seen() {
        let all = || ALL.iter().map(|declared| declared.name.as_str());
        assert!(unseen(all()).is_empty());
        assert_eq!(unseen(all().filter(|name| *name != "process.pid")), ["process.pid"]);
    }
}
