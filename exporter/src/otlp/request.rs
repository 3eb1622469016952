//! Stored rows, or fresh signals, grouped into one export request: each resource once, in the order in which it first appears.

use std::collections::BTreeMap;

use agentsight_semconv::SCHEMA_URL;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::encode;
use crate::spans::model::{self, Signal};
use crate::store::{Batch, Kind};

/// One request, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Spans.
    Traces(ExportTraceServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
}

/// A request and the rows that could not be part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    /// What to send.
    pub request: Request,
    /// How many signals it holds.
    pub signals: u64,
    /// Rows that are not the OTLP messages that they should be.
    pub damaged: u64,
}

impl Request {
    /// From fresh signals: one request for the spans, one for the log records, none for nothing.
    pub fn of<'a>(signals: impl IntoIterator<Item = &'a Signal>) -> Vec<Self> {
        let (mut spans, mut records) = (Vec::new(), Vec::new());
        for signal in signals {
            match signal {
                Signal::Span(span) => add(&mut spans, &span.resource, encode::span(span)),
                Signal::Log(log) => add(&mut records, &log.resource, encode::log_record(log)),
                Signal::Draft(_) | Signal::Content(_) => {}
            }
        }
        let mut requests = Vec::new();
        if !spans.is_empty() {
            requests.push(Self::Traces(traces(encode_resources(spans))));
        }
        if !records.is_empty() {
            requests.push(Self::Logs(logs(encode_resources(records))));
        }
        requests
    }

    /// From spans with their resources; `None` for nothing.
    pub fn of_spans(spans: impl IntoIterator<Item = (Resource, Span)>) -> Option<Self> {
        let mut groups: Vec<(Resource, Vec<Span>)> = Vec::new();
        for (resource, span) in spans {
            match groups.iter_mut().find(|(known, _)| *known == resource) {
                Some((_, spans)) => spans.push(span),
                None => groups.push((resource, vec![span])),
            }
        }
        (!groups.is_empty()).then(|| Self::Traces(traces(groups)))
    }

    /// From a batch of stored rows of one kind.
    #[must_use]
    pub fn build(kind: Kind, batch: &Batch) -> Built {
        let rows = batch.rows.iter().map(|row| (row.resource, row.encoded.as_slice()));
        match kind {
            Kind::Span => {
                let (groups, signals, damaged) = group::<Span>(rows, &batch.resources);
                Built { request: Self::Traces(traces(groups)), signals, damaged }
            }
            Kind::Log => {
                let (groups, signals, damaged) = group::<LogRecord>(rows, &batch.resources);
                Built { request: Self::Logs(logs(groups)), signals, damaged }
            }
        }
    }
}

/// Spans grouped by resource as a request.
#[must_use]
pub fn traces(groups: Vec<(Resource, Vec<Span>)>) -> ExportTraceServiceRequest {
    let resource_spans = groups.into_iter().map(|(resource, spans)| ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![ScopeSpans { scope: Some(encode::scope()), spans, schema_url: SCHEMA_URL.to_owned() }],
        schema_url: SCHEMA_URL.to_owned(),
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// Log records grouped by resource as a request.
#[must_use]
pub fn logs(groups: Vec<(Resource, Vec<LogRecord>)>) -> ExportLogsServiceRequest {
    let resource_logs = groups.into_iter().map(|(resource, log_records)| ResourceLogs {
        resource: Some(resource),
        scope_logs: vec![ScopeLogs { scope: Some(encode::scope()), log_records, schema_url: SCHEMA_URL.to_owned() }],
        schema_url: SCHEMA_URL.to_owned(),
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
}

fn add<'a, T>(groups: &mut Vec<(&'a model::Resource, Vec<T>)>, resource: &'a model::Resource, signal: T) {
    match groups.iter_mut().find(|(known, _)| *known == resource) {
        Some((_, signals)) => signals.push(signal),
        None => groups.push((resource, vec![signal])),
    }
}

fn encode_resources<T>(groups: Vec<(&model::Resource, Vec<T>)>) -> Groups<T> {
    groups.into_iter().map(|(resource, signals)| (encode::resource(resource), signals)).collect()
}

type Groups<T> = Vec<(Resource, Vec<T>)>;

fn group<'a, T: Message + Default>(
    rows: impl Iterator<Item = (i64, &'a [u8])>,
    resources: &BTreeMap<i64, Vec<u8>>,
) -> (Groups<T>, u64, u64) {
    let mut groups: Groups<T> = Vec::new();
    let mut place_of = BTreeMap::new();
    let (mut signals, mut damaged) = (0, 0);
    for (key, encoded) in rows {
        let resource = resources.get(&key).and_then(|bytes| Resource::decode(bytes.as_slice()).ok());
        let (Some(resource), Ok(signal)) = (resource, T::decode(encoded)) else {
            damaged += 1;
            continue;
        };
        let place = *place_of.entry(key).or_insert_with(|| {
            groups.push((resource, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(signal);
        signals += 1;
    }
    (groups, signals, damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Seq, StoredRow};

    fn batch(rows: &[(i64, &[u8])], resources: &[(i64, &str)]) -> Batch {
        let named = |name: &str| Resource {
            attributes: vec![opentelemetry_proto::tonic::common::v1::KeyValue {
                key: name.to_owned(),
                ..Default::default()
            }],
            ..Resource::default()
        };
        Batch {
            rows: rows
                .iter()
                .map(|(resource, encoded)| StoredRow {
                    seq: Seq::default(),
                    resource: *resource,
                    encoded: encoded.to_vec(),
                })
                .collect(),
            resources: resources.iter().map(|(key, name)| (*key, named(name).encode_to_vec())).collect(),
        }
    }

    fn span(name: &str) -> Vec<u8> {
        Span { name: name.to_owned(), ..Span::default() }.encode_to_vec()
    }

    #[test]
    fn each_resource_appears_once_with_its_spans_in_order() {
        let (a, b, c) = (span("a"), span("b"), span("c"));
        let built = Request::build(Kind::Span, &batch(&[(2, &a), (1, &b), (2, &c)], &[(1, "one"), (2, "two")]));
        let Request::Traces(request) = built.request else { panic!("not traces") };
        let told: Vec<_> = request
            .resource_spans
            .iter()
            .map(|group| {
                let names: Vec<_> = group.scope_spans[0].spans.iter().map(|span| span.name.as_str()).collect();
                (group.resource.as_ref().unwrap().attributes[0].key.as_str(), names)
            })
            .collect();
        assert_eq!(told, [("two", vec!["a", "c"]), ("one", vec!["b"])]);
        assert_eq!(request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "agentsight");
        assert_eq!((built.signals, built.damaged), (3, 0));
    }

    #[test]
    fn a_damaged_row_costs_only_itself() {
        let good = span("good");
        let built = Request::build(Kind::Span, &batch(&[(1, &[0xff; 3]), (9, &good), (1, &good)], &[(1, "one")]));
        assert_eq!((built.signals, built.damaged), (1, 2));
    }
}
