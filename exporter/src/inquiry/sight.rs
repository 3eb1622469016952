//! What of the store one user may see: who owns a span's session, and whose process did what it tells.
//!
//! A span that is not about an image says nothing of users: its image is looked up, over parents, by its own identity. Where
//! that leads nowhere, because the image is pruned or was never seen, the process counts as another user's.

use std::collections::HashMap;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::content::{Whose, without_doubtful_bytes};
use super::reduce::reduce;
use crate::facts::{self, Facts};
use crate::query::memory::{parent_of, reference};
use crate::query::slice::edge_type;
use crate::session::{SessionId, SpanRef, UserId};
use crate::store::{Store, StoreError, StoredSpan};

/// From a burst over a connection's continuation and the image's to the image is the longest way.
const STEPS_MAX: usize = 6;
/// What is remembered of one question; more is looked up again.
const REMEMBERED_MAX: usize = 100_000;

/// One user's view.
pub(super) struct Sight<'s> {
    pub(super) store: &'s Store,
    pub(super) user: UserId,
    sessions: HashMap<SessionId, bool>,
    images: HashMap<ImageKey, Party>,
    causes: HashMap<SpanRef, Cause>,
    contents: HashMap<ImageKey, Whose>,
}

/// Whose process it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Own,
    Other,
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Something that the user may see.
    Seen,
    /// Another user's process, or what is not in a session of the user's, or nowhere: it may be named by its id.
    Named,
    /// What another user's process did.
    Hidden,
}

/// What every span says of its image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ImageKey {
    pub(super) session: SessionId,
    pub(super) pid: i64,
    start: String,
    exec: i64,
}

impl<'s> Sight<'s> {
    /// Of this user. Nothing is hidden from root.
    pub(super) fn of(store: &'s Store, user: UserId) -> Self {
        Self {
            store,
            user,
            sessions: HashMap::new(),
            images: HashMap::new(),
            causes: HashMap::new(),
            contents: HashMap::new(),
        }
    }

    /// As much of a span as the user may see; `None` where that is nothing.
    pub(super) fn look(&mut self, found: StoredSpan) -> Result<Option<StoredSpan>, StoreError> {
        if self.user == UserId::ROOT {
            return Ok(Some(found));
        }
        if !self.owns_session_of(&found.span)? {
            return Ok(None);
        }
        match self.party(&found.span)? {
            Party::Own => {
                let found = self.without_hidden_causes(found)?;
                without_doubtful_bytes(self, found).map(Some)
            }
            Party::Other => Ok(reduce(&found)),
        }
    }

    pub(super) fn look_at_all(&mut self, found: Vec<StoredSpan>) -> Result<Vec<StoredSpan>, StoreError> {
        let mut seen = Vec::with_capacity(found.len());
        for found in found {
            seen.extend(self.look(found)?);
        }
        Ok(seen)
    }

    /// Whether the user may ask about this session.
    pub(super) fn owns(&mut self, session: SessionId) -> Result<bool, StoreError> {
        if self.user == UserId::ROOT {
            return Ok(true);
        }
        if let Some(known) = self.sessions.get(&session) {
            return Ok(*known);
        }
        let owns = self.store.owner_of(session)? == Some(self.user);
        forget_much(&mut self.sessions);
        self.sessions.insert(session, owns);
        Ok(owns)
    }

    pub(super) fn owns_session_of(&mut self, span: &Span) -> Result<bool, StoreError> {
        match session_of(span) {
            Some(session) => self.owns(session),
            None => Ok(false),
        }
    }

    /// Whose process did what this span tells.
    pub(super) fn party(&mut self, span: &Span) -> Result<Party, StoreError> {
        let Some(key) = ImageKey::of(span) else { return Ok(Party::Other) };
        if let Some(known) = self.images.get(&key) {
            return Ok(*known);
        }
        let party = self.climb(&key, span)?;
        forget_much(&mut self.images);
        self.images.insert(key, party);
        Ok(party)
    }

    /// Whose the bytes are that an image moved, where that was found out before.
    pub(super) fn known_of_contents(&self, image: &ImageKey) -> Option<Whose> {
        self.contents.get(image).copied()
    }

    pub(super) fn remember_of_contents(&mut self, image: ImageKey, whose: Whose) {
        forget_much(&mut self.contents);
        self.contents.insert(image, whose);
    }

    /// Up to the image's own span, which names its users.
    fn climb(&self, key: &ImageKey, span: &Span) -> Result<Party, StoreError> {
        let mut span = span.clone();
        for _ in 0..STEPS_MAX {
            if ImageKey::of(&span).as_ref() != Some(key) {
                return Ok(Party::Other);
            }
            if let Some(party) = self.said_party(&span) {
                return Ok(party);
            }
            let Some(next) = next_to_image(&span) else { return Ok(Party::Other) };
            let Some(found) = self.store.spans(&[next])?.into_iter().next() else { return Ok(Party::Other) };
            span = found.span;
        }
        Ok(Party::Other)
    }

