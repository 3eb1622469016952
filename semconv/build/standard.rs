//! Writes the pairs by which a test compares each standard name with OpenTelemetry's own constant: a name that is not there does not compile.

use crate::registry::{Declaration, Kind};

/// A Rust expression: a slice of (our name, OpenTelemetry's constant).
pub(crate) fn generate(names: &[Declaration]) -> String {
    let pairs = names.iter().filter(|name| !name.is_own()).map(|name| {
        let module = if matches!(name.kind, Kind::Metric { .. }) { "metric" } else { "attribute" };
        let constant = name.constant();
        format!("(agentsight_semconv::{constant}, opentelemetry_semantic_conventions::{module}::{constant}),\n")
    });
    format!("&[\n{}]\n", pairs.collect::<String>())
}
