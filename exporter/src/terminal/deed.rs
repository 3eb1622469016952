//! What images did beside starting others: what they read and wrote, whom they talked to, what they changed.
//!
//! Spans of the same kind on the same object are one deed. All is taken from the spans; none of it is escaped yet.

use std::collections::{BTreeMap, HashMap};

use agentsight_ebpf::WallNanos;
use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, file_kind, object_type};

use super::attribute::{int, text};
use super::family::Family;
use super::object::base;
use crate::session::SpanRef;
use crate::spans::model::{Link, Span, SpanEvent};

/// One thing that an image did.
pub(super) struct Deed<'a> {
    pub(super) kind: Kind<'a>,
    /// Its spans, the first of them first; of a change the image's own.
    pub(super) spans: Vec<&'a Span>,
    /// Bytes in and out.
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) at: WallNanos,
    /// `error.type`, of what failed.
    pub(super) error: Option<&'a str>,
}

/// What kind of thing.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// Bursts on a file, pipe, unix socket, terminal or unconnected socket.
    Read,
    Write,
    /// A connection with its bursts.
    Connect,
    Accept,
    Resolve,
    /// A span event of the image.
    Change(&'a SpanEvent),
}

/// How much a deed tells of why things happened; the most telling first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Telling {
    Failed,
    Network,
    /// It follows from what another process did.
    Caused,
    Rights,
    Written,
    Changed,
    Talk,
    Read,
    Little,
}

/// The deeds of all images.
pub(super) struct Deeds<'a> {
    /// By the image's place in the family, in order of time.
    of: BTreeMap<usize, Vec<Deed<'a>>>,
    spans: HashMap<SpanRef, &'a Span>,
    owners: HashMap<Identity<'a>, usize>,
    /// Who reads what a span wrote: the spans that link to it.
    readers: HashMap<SpanRef, Vec<&'a Span>>,
    /// Who gave a file a path, by its last part.
    renames: HashMap<&'a str, Vec<Rename<'a>>>,
}

struct Rename<'a> {
    at: WallNanos,
    path: &'a str,
    by: usize,
}

/// Process id, start and exec number: which image a span is of.
type Identity<'a> = (i64, &'a str, i64);

/// What makes two spans of an image one deed.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Object { is_write: bool, object: &'a str, id: Option<&'a str>, path: Option<&'a str>, number: Option<i64> },
    Connection(SpanRef),
    Name(&'a str),
    Event(usize),
}

