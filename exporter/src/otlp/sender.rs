//! The sender behind one destination's cursor: reads, sends, moves the cursor, until nothing is left.
//!
//! At least once, in order, never past a failure that may heal. It has a connection to the store of
//! its own, used on blocking threads only, so it neither waits for the pipeline nor makes it wait.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};

use super::backoff::Backoff;
use super::client::{Client, ClientError};
use super::outcome::Outcome;
use super::request::{Built, Request};
use super::settings::Endpoint;
use crate::store::{Advance, Batch, BatchLimit, Counts, DestinationId, Kind, Lock, Store, StoreError};

/// How a sender goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// Of one request.
    pub limit: BatchLimit,
    /// Between tries.
    pub backoff: Backoff,
}

impl Default for SenderOptions {
    fn default() -> Self {
        // gRPC servers refuse more than 4 MiB unless told otherwise.
        Self { limit: BatchLimit { bytes: 3 << 20, rows: 4_096 }, backoff: Backoff::default() }
    }
}

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings in the store are not what was written.
    #[error("the stored settings of destination {id} are damaged: {source}")]
    DamagedSettings {
        /// The destination.
        id: DestinationId,
        /// The decoder's answer.
        source: serde_json::Error,
    },
    /// The endpoint.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The runtime is shutting down.
    #[error("the sender was stopped: {0}")]
    Stopped(#[from] JoinError),
}

/// How far a sender is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it sends to.
    pub url: String,
    /// What it sends.
    pub kind: Kind,
    /// What became of the destination's rows, in this process and before.
    pub counts: Counts,
    /// Requests made by this sender.
    pub requests: Requests,
    /// What it is doing.
    pub state: SenderState,
    /// The last thing that the backend had to say about signals that it did not keep.
    pub notice: Option<String>,
    /// Requests to drain that were seen before the store was last found empty.
    drained: u64,
}

/// How the requests of a sender ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// All of it was taken.
    pub success: u64,
    /// Some of it was rejected.
    pub partial: u64,
    /// Failed, to be sent again.
    pub retry: u64,
    /// Refused for good.
    pub rejected: u64,
    /// The backend does not take this kind.
    pub unsupported: u64,
}

impl Requests {
    fn count(&mut self, outcome: &Outcome) {
        let ended = match outcome {
            Outcome::Delivered { rejected: 0, .. } => &mut self.success,
            Outcome::Delivered { .. } => &mut self.partial,
            // A request that is too large is sent again in halves.
            Outcome::Retry { .. } | Outcome::TooLarge { .. } => &mut self.retry,
            Outcome::Refused { .. } => &mut self.rejected,
            Outcome::NotTaken { .. } => &mut self.unsupported,
        };
        *ended += 1;
    }
}

/// What a sender is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderState {
    /// Sending.
    Sending,
    /// Nothing to send at the moment.
    Idle,
    /// Waiting to try again; the reason in words.
    Waiting(String),
    /// The backend does not take this kind of signal; the reason in words. Tried again after a long while.
    NotTaken(String),
    /// All is delivered and the session is over, or the sender was stopped.
    Finished,
}

/// A running sender. Dropping it stops it, wherever it is; the store knows where to go on.
#[derive(Debug)]
pub struct Sender {
    waker: Waker,
    progress: watch::Receiver<Progress>,
    task: AbortHandle,
}

/// Tells a sender, from any thread, that there is something to do.
#[derive(Clone, Debug)]
pub struct Waker(Arc<watch::Sender<Wake>>);

#[derive(Clone, Copy, Debug, Default)]
struct Wake {
    rows: u64,
    drains: u64,
}

impl Waker {
    /// Rows were appended, or the session was ended.
    pub fn wake(&self) {
        self.0.send_modify(|wake| wake.rows += 1);
    }
}

impl Sender {
    /// Starts to send to a destination, or `None` where another sender does or nothing is left to do.
    ///
    /// # Errors
    /// When the store cannot be read, or the stored settings make no client.
    pub async fn start(
        store_dir: &Path,
        id: DestinationId,
        options: SenderOptions,
    ) -> Result<Option<Self>, SenderError> {
        let dir = store_dir.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let store = Store::open(&dir)?;
            let lock = store.lock_destination(id)?;
            // Read under the lock: whoever held it before may have finished the job.
            let found = store.destination(id)?;
            Ok::<_, StoreError>(lock.zip(found).map(|(lock, found)| (store, lock, found)))
        });
        let Some((store, lock, found)) = opened.await?? else { return Ok(None) };
        let endpoint: Endpoint =
            serde_json::from_str(&found.settings.0).map_err(|source| SenderError::DamagedSettings { id, source })?;
        let client = Client::new(&endpoint)?;
        let (wake, woken) = watch::channel(Wake::default());
        let (progress, watched) = watch::channel(Progress {
            url: endpoint.url,
            kind: found.kind,
            counts: found.counts,
            requests: Requests::default(),
            state: SenderState::Sending,
            notice: None,
            drained: 0,
        });
        let work = Work {
            store: Arc::new(Mutex::new(store)),
            _lock: lock,
            id,
            kind: found.kind,
            client,
            options,
            rows: options.limit.rows,
            failures: 0,
            said: None,
            woken,
            progress,
        };
        let task = tokio::spawn(work.run()).abort_handle();
        Ok(Some(Self { waker: Waker(Arc::new(wake)), progress: watched, task }))
    }

    /// To be called by whoever appends.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// How far it is, now and from now on.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Tries at once, and waits until everything that was appended before this call is done with, the
    /// backend turns out not to take it, or the time is over.
    pub async fn drain(&self, time: Duration) -> Progress {
        let mut wanted = 0;
        self.waker.0.send_modify(|wake| {
            wake.drains += 1;
            wanted = wake.drains;
        });
        let mut progress = self.progress.clone();
        let is_over = |progress: &Progress| {
            progress.drained >= wanted || matches!(progress.state, SenderState::NotTaken(_) | SenderState::Finished)
        };
        let _ = tokio::time::timeout(time, progress.wait_for(is_over)).await;
        self.progress.borrow().clone()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The sender's side of it.
struct Work {
    store: Arc<Mutex<Store>>,
    _lock: Lock,
    id: DestinationId,
    kind: Kind,
    client: Client,
    options: SenderOptions,
    /// Rows per request: halved when a request is too large, doubled when one is taken.
    rows: usize,
    failures: u32,
    /// The last trouble that was logged, so that it is logged once.
    said: Option<String>,
    woken: watch::Receiver<Wake>,
    progress: watch::Sender<Progress>,
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
    async fn run(mut self) {
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
                Ok((batch, is_over))
            })
            .await;
        let batch = match read {
            Ok((_, true)) => return Next::Finish,
            Ok((batch, false)) if batch.rows.is_empty() => return Next::Idle,
            Ok((batch, false)) => batch,
            Err(error) => return self.wait(None, error.to_string()),
        };
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
                if rejected > 0 || !message.is_empty() {
                    self.notice(format!("{rejected} of {signals} {}s rejected: {message}", self.kind));
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
            Outcome::NotTaken { reason } => {
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
