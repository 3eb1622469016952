//! Where is asked: the store of this machine, a copy of one, or a backend.
//!
//! A user's own sessions through the daemon's socket belong here as one more way, when there is a daemon to ask.

use std::fs::File;

use agentsight::caller::Caller;
use agentsight::query::backend::{Jaeger, Tempo, TracesOf};
use agentsight::query::moment::Clock;
use agentsight::query::words::{self, Words};
use agentsight::query::{Question, Source, StoreSource};
use agentsight::session::SpanRef;
use agentsight::store::{Store, StoreError, chosen_dir};
use agentsight_ebpf::WallNanos;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use opentelemetry::trace::{SpanId, TraceId};

use super::{PlaceArgs, Trouble};

/// A place that answers.
pub(super) enum Place {
    Store(Box<Store>),
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
        let store = match &args.store {
            Some(path) => {
                // Root by sudo reads what the user could read, no more.
                let refused = |source| {
                    StoreError::Place(agentsight::store::PlaceError::Io { doing: "open", path: path.clone(), source })
                };
                let caller = Caller::find().map_err(|error| Trouble::Unclear(error.to_string()))?;
                let opened = caller.with_rights(|| File::open(path)).map_err(|errno| refused(errno.into()))?;
                opened.map_err(|error| Trouble::Unclear(format!("{} cannot be read: {error}", path.display())))?;
                Store::open_copy(path)?
            }
            None => {
                let dir = chosen_dir();
                Store::open_existing(&dir)?.ok_or(Trouble::NoStore(dir))?
            }
        };
        Ok(Self::Store(Box::new(store)))
    }

    pub(super) fn source(&self) -> Result<Box<dyn Source + '_>, Trouble> {
        Ok(match self {
            Self::Store(store) => Box::new(StoreSource::new(store)),
            Self::Backend(BackendKind::Jaeger, url) => Box::new(TracesOf::new(Jaeger::new(url)?)),
            Self::Backend(BackendKind::Tempo, url) => Box::new(TracesOf::new(Tempo::new(url, clock().now)?)),
        })
    }

    /// For what only the store knows.
    pub(super) fn store(&self) -> Result<&Store, Trouble> {
        match self {
            Self::Store(store) => Ok(store),
            Self::Backend(..) => Err(Trouble::Unclear(
                "only the store can be asked that: of a backend, ask with query, why or impact, and write whole ids"
                    .to_owned(),
            )),
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
            let newest = self.store()?.sessions(1)?.into_iter().next();
            let newest = newest.ok_or_else(|| Trouble::NotFound("there is no session yet".to_owned()))?;
            return Ok(newest.session.id.to_string());
        }
        let found =
            if is_beginning(given, 32) { self.store()?.sessions_like(&given.to_lowercase())? } else { Vec::new() };
        only("session", given, &found).map(|id| id.to_string())
    }

    /// The whole id of a trace.
    pub(super) fn trace(&self, given: &str) -> Result<TraceId, Trouble> {
        if let (Self::Backend(..), Ok(id)) = (self, words::trace(given)) {
            return Ok(id);
        }
        let found =
            if is_beginning(given, 32) { self.store()?.traces_like(&given.to_lowercase())? } else { Vec::new() };
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
        let found = if is_beginning(given, 16) { self.store()?.spans_like(&given.to_lowercase())? } else { Vec::new() };
        only("span", given, &found).copied()
    }
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
