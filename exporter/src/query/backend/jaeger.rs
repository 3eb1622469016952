//! Jaeger as a source. Traces are found by the older API, which knows tags, and read by `/api/v3`, which keeps the attributes of
//! links; then they are asked in memory. Each trace is read once.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use agentsight_ebpf::WallNanos;
use agentsight_semconv as semconv;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::facts::Facts;
use crate::query::Question;
use crate::query::filter::Filter;
use crate::query::glob::Glob;
use crate::query::memory::Memory;
use crate::query::source::{Source, SourceError};
use crate::session::{SessionId, SpanRef};
use crate::store::StoredSpan;

/// For one request.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Traces for one request: the most that Jaeger's query service is usually set to give.
const TRACES_MAX: usize = 1_500;
/// Spans in memory; one has about 2 KB.
const SPANS_MAX: usize = 500_000;

/// A Jaeger that is asked.
#[derive(Debug)]
pub struct JaegerSource {
    url: String,
    client: reqwest::Client,
    runtime: Runtime,
    memory: Memory,
    /// Traces that were read, or are not there.
    read: HashSet<String>,
    /// Sessions all of whose traces were read.
    sessions: HashSet<SessionId>,
}

impl JaegerSource {
    /// The Jaeger whose query service has this URL, such as `http://localhost:16686`.
    ///
    /// # Errors
    /// When the machine refuses a client.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        let url = url.trim_end_matches('/').to_owned();
        let failed = |trouble: String| SourceError::Backend { url: url.clone(), trouble };
        // The client takes the process's provider of cryptography, which only one place may set; it may be set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIME_LIMIT)
            .build()
            .map_err(|error| failed(format!("cannot be asked: {error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error: io::Error| failed(format!("cannot be asked: {error}")))?;
        Ok(Self { url, client, runtime, memory: Memory::default(), read: HashSet::new(), sessions: HashSet::new() })
    }

    fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Option<String>, SourceError> {
        let url = format!("{}{path}", self.url);
        let failed = |trouble: String| SourceError::Backend { url: url.clone(), trouble };
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.runtime.block_on(async {
            let request = self.client.get(format!("{url}?{query}"));
            let answer = request.send().await.map_err(|error| failed(format!("does not answer: {}", chain(&error))))?;
            let status = answer.status();
            let body = answer.text().await.map_err(|error| failed(format!("broke off: {}", chain(&error))))?;
            match status {
                StatusCode::OK => Ok(Some(body)),
                StatusCode::NOT_FOUND => Ok(None),
                status => {
                    let said: String = body.chars().take(300).collect();
                    Err(failed(format!("answers {status}: {said}")))
                }
            }
        })
    }

    fn json(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value, SourceError> {
        let body = self.get(path, parameters)?.unwrap_or_default();
        serde_json::from_str(&body).map_err(|error| self.not_jaeger(path, &error.to_string()))
    }

    fn not_jaeger(&self, path: &str, trouble: &str) -> SourceError {
        let trouble = format!("answers what no Jaeger does ({trouble}): is it the URL of its query service?");
        SourceError::Backend { url: format!("{}{path}", self.url), trouble }
    }

    /// Reads a trace, if it is not here yet.
    fn read(&mut self, trace: &str) -> Result<(), SourceError> {
        if !self.read.insert(trace.to_owned()) {
            return Ok(());
        }
        let path = format!("/api/v3/traces/{trace}");
        let Some(body) = self.get(&path, &[])? else { return Ok(()) };
        // A long answer comes as several JSON objects.
        for part in serde_json::Deserializer::from_str(&body).into_iter::<Value>() {
            let mut part = part.map_err(|error| self.not_jaeger(&path, &error.to_string()))?;
            let groups = part["result"]["resourceSpans"].take();
            let groups: Vec<ResourceSpans> = match groups {
                Value::Null => Vec::new(),
                groups => serde_json::from_value(groups).map_err(|error| self.not_jaeger(&path, &error.to_string()))?,
            };
            for group in groups {
                let resource = Arc::new(group.resource.unwrap_or_default());
                for span in group.scope_spans.into_iter().flat_map(|ScopeSpans { spans, .. }| spans) {
                    self.memory.add(StoredSpan { span, resource: Arc::clone(&resource) });
                }
            }
        }
        if self.memory.all().len() > SPANS_MAX {
            return Err(SourceError::TooMuch(format!(
                "this question takes more than {SPANS_MAX} spans of Jaeger: ask about a shorter time or one session"
            )));
        }
        Ok(())
    }

    /// Reads every trace with a span that has these tags and began in this time.
    fn read_matching(
        &mut self,
        tags: &serde_json::Map<String, Value>,
        (from, until): (Option<WallNanos>, Option<WallNanos>),
    ) -> Result<(), SourceError> {
        let services = self.json("/api/services", &[])?;
        let services = services["data"].as_array().cloned().unwrap_or_default();
        let mut ids = BTreeSet::new();
        for service in services.iter().filter_map(Value::as_str) {
            let mut parameters = vec![
                ("service", service.to_owned()),
                ("limit", TRACES_MAX.to_string()),
                ("start", from.map_or(0, |from| from.0 / 1_000).to_string()),
                // Later than any span; Jaeger's own choice would be its clock's now.
                ("end", until.map_or(i64::MAX.unsigned_abs() / 1_000, |until| until.0.div_ceil(1_000)).to_string()),
            ];
            if !tags.is_empty() {
                parameters.push(("tags", Value::Object(tags.clone()).to_string()));
            }
            let answer = self.json("/api/traces", &parameters)?;
            let traces = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            if traces.len() >= TRACES_MAX {
                return Err(SourceError::TooMuch(format!(
                    "{TRACES_MAX} traces or more may match, which is all that Jaeger gives at once: ask about a shorter time or one session"
                )));
            }
            ids.extend(traces.iter().filter_map(|trace| trace["traceID"].as_str()).map(str::to_owned));
        }
        ids.iter().try_for_each(|id| self.read(id))
    }

    fn read_sessions(&mut self, sessions: impl IntoIterator<Item = SessionId>) -> Result<(), SourceError> {
        for session in sessions {
            if self.sessions.insert(session) {
                let name = semconv::AGENTSIGHT_SESSION_ID.as_str().to_owned();
                self.read_matching(&[(name, session.to_string().into())].into_iter().collect(), (None, None))?;
            }
        }
        Ok(())
    }

    fn read_traces_of(&mut self, ids: &[SpanRef]) -> Result<(), SourceError> {
        ids.iter().try_for_each(|id| self.read(&id.trace_id.to_string()))
    }
}

impl Source for JaegerSource {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_traces_of(ids)?;
        self.memory.spans(ids)
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_traces_of(parents)?;
        self.memory.children(parents)
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        // Jaeger does not know who is linked to a span. What it led to is in the traces of its session.
        let sessions: BTreeSet<SessionId> = self.spans(causes)?.iter().filter_map(session_of).collect();
        self.read_sessions(sessions)?;
        self.memory.effects(causes)
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let filter = &question.filter;
        match filter.trace {
            Some(trace) => self.read(&trace.to_string())?,
            None => self.read_matching(&tags(filter), (filter.from, filter.until))?,
        }
        self.memory.search(question, visit)
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        self.read_sessions(sessions.iter().copied())?;
        self.memory.lossy(sessions)
    }
}

fn session_of(found: &StoredSpan) -> Option<SessionId> {
    SessionId::try_from(Facts::of(&found.span).session?.to_owned()).ok()
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

/// An error with its causes: the outermost alone says only that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
