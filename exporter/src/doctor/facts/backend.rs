//! The backend's answer to a real request: an export of no spans at all.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::otlp::client::Client;
use crate::otlp::outcome::Outcome;
use crate::otlp::request::Request;
use crate::otlp::settings::{Endpoint, Protocol, Settings, SettingsError};

/// Where spans would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) enum Backend {
    /// No endpoint is named.
    Nowhere,
    /// The variables or flags cannot be meant; why.
    BadSettings(String),
    /// The settings make no client; why.
    NoClient(String),
    /// It was asked.
    Asked {
        /// Without its query.
        url: String,
        protocol: Protocol,
        /// Whether certificates play a part.
        tls: bool,
        outcome: Outcome,
        took: Duration,
    },
}

/// However long the user would let a real request take, a person waits here.
const PATIENCE_MILLIS: u64 = 5_000;

pub(super) fn ask(destination: &Result<Settings, SettingsError>) -> Backend {
    let endpoint = match destination {
        Err(error) => return Backend::BadSettings(error.to_string()),
        Ok(Settings { traces: None, .. }) => return Backend::Nowhere,
        Ok(Settings { traces: Some(endpoint), .. }) => endpoint,
    };
    let timeout_millis = endpoint.timeout_millis.min(PATIENCE_MILLIS);
    match export_nothing(&Endpoint { timeout_millis, ..endpoint.clone() }) {
        Ok((outcome, took)) => Backend::Asked {
            url: endpoint.shown_url().to_owned(),
            protocol: endpoint.protocol,
            tls: endpoint.url.starts_with("https:"),
            outcome,
            took,
        },
        Err(error) => Backend::NoClient(error.to_string()),
    }
}

fn export_nothing(endpoint: &Endpoint) -> Result<(Outcome, Duration), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::new(endpoint)?;
        let begun = Instant::now();
        let outcome = client.send(&Request::Traces(ExportTraceServiceRequest::default())).await;
        Ok((outcome, begun.elapsed()))
    })
}
