//! One question of one user, answered from the store: bounded in what it may ask, in what an answer holds, and in time.

use std::ops::ControlFlow;
use std::time::Duration;

use opentelemetry::trace::TraceId;
use prost::Message;

use super::content::{Whose, whose};
use super::sight::Sight;
use super::wire::{Inquiry, Listed, Moved, Next, Reply, Spans, WireId};
use crate::query::moment::Clock;
use crate::query::words::{WordError, Words};
use crate::query::{Cursor, Question, Source, SourceError, StoreSource};
use crate::session::{SessionId, SpanRef, UserId};
use crate::store::{Part, Store, StoreError, StoredSpan};

/// For one answer.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Spans on one page, or bytes of them (and one span more); whoever asks goes on with the next.
const PAGE_SPANS: usize = 500;
const PAGE_BYTES: usize = 1 << 20;
/// Spans, or bytes of them or of contents, in an answer that has no pages. A trace has 8,000.
const STEP_SPANS: usize = 10_000;
const STEP_BYTES: usize = 32 << 20;
/// New spans at a time, whoever's: they are looked at four times a second.
const NEW_SPANS: usize = 200;
/// Ids in one question.
const IDS_MAX: usize = 1_000;
/// Sessions in one list.
const SESSIONS_MAX: usize = 1_000;
/// Words of one kind: each pattern may take a mebibyte of memory.
const WORDS_MAX: usize = 32;

/// A question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("the question is malformed: {0}")]
    Malformed(&'static str),
    #[error(
        "whether this process stayed yours to its end is not known (it may still run, or its end was not seen): root may read what it moved, by `sudo agentsight content`"
    )]
    MayBeAnothers,
    #[error(transparent)]
    Word(#[from] WordError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this user is told.
pub(crate) fn answer(store: &Store, user: UserId, inquiry: Inquiry) -> Result<Reply, Trouble> {
    let owner = Some(user).filter(|user| *user != UserId::ROOT);
    let source = StoreSource::within(store, TIME_LIMIT).of_owner(owner).at_most(STEP_SPANS);
    let mut own = Own { source, sight: Sight::of(store, user) };
    Ok(match inquiry {
        Inquiry::Sessions { limit } => Reply::Sessions(sessions(store, owner, &mut own, limit)?),
        Inquiry::SessionsLike { beginning } => {
            Reply::SessionIds(store.sessions_like(&hex_digits(&beginning, 32)?, owner)?)
        }
        Inquiry::TracesLike { beginning } => Reply::TraceIds(store.traces_like(&hex_digits(&beginning, 32)?, owner)?),
        Inquiry::SpansLike { beginning } => {
            let found = store.spans_like(&hex_digits(&beginning, 16)?, owner)?;
            // Of those the user may see none at all of some.
            Reply::SpanIds(own.spans(&found)?.iter().filter_map(id_of).collect())
        }
        Inquiry::Spans { ids } => step(&own.spans(&references(&ids)?)?)?,
        Inquiry::Children { of } => step(&own.children(&references(&of)?)?)?,
        Inquiry::Effects { of } => step(&own.effects(&references(&of)?)?)?,
        Inquiry::Lossy { sessions } if sessions.len() > IDS_MAX => return Err(Trouble::Malformed("too many sessions")),
        Inquiry::Lossy { sessions } => step(&own.lossy(&sessions)?)?,
        Inquiry::Search { words } => Reply::Spans(search(&mut own, &words)?),
        Inquiry::Trace { id, after } => {
            Reply::Spans(own.part(store.trace_part(TraceId::from_bytes(id), after, (PAGE_SPANS, PAGE_BYTES))?)?)
        }
        Inquiry::Session { id, .. } if !own.sight.owns(id)? => Reply::Spans(Spans::default()),
        Inquiry::Session { id, after } => {
            Reply::Spans(own.part(store.session_part(id, after, (PAGE_SPANS, PAGE_BYTES))?)?)
        }
        Inquiry::Content { of } => Reply::Content(content(store, &mut own.sight, of.into())?),
        Inquiry::LastStored => Reply::Place(store.last_stored()?),
        Inquiry::StoredSince { after } => {
            let (found, last) = store.stored_since(after, NEW_SPANS)?;
            let seen = own.sight.look_at_all(found)?;
            Reply::Spans(whole(&seen)?.going_on(Some(Next::Behind(last))))
        }
    })
}

/// The store, as far as one user sees it.
struct Own<'s> {
    source: StoreSource<'s>,
    sight: Sight<'s>,
}

impl Own<'_> {
    fn part(&mut self, Part { spans, next }: Part) -> Result<Spans, Trouble> {
        let mut seen = Vec::new();
        for found in spans {
            self.source.check()?;
            seen.extend(self.sight.look(found)?);
        }
        Ok(whole(&seen)?.going_on(next.map(Next::Behind)))
    }
}

