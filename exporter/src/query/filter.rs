//! Which spans are asked for. A source narrows the choice as it can; this is the last word on each span.

use agentsight_ebpf::WallNanos;
use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};

use super::action::Kind;
use super::glob::Glob;
use crate::facts::Facts;
use crate::session::SessionId;
use crate::store::{Narrow, StoredSpan};

/// Conditions that all must hold; within a list, one of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Began at this moment or later.
    pub from: Option<WallNanos>,
    /// Began at this moment or earlier.
    pub until: Option<WallNanos>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Of one of these processes.
    pub pids: Vec<i64>,
    /// Of an image with one of these names.
    pub executables: Vec<Glob>,
    /// One of these actions or groups.
    pub kinds: Vec<Kind>,
    /// About one of these objects.
    pub objects: Vec<&'static str>,
    /// With one of these paths.
    pub paths: Vec<Glob>,
    /// With one of these at the other end.
    pub hosts: Vec<Host>,
    /// How it ended.
    pub status: Option<Status>,
    /// With these attributes.
    pub attributes: Vec<(String, String)>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Its name or address; any, where none is given.
    pub name: Option<Glob>,
    /// Its port; any, where none is given.
    pub port: Option<u16>,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not in an error.
    Ok,
    /// In an error.
    Error,
}

impl Filter {
    /// Whether a span is asked for.
    #[must_use]
    pub fn takes(&self, found: &StoredSpan) -> bool {
        let span = &found.span;
        let facts = Facts::of(span);
        let start = WallNanos(span.start_time_unix_nano);
        let any = |text: Option<&str>, globs: &[Glob]| {
            globs.is_empty() || text.is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
        };
        self.from.is_none_or(|from| from <= start)
            && self.until.is_none_or(|until| start <= until)
            && self.trace.is_none_or(|trace| span.trace_id == trace.to_bytes())
            && self.session.is_none_or(|session| facts.session == Some(session.to_string().as_str()))
            && (self.pids.is_empty() || facts.pid.is_some_and(|pid| self.pids.contains(&pid)))
            && any(facts.executable, &self.executables)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.takes(facts.object, facts.action)))
            && (self.objects.is_empty() || facts.object.is_some_and(|object| self.objects.contains(&object)))
            && any(facts.path, &self.paths)
            && (self.hosts.is_empty() || self.hosts.iter().any(|host| host.takes(&facts)))
            && self.status.is_none_or(|status| (status == Status::Error) == facts.failed)
            && self.attributes.iter().all(|(name, value)| {
                let of_resource = || value_of(&found.resource.attributes, name);
                value_of(&span.attributes, name).or_else(of_resource).is_some_and(|given| says(given, value))
            })
    }

    /// As much of it as the store's columns know.
    #[must_use]
    pub fn narrow(&self) -> Narrow {
        let mut objects = self.objects.clone();
        let mut actions = Vec::new();
        if objects.is_empty() && self.kinds.iter().all(|kind| !kind.objects.is_empty()) {
            objects = self.kinds.iter().flat_map(|kind| kind.objects).copied().collect();
        }
        if self.kinds.iter().all(|kind| !kind.actions.is_empty()) {
            actions = self.kinds.iter().flat_map(|kind| kind.actions).copied().collect();
        }
        let host = only(&self.hosts);
        Narrow {
            from: self.from,
            until: self.until,
            session: self.session,
            owner: None,
            pid: only(&self.pids).copied(),
            executable: only(&self.executables).and_then(Glob::exact).map(str::to_owned),
            objects,
            actions,
            path: only(&self.paths).map(|glob| glob.known().clone()),
            host: host.and_then(|host| host.name.as_ref()?.exact()).map(str::to_owned),
            port: host.and_then(|host| host.port).map(i64::from),
            failed: self.status == Some(Status::Error),
            lossy: false,
        }
    }
}

impl Host {
    fn takes(&self, facts: &Facts<'_>) -> bool {
        let is_named = |glob: &Glob| [facts.host, facts.peer].into_iter().flatten().any(|name| glob.matches(name));
        let is_remote = facts.host.is_some() || facts.peer.is_some();
        is_remote
            && self.name.as_ref().is_none_or(is_named)
            && self.port.is_none_or(|port| facts.port == Some(port.into()))
    }
}

fn only<T>(list: &[T]) -> Option<&T> {
    if let [one] = list { Some(one) } else { None }
}

fn value_of<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a AnyValue> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()
}

/// Whether an attribute's value is what somebody typed; of a list, one of its values.
fn says(given: &AnyValue, typed: &str) -> bool {
    match &given.value {
        Some(any_value::Value::StringValue(text)) => text == typed,
        Some(any_value::Value::IntValue(number)) => typed.parse() == Ok(*number),
        Some(any_value::Value::DoubleValue(number)) => typed.parse() == Ok(*number),
        Some(any_value::Value::BoolValue(truth)) => typed.parse() == Ok(*truth),
        Some(any_value::Value::ArrayValue(list)) => list.values.iter().any(|value| says(value, typed)),
        _ => false,
    }
}
