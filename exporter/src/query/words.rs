//! A question as it was typed, on a command line or in a URL, and what it means.

use opentelemetry::trace::{SpanId, TraceId};
use serde::{Deserialize, Serialize};

use agentsight_semconv::value::object_type;

use super::action::Kind;
use super::ask::{Cursor, CursorError, Question};
use super::filter::{Filter, Host, Status};
use super::glob::{Glob, GlobError};
use super::moment::{Clock, MomentError, rfc3339};
use super::subtree::Subtree;
use crate::session::{SessionId, SpanRef};
use crate::store::{Direction, SortKey};

/// The words. Lists hold alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Words {
    /// Began so long ago or later, or at this moment or later.
    pub since: Option<String>,
    /// Began at this moment or earlier.
    pub until: Option<String>,
    /// Process ids.
    pub pid: Vec<String>,
    /// Names of executables.
    pub exe: Vec<String>,
    /// A process, or a span, whose descendants count.
    pub subtree: Option<String>,
    /// Actions and groups.
    pub action: Vec<String>,
    /// Kinds of objects.
    pub object: Vec<String>,
    /// Patterns of paths.
    pub path: Vec<String>,
    /// Names, addresses, with or without a port.
    pub host: Vec<String>,
    /// Ports.
    pub port: Vec<String>,
    /// A session's id.
    pub session: Option<String>,
    /// A trace's id.
    pub trace: Option<String>,
    /// `ok` or `error`.
    pub status: Option<String>,
    /// `NAME=VALUE`, all of which must hold.
    pub attribute: Vec<String>,
    /// `start`, `end`, `duration` or `bytes`, with a minus for the largest first.
    pub sort: Option<String>,
    /// How many spans.
    pub limit: Option<String>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A word that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A time.
    #[error(transparent)]
    Moment(#[from] MomentError),
    /// A pattern.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A cursor.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// A number.
    #[error("{name} {given:?} is no number that can be")]
    Number {
        /// The parameter.
        name: &'static str,
        /// What was typed.
        given: String,
    },
    /// A limit of nothing, or of more than may be.
    #[error("limit {given}: from 1 to {most} spans can be asked for at a time")]
    Limit {
        /// What was typed.
        given: String,
        /// The largest.
        most: usize,
    },
    /// An action.
    #[error("there is no action {given:?}: there are {known}")]
    Action {
        /// What was typed.
        given: String,
        /// The names.
        known: String,
    },
    /// An object.
    #[error("there is no object {given:?}: there are {known}")]
    Object {
        /// What was typed.
        given: String,
        /// The names.
        known: String,
    },
    /// A trace or session id.
    #[error("{name} {given:?} is no id: it is 32 hex digits")]
    Id {
        /// The parameter.
        name: &'static str,
        /// What was typed.
        given: String,
    },
    /// A span.
    #[error("{0:?} is no span: write its trace id, a colon and its span id (32 and 16 hex digits)")]
    Span(String),
    /// An attribute.
    #[error("attribute {0:?} is not NAME=VALUE")]
    Attribute(String),
    /// A status.
    #[error("status {0:?} is neither ok nor error")]
    Status(String),
    /// An order.
    #[error("sort {0:?} is none of start, end, duration and bytes, or one of them with a minus before it")]
    Sort(String),
}

/// So many spans make one page at most.
pub const LIMIT_MAX: usize = 100_000;

