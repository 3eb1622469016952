//! What is open: the spans that are yet to come, kept so that no death leaves a parent that was never sent.
//!
//! A draft is written in the transaction of whatever refers to it, and removed in that of the span that replaces it.
//! When a session ends with drafts, its collector died: they are then stored as spans.

use std::collections::BTreeMap;

use agentsight_ebpf::{KernelNanos, ProcessKey, Tgid, WallNanos};
use agentsight_semconv as semconv;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rusqlite::{Connection, named_params};

use super::append::{insert, resource_key};
use super::session::session_key;
use super::{Row, Store, StoreError, sqlite_nanos};
use crate::otlp::encode;
use crate::session::{SessionId, SpanRef};
use crate::spans::model::{self, Draft, Signal};

/// The last word of a batch on each thing that is open, by its first span's ids.
type Drafts<'a> = BTreeMap<([u8; 16], [u8; 8]), Option<&'a model::Span>>;

/// Files the drafts among `signals`. Most of a batch's are never written: what they announce has come by its end.
pub(super) fn file_drafts(connection: &Connection, session: i64, signals: &[Signal]) -> rusqlite::Result<()> {
    let mut latest = Drafts::new();
    for signal in signals {
        if let Signal::Draft(draft) = signal {
            let Draft { of, span } = &**draft;
            latest.insert((of.trace_id.to_bytes(), of.span_id.to_bytes()), span.as_ref());
        }
    }
    let mut remove = connection.prepare_cached(
        "DELETE FROM open_image WHERE session = :session AND trace_id = :trace_id AND span_id = :span_id",
    )?;
    let mut write = connection.prepare_cached(
        "INSERT OR REPLACE INTO open_image (session, trace_id, span_id, start_nanos, resource, encoded)
         VALUES (:session, :trace_id, :span_id, :start, :resource, :encoded)",
    )?;
    for ((trace_id, span_id), draft) in latest {
        let Some(span) = draft else {
            remove.execute(named_params! {":session": session, ":trace_id": trace_id, ":span_id": span_id})?;
            continue;
        };
        write.execute(named_params! {
            ":session": session,
            ":trace_id": trace_id,
            ":span_id": span_id,
            ":start": sqlite_nanos(span.start),
            ":resource": resource_key(connection, &encode::resource(&span.resource).encode_to_vec())?,
            ":encoded": encode::span(span).encode_to_vec(),
        })?;
    }
    Ok(())
}

/// Stores what is open as spans that end at `end`, or as they are where that is later; says how many.
pub(super) fn close_all(connection: &Connection, session: i64, end: WallNanos) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT open_image.encoded, resource.encoded FROM open_image JOIN resource ON resource.key = resource
         WHERE session = ?1 ORDER BY start_nanos",
    )?;
    let open: Vec<(Vec<u8>, Vec<u8>)> =
        statement.query_map([session], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (span, resource) in open {
        match (Span::decode(span.as_slice()), Resource::decode(resource.as_slice())) {
            (Ok(mut span), Ok(resource)) => {
                span.end_time_unix_nano = span.end_time_unix_nano.max(end.0);
                rows.push(Row::of_span(span, &resource));
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "an open image in the store is damaged"),
        }
    }
    let closed = insert(connection, session, rows)?.stored;
    connection.prepare_cached("DELETE FROM open_image WHERE session = ?1")?.execute([session])?;
    Ok(closed)
}

/// An image that was open when its collector died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOpen {
    /// The process that ran it.
    pub process: ProcessKey,
    /// Its first span.
    pub span: SpanRef,
}

impl Store {
    /// The images that are open in a session, in the order of their beginnings: of a dead collector's, what may still
    /// run. Its open connections and bursts are none: a process goes on from what it was, not from what it did.
    ///
    /// # Errors
    /// When the store cannot be read, or knows no such session. What is damaged is left out.
    pub fn left_open(&self, session: SessionId) -> Result<Vec<LeftOpen>, StoreError> {
        let key = session_key(&self.connection, session)?;
        let failed = StoreError::sqlite("list what is open");
        let mut statement = self
            .connection
            .prepare_cached("SELECT trace_id, span_id, encoded FROM open_image WHERE session = ?1 ORDER BY start_nanos")
            .map_err(&failed)?;
        let rows = statement
            .query_map([key], |row| {
                Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, [u8; 8]>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .map_err(&failed)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(&failed)?;
        let open = rows.into_iter().filter_map(|(trace_id, span_id, encoded)| {
            let process = process_of(&Span::decode(encoded.as_slice()).ok()?)?;
            let span = SpanRef { trace_id: TraceId::from_bytes(trace_id), span_id: SpanId::from_bytes(span_id) };
            Some(LeftOpen { process, span })
        });
        Ok(open.collect())
    }
}

/// Whose image it is, by its own word; `None` of all that is no image.
fn process_of(span: &Span) -> Option<ProcessKey> {
    let value = |name: semconv::Name| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == name.as_str())?;
        attribute.value.as_ref()?.value.as_ref()
    };
    let Some(any_value::Value::StringValue(object)) = value(semconv::AGENTSIGHT_OBJECT_TYPE) else { return None };
    if object != semconv::value::object_type::PROCESS {
        return None;
    }
    let Some(any_value::Value::IntValue(tgid)) = value(semconv::PROCESS_PID) else { return None };
    let Some(any_value::Value::StringValue(start)) = value(semconv::AGENTSIGHT_PROCESS_START) else { return None };
    Some(ProcessKey { tgid: Tgid(u32::try_from(*tgid).ok()?), start: KernelNanos(start.parse().ok()?) })
}