impl<'a> Deeds<'a> {
    pub(super) fn of(spans: &'a [Span], family: &Family<'a>) -> Self {
        let mut deeds = Self {
            of: BTreeMap::new(),
            renames: HashMap::new(),
            spans: spans.iter().map(|span| (span.id, span)).collect(),
            owners: family
                .members
                .iter()
                .enumerate()
                .filter_map(|(place, member)| Some((identity(member.span)?, place)))
                .collect(),
            readers: HashMap::new(),
        };
        let mut found: HashMap<(usize, Key<'a>), Deed<'a>> = HashMap::new();
        for span in spans {
            for link in &span.links {
                deeds.readers.entry(link.to).or_default().push(span);
            }
            if let Some(owner) = deeds.owner(span) {
                deeds.note(owner, span, &mut found);
            }
        }
        for ((owner, _), deed) in found {
            deeds.of.entry(owner).or_default().push(deed);
        }
        for list in deeds.of.values_mut() {
            for deed in list.iter_mut() {
                deed.spans.sort_by_key(|span| (span.start, span.id.span_id.to_bytes()));
            }
            list.sort_by_key(|deed| (deed.at, deed.spans.first().map(|span| span.id.span_id.to_bytes())));
        }
        deeds
    }

    /// What the image at this place of the family did, in order of time.
    pub(super) fn by(&self, place: usize) -> &[Deed<'a>] {
        self.of.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The place of the image that a span is of.
    pub(super) fn owner(&self, span: &'a Span) -> Option<usize> {
        self.owners.get(&identity(span)?).copied()
    }

    /// The span that a link points at, where it is here.
    pub(super) fn cause(&self, link: &Link) -> Option<&'a Span> {
        self.spans.get(&link.to).copied()
    }

    /// The spans that link to this one.
    pub(super) fn effects(&self, span: &Span) -> &[&'a Span] {
        self.readers.get(&span.id).map_or(&[], Vec::as_slice)
    }

    /// The image that gave a file this path, between two moments.
    pub(super) fn renamer(&self, path: &str, after: WallNanos, before: WallNanos) -> Option<usize> {
        let is_it =
            |it: &&Rename<'_>| (it.path == path || !it.path.starts_with('/')) && (after..=before).contains(&it.at);
        self.renames.get(base(path))?.iter().filter(is_it).max_by_key(|it| it.at).map(|it| it.by)
    }

    /// The connection that a burst is of, or the burst itself.
    pub(super) fn connection_of(&self, span: &'a Span) -> &'a Span {
        let parent = span.parent.map(|span_id| SpanRef { trace_id: span.id.trace_id, span_id });
        let parent = parent.and_then(|parent| self.spans.get(&parent)).copied();
        parent.filter(|parent| is_connection(parent)).unwrap_or(span)
    }

    /// How much a deed tells.
    pub(super) fn telling(&self, place: usize, deed: &Deed<'a>) -> Telling {
        if deed.error.is_some() {
            return deed.telling_of_failure();
        }
        let from_another = |link: &Link| {
            let is_data = !matches!(link_type(link), Some("flow" | "join" | "signal"));
            is_data && self.cause(link).and_then(|cause| self.owner(cause)).is_some_and(|owner| owner != place)
        };
        let object = deed.object();
        let is_talk = matches!(object, object_type::PIPE | object_type::UNIX);
        match deed.kind {
            Kind::Connect | Kind::Accept | Kind::Resolve => Telling::Network,
            Kind::Read | Kind::Write if matches!(object, object_type::UDP | object_type::TCP | object_type::IP) => {
                Telling::Network
            }
            Kind::Read | Kind::Write if object == object_type::TTY || deed.is_on_device() => Telling::Little,
            Kind::Read | Kind::Write if !is_talk && deed.links().any(from_another) => Telling::Caused,
            Kind::Read | Kind::Write if is_talk => Telling::Talk,
            Kind::Write => Telling::Written,
            Kind::Read => Telling::Read,
            Kind::Change(event) => telling_of_change(event),
        }
    }

    fn note(&mut self, owner: usize, span: &'a Span, found: &mut HashMap<(usize, Key<'a>), Deed<'a>>) {
        let object = text(&span.attributes, semconv::AGENTSIGHT_OBJECT_TYPE).unwrap_or_default();
        if object == object_type::PROCESS {
            for event in &span.events {
                let error = text(&event.attributes, semconv::ERROR_TYPE);
                if let Some(path) = text(&event.attributes, semconv::AGENTSIGHT_FILE_NEW_PATH)
                    && event.name == semconv::RENAME
                    && error.is_none()
                {
                    self.renames.entry(base(path)).or_default().push(Rename { at: event.at, path, by: owner });
                }
                // As many as there are so far: no two events find the same number of deeds.
                let key = Key::Event(found.len());
                let mut deed = Deed::new(Kind::Change(event), span);
                (deed.at, deed.error) = (event.at, error);
                found.insert((owner, key), deed);
            }
            return;
        }
        let bytes = |name| int(&span.attributes, name).and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        let moved = bytes(semconv::AGENTSIGHT_IO_BYTES);
        match text(&span.attributes, semconv::AGENTSIGHT_ACTION) {
            Some(action @ (action::READ | action::WRITE)) => {
                let is_write = action == action::WRITE;
                let connection = self.connection_of(span);
                let (key, kind) = if is_connection(connection) {
                    (Key::Connection(connection.id), kind_of_connection(connection))
                } else {
                    let path = text(&span.attributes, semconv::FILE_PATH);
                    let id = text(&span.attributes, semconv::AGENTSIGHT_FILE_ID)
                        .or_else(|| text(&span.attributes, semconv::NETWORK_PEER_ADDRESS));
                    let number = int(&span.attributes, semconv::AGENTSIGHT_SOCKET_INODE)
                        .or_else(|| int(&span.attributes, semconv::NETWORK_PEER_PORT));
                    let kind = if is_write { Kind::Write } else { Kind::Read };
                    (Key::Object { is_write, object, id, path, number }, kind)
                };
                let deed = found.entry((owner, key)).or_insert_with(|| Deed::new(kind, span));
                deed.add(span);
                let sum = if is_write { &mut deed.sent } else { &mut deed.received };
                *sum = sum.saturating_add(moved);
            }
            Some(action::CONNECT | action::ACCEPT) => {
                let key = (owner, Key::Connection(span.id));
                let deed = found.entry(key).or_insert_with(|| Deed::new(kind_of_connection(span), span));
                deed.add(span);
                deed.error = text(&span.attributes, semconv::ERROR_TYPE);
            }
            Some(action::RESOLVE) => {
                let name = text(&span.attributes, semconv::DNS_QUESTION_NAME).unwrap_or_default();
                let deed = found.entry((owner, Key::Name(name))).or_insert_with(|| Deed::new(Kind::Resolve, span));
                deed.add(span);
                deed.error = deed.error.or_else(|| text(&span.attributes, semconv::ERROR_TYPE));
            }
            _ => {}
        }
    }
}

impl<'a> Deed<'a> {
    fn new(kind: Kind<'a>, span: &'a Span) -> Self {
        let spans = if matches!(kind, Kind::Change(_)) { vec![span] } else { Vec::new() };
        Self { kind, spans, received: 0, sent: 0, at: span.start, error: None }
    }

