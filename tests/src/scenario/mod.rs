//! Scenarios: small programs, and what the spans that AgentSight exports must and must not say of them.
//!
//! `tests/scenarios/README.md` says the form of the files. Nothing here knows how the spans came about: a trace that was
//! received, read from a file or made by hand is judged alike.

mod account;
mod acyclic;
mod always;
#[cfg(test)]
mod broken_on_purpose;
mod claim;
mod edges;
mod expected;
mod image_name;
mod links;
#[cfg(test)]
mod made;
mod near_miss;
mod parse;
mod stage;
mod verdict;

use std::fmt;

pub use account::Account;
pub use always::{Broken, broken_rules};
pub use claim::{Claim, Endpoint, ImagePattern, LinkClaim, Object, PidRelation, Statement, Status};
pub use edges::{differences, edges};
pub use parse::{HelperFile, Line, ParseError, Scenario, all_in, own_folder};
pub use stage::Stage;

use crate::trace::Trace;

/// What a trace says otherwise than its scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The scenario's file name, and where a line of it failed, that line's number from 1.
    pub place: String,
    /// The line or the rule.
    pub expected: String,
    /// What the trace has in its place, one thing a line.
    pub found: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected: {}", self.place, self.expected)?;
        for found in &self.found {
            write!(f, "\n    found: {found}")?;
        }
        Ok(())
    }
}

/// Every line of the scenario that the trace does not keep to, then every rule for all traces that it breaks.
#[must_use]
pub fn failures(scenario: &Scenario, trace: &Trace) -> Vec<Failure> {
    let account = Account::of(trace);
    let lines = scenario.lines.iter().filter(|line| !verdict::holds(&line.claim, &account)).map(|line| Failure {
        place: format!("{}:{}", scenario.name, line.number),
        expected: line.text.clone(),
        found: near_miss::of(&line.claim, &account),
    });
    let rules = broken_rules(&account).into_iter().map(|broken| Failure {
        place: format!("{}: always", scenario.name),
        expected: broken.rule.to_owned(),
        found: vec![broken.found],
    });
    lines.chain(rules).collect()
}
