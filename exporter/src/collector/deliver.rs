//! The senders of a collector: its sessions', and those that earlier collectors left undone.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agentsight_ebpf::live::is_alive;
use tokio::runtime::{Builder, Runtime};

use super::host;
use crate::otlp::sender::{Progress, Sender, SenderError, SenderOptions, SenderState, Waker};
use crate::otlp::settings::{Endpoint, Settings};
use crate::session::SessionId;
use crate::store::{DestinationId, Kind, SettingsJson, Store, StoreError};
use crate::telemetry::{Account, ExporterError, Telemetry};

/// Delivery could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("the runtime of the senders could not be started: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sender(#[from] SenderError),
    #[error("the settings of the endpoint could not be kept: {0}")]
    Settings(#[from] serde_json::Error),
}

/// Where senders run, on a thread of their own.
#[derive(Debug)]
pub(crate) struct Delivery {
    runtime: Runtime,
    dir: PathBuf,
    /// Of sessions whose collectors are gone; nobody waits for them.
    inherited: Vec<Sender>,
}

/// The senders of one session. Dropping them stops them, wherever they are: the store knows where the next goes on.
#[derive(Debug)]
pub(crate) struct Couriers {
    senders: Vec<Sender>,
}

/// How far delivery has come.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// One for each signal that is sent anywhere.
    progress: Vec<Progress>,
}

/// Who looks after what dead collectors left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heir {
    /// The one daemon, when it has gone on with all that it can go on with.
    Daemon,
    /// The collector of a single run.
    Run,
}

/// So many destinations of the dead are served at once: each sender has a connection to the store.
const INHERITED_MAX: usize = 64;

impl Delivery {
    pub(crate) fn start(dir: &Path) -> Result<Self, DeliveryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("deliver")
            .enable_all()
            .build()
            .map_err(DeliveryError::Runtime)?;
        Ok(Self { runtime, dir: dir.to_owned(), inherited: Vec::new() })
    }

    /// The senders of a session that has just begun.
    pub(crate) fn send_for(
        &self,
        store: &mut Store,
        session: SessionId,
        settings: &Settings,
        account: &Account,
    ) -> Result<Couriers, DeliveryError> {
        let mut senders = Vec::new();
        for (kind, endpoint) in [(Kind::Span, &settings.traces), (Kind::Log, &settings.logs)] {
            if let Some(endpoint) = endpoint {
                let id = add_destination(store, session, kind, endpoint)?;
                senders.extend(self.start_sender(id)?);
            }
        }
        for sender in &senders {
            account.watch_sender(sender.progress());
        }
        Ok(Couriers { senders })
    }

    /// What dead collectors left: their sessions are ended, and what nobody sends is sent. Trouble with it is logged and
    /// is no reason not to trace.
    ///
    /// What a daemon left is ended by the next one, which may go on with it; by others only when nothing of it lives.
    pub(crate) fn inherit(&mut self, store: &mut Store, heir: Heir) {
        end_left_sessions(store, heir);
        self.inherited.retain(|sender| sender.progress().borrow().state != SenderState::Finished);
        let undelivered = store.undelivered().unwrap_or_else(|error| {
            trouble(&error);
            Vec::new()
        });
        for destination in undelivered {
            if self.inherited.len() >= INHERITED_MAX {
                return;
            }
            // Somebody who sends it holds its lock, and then there is no second sender.
            match self.start_sender(destination.id) {
                Ok(sender) => self.inherited.extend(sender),
                Err(error) => trouble(&error),
            }
        }
    }

    fn start_sender(&self, id: DestinationId) -> Result<Option<Sender>, SenderError> {
        self.runtime.block_on(Sender::start(&self.dir, id, SenderOptions::default()))
    }

    /// AgentSight's own metrics and traces, sent from the same runtime.
    pub(crate) fn start_telemetry(
        &self,
        settings: &Settings,
        session: Option<SessionId>,
        account: &Account,
    ) -> Result<Telemetry, ExporterError> {
        let _runtime = self.runtime.enter();
        let telemetry = Telemetry::start(settings, session, account)?;
        telemetry.subscribe();
        Ok(telemetry)
    }

    /// Waits until all that is stored of a session is delivered, or the time is over.
    pub(crate) fn drain(&self, couriers: &Couriers, limit: Duration) -> Delivered {
        self.runtime.block_on(couriers.drain(limit))
    }

    /// As [`drain`](Self::drain), for several sessions at once.
    pub(crate) fn drain_all(&self, couriers: &[&Couriers], limit: Duration) {
        self.runtime.block_on(async {
            let deadline = Instant::now() + limit;
            for one in couriers {
                one.drain(deadline.saturating_duration_since(Instant::now())).await;
            }
        });
    }

    /// Where something can be done about a session while others go on.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Stops, wherever the senders are: the store knows where the next collector goes on.
    pub(crate) fn end(self) {
        drop(self.inherited);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

impl Couriers {
    /// To be woken whenever something was stored.
    pub(crate) fn wakers(&self) -> Vec<Waker> {
        self.senders.iter().map(Sender::waker).collect()
    }

    /// Waits until all that is stored is delivered, or the time is over.
    pub(crate) async fn drain(&self, limit: Duration) -> Delivered {
        let deadline = Instant::now() + limit;
        let mut progress = Vec::new();
        for sender in &self.senders {
            let left = deadline.saturating_duration_since(Instant::now());
            progress.push(sender.drain(left).await);
        }
        Delivered { progress }
    }
}

impl Delivered {
    /// Nothing waits any more.
    pub(crate) fn complete(&self) -> bool {
        self.progress.iter().all(|progress| {
            progress.counts.pending == 0 || matches!(progress.state, SenderState::NotTaken(_) | SenderState::Finished)
        })
    }

    /// Spans that a backend took, and where it is.
    pub(crate) fn spans_sent(&self) -> Option<(u64, &str)> {
        let spans = self.progress.iter().find(|progress| progress.kind == Kind::Span)?;
        Some((spans.counts.sent, &spans.url))
    }

    /// What the user must know: nothing, when all went well.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.progress.iter().flat_map(complaints).collect()
    }
}

