//! AgentSight's own API: the questions of the command line.

use std::time::Duration;

use agentsight_ebpf::WallNanos;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::answer::Trouble;
use super::parameters::{Parameters, SPANS_MAX};
use crate::answer::json;
use crate::query::moment::Clock;
use crate::query::slice::{Way, slice as slice_of};
use crate::query::words;
use crate::query::{StoreSource, ask};
use crate::session::SpanRef;
use crate::store::{Reader, SessionSummary, Store};

/// Of contents in one answer, which has them as digits and as text.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// What an answer has to go by.
pub(super) struct Ask<'d> {
    pub(super) store: &'d Store,
    /// Who reads contents; `None` where that cannot be written down.
    pub(super) reader: Option<Reader>,
    pub(super) limit: Duration,
    pub(super) zone: &'d TimeZone,
}

impl Ask<'_> {
    pub(super) fn source(&self) -> StoreSource<'_> {
        StoreSource::within(self.store, self.limit)
    }

    pub(super) fn clock(&self) -> Clock {
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        Clock { now: WallNanos(now), zone: self.zone.clone() }
    }
}

/// The document that says what there is.
pub(super) fn openapi() -> Value {
    serde_yaml_ng::from_str(include_str!("openapi.yaml")).expect("a test reads this constant")
}

pub(super) fn sessions(ask: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let limit = parameters.number("limit", 1, 1_000)?.unwrap_or(100);
    parameters.end()?;
    Ok(json!({"sessions": ask.store.sessions(limit)?.iter().map(json::session).collect::<Value>()}))
}

pub(super) fn session(ask: &Ask<'_>, id: &str, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let id = words::session(id)?;
    let all = ask.store.sessions(usize::MAX)?;
    let is_meant = |summary: &&SessionSummary| summary.id == id;
    all.iter().find(is_meant).map(json::session).ok_or(Trouble::NotFound("session"))
}

pub(super) fn spans(ask_of: &Ask<'_>, mut parameters: Parameters) -> Result<Value, Trouble> {
    let words = parameters.words()?;
    parameters.end()?;
    let page = ask(&mut ask_of.source(), &words.question(&ask_of.clock())?)?;
    let spans: Value = page.spans.iter().map(json::span).collect();
    Ok(json!({"spans": spans, "next": page.next.map(|next| next.to_string())}))
}

pub(super) fn span(ask: &Ask<'_>, trace: &str, span: &str, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let id = reference(trace, span)?;
    ask.store.spans(&[id])?.first().map(json::span).ok_or(Trouble::NotFound("span"))
}

/// That they are read is written down before they are.
pub(super) fn content(ask: &Ask<'_>, trace: &str, span: &str, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let id = reference(trace, span)?;
    if let Some(reader) = ask.reader {
        ask.store.log_reading(id, reader, ask.clock().now)?;
    }
    let content = ask.store.content(id)?.ok_or(Trouble::NotFound("span with contents"))?;
    if content.bytes.len() > CONTENT_BYTES_MAX {
        return Err(Trouble::TooMuch(format!(
            "the contents have {} bytes, which is more than one answer may: `agentsight content` has no such limit",
            content.bytes.len()
        )));
    }
    Ok(json::content(&content))
}

pub(super) fn slice(
    ask: &Ask<'_>,
    trace: &str,
    span: &str,
    way: Way,
    mut parameters: Parameters,
) -> Result<Value, Trouble> {
    let reach = parameters.reach()?;
    parameters.end()?;
    let id = reference(trace, span)?;
    let found = slice_of(&mut ask.source(), &[id], way, reach)?;
    if found.nodes.is_empty() { Err(Trouble::NotFound("span")) } else { Ok(json::slice(&found)) }
}

pub(super) fn trace(ask: &Ask<'_>, id: &str, parameters: Parameters) -> Result<Value, Trouble> {
    parameters.end()?;
    let found = ask.store.trace(words::trace(id)?, SPANS_MAX + 1)?;
    match found.len() {
        0 => Err(Trouble::NotFound("trace")),
        count if count > SPANS_MAX => Err(Trouble::TooMuch(format!(
            "the trace has more than {SPANS_MAX} spans: ask for /api/v1/spans?trace={id}"
        ))),
        _ => Ok(json!({"spans": found.iter().map(json::span).collect::<Value>()})),
    }
}

fn reference(trace: &str, span: &str) -> Result<SpanRef, Trouble> {
    Ok(words::span(&format!("{trace}:{span}"))?)
}
