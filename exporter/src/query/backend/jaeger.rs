//! Jaeger. Traces are found by the older API, which knows tags, and read by `/api/v3`, which keeps the attributes of links.

use std::collections::BTreeSet;

use agentsight_semconv as semconv;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::Value;

use super::client::Client;
use super::traces::Backend;
use crate::query::filter::Filter;
use crate::query::glob::Glob;
use crate::query::source::SourceError;

/// Traces for one request: the most that Jaeger's query service is usually set to give.
const TRACES_MAX: usize = 1_500;

/// A Jaeger's query service.
#[derive(Debug)]
pub struct Jaeger(Client);

impl Jaeger {
    /// The Jaeger whose query service has this URL, such as `http://localhost:16686`.
    ///
    /// # Errors
    /// When the machine refuses a client.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        Ok(Self(Client::new(url)?))
    }
}

impl Backend for Jaeger {
    fn trace(&self, id: &str) -> Result<Vec<ResourceSpans>, SourceError> {
        let path = format!("/api/v3/traces/{id}");
        let Some(body) = self.0.get(&path, &[], "application/json")? else { return Ok(Vec::new()) };
        let mut groups = Vec::new();
        // A long answer comes as several JSON objects.
        for part in serde_json::Deserializer::from_slice(&body).into_iter::<Value>() {
            let mut part = part.map_err(|error| self.0.stranger(&path, &error))?;
            match part["result"]["resourceSpans"].take() {
                Value::Null => {}
                some => {
                    let some: Vec<ResourceSpans> =
                        serde_json::from_value(some).map_err(|error| self.0.stranger(&path, &error))?;
                    groups.extend(some);
                }
            }
        }
        Ok(groups)
    }

    fn matching(&self, filter: &Filter) -> Result<BTreeSet<String>, SourceError> {
        let tags = tags(filter);
        let services = self.0.json("/api/services", &[])?;
        let services = services["data"].as_array().cloned().unwrap_or_default();
        let mut ids = BTreeSet::new();
        for service in services.iter().filter_map(Value::as_str) {
            let mut parameters = vec![
                ("service", service.to_owned()),
                ("limit", TRACES_MAX.to_string()),
                ("start", filter.from.map_or(0, |from| from.0 / 1_000).to_string()),
                // Later than any span; Jaeger's own choice would be its clock's now.
                (
                    "end",
                    filter.until.map_or(i64::MAX.unsigned_abs() / 1_000, |until| until.0.div_ceil(1_000)).to_string(),
                ),
            ];
            if !tags.is_empty() {
                parameters.push(("tags", Value::Object(tags.clone()).to_string()));
            }
            let answer = self.0.json("/api/traces", &parameters)?;
            let traces = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            if traces.len() >= TRACES_MAX {
                return Err(SourceError::TooMuch(format!(
                    "{TRACES_MAX} traces or more may match, which is all that Jaeger gives at once: ask about a shorter time or one session"
                )));
            }
            ids.extend(traces.iter().filter_map(|trace| trace["traceID"].as_str()).map(str::to_owned));
        }
        Ok(ids)
    }
}

/// What one span must have, as far as Jaeger's tags can say it.
fn tags(filter: &Filter) -> serde_json::Map<String, Value> {
    let mut tags = serde_json::Map::new();
    let mut set = |name: semconv::Name, value: String| tags.insert(name.as_str().to_owned(), value.into());
    if let Some(session) = filter.session {
        set(semconv::AGENTSIGHT_SESSION_ID, session.to_string());
    }
    if let [pid] = filter.pids[..] {
        set(semconv::PROCESS_PID, pid.to_string());
    }
    if let [executable] = &filter.executables[..]
        && let Some(name) = Glob::exact(executable)
    {
        set(semconv::PROCESS_EXECUTABLE_NAME, name.to_owned());
    }
    if let [kind] = filter.kinds[..]
        && let [action] = kind.actions
    {
        set(semconv::AGENTSIGHT_ACTION, (*action).to_owned());
    }
    tags
}
