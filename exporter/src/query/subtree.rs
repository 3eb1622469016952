//! What a process, or a span, and all its descendants did.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;

use super::Question;
use super::action::Kind;
use super::filter::Filter;
use super::memory::{Memory, id_of, parent_of, reference};
use super::slice::edge_type;
use super::source::{Source, SourceError};
use crate::facts::Facts;
use crate::session::SpanRef;
use crate::store::StoredSpan;

/// Whose descendants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subtree {
    /// Every image that had this process id, within the question's time and session.
    Process(i64),
    /// The image of this span.
    Span(SpanRef),
}

/// More than a session's largest trace; beyond it the machine's memory is at stake.
const SPANS_MAX: usize = 500_000;

/// All spans of a subtree.
pub(super) fn members(source: &mut dyn Source, of: &Subtree, filter: &Filter) -> Result<Memory, SourceError> {
    let mut members = Memory::default();
    let mut frontier = match of {
        Subtree::Span(id) => source.spans(&[*id])?,
        Subtree::Process(pid) => images_of(source, *pid, filter)?,
    };
    let mut seen: HashSet<SpanRef> = HashSet::new();
    while !frontier.is_empty() {
        let mut next_of = Vec::new();
        for found in frontier {
            let Some(id) = id_of(&found.span) else { continue };
            if seen.insert(id) {
                next_of.push(id);
                members.add(found);
            }
        }
        if seen.len() > SPANS_MAX {
            return Err(SourceError::TooMuch(format!(
                "this subtree has more than {SPANS_MAX} spans: choose a smaller one"
            )));
        }
        frontier = source.children(&next_of)?;
        // Where it goes on in another trace.
        frontier.extend(source.effects(&next_of)?.into_iter().filter(|effect| goes_on(&effect.span)));
    }
    Ok(members)
}

/// Whether spans are of a subtree, asked one by one as they come: from each upwards, because what is above it may be open yet, and
/// then is nobody's child that could be listed.
#[derive(Debug)]
pub struct Membership {
    of: Subtree,
    images: Filter,
    known: HashMap<SpanRef, bool>,
}

/// What is known of so many spans is kept; then it is found out again.
const KNOWN_MAX: usize = 100_000;

impl Membership {
    /// In this subtree, of a question with this filter.
    #[must_use]
    pub fn new(of: Subtree, filter: &Filter) -> Self {
        let images = match of {
            Subtree::Process(pid) => images(pid, filter),
            Subtree::Span(_) => Filter::default(),
        };
        Self { of, images, known: HashMap::new() }
    }

    /// Whether it takes this one.
    ///
    /// # Errors
    /// When the source cannot be asked.
    pub fn takes(&mut self, source: &mut dyn Source, found: &StoredSpan) -> Result<bool, SourceError> {
        let Some(first) = id_of(&found.span) else { return Ok(false) };
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        let mut seen = HashSet::new();
        let mut frontier = vec![found.clone()];
        while !frontier.is_empty() {
            let mut above = Vec::new();
            for found in frontier {
                let Some(id) = id_of(&found.span) else { continue };
                let known = self.known.get(&id).copied();
                if known == Some(true) || known.is_none() && self.is_top(id, &found) {
                    self.known.insert(first, true);
                    return Ok(true);
                }
                if known.is_none() && seen.insert(id) {
                    above.extend(above_of(&found.span));
                }
            }
            frontier = source.spans(&above)?;
        }
        self.known.extend(seen.into_iter().map(|id| (id, false)));
        Ok(false)
    }

    fn is_top(&self, id: SpanRef, found: &StoredSpan) -> bool {
        match self.of {
            Subtree::Span(top) => id == top,
            Subtree::Process(_) => self.images.takes(found),
        }
    }
}

/// The images of a process, as a filter: its beginning may be before the time that is asked for, its end is not.
fn images(pid: i64, filter: &Filter) -> Filter {
    const EXEC: Kind = Kind { objects: &[], actions: &[action::EXEC] };
    const EXIT: Kind = Kind { objects: &[], actions: &[action::EXIT] };
    Filter {
        session: filter.session,
        until: filter.until,
        pids: vec![pid],
        objects: vec![object_type::PROCESS],
        kinds: vec![EXEC, EXIT],
        ..Filter::default()
    }
}

/// The images of a process, whatever else is asked of them.
fn images_of(source: &mut dyn Source, pid: i64, filter: &Filter) -> Result<Vec<StoredSpan>, SourceError> {
    let filter = images(pid, filter);
    let question = Question { filter: filter.clone(), ..Question::default() };
    let mut images = Vec::new();
    let mut parents = Vec::new();
    source.search(&question, &mut |found| {
        if filter.takes(&found) {
            // Of a promoted image that is still open, the `exit` may be all that says its id.
            if Facts::of(&found.span).action == Some(action::EXIT) {
                parents.extend(parent_of(&found.span));
            }
            images.push(found);
        }
        ControlFlow::Continue(())
    })?;
    images.extend(source.spans(&parents)?);
    Ok(images)
}

/// The parent, and what it is the continuation of.
fn above_of(span: &Span) -> impl Iterator<Item = SpanRef> {
    let before = span.links.iter().filter(|link| leads_on(link));
    parent_of(span).into_iter().chain(before.filter_map(|link| reference(&link.trace_id, &link.span_id)))
}

/// A continuation, or what was started under a span of another program.
fn goes_on(span: &Span) -> bool {
    span.links.iter().any(leads_on)
}

fn leads_on(link: &Link) -> bool {
    matches!(edge_type(link), link_type::SEGMENT | link_type::LINEAGE)
}