impl Words {
    /// The words for a question that was asked in words once: whoever reads them, whenever and in whatever zone, asks the same.
    #[must_use]
    pub fn of(question: &Question) -> Self {
        let Question { filter, subtree, sort, direction, limit, cursor } = question;
        let texts = |globs: &[Glob]| globs.iter().map(|glob| glob.text().to_owned()).collect();
        let key = match sort {
            SortKey::Start => "start",
            SortKey::End => "end",
            SortKey::Duration => "duration",
            SortKey::Bytes => "bytes",
        };
        let sign = if *direction == Direction::Descending { "-" } else { "" };
        let named = filter.hosts.iter().filter_map(|host| Some((host.name.as_ref()?.text(), host.port)));
        let nameless = filter.hosts.iter().filter(|host| host.name.is_none()).filter_map(|host| host.port);
        Self {
            since: filter.from.map(rfc3339),
            until: filter.until.map(rfc3339),
            pid: filter.pids.iter().map(ToString::to_string).collect(),
            exe: texts(&filter.executables),
            subtree: subtree.as_ref().map(|subtree| match subtree {
                Subtree::Process(pid) => pid.to_string(),
                Subtree::Span(id) => format!("{}:{}", id.trace_id, id.span_id),
            }),
            action: filter.kinds.iter().filter_map(Kind::name).map(str::to_owned).collect(),
            object: filter.objects.iter().map(|object| (*object).to_owned()).collect(),
            path: texts(&filter.paths),
            host: named.map(|(name, port)| host_in_words(name, port)).collect(),
            port: nameless.map(|port| port.to_string()).collect(),
            session: filter.session.map(|session| session.to_string()),
            trace: filter.trace.map(|trace| trace.to_string()),
            status: filter.status.map(|status| if status == Status::Ok { "ok" } else { "error" }.to_owned()),
            attribute: filter.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            sort: Some(format!("{sign}{key}")),
            limit: Some(limit.clamp(&1, &LIMIT_MAX).to_string()),
            cursor: cursor.map(|cursor| cursor.to_string()),
        }
    }

    /// What is asked, where sessions and traces are named by their whole ids.
    ///
    /// # Errors
    /// The first word that means nothing.
    pub fn question(&self, clock: &Clock) -> Result<Question, WordError> {
        let (sort, direction) = self.sort.as_deref().map_or(Ok(Default::default()), sort)?;
        let limit = match &self.limit {
            None => Question::default().limit,
            Some(given) => {
                let limit = given.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| WordError::Limit { given: given.clone(), most: LIMIT_MAX })?
            }
        };
        Ok(Question {
            filter: self.filter(clock)?,
            subtree: self.subtree.as_deref().map(subtree).transpose()?,
            sort,
            direction,
            limit,
            cursor: self.cursor.as_deref().map(str::parse::<Cursor>).transpose()?,
        })
    }

    fn filter(&self, clock: &Clock) -> Result<Filter, WordError> {
        let moment = |text: &Option<String>| text.as_deref().map(|text| clock.moment(text)).transpose();
        Ok(Filter {
            from: moment(&self.since)?,
            until: moment(&self.until)?,
            session: self.session.as_deref().map(session).transpose()?,
            trace: self.trace.as_deref().map(trace).transpose()?,
            pids: all(&self.pid, |pid| pid.parse().map_err(|_| number("pid", pid)))?,
            executables: all(&self.exe, |exe| Ok(Glob::name(exe)?))?,
            kinds: all(&self.action, |name| {
                Kind::parse(name).ok_or_else(|| WordError::Action { given: name.to_owned(), known: Kind::names() })
            })?,
            objects: all(&self.object, |name| {
                let known = object_type::ALL.iter().find(|object| **object == name).copied();
                known.ok_or_else(|| WordError::Object { given: name.to_owned(), known: object_type::ALL.join(", ") })
            })?,
            paths: all(&self.path, |path| Ok(Glob::path(path)?))?,
            hosts: self.hosts()?,
            status: match self.status.as_deref() {
                None => None,
                Some("ok") => Some(Status::Ok),
                Some("error") => Some(Status::Error),
                Some(other) => return Err(WordError::Status(other.to_owned())),
            },
            attributes: all(&self.attribute, |given| {
                let pair = given.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = pair.ok_or_else(|| WordError::Attribute(given.to_owned()))?;
                Ok((name.to_owned(), value.to_owned()))
            })?,
        })
    }

    /// Every host with every port.
    fn hosts(&self) -> Result<Vec<Host>, WordError> {
        let mut hosts = all(&self.host, host)?;
        if self.port.is_empty() {
            return Ok(hosts);
        }
        if hosts.is_empty() {
            hosts.push(Host { name: None, port: None });
        }
        let ports: Vec<u16> = all(&self.port, |port| port.parse().map_err(|_| number("port", port)))?;
        let with = |port: &u16| {
            let port = *port;
            hosts.iter().map(move |host| Host { port: Some(port), ..host.clone() }).collect::<Vec<_>>()
        };
        Ok(ports.iter().flat_map(with).collect())
    }
}

