//! A metric exporter that does not ask a backend every minute for what it does not take.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

/// After a backend said that it takes no metrics (Jaeger, for one).
const PAUSE: Duration = Duration::from_secs(600);

/// An exporter that says once that the backend takes no metrics, and tries again after a pause.
#[derive(Debug)]
pub(super) struct Patient<E> {
    exporter: E,
    url: String,
    refused: Mutex<Option<Instant>>,
}

impl<E> Patient<E> {
    pub(super) fn new(exporter: E, url: String) -> Self {
        Self { exporter, url, refused: Mutex::new(None) }
    }

    fn is_pausing(&self) -> bool {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_some_and(|at| at.elapsed() < PAUSE)
    }

    fn note_refusal(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.replace(Instant::now()).is_none() {
            tracing::info!(url = self.url, "the backend takes no metrics; it is asked again every 10 minutes");
        }
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Patient<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        if self.is_pausing() {
            return Ok(());
        }
        match self.exporter.export(metrics).await {
            Err(error) if is_refusal(&error) => {
                self.note_refusal();
                Ok(())
            }
            result => result,
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// The SDK keeps the backend's answer as text alone; a test with real answers notices when the text changes.
fn is_refusal(error: &OTelSdkError) -> bool {
    let text = error.to_string();
    text.contains("gRPC code: Unimplemented") || text.contains("status code: 404")
}