impl Source for Own<'_> {
    fn spans(&mut self, ids: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        let found = self.source.spans(ids)?;
        Ok(self.sight.look_at_all(found)?)
    }

    fn children(&mut self, parents: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        let found = self.source.children(parents)?;
        Ok(self.sight.look_at_all(found)?)
    }

    fn effects(&mut self, causes: &[SpanRef]) -> Result<Vec<StoredSpan>, SourceError> {
        let found = self.source.effects(causes)?;
        Ok(self.sight.look_at_all(found)?)
    }

    fn search(
        &mut self,
        question: &Question,
        visit: &mut dyn FnMut(StoredSpan) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let (source, sight) = (&mut self.source, &mut self.sight);
        let mut failed = None;
        // The filter comes after this: what is hidden cannot be found out by asking for it.
        source.search(question, &mut |found| match sight.look(found) {
            Ok(Some(seen)) => visit(seen),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn lossy(&mut self, sessions: &[SessionId]) -> Result<Vec<StoredSpan>, SourceError> {
        let mut seen = Vec::new();
        for session in sessions {
            if self.sight.owns(*session)? {
                let found = self.source.lossy(&[*session])?;
                seen.extend(self.sight.look_at_all(found)?);
            }
        }
        Ok(seen)
    }
}

fn sessions(store: &Store, owner: Option<UserId>, own: &mut Own<'_>, limit: usize) -> Result<Vec<Listed>, Trouble> {
    let mut listed = Vec::new();
    for mut summary in store.sessions_of(owner, limit.min(SESSIONS_MAX))? {
        own.source.check()?;
        let root = summary.root.take().map(|root| own.sight.look(root)).transpose()?.flatten();
        listed.push(Listed::of(&summary, root.as_ref()));
    }
    Ok(listed)
}

/// What a span moved, where that is the user's to know.
fn content(store: &Store, sight: &mut Sight<'_>, id: SpanRef) -> Result<Option<Box<Moved>>, Trouble> {
    let Some(found) = store.spans(&[id])?.pop() else { return Ok(None) };
    let whose = whose(sight, &found.span)?;
    if whose == Whose::Others {
        return Ok(None);
    }
    let Some(content) = store.content(id)? else { return Ok(None) };
    if whose == Whose::NotKnown {
        return Err(Trouble::MayBeAnothers);
    }
    if content.bytes.len() > STEP_BYTES {
        let told =
            "these contents have more bytes than the daemon answers with: `sudo agentsight content` has no such limit";
        return Err(SourceError::TooMuch(told.to_owned()).into());
    }
    Ok(Some(Box::new(Moved::pack(content))))
}

fn search(own: &mut Own<'_>, words: &Words) -> Result<Spans, Trouble> {
    let lists =
        [&words.pid, &words.exe, &words.action, &words.object, &words.path, &words.host, &words.port, &words.attribute];
    if lists.iter().any(|list| list.len() > WORDS_MAX) {
        return Err(Trouble::Malformed("too many words of one kind: 32 are enough"));
    }
    if words.subtree.is_some() {
        return Err(Trouble::Malformed("a subtree is found step by step"));
    }
    // Moments come as what they are, not as how long ago.
    let clock = Clock { now: agentsight_ebpf::WallNanos(0), zone: jiff::tz::TimeZone::UTC };
    let question = words.question(&clock)?;
    let (mut spans, mut bytes, mut more) = (Vec::new(), 0, false);
    own.search(&question, &mut |found| {
        if !question.filter.takes(&found) {
            return ControlFlow::Continue(());
        }
        if spans.len() >= question.limit.min(PAGE_SPANS) || bytes >= PAGE_BYTES {
            more = true;
            return ControlFlow::Break(());
        }
        bytes += found.span.encoded_len();
        spans.push(found);
        ControlFlow::Continue(())
    })?;
    let next = spans.last().filter(|_| more).map(|last| Cursor::behind(&last.span, question.sort).to_string());
    Ok(whole(&spans)?.going_on(next.map(Next::Cursor)))
}

/// An answer that has no pages.
fn step(found: &[StoredSpan]) -> Result<Reply, Trouble> {
    whole(found).map(Reply::Spans)
}

fn whole(found: &[StoredSpan]) -> Result<Spans, Trouble> {
    let packed = Spans::pack(found, STEP_BYTES);
    if packed.len() < found.len() {
        let told = "one step of this question has more bytes than the daemon answers with: ask about less";
        return Err(SourceError::TooMuch(told.to_owned()).into());
    }
    Ok(packed)
}

fn references(ids: &[WireId]) -> Result<Vec<SpanRef>, Trouble> {
    if ids.len() > IDS_MAX {
        return Err(Trouble::Malformed("too many ids"));
    }
    Ok(ids.iter().copied().map(SpanRef::from).collect())
}

fn id_of(found: &StoredSpan) -> Option<WireId> {
    crate::query::memory::id_of(&found.span).map(WireId::from)
}

/// What becomes a pattern of SQLite's holds nothing else.
fn hex_digits(beginning: &str, most: usize) -> Result<String, Trouble> {
    let are_digits = beginning.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !are_digits || !(4..=most).contains(&beginning.len()) {
        return Err(Trouble::Malformed("this is not how an id begins"));
    }
    Ok(beginning.to_lowercase())
}
