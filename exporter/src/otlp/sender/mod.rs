//! The sender behind one destination's cursor: reads, sends, moves the cursor, until nothing is left.
//!
//! At least once, in order, never past a failure that may heal. It has a connection to the store of
//! its own, used on blocking threads only, so it neither waits for the pipeline nor makes it wait.

mod work;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};

use super::backoff::Backoff;
use super::client::{Client, ClientError};
use super::outcome::Outcome;
use super::settings::Endpoint;
use crate::store::{BatchLimit, Counts, DestinationId, Kind, Store, StoreError};

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
    /// Where it sends to, without the query.
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

impl Progress {
    /// Adds what another sender came to.
    pub(crate) fn add(&mut self, other: &Self) {
        let (counts, more) = (&mut self.counts, &other.counts);
        counts.sent += more.sent;
        counts.rejected += more.rejected;
        counts.dropped += more.dropped;
        let (requests, more) = (&mut self.requests, &other.requests);
        requests.success += more.success;
        requests.partial += more.partial;
        requests.retry += more.retry;
        requests.rejected += more.rejected;
        requests.unsupported += more.unsupported;
    }

    #[cfg(test)]
    pub(crate) fn of(kind: Kind, counts: Counts, requests: Requests, state: SenderState) -> Self {
        Self { url: String::new(), kind, counts, requests, state, notice: None, drained: 0 }
    }
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
            Outcome::Retry { .. } | Outcome::TooLarge { .. } | Outcome::Locked { .. } => &mut self.retry,
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
    /// The backend does not take this kind of signal, or does not let us in; the reason in words. Tried again after a long while.
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
            url: endpoint.shown_url().to_owned(),
            kind: found.kind,
            counts: found.counts,
            requests: Requests::default(),
            state: SenderState::Sending,
            notice: None,
            drained: 0,
        });
        let work = work::Work {
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
