//! The sender's loop: one step is one request, from the store to the moved cursor.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::{Progress, SenderError, SenderOptions, SenderState, Wake};
use crate::otlp::client::Client;
use crate::otlp::outcome::Outcome;
use crate::otlp::request::{Built, Request};
use crate::store::{Advance, Batch, BatchLimit, DestinationId, Kind, Lock, Store, StoreError};

/// A sender at work.
pub(super) struct Work {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) _lock: Lock,
    pub(super) id: DestinationId,
    pub(super) kind: Kind,
    pub(super) client: Client,
    pub(super) options: SenderOptions,
    /// Rows per request: halved when a request is too large, doubled when one is taken.
    pub(super) rows: usize,
    pub(super) failures: u32,
    /// The last trouble that was logged, so that it is logged once.
    pub(super) said: Option<String>,
    pub(super) woken: watch::Receiver<Wake>,
    pub(super) progress: watch::Sender<Progress>,
}

/// What to do after a step.
enum Next {
    GoOn,
    Idle,
    /// Try again then; a request to drain cuts the wait short.
    Soon(Duration, String),
    /// Try again then and not sooner.
    Later(Duration, SenderState),
    Finish,
}

impl Work {
    pub(super) async fn run(mut self) {
        loop {
            let wake = *self.woken.borrow_and_update();
            match self.step().await {
                Next::GoOn => {}
                Next::Idle => {
                    self.publish(SenderState::Idle, wake.drains).await;
                    if self.woken.changed().await.is_err() {
                        break;
                    }
                }
                Next::Soon(wait, reason) => {
                    self.publish(SenderState::Waiting(reason), 0).await;
                    let is_asked = self.woken.wait_for(|now| now.drains > wake.drains);
                    if let Ok(Err(_)) = tokio::time::timeout(wait, is_asked).await {
                        break;
                    }
                }
                Next::Later(wait, state) => {
                    self.publish(state, 0).await;
                    tokio::time::sleep(wait).await;
                }
                Next::Finish => break,
            }
        }
        self.publish(SenderState::Finished, u64::MAX).await;
    }

    async fn step(&mut self) -> Next {
        let limit = BatchLimit { rows: self.rows, ..self.options.limit };
        let (id, kind) = (self.id, self.kind);
        let read = self
            .with_store(move |store| {
                let batch = store.next_batch(id, limit)?;
                // Only an empty batch can mean that all is over.
                let is_over = batch.rows.is_empty() && store.destination(id)?.is_none();
                Ok((batch, store.counts(id)?, is_over))
            })
            .await;
        let (batch, counts) = match read {
            Ok((_, _, true)) => return Next::Finish,
            Ok((batch, _, false)) if batch.rows.is_empty() => return Next::Idle,
            Ok((batch, counts, false)) => (batch, counts),
            Err(error) => return self.wait(None, error.to_string()),
        };
        // A backend that takes the request and never answers must not look like one that has it all.
        self.progress.send_modify(|progress| progress.counts = counts);
        let built = Request::build(kind, &batch);
        if built.damaged > 0 {
            self.say(&format!("{} stored {kind}s are damaged and were dropped", built.damaged));
        }
        let outcome = match built.signals {
            0 => Outcome::Delivered { rejected: 0, message: String::new() },
            _ => {
                let outcome = self.client.send(&built.request).await;
                self.progress.send_modify(|progress| progress.requests.count(&outcome));
                outcome
            }
        };
        self.conclude(&batch, &built, outcome).await
    }

    async fn conclude(&mut self, batch: &Batch, built: &Built, outcome: Outcome) -> Next {
        let Some(last) = batch.rows.last() else { return Next::Idle };
        let signals = built.signals;
        let (taken, rejected) = match outcome {
            Outcome::Delivered { rejected, message } => {
                let rejected = rejected.min(signals);
                match (rejected, message.is_empty()) {
                    (0, true) => {}
                    (0, false) => self.notice(message),
                    _ => self.notice(format!("{rejected} of {signals} {}s rejected: {message}", self.kind)),
                }
                self.rows = (self.rows * 2).min(self.options.limit.rows);
                (signals - rejected, rejected)
            }
            Outcome::Refused { reason } => {
                self.notice(format!("{signals} {}s refused for good: {reason}", self.kind));
                (0, 0)
            }
            Outcome::TooLarge { .. } if batch.rows.len() > 1 => {
                self.rows = batch.rows.len() / 2;
                return Next::GoOn;
            }
            Outcome::TooLarge { reason } => {
                self.notice(format!("a {} alone is too large: {reason}", self.kind));
                (0, 0)
            }
            Outcome::Retry { after, reason } => return self.wait(after, reason),
            Outcome::NotTaken { reason } | Outcome::Locked { reason } => {
                self.say(&format!("{}s are not taken here: {reason}", self.kind));
                return Next::Later(self.options.backoff.not_taken, SenderState::NotTaken(reason));
            }
        };
        self.failures = 0;
        let dropped = batch.rows.len() as u64 - taken - rejected;
        self.advance(Advance { to: last.seq, sent: taken, rejected, dropped }).await;
        Next::GoOn
    }

    /// Until it is noted: what was answered must not be sent again only because the disk is full at the moment.
    async fn advance(&mut self, step: Advance) {
        let id = self.id;
        let mut failures = 0;
        while let Err(error) = self.with_store(move |store| store.advance(id, step)).await {
            failures += 1;
            self.say(&error.to_string());
            tokio::time::sleep(self.options.backoff.wait(failures)).await;
        }
        self.progress.send_modify(|progress| {
            let counts = &mut progress.counts;
            counts.sent += step.sent;
            counts.rejected += step.rejected;
            counts.dropped += step.dropped;
            counts.pending = counts.pending.saturating_sub(step.sent + step.rejected + step.dropped);
            progress.state = SenderState::Sending;
        });
    }

    fn wait(&mut self, after: Option<Duration>, reason: String) -> Next {
        self.failures = self.failures.saturating_add(1);
        self.say(&reason);
        let own = self.options.backoff.wait(self.failures);
        match after {
            // A backend that asks for a year is wrong.
            Some(asked) => {
                let wait = asked.min(self.options.backoff.not_taken).max(own);
                Next::Later(wait, SenderState::Waiting(reason))
            }
            None => Next::Soon(own, reason),
        }
    }

    async fn publish(&mut self, state: SenderState, drained: u64) {
        let id = self.id;
        let counts = self.with_store(move |store| store.counts(id)).await;
        if state == SenderState::Idle {
            self.said = None;
        }
        self.progress.send_modify(|progress| {
            if let Ok(counts) = counts {
                progress.counts = counts;
            }
            progress.state = state;
            progress.drained = progress.drained.max(drained);
        });
    }

    fn notice(&mut self, text: String) {
        self.say(&text);
        self.progress.send_modify(|progress| progress.notice = Some(text));
    }

    fn say(&mut self, text: &str) {
        if self.said.as_deref() != Some(text) {
            tracing::warn!(url = self.progress.borrow().url, "{text}");
            self.said = Some(text.to_owned());
        }
    }

    async fn with_store<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, SenderError> {
        let store = Arc::clone(&self.store);
        let done = tokio::task::spawn_blocking(move || {
            // A panic in between left a transaction that rolled itself back; the connection is good.
            act(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(done.await??)
    }
}
