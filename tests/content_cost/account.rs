//! What became of the bytes of a stream: known, or missing for a reason that was said.

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::store;
use serde_json::Value;

/// Bytes of all bursts that were captured: those over the stream, both ends of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) known: u64,
    pub(crate) over_budget: u64,
    pub(crate) ring_full: u64,
    pub(crate) unreadable: u64,
    /// What is on no span's account: a burst that another thread ended within the microseconds between a call's being counted and
    /// its bytes' being taken.
    pub(crate) only_counted: u64,
    /// Chunks that were lost, as the session says.
    pub(crate) lost_chunks: u64,
}

impl Account {
    /// From the layouts that the store has beside the spans.
    pub(crate) fn of(agentsight: &Agentsight) -> Self {
        let mut account = Self { lost_chunks: lost_chunks(agentsight), ..Self::default() };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for layout in store::layouts(agentsight).values() {
            for run in list(&layout["runs"]) {
                account.known += run[1].as_u64().expect("a run has a length");
            }
            for hole in list(&layout["holes"]) {
                let place = |end: &str| hole["range"][end].as_u64().expect("a hole has both ends");
                let cause = match hole["cause"].as_str() {
                    Some("budget") => &mut account.over_budget,
                    Some("ring_full") => &mut account.ring_full,
                    Some("unreadable") => &mut account.unreadable,
                    other => panic!("{other:?} is no cause"),
                };
                *cause += place("end") - place("start");
            }
        }
        account
    }

    pub(crate) fn sum(&self) -> u64 {
        self.known + self.over_budget + self.ring_full + self.unreadable
    }
}

/// The greatest count on a span: each has what was lost until it left.
fn lost_chunks(agentsight: &Agentsight) -> u64 {
    let found = agentsight.run(["query", "--action", "exec", "--format", "json"]).expect_code(0);
    let found: Value = serde_json::from_str(&found.stdout).expect("it is JSON");
    let counts = found["spans"].as_array().into_iter().flatten();
    counts.filter_map(|span| span["attributes"]["agentsight.loss.content"].as_u64()).max().unwrap_or(0)
}
