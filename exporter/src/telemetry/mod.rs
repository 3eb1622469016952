//! AgentSight's own metrics and traces, by the OpenTelemetry SDK, to the same backend as the session's spans.
//!
//! Unlike the session's spans they may be lost: they say how AgentSight is, not what an agent did. Without an endpoint
//! nothing is made.

mod account;
mod event_kind;
mod exporters;
mod instruments;
mod patient;

use std::sync::mpsc;
use std::thread;
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
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use account::Account;
pub(crate) use event_kind::name_of_lost;
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
    /// Where the settings name an endpoint, makes metrics and traces that go there; nothing is traced until
    /// [`Telemetry::subscribe`]. Within a tokio runtime, which sends them.
    ///
    /// # Errors
    /// The endpoint makes no exporter.
    pub fn start(settings: &Settings, session: Option<SessionId>, account: &Account) -> Result<Self, ExporterError> {
        let resource = resource(session);
        let meters = match &settings.metrics {
            None => None,
            Some(endpoint) => {
                let exporter = Patient::new(exporters::metrics(endpoint)?, endpoint.shown_url().to_owned());
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
        Ok(Self { meters, tracers })
    }

    /// From now on the process's log goes to standard error, and its spans to the endpoint.
    pub fn subscribe(&self) {
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(log_filter());
        // A second collector in one process keeps the first one's.
        let _ = tracing_subscriber::registry().with(self.traces()).with(log).try_init();
    }

    /// What sends spans, for a subscriber; nothing where there is no endpoint.
    pub fn traces<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracers = self.tracers.as_ref()?;
        // The attributes that the layer would add by itself are not in the registry. It cannot be told to leave them
        // off what is logged within a span, so that goes to the log alone.
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer(SCOPE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(SCOPE)));
        Some(spans)
    }

    /// Sends what there is now and waits for the answer. Not from a thread of the runtime.
    pub fn flush(&self) {
        // Whoever hears of a backend that is gone hears it from the session's own delivery.
        if let Some(tracers) = &self.tracers {
            let _ = tracers.force_flush();
        }
        if let Some(meters) = &self.meters {
            let _ = meters.force_flush();
        }
    }

    /// Sends what is left, for so long at most. Not from a thread of the runtime.
    pub fn end(self, limit: Duration) {
        let (ended, wait) = mpsc::channel::<()>();
        let Self { meters, tracers } = self;
        // The SDK's processors with a runtime heed no limit: they wait as long as the exporter does. So they wait
        // elsewhere, both at once, and drop their end of the channel when they are done.
        let in_thread = |shutdown: Box<dyn FnOnce() + Send>| {
            let ended = ended.clone();
            let _ = thread::Builder::new().name("last words".to_owned()).spawn(move || {
                shutdown();
                drop(ended);
            });
        };
        // Both report a backend that is gone, which the session's own delivery has said already.
        if let Some(tracers) = tracers {
            in_thread(Box::new(move || drop(tracers.shutdown())));
        }
        if let Some(meters) = meters {
            in_thread(Box::new(move || drop(meters.shutdown())));
        }
        drop(ended);
        let _ = wait.recv_timeout(limit);
    }
}

/// From now on the process's log goes to standard error: of one that sends nothing of its own.
pub fn log_to_stderr() {
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(log_filter());
    let _ = tracing_subscriber::registry().with(log).try_init();
}

/// Warnings, and who reads contents; what the variable says instead where it is set.
fn log_filter() -> EnvFilter {
    let usual = || EnvFilter::new(format!("warn,{}=info", crate::store::READING_TARGET));
    EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| usual())
}

/// A collector of one session names it.
fn resource(session: Option<SessionId>) -> Resource {
    let attribute = |name: semconv::Name, value: String| KeyValue::new(name.as_str(), value);
    // What the SDK says of itself, and nothing from the environment: that is the traced command's.
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            attribute(semconv::SERVICE_NAME, "agentsight".to_owned()),
            attribute(semconv::SERVICE_VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ])
        .with_attributes(session.map(|session| attribute(semconv::AGENTSIGHT_SESSION_ID, session.to_string())))
        .build()
}
