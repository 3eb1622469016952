//! What became of the bytes of a stream: known, or missing for a reason that was said.

use agentsight_tests::agentsight::Agentsight;
use agentsight_tests::store;
use agentsight_tests::trace::{Span, Trace};

use crate::stream::Stream;

/// Bytes of all bursts over the stream, both ends of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) known: u64,
    pub(crate) over_budget: u64,
    pub(crate) ring_full: u64,
    pub(crate) unreadable: u64,
}

impl Account {
    /// From the layouts that the store has beside the spans.
    pub(crate) fn of(agentsight: &Agentsight, trace: &Trace, stream: Stream) -> Self {
        let layouts = store::layouts(agentsight);
        let mut account = Self::default();
        for span in trace.spans.iter().filter(|span| stream.is_of(span) && span.int("agentsight.io.bytes") > Some(0)) {
            let Some(layout) = layouts.get(&span.id) else { panic!("{} has no contents\n{trace}", span.name) };
            let known = span.int("agentsight.content.bytes").unwrap_or(0);
            account.known += u64::try_from(known).expect("it is a size");
            for hole in layout["holes"].as_array().into_iter().flatten() {
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

/// What a span says of what it moved.
pub(crate) fn is(span: &Span, object: &str) -> bool {
    span.text("agentsight.object.type") == object && ["read", "write"].contains(&span.text("agentsight.action"))
}
