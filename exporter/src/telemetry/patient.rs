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
    pause: Duration,
    refused: Mutex<Option<Instant>>,
}

impl<E> Patient<E> {
    pub(super) fn new(exporter: E, url: String) -> Self {
        Self { exporter, url, pause: PAUSE, refused: Mutex::new(None) }
    }

    fn is_pausing(&self) -> bool {
        let refused = *self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_some_and(|at| at.elapsed() < self.pause)
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Refusing {
        asked: AtomicU32,
    }

    impl PushMetricExporter for Refusing {
        async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Err(OTelSdkError::InternalFailure("export failed with gRPC code: Unimplemented".to_owned()))
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }

        fn temporality(&self) -> Temporality {
            Temporality::Cumulative
        }
    }

    async fn asked_in_three_exports(pause: Duration) -> u32 {
        let patient = Patient { pause, ..Patient::new(Refusing::default(), String::new()) };
        for _ in 0..3 {
            patient.export(&ResourceMetrics::default()).await.unwrap();
        }
        patient.exporter.asked.into_inner()
    }

    #[tokio::test]
    async fn a_refusal_is_believed_for_the_pause_and_no_longer() {
        assert_eq!(asked_in_three_exports(PAUSE).await, 1);
        assert_eq!(asked_in_three_exports(Duration::ZERO).await, 3);
    }
}
