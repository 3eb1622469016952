//! Where is asked: the store of this machine, a copy of one, or a backend. Who may not open the store asks the daemon, which
//! answers about their own sessions.

use std::fs::File;

use agentsight::caller::Caller;
use agentsight::inquiry::{Asker, DaemonSource};
use agentsight::query::backend::{Jaeger, Tempo, TracesOf};
use agentsight::query::moment::Clock;
use agentsight::query::words::{self, Words};
use agentsight::query::{Question, Source, SourceError, StoreSource};
use agentsight::session::{SessionId, SpanRef, UserId};
use agentsight::spans::model::SpanContent;
use agentsight::store::{Door, Reader, Reading, Seq, SessionSummary, Store, StoreError, StoredSpan, chosen_dir};
use agentsight_ebpf::WallNanos;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use opentelemetry::trace::{SpanId, TraceId};

use super::{PlaceArgs, Trouble};

/// A place that answers.
pub(super) enum Place {
    /// The store of this machine.
    Store(Box<Store>),
    /// A copy of one.
    Copy(Box<Store>),
    /// The daemon of this machine.
    Daemon(Asker),
    /// The URL of its query service.
    Backend(BackendKind, String),
}

/// What can be asked in place of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackendKind {
    Jaeger,
    Tempo,
}

impl Place {
    pub(super) fn open(args: &PlaceArgs) -> Result<Self, Trouble> {
        if let Some(backend) = &args.backend {
            let is_url = |url: &str| url.starts_with("http://") || url.starts_with("https://");
            return match backend.split_once('=') {
                Some(("jaeger", url)) if is_url(url) => Ok(Self::Backend(BackendKind::Jaeger, url.to_owned())),
                Some(("tempo", url)) if is_url(url) => Ok(Self::Backend(BackendKind::Tempo, url.to_owned())),
                _ => Err(Trouble::Unclear(format!(
                    "{backend:?} is no backend that can be asked: write jaeger=http://HOST:16686 or tempo=http://HOST:3200, the URL of its query service"
                ))),
            };
        }
        match &args.store {
            Some(path) => {
                // Root by sudo reads what the user could read, no more.
                let refused = |source| {
                    StoreError::Place(agentsight::store::PlaceError::Io { doing: "open", path: path.clone(), source })
                };
                let caller = Caller::find().map_err(|error| Trouble::Unclear(error.to_string()))?;
                let opened = caller.with_rights(|| File::open(path)).map_err(|errno| refused(errno.into()))?;
                opened.map_err(|error| Trouble::Unclear(format!("{} cannot be read: {error}", path.display())))?;
                Ok(Self::Copy(Box::new(Store::open_copy(path)?)))
            }
            None => match own_store() {
                Ok(store) => Ok(Self::Store(Box::new(store))),
                Err(trouble) => ask_daemon(trouble),
            },
        }
    }

