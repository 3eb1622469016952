//! The senders of a collector: its own session's, and those that earlier collectors left undone.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::channel::Request;
use crate::otlp::sender::{Progress, Sender, SenderError, SenderOptions, SenderState, Waker};
use crate::otlp::settings::{Endpoint, Settings};
use crate::session::SessionId;
use crate::store::{DestinationId, Kind, SettingsJson, Store, StoreError};
use crate::telemetry::{Account, ExporterError, Telemetry};

/// Delivery could not be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the runtime of the senders could not be started: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sender(#[from] SenderError),
    #[error("the settings of the endpoint could not be kept: {0}")]
    Settings(#[from] serde_json::Error),
}

/// The running senders, on a thread of their own.
#[derive(Debug)]
pub(super) struct Delivery {
    runtime: Runtime,
    own: Vec<Sender>,
    /// Of sessions whose collectors are gone; nobody waits for them.
    _inherited: Vec<Sender>,
}

/// How far delivery has come.
#[derive(Debug)]
pub(super) struct Delivered {
    /// One for each signal that is sent anywhere.
    pub(super) progress: Vec<Progress>,
}

impl Delivery {
    pub(super) fn start(
        store: &mut Store,
        dir: &Path,
        session: SessionId,
        settings: &Settings,
        account: &Account,
    ) -> Result<Self, DeliveryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("deliver")
            .enable_all()
            .build()
            .map_err(DeliveryError::Runtime)?;
        let mut ids = Vec::new();
        for (kind, endpoint) in [(Kind::Span, &settings.traces), (Kind::Log, &settings.logs)] {
            if let Some(endpoint) = endpoint {
                ids.push(add_destination(store, session, kind, endpoint)?);
            }
        }
        let start = |id| runtime.block_on(Sender::start(dir, id, SenderOptions::default()));
        let mut own = Vec::new();
        for id in &ids {
            own.extend(start(*id)?);
        }
        for sender in &own {
            account.watch_sender(sender.progress());
        }
        let inherited = inherit(store, &ids, start);
        Ok(Self { runtime, own, _inherited: inherited })
    }

    /// AgentSight's own metrics and traces, sent from the same runtime.
    pub(super) fn start_telemetry(
        &self,
        request: &Request,
        session: SessionId,
        account: &Account,
    ) -> Result<Telemetry, ExporterError> {
        let _runtime = self.runtime.enter();
        let nowhere = Settings::default();
        let settings = if request.self_telemetry { &request.destination } else { &nowhere };
        let telemetry = Telemetry::start(settings, session, account)?;
        telemetry.subscribe();
        Ok(telemetry)
    }

    /// To be woken whenever something was stored.
    pub(super) fn wakers(&self) -> Vec<Waker> {
        self.own.iter().map(Sender::waker).collect()
    }

    /// Waits until all that is stored is delivered, or the time is over.
    pub(super) fn drain(&self, limit: Duration) -> Delivered {
        let deadline = Instant::now() + limit;
        let mut progress = Vec::new();
        for sender in &self.own {
            let left = deadline.saturating_duration_since(Instant::now());
            progress.push(self.runtime.block_on(sender.drain(left)));
        }
        Delivered { progress }
    }

    /// Stops, wherever the senders are: the store knows where the next collector goes on.
    pub(super) fn end(self) {
        drop(self.own);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

impl Delivered {
    /// Nothing waits any more.
    pub(super) fn complete(&self) -> bool {
        self.progress.iter().all(|progress| {
            progress.counts.pending == 0 || matches!(progress.state, SenderState::NotTaken(_) | SenderState::Finished)
        })
    }

    /// Spans that a backend took, and where it is.
    pub(super) fn spans_sent(&self) -> Option<(u64, &str)> {
        let spans = self.progress.iter().find(|progress| progress.kind == Kind::Span)?;
        Some((spans.counts.sent, &spans.url))
    }

    /// What the user must know: nothing, when all went well.
    pub(super) fn complaints(&self) -> Vec<String> {
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
            SenderState::NotTaken(reason) => format!("{url} does not take {what}: {reason}"),
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

/// What dead collectors left: their sessions are ended, and what they had not sent is sent. Trouble with it is
/// logged and is no reason not to trace.
fn inherit(
    store: &mut Store,
    own: &[DestinationId],
    start: impl Fn(DestinationId) -> Result<Option<Sender>, SenderError>,
) -> Vec<Sender> {
    let trouble = |error: &dyn std::error::Error| tracing::warn!(%error, "an earlier session cannot be finished");
    match store.unended_sessions() {
        Ok(sessions) => {
            for left in sessions {
                if let Err(error) = store.end_session(left.session.id, left.last_stored) {
                    trouble(&error);
                }
            }
        }
        Err(error) => trouble(&error),
    }
    let undelivered = store.undelivered().unwrap_or_else(|error| {
        trouble(&error);
        Vec::new()
    });
    let mut senders = Vec::new();
    for destination in undelivered.into_iter().filter(|destination| !own.contains(&destination.id)) {
        match start(destination.id) {
            Ok(sender) => senders.extend(sender),
            Err(error) => trouble(&error),
        }
    }
    senders
}
