//! Which counter an event is counted in, and what the counter is called.

use agentsight_ebpf::{Event, LossKind};
use agentsight_semconv::value::event_kind as name;

/// The counters, by what is said of them.
pub(super) const COUNTED: [&str; 16] = [
    name::FORK,
    name::EXEC,
    name::EXIT,
    name::SNAPSHOT,
    name::OPEN,
    name::CLOSE,
    name::BURST_BEGIN,
    name::BURST_END,
    name::COPIED,
    name::CONNECT,
    name::DNS,
    name::CHANGE,
    name::KILL,
    name::WAIT,
    name::PASS,
    name::CALL,
];

/// The place of an event's counter in [`COUNTED`]; `None` for what the collector says itself.
pub(super) fn counter_of(event: &Event) -> Option<usize> {
    match event {
        Event::Fork(_) => Some(0),
        Event::Exec(_) => Some(1),
        Event::Exit(_) => Some(2),
        Event::Snapshot(_) => Some(3),
        Event::Open(_) => Some(4),
        Event::Close(_) => Some(5),
        Event::BurstBegin(_) => Some(6),
        Event::BurstEnd(_) => Some(7),
        Event::Copied(_) => Some(8),
        Event::Connect(_) => Some(9),
        Event::Dns(_) => Some(10),
        Event::Change(_) => Some(11),
        Event::Kill(_) => Some(12),
        Event::Wait(_) => Some(13),
        Event::Pass(_) => Some(14),
        Event::Call(_) => Some(15),
        Event::Chunk(_)
        | Event::Content(_)
        | Event::Loss(_)
        | Event::Overhead(_)
        | Event::Tick(_)
        | Event::Clock(_) => None,
    }
}

/// What was lost, by its name among the kinds.
pub(crate) fn name_of_lost(kind: LossKind) -> &'static str {
    match kind {
        LossKind::Fork => name::FORK,
        LossKind::Exec => name::EXEC,
        LossKind::Exit => name::EXIT,
        LossKind::Process => name::PROCESS,
        LossKind::Snapshot => name::SNAPSHOT,
        LossKind::Open => name::OPEN,
        LossKind::Burst => name::BURST,
        LossKind::Connect => name::CONNECT,
        LossKind::Dns => name::DNS,
        LossKind::Change => name::CHANGE,
        LossKind::Call => name::CALL,
        LossKind::Content => name::CONTENT,
        LossKind::Missed => name::MISSED,
        LossKind::Undecodable => name::UNDECODABLE,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::recording::every_kind;

    /// In a recording an event is a map of one entry, whose key is its kind.
    fn recorded_kind(event: &Event) -> String {
        let value = serde_json::to_value(event).expect("every event can be written");
        value.as_object().and_then(|map| map.keys().next()).expect("an event has a kind").clone()
    }

    #[test]
    fn every_kind_is_counted_under_the_name_that_recordings_have_for_it() {
        let mut counted = BTreeSet::new();
        let said_by_the_collector = |event: &Event| matches!(event, Event::Content(_));
        for event in every_kind::events().into_iter().filter(|event| !said_by_the_collector(event)) {
            let counter = counter_of(&event).expect("the kernel made it");
            assert_eq!(COUNTED[counter], recorded_kind(&event));
            counted.insert(counter);
        }
        assert_eq!(counted.len(), COUNTED.len());
    }
}
