//! What panels ask for is in the registry: a misspelt attribute would be an empty panel.

use std::collections::BTreeSet;

use agentsight_semconv::{ALL, Instrument, Kind, lookup};
use regex::Regex;

use crate::board::{questions, questions_of_pages};

/// Labels that the Collector and Prometheus make themselves.
const LABELS_OF_OTHERS: [&str; 3] = ["status_code", "le", "exporter"];

#[test]
fn every_attribute_that_a_trace_question_names_is_declared() {
    let attribute = Regex::new(r"(?:span|resource)\.([a-z0-9_.]+)").expect("it is a regular expression");
    for question in questions("tempo", "query").into_iter().chain(questions_of_pages()) {
        for name in attribute.captures_iter(&question.text).map(|found| found.get(1).map_or("", |name| name.as_str())) {
            assert!(lookup(name).is_some(), "{}: {name} is not in the registry", question.place);
        }
    }
}

#[test]
fn every_metric_and_label_that_a_number_question_names_is_declared() {
    let known: BTreeSet<String> =
        ALL.iter().flat_map(|declared| prometheus_names(declared.name.as_str(), declared.kind)).collect();
    let word = Regex::new("[a-z][a-z0-9]*(?:_[a-z0-9]+)+").expect("it is a regular expression");
    let text_in_quotes = Regex::new("\"[^\"]*\"").expect("it is a regular expression");
    for question in questions("prometheus", "expr") {
        let without_values = text_in_quotes.replace_all(&question.text, "").replace("$__rate_interval", "");
        for name in word.find_iter(&without_values).map(|found| found.as_str()) {
            let of_others = LABELS_OF_OTHERS.contains(&name)
                || ["traces_span_metrics_", "otelcol_", "histogram_quantile"]
                    .iter()
                    .any(|start| name.starts_with(start));
            assert!(of_others || known.contains(name), "{}: {name} is not in the registry", question.place);
        }
    }
}

/// A name as the Collector's Prometheus exporter writes it: a metric gets its unit and, where it only grows, `_total`.
fn prometheus_names(name: &str, kind: Kind) -> Vec<String> {
    let name = name.replace('.', "_");
    let Kind::Metric { instrument, unit } = kind else { return vec![name] };
    let unit = match unit {
        "By" => "_bytes",
        "ns" => "_nanoseconds",
        "s" => "_seconds",
        _ => "",
    };
    let total = if matches!(instrument, Instrument::Counter) { "_total" } else { "" };
    vec![format!("{name}{unit}{total}")]
}
