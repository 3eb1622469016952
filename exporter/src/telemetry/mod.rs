//! AgentSight's own metrics and traces, by the OpenTelemetry SDK, to the same backend as the session's spans.
//!
//! Unlike the session's spans they may be lost: they say how AgentSight is, not what an agent did. Without an endpoint
//! nothing is made.

mod account;
mod exporters;
mod instruments;
mod patient;

use std::time::Duration;

use agentsight_semconv as semconv;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::metrics::periodic_reader_with_async_runtime::PeriodicReader;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::runtime;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use account::Account;
pub use exporters::ExporterError;

use crate::otlp::settings::Settings;
use crate::session::SessionId;
use patient::Patient;

/// How often metrics are sent, and once more at the end.
const METRICS_INTERVAL: Duration = Duration::from_secs(60);
/// The variable for the log on standard error: a level, or a filter by module.
const LOG_VARIABLE: &str = "AGENTSIGHT_LOG";
/// The scope of everything that AgentSight says of itself.
const SCOPE: &str = "agentsight";

/// The providers of one collector.
#[derive(Debug, Default)]
pub struct Telemetry {
    meters: Option<SdkMeterProvider>,
    tracers: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts the log on standard error, and, where the settings name an endpoint, metrics and traces. Within a tokio
    /// runtime, which sends them.
    ///
    /// # Errors
    /// The endpoint makes no exporter.
    pub fn start(settings: &Settings, session: SessionId, account: &Account) -> Result<Self, ExporterError> {
        let resource = resource(session);
        let meters = match &settings.metrics {
            None => None,
            Some(endpoint) => {
                let exporter = Patient::new(exporters::metrics(endpoint)?, endpoint.url.clone());
                let reader = PeriodicReader::builder(exporter, runtime::Tokio).with_interval(METRICS_INTERVAL).build();
                let provider = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader).build();
                instruments::observe(&provider, account);
                Some(provider)
            }
        };
        let tracers = match &settings.traces {
            None => None,
            Some(endpoint) => {
                let processor = BatchSpanProcessor::builder(exporters::spans(endpoint)?, runtime::Tokio).build();
                Some(SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build())
            }
        };
        subscribe(tracers.as_ref());
        Ok(Self { meters, tracers })
    }

    /// Sends what is left, for so long at most. Not from a thread of the runtime.
    pub fn end(self, limit: Duration) {
        // Both report a backend that is gone, which the session's own delivery has said already.
        if let Some(tracers) = self.tracers {
            let _ = tracers.shutdown_with_timeout(limit / 2);
        }
        if let Some(meters) = self.meters {
            let _ = meters.shutdown_with_timeout(limit / 2);
        }
    }
}

fn resource(session: SessionId) -> Resource {
    let attribute = |name: semconv::Name, value: String| KeyValue::new(name.as_str(), value);
    // What the SDK says of itself, and nothing from the environment: that is the traced command's.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            attribute(semconv::SERVICE_NAME, "agentsight".to_owned()),
            attribute(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            attribute(semconv::AGENTSIGHT_SESSION_ID, session.to_string()),
        ])
        .build()
}

fn subscribe(tracers: Option<&SdkTracerProvider>) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    // The attributes that the layer would add by itself are not in the registry.
    let traces = tracers.map(|tracers| {
        tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(EnvFilter::new("agentsight=info"))
    });
    // A second collector in one process, as in tests, keeps the first one's.
    let _ = tracing_subscriber::registry().with(log).with(traces).try_init();
}