    fn add(&mut self, span: &'a Span) {
        self.spans.push(span);
        self.at = self.at.min(span.start);
    }

    /// `agentsight.object.type`.
    pub(super) fn object(&self) -> &'a str {
        let of = |span: &&'a Span| text(&span.attributes, semconv::AGENTSIGHT_OBJECT_TYPE);
        self.spans.first().and_then(of).unwrap_or_default()
    }

    /// Looking for what is not there is how programs find their way, and trying one call before another too.
    fn telling_of_failure(&self) -> Telling {
        match self.kind {
            Kind::Change(event) if telling_of_change(event) == Telling::Rights => Telling::Failed,
            Kind::Change(_) => Telling::Little,
            Kind::Read | Kind::Write | Kind::Connect | Kind::Accept | Kind::Resolve => Telling::Failed,
        }
    }

    /// Of `/dev/null` and its like, which keep nothing.
    fn is_on_device(&self) -> bool {
        let kind = self.spans.first().and_then(|span| text(&span.attributes, semconv::AGENTSIGHT_FILE_KIND));
        kind == Some(file_kind::CHARACTER_DEVICE)
    }

    /// Links of all its spans; an image's are none of a change.
    pub(super) fn links(&self) -> impl Iterator<Item = &'a Link> + use<'a, '_> {
        let spans = self.spans.iter().filter(|_| !matches!(self.kind, Kind::Change(_)));
        spans.flat_map(|span| &span.links)
    }
}

fn telling_of_change(event: &SpanEvent) -> Telling {
    match event.name.as_str() {
        "rename" | "unlink" | "link" | "symlink" | "truncate" => Telling::Changed,
        "mkdir" | "rmdir" | "fallocate" | "bind" | "listen" | "mmap" => Telling::Little,
        "connect" => Telling::Talk,
        _ => Telling::Rights,
    }
}

/// `agentsight.link.type`.
pub(super) fn link_type(link: &Link) -> Option<&str> {
    text(&link.attributes, semconv::AGENTSIGHT_LINK_TYPE)
}

fn is_connection(span: &Span) -> bool {
    matches!(text(&span.attributes, semconv::AGENTSIGHT_ACTION), Some(action::CONNECT | action::ACCEPT))
}

fn kind_of_connection<'a>(span: &Span) -> Kind<'a> {
    match text(&span.attributes, semconv::AGENTSIGHT_ACTION) {
        Some(action::ACCEPT) => Kind::Accept,
        _ => Kind::Connect,
    }
}

fn identity(span: &Span) -> Option<Identity<'_>> {
    let pid = int(&span.attributes, semconv::PROCESS_PID)?;
    let start = text(&span.attributes, semconv::AGENTSIGHT_PROCESS_START)?;
    Some((pid, start, int(&span.attributes, semconv::AGENTSIGHT_PROCESS_EXEC_NUMBER)?))
}