/// A span's whole id: trace, colon (or slash), span.
///
/// # Errors
/// When it is none.
pub fn span(text: &str) -> Result<SpanRef, WordError> {
    let failed = || WordError::Span(text.to_owned());
    let (trace, span) = text.split_once([':', '/']).ok_or_else(failed)?;
    let is_whole = trace.len() == 32 && span.len() == 16;
    let ids = is_whole.then(|| Some((TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?))).flatten();
    ids.map(|(trace_id, span_id)| SpanRef { trace_id, span_id }).ok_or_else(failed)
}

fn all<T>(words: &[String], read: impl Fn(&str) -> Result<T, WordError>) -> Result<Vec<T>, WordError> {
    words.iter().map(|word| read(word)).collect()
}

fn number(name: &'static str, given: &str) -> WordError {
    WordError::Number { name, given: given.to_owned() }
}

fn subtree(text: &str) -> Result<Subtree, WordError> {
    match text.parse() {
        Ok(pid) => Ok(Subtree::Process(pid)),
        Err(_) => span(text).map(Subtree::Span),
    }
}

/// A session's whole id.
///
/// # Errors
/// When it is none.
pub fn session(text: &str) -> Result<SessionId, WordError> {
    let id = SessionId::try_from(text.to_owned());
    id.map_err(|_| WordError::Id { name: "session", given: text.to_owned() })
}

/// A trace's whole id.
///
/// # Errors
/// When it is none.
pub fn trace(text: &str) -> Result<TraceId, WordError> {
    let id = TraceId::from_hex(text).ok().filter(|_| text.len() == 32);
    id.ok_or_else(|| WordError::Id { name: "trace", given: text.to_owned() })
}

/// `api.example.com`, `api.example.com:443`, `10.0.0.7:443`, `::1`, `[::1]:443`, `*.example.com`.
fn host(text: &str) -> Result<Host, WordError> {
    let named = |name: &str, port| Ok(Host { name: Some(Glob::name(name)?), port });
    let port = |text: &str| text.parse::<u16>().map_err(|_| number("port", text));
    // A glob knows brackets too: only an address stands in them here.
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(given) => named(address, Some(port(given)?)),
            None => named(address, None),
        };
    }
    match text.rsplit_once(':') {
        Some((name, given)) if !name.contains(':') => named(name, Some(port(given)?)),
        _ => named(text, None),
    }
}

/// What [`host`] reads as this; what has colons of its own stands in brackets.
fn host_in_words(name: &str, port: Option<u16>) -> String {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"))
}