fn complaints(progress: &Progress) -> Vec<String> {
    let Progress { url, counts, state, notice, kind, .. } = progress;
    let what = match kind {
        Kind::Span => "spans",
        Kind::Log => "log records",
    };
    let mut complaints = Vec::new();
    if counts.pending > 0 {
        let pending = counts.pending;
        complaints.push(match state {
            SenderState::Waiting(reason) => {
                format!("{pending} {what} wait in the store for {url}: {reason}; they are sent when it answers")
            }
            // A backend that takes no logs is no news to whoever sends it traces.
            SenderState::NotTaken(_) if *kind == Kind::Log => return complaints,
            SenderState::NotTaken(reason) => {
                format!("{pending} {what} wait in the store, {url} does not take them: {reason}")
            }
            _ => format!("{pending} {what} are still on their way to {url}"),
        });
    }
    if counts.rejected + counts.dropped > 0 {
        let refused = counts.rejected + counts.dropped;
        let reason = notice.as_deref().unwrap_or("no reason given");
        complaints.push(format!("{url} refused {refused} {what}: {reason}"));
    }
    complaints
}

fn add_destination(
    store: &mut Store,
    session: SessionId,
    kind: Kind,
    endpoint: &Endpoint,
) -> Result<DestinationId, DeliveryError> {
    let settings = SettingsJson(serde_json::to_string(endpoint)?);
    Ok(store.add_destination(session, kind, &settings)?)
}

fn end_left_sessions(store: &mut Store, heir: Heir) {
    let boot_id = host::boot_id();
    let left = match heir {
        Heir::Daemon => store.unended_sessions(),
        Heir::Run => store.abandoned_sessions(|session, process| session.boot_id == boot_id && is_alive(process)),
    };
    match left {
        Ok(sessions) => {
            for left in sessions {
                if let Err(error) = store.end_session(left.session.id, left.last_stored) {
                    trouble(&error);
                }
            }
        }
        Err(error) => trouble(&error),
    }
}

fn trouble(error: &dyn std::error::Error) {
    tracing::warn!(%error, "an earlier session cannot be finished");
}
