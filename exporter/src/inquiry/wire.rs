//! Questions and answers as they go over the socket. Spans are OTLP; whatever comes is checked.

use std::collections::HashMap;
use std::sync::Arc;

use agentsight_ebpf::WallNanos;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::content::ContentHash;
use crate::query::words::Words;
use crate::session::{SessionId, SpanRef};
use crate::spans::model::{ContentLayout, SpanContent};
use crate::store::{Seq, SessionState, SessionSummary, StoredSpan};

/// One question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Inquiry {
    /// The newest sessions.
    Sessions {
        /// At most so many.
        limit: usize,
    },
    /// Sessions whose ids begin with these hex digits.
    SessionsLike {
        /// 4 to 32 of them.
        beginning: String,
    },
    /// Traces whose ids begin with these hex digits.
    TracesLike {
        /// 4 to 32 of them.
        beginning: String,
    },
    /// Spans whose ids begin with these hex digits.
    SpansLike {
        /// 4 to 16 of them.
        beginning: String,
    },
    /// The spans of these ids.
    Spans {
        /// Theirs.
        ids: Vec<WireId>,
    },
    /// The spans whose parent is one of these.
    Children {
        /// The parents.
        of: Vec<WireId>,
    },
    /// The spans that are linked to one of these as their cause.
    Effects {
        /// The causes.
        of: Vec<WireId>,
    },
    /// The spans of these sessions that say that something was lost.
    Lossy {
        /// Their ids.
        sessions: Vec<SessionId>,
    },
    /// A page of the spans that match; no subtree.
    Search {
        /// What is asked, in words that mean the same everywhere.
        words: Box<Words>,
    },
    /// A part of a trace.
    Trace {
        /// Its id.
        id: [u8; 16],
        /// Behind this place in the store.
        after: Seq,
    },
    /// A part of a session.
    Session {
        /// Its id.
        id: SessionId,
        /// Behind this place in the store.
        after: Seq,
    },
    /// What a span moved.
    Content {
        /// The span.
        of: WireId,
    },
    /// The place of the span that was stored last.
    LastStored,
    /// What was stored behind this place.
    StoredSince {
        /// The place.
        after: Seq,
    },
}

/// The answer to one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// Sessions, the newest first.
    Sessions(Vec<Listed>),
    /// Ids of sessions.
    SessionIds(Vec<SessionId>),
    /// Ids of traces.
    TraceIds(Vec<[u8; 16]>),
    /// Ids of spans.
    SpanIds(Vec<WireId>),
    /// Spans.
    Spans(Spans),
    /// What a span moved; `None` where nothing was captured, nothing is kept, or nothing of it is for whoever asks.
    Content(Option<Box<Moved>>),
    /// A place in the store.
    Place(Seq),
    /// None; why, for a person.
    Refused(String),
}

/// A trace's and a span's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireId([u8; 16], [u8; 8]);

/// What one span moved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moved {
    hash: [u8; 32],
    bytes: ByteBuf,
    layout: ContentLayout,
}

/// One session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listed {
    id: SessionId,
    trace_id: [u8; 16],
    started: u64,
    running: bool,
    ended: Option<u64>,
    spans: u64,
    root: Spans,
}

/// Spans, each resource once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spans {
    resources: Vec<ByteBuf>,
    spans: Vec<Packed>,
    /// Where the answer goes on; `None` where this is all.
    pub next: Option<Next>,
}

/// One span.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packed {
    resource: usize,
    span: ByteBuf,
}

/// Where an answer goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// Of a search.
    Cursor(String),
    /// Of a list: behind this place in the store.
    Behind(Seq),
}

/// What came is no span, or no contents.
#[derive(Debug, thiserror::Error)]
#[error("sends what cannot be read ({0}): is it of the same version?")]
pub(super) struct Damaged(String);

impl From<SpanRef> for WireId {
    fn from(id: SpanRef) -> Self {
        Self(id.trace_id.to_bytes(), id.span_id.to_bytes())
    }
}

impl From<WireId> for SpanRef {
    fn from(WireId(trace, span): WireId) -> Self {
        Self { trace_id: TraceId::from_bytes(trace), span_id: SpanId::from_bytes(span) }
    }
}

