//! What an image did beside moving data, on its span: events, counters of what was folded, and what could not be seen.

use agentsight_semconv as semconv;

use super::attributes::Attributes;
use super::model::Span;
use super::note;
use crate::graph::{Account, Trace};

/// The counters and the blind spots.
pub(super) fn describe(account: &Account, attributes: &mut Attributes) {
    let folded = account.folded;
    if folded.files > 0 {
        attributes.int(semconv::AGENTSIGHT_FOLDED_FILES, folded.files);
        attributes.int(semconv::AGENTSIGHT_FOLDED_BURSTS, folded.bursts);
        attributes.int(semconv::AGENTSIGHT_FOLDED_BYTES, folded.bytes);
    }
    let blind = account.blind;
    attributes.flag(semconv::AGENTSIGHT_BLIND_SHARED_MEMORY, blind.shared_memory);
    attributes.flag(semconv::AGENTSIGHT_BLIND_IO_URING, blind.io_uring);
    attributes.flag(semconv::AGENTSIGHT_BLIND_COMPAT_CALLS, blind.compat_calls);
}

/// The image's span in `trace`, with the events.
pub(super) fn with_events(account: &Account, span: Span, trace: &Trace) -> Span {
    let events = account.notes.iter().map(|note| note::event(note, trace)).collect();
    Span { events, dropped_events: account.notes_dropped, ..span }
}
