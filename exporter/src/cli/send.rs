//! Sending what a replay gives, at once and without a store: replay writes none.

use agentsight::otlp::client::{Client, ClientError};
use agentsight::otlp::outcome::Outcome;
use agentsight::otlp::request::Request;
use agentsight::otlp::settings::{Endpoint, Settings};
use agentsight::spans::model::Signal;

/// Not everything arrived.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the sender could not be started: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("{url} did not take everything: {reason}")]
    Refused { url: String, reason: String },
}

/// One request holds so many signals; with 32 attributes each that is far below the 4 MiB that gRPC servers take.
const SIGNALS_PER_REQUEST: usize = 1_000;

/// Sends to whatever `settings` name; the same spans may be sent again, their ids are the same.
pub(super) fn send(settings: &Settings, signals: &[Signal]) -> Result<(), SendError> {
    if settings.traces.is_none() && settings.logs.is_none() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (spans, logs): (Vec<&Signal>, Vec<&Signal>) =
        signals.iter().partition(|signal| matches!(signal, Signal::Span(_)));
    runtime.block_on(async {
        if let Some(endpoint) = &settings.traces {
            send_all(endpoint, &spans, Takes::Everything).await?;
        }
        if let Some(endpoint) = &settings.logs {
            send_all(endpoint, &logs, Takes::PerhapsNotLogs).await?;
        }
        Ok(())
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Everything,
    /// A backend for traces alone (Jaeger) is no failure.
    PerhapsNotLogs,
}

async fn send_all(endpoint: &Endpoint, signals: &[&Signal], takes: Takes) -> Result<(), SendError> {
    let client = Client::new(endpoint)?;
    for chunk in signals.chunks(SIGNALS_PER_REQUEST) {
        for request in Request::of(chunk.iter().copied()) {
            let refused = |reason: String| SendError::Refused { url: endpoint.url.clone(), reason };
            match client.send(&request).await {
                Outcome::Delivered { rejected: 0, .. } => {}
                Outcome::NotTaken { .. } if takes == Takes::PerhapsNotLogs => return Ok(()),
                Outcome::Delivered { rejected, message } => {
                    return Err(refused(format!("{rejected} rejected: {message}")));
                }
                Outcome::Refused { reason }
                | Outcome::Locked { reason }
                | Outcome::NotTaken { reason }
                | Outcome::TooLarge { reason }
                | Outcome::Retry { reason, .. } => return Err(refused(reason)),
            }
        }
    }
    Ok(())
}

/// Sends spans that were stored, request after request.
#[derive(Debug)]
pub(super) struct SpanSender {
    client: Client,
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl SpanSender {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, SendError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(async { Client::new(endpoint) })?;
        Ok(Self { client, runtime, url: endpoint.url.clone() })
    }

    pub(super) fn send(&mut self, request: &Request) -> Result<(), SendError> {
        let refused = |reason: String| SendError::Refused { url: self.url.clone(), reason };
        match self.runtime.block_on(self.client.send(request)) {
            Outcome::Delivered { rejected: 0, .. } => Ok(()),
            Outcome::Delivered { rejected, message } => Err(refused(format!("{rejected} rejected: {message}"))),
            Outcome::Refused { reason }
            | Outcome::Locked { reason }
            | Outcome::NotTaken { reason }
            | Outcome::TooLarge { reason }
            | Outcome::Retry { reason, .. } => Err(refused(reason)),
        }
    }
}