impl Spans {
    /// As many of these as come before `bytes_max` is exceeded; the first in any case.
    pub(super) fn pack<'s>(found: impl IntoIterator<Item = &'s StoredSpan>, bytes_max: usize) -> Self {
        let mut packed = Self::default();
        let mut places: HashMap<*const Resource, usize> = HashMap::new();
        let mut bytes = 0;
        for found in found {
            let span = found.span.encode_to_vec();
            bytes += span.len();
            if bytes > bytes_max && !packed.spans.is_empty() {
                break;
            }
            let resource = *places.entry(Arc::as_ptr(&found.resource)).or_insert_with(|| {
                let encoded = found.resource.encode_to_vec();
                bytes += encoded.len();
                packed.resources.push(ByteBuf::from(encoded));
                packed.resources.len() - 1
            });
            packed.spans.push(Packed { resource, span: ByteBuf::from(span) });
        }
        packed
    }

    pub(super) fn going_on(self, next: Option<Next>) -> Self {
        Self { next, ..self }
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The spans again.
    pub(super) fn unpack(&self) -> Result<Vec<StoredSpan>, Damaged> {
        let damaged = |error: prost::DecodeError| Damaged(error.to_string());
        let resources: Vec<Arc<Resource>> = self
            .resources
            .iter()
            .map(|bytes| Resource::decode(bytes.as_slice()).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(damaged)?;
        let unpack = |packed: &Packed| {
            let resource = resources.get(packed.resource).ok_or_else(|| Damaged("a resource is missing".to_owned()))?;
            let span = Span::decode(packed.span.as_slice()).map_err(damaged)?;
            Ok(StoredSpan { span, resource: Arc::clone(resource) })
        };
        self.spans.iter().map(unpack).collect()
    }
}

impl Moved {
    pub(super) fn pack(content: SpanContent) -> Self {
        Self { hash: content.hash.0, bytes: ByteBuf::from(content.bytes), layout: content.layout }
    }

    /// The contents again, of the span that was asked about.
    pub(super) fn unpack(self, of: SpanRef) -> Result<SpanContent, Damaged> {
        let Self { hash, bytes, layout } = self;
        layout.check(bytes.len()).map_err(|error| Damaged(error.to_string()))?;
        let SpanRef { trace_id, span_id } = of;
        Ok(SpanContent { trace_id, span_id, hash: ContentHash(hash), bytes: bytes.into_vec(), layout })
    }
}

impl Listed {
    /// With the root as whoever asks may see it.
    pub(super) fn of(summary: &SessionSummary, root: Option<&StoredSpan>) -> Self {
        let ended = if let SessionState::Ended(ended) = summary.state { Some(ended.0) } else { None };
        Self {
            id: summary.id,
            trace_id: summary.trace_id.to_bytes(),
            started: summary.started.0,
            running: summary.state == SessionState::Running,
            ended,
            spans: summary.spans,
            root: Spans::pack(root, usize::MAX),
        }
    }

    pub(super) fn summary(&self) -> Result<SessionSummary, Damaged> {
        let state = match self.ended {
            Some(ended) => SessionState::Ended(WallNanos(ended)),
            None if self.running => SessionState::Running,
            None => SessionState::Abandoned,
        };
        Ok(SessionSummary {
            id: self.id,
            trace_id: TraceId::from_bytes(self.trace_id),
            started: WallNanos(self.started),
            state,
            spans: self.spans,
            root: self.root.unpack()?.into_iter().next(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::{found, stale_id};

    #[test]
    fn spans_are_unpacked_as_they_were_packed_and_each_resource_goes_once() {
        let resource = found(stale_id().remove(0)).resource;
        let spans: Vec<_> =
            stale_id().into_iter().map(|span| StoredSpan { span, resource: Arc::clone(&resource) }).collect();
        let packed = Spans::pack(&spans, usize::MAX);
        assert_eq!((packed.resources.len(), packed.len()), (1, spans.len()));
        assert_eq!(packed.unpack().unwrap(), spans);
    }

    #[test]
    fn a_page_is_bounded_and_never_empty() {
        let spans: Vec<_> = stale_id().into_iter().map(found).collect();
        assert_eq!(Spans::pack(&spans, 1).len(), 1);
        let some = Spans::pack(&spans, 1_000).len();
        assert!(some > 1 && some < spans.len(), "{some}");
    }

    #[test]
    fn contents_whose_places_cannot_be_are_refused() {
        let of = SpanRef::from(WireId([1; 16], [2; 8]));
        let layout = |runs| ContentLayout { runs, ..ContentLayout::default() };
        let moved = |runs| Moved { hash: [3; 32], bytes: ByteBuf::from(b"bytes".to_vec()), layout: layout(runs) };
        assert_eq!(moved(vec![(7, 5)]).unpack(of).unwrap().bytes, b"bytes");
        for runs in [vec![(7, 4)], vec![], vec![(7, 2), (8, 3)], vec![(u64::MAX, 5)], vec![(0, u64::MAX), (0, 6)]] {
            assert!(moved(runs.clone()).unpack(of).is_err(), "{runs:?}");
        }
    }

    #[test]
    fn what_names_no_resource_or_is_no_span_is_refused() {
        let mut packed = Spans::pack(&[found(stale_id().remove(0))], usize::MAX);
        packed.spans[0].resource = 7;
        assert!(packed.unpack().is_err());
        packed.spans[0] = Packed { resource: 0, span: ByteBuf::from(vec![0xff; 9]) };
        assert!(packed.unpack().is_err());
    }
}
