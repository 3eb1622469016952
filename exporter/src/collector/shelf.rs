//! Putting signals into the store, and keeping them in memory while it refuses.

use std::collections::VecDeque;

use crate::otlp::sender::Waker;
use crate::session::SessionId;
use crate::spans::model::Signal;
use crate::store::Store;
use crate::telemetry::Account;

/// While the disk is full so many signals wait in memory (about 100 MB); what comes after them is lost, and counted.
const WAITING_MAX: usize = 100_000;

/// So many bytes of contents among them; more are lost, and counted: a session may have captured 16 MiB.
const WAITING_CONTENT_BYTES_MAX: usize = 32 << 20;

/// The store, as the pipeline sees it: it always takes.
#[derive(Debug)]
pub(crate) struct Shelf {
    session: SessionId,
    senders: Vec<Waker>,
    account: Account,
    waiting: VecDeque<Signal>,
    waiting_content_bytes: usize,
    stored: u64,
    dropped: u64,
    dropped_contents: u64,
    last_error: Option<String>,
}

impl Shelf {
    pub(crate) fn new(session: SessionId, senders: Vec<Waker>, account: Account) -> Self {
        Self {
            session,
            senders,
            account,
            waiting: VecDeque::new(),
            waiting_content_bytes: 0,
            stored: 0,
            dropped: 0,
            dropped_contents: 0,
            last_error: None,
        }
    }

    pub(super) fn put(&mut self, store: &mut Store, signals: Vec<Signal>) {
        let dropped_before = self.dropped;
        for signal in signals {
            let content_bytes = if let Signal::Content(content) = &signal { content.bytes.len() } else { 0 };
            if !self.has_room(content_bytes) && self.last_error.is_none() {
                // The store takes: only so much of one hand-over goes at a time.
                self.retry(store);
            }
            match signal {
                _ if self.has_room(content_bytes) => {
                    self.waiting_content_bytes += content_bytes;
                    self.waiting.push_back(signal);
                }
                Signal::Span(_) | Signal::Log(_) => self.dropped += 1,
                Signal::Content(_) => self.dropped_contents += 1,
                Signal::Draft(_) => {}
            }
        }
        self.account.count_dropped(self.dropped - dropped_before);
        self.retry(store);
    }

    fn has_room(&self, content_bytes: usize) -> bool {
        self.waiting.len() < WAITING_MAX
            && self.waiting_content_bytes.saturating_add(content_bytes) <= WAITING_CONTENT_BYTES_MAX
    }

    /// Tries to store what waits.
    pub(super) fn retry(&mut self, store: &mut Store) {
        if self.waiting.is_empty() {
            return;
        }
        match store.append(self.session, self.waiting.make_contiguous()) {
            Ok(appended) => {
                // Log records have no id, so all of them are stored; spans may be repeated.
                let logs = self.waiting.iter().filter(|signal| matches!(signal, Signal::Log(_))).count();
                let spans = u64::try_from(appended.stored.saturating_sub(logs)).unwrap_or(u64::MAX);
                self.stored += spans;
                self.account.count_stored(spans);
                self.waiting.clear();
                self.waiting_content_bytes = 0;
                self.last_error = None;
                for sender in &self.senders {
                    sender.wake();
                }
            }
            Err(error) => {
                tracing::warn!(%error, waiting = self.waiting.len(), "the store does not take spans");
                self.last_error = Some(error.to_string());
            }
        }
        self.account.set_store_bytes(store.size_bytes());
    }

    /// Spans that are in the store.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// What the user must know: nothing, when all is stored.
    pub(crate) fn complaint(&self) -> Option<String> {
        let waiting = |is_meant: fn(&Signal) -> bool| {
            let count = self.waiting.iter().filter(|signal| is_meant(signal)).count();
            u64::try_from(count).unwrap_or(u64::MAX)
        };
        let spans = self.dropped + waiting(|signal| matches!(signal, Signal::Span(_) | Signal::Log(_)));
        let contents = self.dropped_contents + waiting(|signal| matches!(signal, Signal::Content(_)));
        let what = match (spans, contents) {
            (0, 0) => return None,
            (spans, 0) => format!("{spans} spans"),
            (0, contents) => format!("the contents of {contents} spans"),
            (spans, contents) => format!("{spans} spans, and the contents of {contents},"),
        };
        let reason = self.last_error.as_deref().unwrap_or("it refused some of them earlier");
        Some(format!("{what} could not be stored and are lost: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::WallNanos;
    use opentelemetry::trace::{SpanId, TraceId};

    use super::*;
    use crate::content::ContentHash;
    use crate::graph::fixture::session;
    use crate::spans::model::{ContentLayout, SpanContent};
    use crate::store::scratch::Scratch;

    fn content(number: u64) -> Signal {
        Signal::Content(Box::new(SpanContent {
            trace_id: TraceId::from_bytes([1; 16]),
            span_id: SpanId::from_bytes(number.to_be_bytes()),
            hash: ContentHash([2; 32]),
            bytes: vec![b'x'; 1 << 20],
            layout: ContentLayout::default(),
        }))
    }

    #[test]
    fn more_contents_at_once_than_may_wait_are_stored_where_the_store_takes_them() {
        let scratch = Scratch::new();
        let mut store = Store::open(&scratch.path().join("store")).unwrap();
        let session = session();
        let _lock = store.begin_session(&session, None, WallNanos(1)).unwrap();
        let mut shelf = Shelf::new(session.id, Vec::new(), Account::default());
        shelf.put(&mut store, (0..40).map(content).collect());
        assert_eq!((shelf.waiting.len(), shelf.dropped_contents, shelf.complaint()), (0, 0, None));
    }

    #[test]
    fn while_the_store_refuses_contents_wait_in_bounded_memory_and_what_is_lost_is_said() {
        let scratch = Scratch::new();
        let mut store = Store::open(&scratch.path().join("store")).unwrap();
        // It was never begun, so the store takes nothing of it.
        let mut shelf = Shelf::new(SessionId([1; 16]), Vec::new(), Account::default());
        for number in 0..40_u64 {
            shelf.put(&mut store, vec![content(number)]);
        }
        assert_eq!((shelf.waiting.len(), shelf.waiting_content_bytes, shelf.dropped_contents), (32, 32 << 20, 8));
        let complaint = shelf.complaint().expect("there is something to say");
        assert!(complaint.starts_with("the contents of 40 spans could not be stored and are lost: "), "{complaint}");
        assert_eq!((shelf.stored(), shelf.dropped), (0, 0), "no span was lost");
    }
}