fn sort(text: &str) -> Result<(SortKey, Direction), WordError> {
    let (name, direction) = match text.strip_prefix('-') {
        Some(name) => (name, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    let key = match name {
        "start" => SortKey::Start,
        "end" => SortKey::End,
        "duration" => SortKey::Duration,
        "bytes" => SortKey::Bytes,
        _ => return Err(WordError::Sort(text.to_owned())),
    };
    Ok((key, direction))
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::WallNanos;
    use jiff::tz::TimeZone;

    use super::*;

    fn question(words: Words) -> Result<Question, WordError> {
        words.question(&Clock { now: WallNanos(1_790_000_000_000_000_000), zone: TimeZone::UTC })
    }

    fn hosts(host: &[&str], port: &[&str]) -> Vec<Host> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        question(Words { host: owned(host), port: owned(port), ..Words::default() }).unwrap().filter.hosts
    }

    #[test]
    fn hosts_are_read_with_and_without_ports() {
        let of = |name: &str, port| Host { name: Some(Glob::name(name).unwrap()), port };
        assert_eq!(hosts(&["api.example.com"], &[]), [of("api.example.com", None)]);
        assert_eq!(
            hosts(&["10.0.0.7:443", "[::1]:80", "::1"], &[]),
            [of("10.0.0.7", Some(443)), of("::1", Some(80)), of("::1", None)]
        );
        assert_eq!(hosts(&["a"], &["1", "2"]), [of("a", Some(1)), of("a", Some(2))]);
        assert_eq!(hosts(&[], &["53"]), [Host { name: None, port: Some(53) }]);
    }

    #[test]
    fn a_question_in_words_again_is_the_same_question_at_any_time_and_in_any_zone() {
        let many = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        let all = Words {
            since: some("1h"),
            until: some("today"),
            pid: many(&["1", "-2"]),
            exe: many(&["python*", "sh"]),
            subtree: some("12"),
            action: many(&["network", "exec", "ipc"]),
            object: many(&["tcp", "file"]),
            path: many(&["/etc/**", "*.json"]),
            host: many(&["api.example.com", "10.0.0.7:443", "[::1]:80", "fe80::1"]),
            session: some(&"5e".repeat(16)),
            trace: some(&"ab".repeat(16)),
            status: some("error"),
            attribute: many(&["a=b=c", "n=1"]),
            sort: some("-duration"),
            limit: some("7"),
            cursor: some(&"01".repeat(16)),
            ..Words::default()
        };
        let span = format!("{}:{}", "ab".repeat(16), "cd".repeat(8));
        let others = [
            Words::default(),
            Words { port: many(&["53", "443"]), ..Words::default() },
            Words { host: many(&["a"]), port: many(&["1", "2"]), subtree: some(&span), ..Words::default() },
            Words { status: some("ok"), sort: some("bytes"), ..Words::default() },
        ];
        let elsewhere = Clock { now: WallNanos(1), zone: TimeZone::fixed(jiff::tz::offset(5)) };
        for words in others.into_iter().chain([all]) {
            let asked = question(words).unwrap();
            assert_eq!(Words::of(&asked).question(&elsewhere), Ok(asked));
        }
    }

    #[test]
    fn words_that_mean_nothing_are_refused_with_what_would() {
        let one = |text: &str| vec![text.to_owned()];
        let some = |text: &str| Some(text.to_owned());
        for (words, told) in [
            (Words { pid: one("1; DROP TABLE span"), ..Words::default() }, "no number"),
            (Words { action: one("' OR 1=1"), ..Words::default() }, "network, file"),
            (Words { object: one("fifo"), ..Words::default() }, "pipe"),
            (Words { since: some("soon"), ..Words::default() }, "5m"),
            (Words { limit: some("0"), ..Words::default() }, "from 1 to"),
            (Words { limit: some("100001"), ..Words::default() }, "from 1 to"),
            (Words { cursor: some("zz"), ..Words::default() }, "no cursor"),
            (Words { session: some("last"), ..Words::default() }, "32 hex digits"),
            (Words { trace: some("../../etc/passwd"), ..Words::default() }, "32 hex digits"),
            (Words { subtree: some("12:34"), ..Words::default() }, "no span"),
            (Words { status: some("bad"), ..Words::default() }, "neither ok nor error"),
            (Words { sort: some("name"), ..Words::default() }, "duration"),
            (Words { attribute: one("=x"), ..Words::default() }, "NAME=VALUE"),
            (Words { port: one("70000"), ..Words::default() }, "no number"),
            (Words { path: one("/a/["), ..Words::default() }, "never closed"),
        ] {
            let refused = question(words.clone()).expect_err("it means nothing").to_string();
            assert!(refused.contains(told), "{words:?}: {refused}");
        }
    }
}
