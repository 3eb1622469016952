//! OTLP/JSON: one export request per line, as the Collector's file exporter writes and its `otlpjsonfile` receiver reads.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::Serialize;

use super::request::Request;
use crate::spans::model::Signal;

/// Signals as lines, each ended by a newline: one for the spans, one for the log records, none for nothing.
#[must_use]
pub fn lines<'a>(signals: impl IntoIterator<Item = &'a Signal>) -> String {
    let requests = Request::of(signals);
    let lines = requests.iter().map(|request| match request {
        Request::Traces(traces) => trace_line(traces),
        Request::Logs(logs) => log_line(logs),
    });
    lines.collect()
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