    pub(super) fn source(&self) -> Result<Box<dyn Source + '_>, Trouble> {
        Ok(match self {
            Self::Store(store) | Self::Copy(store) => Box::new(StoreSource::new(store)),
            Self::Daemon(asker) => Box::new(DaemonSource(asker)),
            Self::Backend(BackendKind::Jaeger, url) => Box::new(TracesOf::new(Jaeger::new(url)?)),
            Self::Backend(BackendKind::Tempo, url) => Box::new(TracesOf::new(Tempo::new(url, clock().now)?)),
        })
    }

    /// The newest sessions, newest first.
    pub(super) fn sessions(&self, limit: usize) -> Result<Vec<SessionSummary>, Trouble> {
        self.list(|store| store.sessions(limit), |asker| asker.sessions(limit))
    }

    /// A session's spans in the order in which they were stored, at most `limit`.
    pub(super) fn session_spans(&self, id: SessionId, limit: usize) -> Result<Vec<StoredSpan>, Trouble> {
        self.list(|store| store.session_spans(id, limit), |asker| asker.session_spans(id, limit))
    }

    /// A trace's spans in the order in which they were stored, at most `limit`.
    pub(super) fn trace_spans(&self, id: TraceId, limit: usize) -> Result<Vec<StoredSpan>, Trouble> {
        self.list(|store| store.trace(id, limit), |asker| asker.trace(id, limit))
    }

    /// The place of the span that was stored last.
    pub(super) fn last_stored(&self) -> Result<Seq, Trouble> {
        self.list(Store::last_stored, Asker::last_stored)
    }

    /// The spans that were stored behind a place, at most `limit`, and the place of the last that was looked at.
    pub(super) fn stored_since(&self, last: Seq, limit: usize) -> Result<(Vec<StoredSpan>, Seq), Trouble> {
        self.list(|store| store.stored_since(last, limit), |asker| asker.stored_since(last))
    }

    /// What a span moved. That it is read is written down first, by the daemon where that answers; of a copy nobody could.
    pub(super) fn content(&self, id: SpanRef) -> Result<Option<SpanContent>, Trouble> {
        if let Self::Store(store) = self {
            let user = Caller::find().map_or_else(|_| nix::unistd::Uid::current(), |caller| caller.uid());
            let by = Reader { user: UserId(user.as_raw()), door: Door::Command };
            store.log_reading(id, by, clock().now)?;
        }
        self.list(|store| store.content(id), |asker| asker.content(id))
    }

    /// Who has read what a span moved.
    pub(super) fn readings(&self, id: SpanRef) -> Result<Vec<Reading>, Trouble> {
        match self {
            Self::Daemon(_) => Err(Trouble::Unclear(
                "who has read contents is root's to know: use `sudo agentsight content --readers`".to_owned(),
            )),
            Self::Store(store) | Self::Copy(store) => Ok(store.readings(id)?),
            Self::Backend(..) => Err(only_of_a_store()),
        }
    }

    /// What only the store knows, or the daemon that has it.
    fn list<T>(
        &self,
        of_store: impl FnOnce(&Store) -> Result<T, StoreError>,
        of_daemon: impl FnOnce(&Asker) -> Result<T, SourceError>,
    ) -> Result<T, Trouble> {
        match self {
            Self::Store(store) | Self::Copy(store) => Ok(of_store(store)?),
            Self::Daemon(asker) => Ok(of_daemon(asker)?),
            Self::Backend(..) => Err(only_of_a_store()),
        }
    }

    /// Words to a question: the beginnings of ids, and `last`, are made whole.
    pub(super) fn question(&self, mut words: Words, clock: &Clock) -> Result<Question, Trouble> {
        if let Some(given) = words.session.take() {
            words.session = Some(self.session(&given)?);
        }
        if let Some(given) = words.trace.take() {
            words.trace = Some(self.trace(&given)?.to_string());
        }
        Ok(words.question(clock)?)
    }

    /// The whole id of a session.
    pub(super) fn session(&self, given: &str) -> Result<String, Trouble> {
        if let (Self::Backend(..), Ok(id)) = (self, words::session(given)) {
            return Ok(id.to_string());
        }
        if given == "last" {
            let newest = self.sessions(1)?.into_iter().next();
            let newest = newest.ok_or_else(|| Trouble::NotFound("there is no session yet".to_owned()))?;
            return Ok(newest.id.to_string());
        }
        let found = like(given, 32, |digits| {
            self.list(|store| store.sessions_like(digits, None), |asker| asker.sessions_like(digits))
        })?;
        only("session", given, &found).map(|id| id.to_string())
    }

    /// The whole id of a trace.
    pub(super) fn trace(&self, given: &str) -> Result<TraceId, Trouble> {
        if let (Self::Backend(..), Ok(id)) = (self, words::trace(given)) {
            return Ok(id);
        }
        let found = like(given, 32, |digits| {
            self.list(|store| store.traces_like(digits, None), |asker| asker.traces_like(digits))
        })?;
        only("trace", given, &found).map(|id| TraceId::from_bytes(*id))
    }

    /// The whole id of a span.
    pub(super) fn span(&self, given: &str) -> Result<SpanRef, Trouble> {
        if let Some((trace, span)) = given.split_once([':', '/']) {
            let trace_id = self.trace(trace)?;
            let whole = SpanId::from_hex(span).ok().filter(|_| span.len() == 16);
            let span_id =
                whole.ok_or_else(|| Trouble::Unclear(format!("{span:?} is no span id: it has 16 hex digits")))?;
            return Ok(SpanRef { trace_id, span_id });
        }
        let found = like(given, 16, |digits| {
            self.list(|store| store.spans_like(digits, None), |asker| asker.spans_like(digits))
        })?;
        only("span", given, &found).copied()
    }
}

fn only_of_a_store() -> Trouble {
    Trouble::Unclear(
        "only the store can be asked that: of a backend, ask with query, why or impact, and write whole ids".to_owned(),
    )
}

fn own_store() -> Result<Store, Trouble> {
    let dir = chosen_dir();
    Store::open_existing(&dir)?.ok_or(Trouble::NoStore(dir))
}

/// Root has the store itself; others, who may not even see whether there is one, have the daemon.
fn ask_daemon(trouble: Trouble) -> Result<Place, Trouble> {
    let is_for_daemon = trouble.is_refusal() || matches!(trouble, Trouble::NoStore(_));
    if nix::unistd::Uid::effective().is_root() || !is_for_daemon {
        return Err(trouble);
    }
    match Asker::find() {
        Ok(Some(asker)) => Ok(Place::Daemon(asker)),
        Ok(None) => Err(trouble),
        Err(why) => {
            eprintln!("agentsight: the daemon cannot be asked: {why}");
            Err(trouble)
        }
    }
}

/// What begins so, where that may be the beginning of an id.
fn like<T>(given: &str, digits: usize, find: impl FnOnce(&str) -> Result<Vec<T>, Trouble>) -> Result<Vec<T>, Trouble> {
    if is_beginning(given, digits) { find(&given.to_lowercase()) } else { Ok(Vec::new()) }
}

/// Fewer digits would often mean several.
const DIGITS_MIN: usize = 4;

fn is_beginning(given: &str, digits: usize) -> bool {
    (DIGITS_MIN..=digits).contains(&given.len()) && given.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn only<'a, T>(what: &str, given: &str, found: &'a [T]) -> Result<&'a T, Trouble> {
    match found {
        [one] => Ok(one),
        [] => Err(Trouble::NotFound(format!(
            "there is no {what} {given:?} here: write the beginning of its id, {DIGITS_MIN} hex digits or more"
        ))),
        _ => Err(Trouble::Unclear(format!("several {what}s begin with {given}: write more of the id"))),
    }
}

/// The present, and the zone of whoever asks.
pub(super) fn clock() -> Clock {
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    Clock { now: WallNanos(now), zone: TimeZone::system() }
}