    /// By the users of an image, real and effective, when it began and those that it became; `None` of any other span.
    fn said_party(&self, span: &Span) -> Option<Party> {
        let facts = Facts::of(span);
        if (facts.object, facts.action) != (Some(object_type::PROCESS), Some(action::EXEC)) {
            return None;
        }
        let ours = |user: i64| user == i64::from(self.user.0);
        let said = |name: semconv::Name| facts::attribute(span, name.as_str()).and_then(facts::int);
        let began = [semconv::PROCESS_USER_ID, semconv::PROCESS_REAL_USER_ID].map(said);
        let is_own = began.iter().all(|user| user.is_some_and(ours)) && became(span).all(ours);
        Some(if is_own { Party::Own } else { Party::Other })
    }

    /// A cause that is hidden is left out and counted; what is only named is not described either.
    fn without_hidden_causes(&mut self, mut found: StoredSpan) -> Result<StoredSpan, StoreError> {
        if found.span.links.is_empty() {
            return Ok(found);
        }
        let links = std::mem::take(&mut found.span.links);
        let mut described = Vec::with_capacity(links.len());
        for link in links {
            let cause = match reference(&link.trace_id, &link.span_id) {
                Some(id) => self.cause(id)?,
                None => Cause::Named,
            };
            described.push(cause == Cause::Seen);
            if cause == Cause::Hidden {
                found.span.dropped_links_count = found.span.dropped_links_count.saturating_add(1);
            } else {
                found.span.links.push(link);
            }
        }
        // The first links, in words, in the same order.
        let name = semconv::AGENTSIGHT_CAUSES.as_str();
        for attribute in found.span.attributes.iter_mut().filter(|attribute| attribute.key == name) {
            let value = attribute.value.as_mut().and_then(|value| value.value.as_mut());
            if let Some(any_value::Value::ArrayValue(texts)) = value {
                let mut places = described.iter();
                texts.values.retain(|_| places.next().copied().unwrap_or(false));
            }
        }
        let is_empty = |value: &AnyValue| match &value.value {
            Some(any_value::Value::ArrayValue(texts)) => texts.values.is_empty(),
            _ => false,
        };
        let says_nothing = |attribute: &KeyValue| attribute.value.as_ref().is_none_or(is_empty);
        found.span.attributes.retain(|attribute| attribute.key != name || !says_nothing(attribute));
        Ok(found)
    }

    fn cause(&mut self, id: SpanRef) -> Result<Cause, StoreError> {
        if let Some(known) = self.causes.get(&id) {
            return Ok(*known);
        }
        let cause = match self.store.spans(&[id])?.first() {
            None => Cause::Named,
            // A claim of the user's own process: that it is true is not said.
            Some(found) if !self.owns_session_of(&found.span)? => Cause::Named,
            Some(found) => match self.party(&found.span)? {
                Party::Own => Cause::Seen,
                Party::Other if reduce(found).is_some() => Cause::Named,
                Party::Other => Cause::Hidden,
            },
        };
        forget_much(&mut self.causes);
        self.causes.insert(id, cause);
        Ok(cause)
    }
}

/// A question that goes through millions of spans must not fill the daemon's memory.
fn forget_much<K, V>(known: &mut HashMap<K, V>) {
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
}

fn session_of(span: &Span) -> Option<SessionId> {
    SessionId::try_from(Facts::of(span).session?.to_owned()).ok()
}

/// The users that an image became while it ran, as far as this span of it tells.
pub(super) fn became(span: &Span) -> impl Iterator<Item = i64> {
    let told = span.events.iter().flat_map(|event| &event.attributes);
    told.filter(|attribute| attribute.key == semconv::PROCESS_USER_ID.as_str())
        .filter_map(|attribute| attribute.value.as_ref().and_then(facts::int))
}

/// A continuation of an image is linked to it; everything else hangs below.
fn next_to_image(span: &Span) -> Option<SpanRef> {
    let facts = Facts::of(span);
    if (facts.object, facts.action) != (Some(object_type::PROCESS), Some(action::CONTINUE)) {
        return parent_of(span);
    }
    let link = span.links.iter().find(|link| edge_type(link) == link_type::SEGMENT)?;
    reference(&link.trace_id, &link.span_id)
}

impl ImageKey {
    pub(super) fn of(span: &Span) -> Option<Self> {
        let said = |name: semconv::Name| facts::attribute(span, name.as_str());
        Some(Self {
            session: session_of(span)?,
            pid: facts::int(said(semconv::PROCESS_PID)?)?,
            start: facts::text(said(semconv::AGENTSIGHT_PROCESS_START)?)?.to_owned(),
            exec: facts::int(said(semconv::AGENTSIGHT_PROCESS_EXEC_NUMBER)?)?,
        })
    }
}
