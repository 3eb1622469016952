//! OTLP/JSON: one export request per line, as the Collector's file exporter writes and its `otlpjsonfile` receiver reads.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::Serialize;

use super::encode;
use super::request;
use crate::spans::model::{Resource, Signal};

/// Signals as lines, each ended by a newline: one for the spans, one for the log records, none for nothing.
#[must_use]
pub fn lines(signals: &[Signal]) -> String {
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    for signal in signals {
        match signal {
            Signal::Span(span) => add(&mut spans, &span.resource, encode::span(span)),
            Signal::Log(log) => add(&mut logs, &log.resource, encode::log_record(log)),
        }
    }
    let mut lines = String::new();
    if !spans.is_empty() {
        lines += &trace_line(&request::traces(finish(spans)));
    }
    if !logs.is_empty() {
        lines += &log_line(&request::logs(finish(logs)));
    }
    lines
}

/// One request for spans as a line.
#[must_use]
pub fn trace_line(request: &ExportTraceServiceRequest) -> String {
    line(request)
}

/// One request for log records as a line.
#[must_use]
pub fn log_line(request: &ExportLogsServiceRequest) -> String {
    line(request)
}

fn line(request: &impl Serialize) -> String {
    let json = serde_json::to_string(request).expect("OTLP messages have string keys and infallible encoders");
    json + "\n"
}

fn add<'a, T>(groups: &mut Vec<(&'a Resource, Vec<T>)>, resource: &'a Resource, signal: T) {
    match groups.iter_mut().find(|(known, _)| *known == resource) {
        Some((_, signals)) => signals.push(signal),
        None => groups.push((resource, vec![signal])),
    }
}

fn finish<T>(groups: Vec<(&Resource, Vec<T>)>) -> Vec<(opentelemetry_proto::tonic::resource::v1::Resource, Vec<T>)> {
    groups.into_iter().map(|(resource, signals)| (encode::resource(resource), signals)).collect()
}
