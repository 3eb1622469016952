//! Putting signals into the store, and keeping them in memory while it refuses.

use std::collections::VecDeque;

use crate::otlp::sender::Waker;
use crate::session::SessionId;
use crate::spans::model::Signal;
use crate::store::Store;
use crate::telemetry::Account;

/// While the disk is full so many signals wait in memory (about 100 MB); what comes after them is lost, and counted.
const WAITING_MAX: usize = 100_000;

/// The store, as the pipeline sees it: it always takes.
#[derive(Debug)]
pub(crate) struct Shelf {
    session: SessionId,
    senders: Vec<Waker>,
    account: Account,
    waiting: VecDeque<Signal>,
    stored: u64,
    dropped: u64,
    last_error: Option<String>,
}

impl Shelf {
    pub(crate) fn new(session: SessionId, senders: Vec<Waker>, account: Account) -> Self {
        Self { session, senders, account, waiting: VecDeque::new(), stored: 0, dropped: 0, last_error: None }
    }

    pub(super) fn put(&mut self, store: &mut Store, signals: &[Signal]) {
        let dropped_before = self.dropped;
        for signal in signals {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(signal.clone());
            } else if !matches!(signal, Signal::Draft(_)) {
                self.dropped += 1;
            }
        }
        self.account.count_dropped(self.dropped - dropped_before);
        self.retry(store);
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
        let waiting = self.waiting.iter().filter(|signal| !matches!(signal, Signal::Draft(_))).count();
        let missing = self.dropped + u64::try_from(waiting).unwrap_or(u64::MAX);
        let reason = self.last_error.as_deref().unwrap_or("it refused some of them earlier");
        (missing > 0).then(|| format!("{missing} spans could not be stored and are lost: {reason}"))
    }
}
