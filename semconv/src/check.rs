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
