//! A question for spans: a filter, an order, a page.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::filter::Filter;
use super::source::{Source, SourceError};
use super::subtree::{self, Subtree};
use crate::facts::Facts;
use crate::store::{Behind, Direction, SortKey, StoredSpan};

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Which spans.
    pub filter: Filter,
    /// Only what this process, or span, and their descendants did.
    pub subtree: Option<Subtree>,
    /// What answers are sorted by.
    pub sort: SortKey,
    /// Which way.
    pub direction: Direction,
    /// At most so many spans.
    pub limit: usize,
    /// Behind the last page.
    pub cursor: Option<Cursor>,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            subtree: None,
            sort: SortKey::Start,
            direction: Direction::Ascending,
            limit: 1_000,
            cursor: None,
        }
    }
}

/// One page of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In order.
    pub spans: Vec<StoredSpan>,
    /// Where the next page begins; `None` where this is the last.
    pub next: Option<Cursor>,
}

/// Where an answer goes on. It stays good while spans come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Behind);

/// A cursor that no answer gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: use the one that the page before gave, with the same question")]
pub struct CursorError;

impl Cursor {
    /// Behind this span, in this order.
    #[must_use]
    pub fn behind(span: &Span, by: SortKey) -> Self {
        Self(behind(span, by))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", hex::encode(self.0.key.to_be_bytes()), hex::encode(self.0.span_id))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| CursorError)?;
        let (mut key, mut span_id) = ([0; 8], [0; 8]);
        key.copy_from_slice(&bytes[..8]);
        span_id.copy_from_slice(&bytes[8..]);
        Ok(Self(Behind { key: i64::from_be_bytes(key), span_id }))
    }
}

/// Answers a question.
///
/// # Errors
/// When the source cannot be asked.
pub fn ask(source: &mut dyn Source, question: &Question) -> Result<Page, SourceError> {
    let members = match &question.subtree {
        Some(subtree) => Some(subtree::members(source, subtree, &question.filter)?),
        None => None,
    };
    let mut spans = Vec::new();
    let mut more = false;
    let mut visit = |found: StoredSpan| {
        if !question.filter.takes(&found) {
            return ControlFlow::Continue(());
        }
        if spans.len() == question.limit {
            more = true;
            return ControlFlow::Break(());
        }
        spans.push(found);
        ControlFlow::Continue(())
    };
    match members {
        Some(mut members) => members.search(question, &mut visit)?,
        None => source.search(question, &mut visit)?,
    }
    let last = spans.last().map(|found| Cursor::behind(&found.span, question.sort));
    Ok(Page { spans, next: last.filter(|_| more) })
}

/// What a span is sorted by.
#[must_use]
pub fn sort_value(span: &Span, by: SortKey) -> i64 {
    let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    match by {
        SortKey::Start => signed(span.start_time_unix_nano),
        SortKey::End => signed(span.end_time_unix_nano),
        SortKey::Duration => signed(span.end_time_unix_nano) - signed(span.start_time_unix_nano),
        SortKey::Bytes => Facts::of(span).bytes.unwrap_or(0),
    }
}

/// Its place in the order.
pub(super) fn behind(span: &Span, by: SortKey) -> Behind {
    let mut span_id = [0; 8];
    // A foreign id of another length sorts first; ours have eight bytes.
    if span.span_id.len() == 8 {
        span_id.copy_from_slice(&span.span_id);
    }
    Behind { key: sort_value(span, by), span_id }
}
