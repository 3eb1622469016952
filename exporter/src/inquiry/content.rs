//! Whose the bytes are that a span moved: a user is told of those of processes that were theirs from beginning to end.
//!
//! Stricter than for spans: a process that may change its user without an exec (by a file's capabilities) says so only when its
//! last span is stored, and what it is forked from says so for it. Until then nobody but root is told.

use std::ops::ControlFlow;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, object_type};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;

use super::sight::{ImageKey, Party, Sight, became};
use crate::facts::is_true;
use crate::query::memory::{parent_of, reference};
use crate::session::{SpanRef, UserId};
use crate::store::{Direction, Narrow, SortKey, StoreError, StoredSpan};

/// Copies of copies of one program: more is no program's doing.
const FORKS_MAX: usize = 64;

/// What a span says of the bytes themselves, where that was asked for.
const TEXT: &str = "agentsight.content.text";
/// What a link says of bytes that its cause and its effect have in common.
const MATCH_PREFIX: &str = "agentsight.link.match.";

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The user's who asks.
    Theirs,
    /// Another's, or of a session of another's.
    Others,
    /// The user's as far as is known, which is not to the end.
    NotKnown,
}

/// Whose bytes this span moved, as far as `sight`'s user is concerned.
pub(super) fn whose(sight: &mut Sight<'_>, span: &Span) -> Result<Whose, StoreError> {
    if sight.user == UserId::ROOT {
        return Ok(Whose::Theirs);
    }
    if !sight.owns_session_of(span)? || sight.party(span)? == Party::Other {
        return Ok(Whose::Others);
    }
    let Some(image) = ImageKey::of(span) else { return Ok(Whose::Others) };
    if let Some(known) = sight.known_of_contents(&image) {
        return Ok(known);
    }
    let whose = whose_life(sight, image.clone())?;
    sight.remember_of_contents(image, whose);
    Ok(whose)
}

/// A span of a process of the user's, with what it and its links say of bytes only where those are the user's too.
pub(super) fn without_doubtful_bytes(sight: &mut Sight<'_>, mut found: StoredSpan) -> Result<StoredSpan, StoreError> {
    let is_text = |attribute: &KeyValue| attribute.key == TEXT;
    let is_match = |attribute: &KeyValue| attribute.key.starts_with(MATCH_PREFIX);
    let matches = |link: &Link| link.attributes.iter().any(is_match);
    if !found.span.attributes.iter().any(is_text) && !found.span.links.iter().any(matches) {
        return Ok(found);
    }
    let is_theirs = whose(sight, &found.span)? == Whose::Theirs;
    found.span.attributes.retain(|attribute| is_theirs || !is_text(attribute));
    for link in found.span.links.iter_mut().filter(|link| matches(link)) {
        let cause = reference(&link.trace_id, &link.span_id).map(|id| sight.store.spans(&[id])).transpose()?;
        let is_theirs_too = match cause.and_then(|mut found| found.pop()) {
            Some(cause) => is_theirs && whose(sight, &cause.span)? == Whose::Theirs,
            None => false,
        };
        link.attributes.retain(|attribute| is_theirs_too || !is_match(attribute));
    }
    Ok(found)
}

fn whose_life(sight: &mut Sight<'_>, mut image: ImageKey) -> Result<Whose, StoreError> {
    for _ in 0..FORKS_MAX {
        let life = Life::of(sight, &image)?;
        if life.changed || !life.ended {
            return Ok(if life.changed { Whose::Others } else { Whose::NotKnown });
        }
        let Some(parent) = life.forked_from else { return Ok(Whose::Theirs) };
        // Its copy began as what it had become by then.
        let Some(found) = sight.store.spans(&[parent])?.pop() else { return Ok(Whose::NotKnown) };
        match ImageKey::of(&found.span) {
            Some(key) if sight.party(&found.span)? == Party::Own => image = key,
            _ => return Ok(Whose::Others),
        }
    }
    Ok(Whose::NotKnown)
}

/// What the stored spans of an image say of its users.
#[derive(Default)]
struct Life {
    /// It became another user.
    changed: bool,
    /// All of it is told.
    ended: bool,
    /// Its parent, where it runs its parent's program.
    forked_from: Option<SpanRef>,
}

impl Life {
    fn of(sight: &Sight<'_>, image: &ImageKey) -> Result<Self, StoreError> {
        let narrow = Narrow {
            session: Some(image.session),
            pid: Some(image.pid),
            objects: vec![object_type::PROCESS],
            actions: vec![action::EXEC, action::EXIT],
            ..Narrow::default()
        };
        let user = i64::from(sight.user.0);
        let (mut life, mut is_vague) = (Self::default(), false);
        sight.store.search(&narrow, (SortKey::Start, Direction::Ascending), None, |found| {
            let span = &found.span;
            if ImageKey::of(span).as_ref() == Some(image) {
                let is_cut = is_true(span, semconv::AGENTSIGHT_SPAN_INCOMPLETE);
                life.changed |= became(span).any(|other| other != user);
                life.ended |= !is_cut && !is_true(span, semconv::AGENTSIGHT_SPAN_PROMOTED);
                // Of events past the limit nobody knows what they were.
                is_vague |= is_cut || span.dropped_events_count > 0;
                if is_true(span, semconv::AGENTSIGHT_PROCESS_FORK) {
                    life.forked_from = parent_of(span);
                    is_vague |= life.forked_from.is_none();
                }
            }
            ControlFlow::Continue(())
        })?;
        life.ended &= !is_vague;
        Ok(life)
    }
}
