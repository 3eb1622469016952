//! What a process, or a span, and all its descendants did.

use std::collections::HashSet;
use std::ops::ControlFlow;

use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::Question;
use super::action::Kind;
use super::filter::Filter;
use super::memory::{Memory, id_of, parent_of};
use super::slice::edge_type;
use super::source::{Source, SourceError};
use crate::facts::Facts;
use crate::session::SpanRef;

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

/// The images of a process, whatever else is asked of them.
fn images_of(source: &mut dyn Source, pid: i64, filter: &Filter) -> Result<Vec<crate::store::StoredSpan>, SourceError> {
    const EXEC: Kind = Kind { objects: &[], actions: &[action::EXEC] };
    const EXIT: Kind = Kind { objects: &[], actions: &[action::EXIT] };
    // Its beginning may be before the time that is asked for, its end is not.
    let filter = Filter {
        session: filter.session,
        until: filter.until,
        pids: vec![pid],
        objects: vec![object_type::PROCESS],
        kinds: vec![EXEC, EXIT],
        ..Filter::default()
    };
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

/// A continuation, or what was started under a span of another program.
fn goes_on(span: &Span) -> bool {
    span.links.iter().any(|link| matches!(edge_type(link), link_type::SEGMENT | link_type::LINEAGE))
}
