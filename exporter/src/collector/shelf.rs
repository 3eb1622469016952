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
pub(super) struct Shelf {
    store: Store,
    session: SessionId,
    senders: Vec<Waker>,
    account: Account,
    waiting: VecDeque<Signal>,
    stored: u64,
    dropped: u64,
    last_error: Option<String>,
}

impl Shelf {
    pub(super) fn new(store: Store, session: SessionId, senders: Vec<Waker>, account: Account) -> Self {
        Self { store, session, senders, account, waiting: VecDeque::new(), stored: 0, dropped: 0, last_error: None }
    }

    pub(super) fn put(&mut self, signals: &[Signal]) {
        for signal in signals {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push_back(signal.clone());
            } else if !matches!(signal, Signal::Draft(_)) {
                self.dropped += 1;
            }
        }
        self.retry();
    }

    /// Tries to store what waits.
    pub(super) fn retry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.store.append(self.session, self.waiting.make_contiguous()) {
            Ok(appended) => {
                // Log records have no id, so all of them are stored; spans may be repeated.
                let logs = self.waiting.iter().filter(|signal| matches!(signal, Signal::Log(_))).count();
                self.stored += u64::try_from(appended.stored.saturating_sub(logs)).unwrap_or(u64::MAX);
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
        self.account.set_stored(self.stored, self.dropped, self.store.size_bytes());
    }

    /// Spans that are in the store.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// What the user must know: nothing, when all is stored.
    pub(super) fn complaint(&self) -> Option<String> {
        let waiting = self.waiting.iter().filter(|signal| !matches!(signal, Signal::Draft(_))).count();
        let missing = self.dropped + u64::try_from(waiting).unwrap_or(u64::MAX);
        let reason = self.last_error.as_deref().unwrap_or("it refused some of them earlier");
        (missing > 0).then(|| format!("{missing} spans could not be stored and are lost: {reason}"))
    }

    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }
}
