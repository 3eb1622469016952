//! Grafana Tempo. Traces are found by TraceQL and read by `/api/v2/traces`, as protobuf.

use std::collections::BTreeSet;

use agentsight_ebpf::WallNanos;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;

use super::client::Client;
use super::traceql::traceql;
use super::traces::Backend;
use crate::query::filter::Filter;
use crate::query::source::SourceError;

/// Traces for one request. Tempo gives more, but each that is found is read.
const TRACES_MAX: usize = 1_500;
/// Longer than Tempo looks at for one question (`max_duration`, 168 h unless set otherwise).
const SEARCH_MAX_SECONDS: u64 = 167 * 3_600;
/// How far back is looked where the question does not say: as long as a store keeps spans.
const REACH_SECONDS: u64 = 30 * 24 * 3_600;
/// Spans may be stamped by a clock that is ahead of ours.
const AHEAD_SECONDS: u64 = 3_600;

/// A Tempo's query service, and when it is asked.
#[derive(Debug)]
pub struct Tempo {
    client: Client,
    now_seconds: u64,
}

impl Tempo {
    /// The Tempo whose HTTP API has this URL, such as `http://localhost:3200`.
    ///
    /// # Errors
    /// When the machine refuses a client.
    pub fn new(url: &str, now: WallNanos) -> Result<Self, SourceError> {
        Ok(Self { client: Client::new(url)?, now_seconds: now.0 / NANOS })
    }

    /// From the newest to the oldest, in pieces that Tempo looks at in one go: (start, end) in seconds.
    fn times(&self, filter: &Filter) -> Vec<(u64, u64)> {
        let end = filter.until.map_or(self.now_seconds + AHEAD_SECONDS, |until| until.0.div_ceil(NANOS) + 1);
        let start = filter.from.map_or(end.saturating_sub(REACH_SECONDS), |from| from.0 / NANOS);
        let mut times = Vec::new();
        let mut upper = end;
        while start < upper {
            let lower = upper.saturating_sub(SEARCH_MAX_SECONDS).max(start);
            times.push((lower, upper));
            upper = lower;
        }
        times
    }
}

const NANOS: u64 = 1_000_000_000;

/// `tempopb.TraceByIDResponse`, as far as it is read.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceAnswer {
    #[prost(message, optional, tag = "1")]
    trace: Option<TraceFound>,
    /// 1 where Tempo left something out.
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "4")]
    message: String,
}

/// `tempopb.Trace`.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceFound {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

/// `tempopb.PartialStatus`.
const PARTIAL: i32 = 1;

impl Backend for Tempo {
    fn trace(&self, id: &str) -> Result<Vec<ResourceSpans>, SourceError> {
        let path = format!("/api/v2/traces/{id}");
        let Some(body) = self.client.get(&path, &[], "application/protobuf")? else { return Ok(Vec::new()) };
        let answer = TraceAnswer::decode(body.as_slice()).map_err(|error| self.client.stranger(&path, &error))?;
        if answer.status == PARTIAL {
            return Err(SourceError::TooMuch(format!("Tempo gives only a part of trace {id}: {}", answer.message)));
        }
        Ok(answer.trace.map(|trace| trace.resource_spans).unwrap_or_default())
    }

    fn matching(&self, filter: &Filter) -> Result<BTreeSet<String>, SourceError> {
        let question = traceql(&filter.narrow());
        let mut ids = BTreeSet::new();
        for (start, end) in self.times(filter) {
            let parameters = [
                ("q", question.clone()),
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("limit", TRACES_MAX.to_string()),
                ("spss", "1".to_owned()),
            ];
            let answer = self.client.json("/api/search", &parameters)?;
            let traces = answer["traces"].as_array().map(Vec::as_slice).unwrap_or_default();
            if traces.len() >= TRACES_MAX {
                return Err(SourceError::TooMuch(format!(
                    "{TRACES_MAX} traces or more may match: ask about a shorter time or one session"
                )));
            }
            // Tempo leaves out the zeros that an id begins with.
            ids.extend(traces.iter().filter_map(|trace| trace["traceID"].as_str()).map(|id| format!("{id:0>32}")));
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tempo() -> Tempo {
        Tempo::new("http://127.0.0.1:1", WallNanos(1_800_000_000 * NANOS + 7)).unwrap()
    }

    #[test]
    fn a_long_time_is_asked_about_piece_by_piece_without_a_gap() {
        let times = tempo().times(&Filter::default());
        assert_eq!(times.first().unwrap().1, 1_800_000_000 + AHEAD_SECONDS);
        assert_eq!(times.last().unwrap().0, 1_800_000_000 + AHEAD_SECONDS - REACH_SECONDS);
        assert!(times.windows(2).all(|pair| pair[0].0 == pair[1].1));
        assert!(times.iter().all(|(start, end)| end - start <= SEARCH_MAX_SECONDS));
    }

    #[test]
    fn what_began_within_a_second_is_asked_about() {
        let filter = Filter {
            from: Some(WallNanos(100 * NANOS + 5)),
            until: Some(WallNanos(100 * NANOS + 6)),
            ..Filter::default()
        };
        assert_eq!(tempo().times(&filter), [(100, 102)]);
    }

    #[test]
    fn a_time_that_ends_before_it_begins_is_asked_about_nowhere() {
        let filter = Filter { from: Some(WallNanos(900 * NANOS)), until: Some(WallNanos(NANOS)), ..Filter::default() };
        assert!(tempo().times(&filter).is_empty());
    }
}
