//! A trace read as images, what they did, and the links between: the words that scenarios speak in.
//!
//! A span that only goes on with another (`exit`, `close`, `continue`) counts as that other one here.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::{Endpoint, ImagePattern, Object};
use super::image_name::{base_name, names};
use super::links::Link;
use crate::trace::{Span, Trace};

/// More spans than these never lie between a span and its image.
const DEEPEST: usize = 1000;
/// What is read and written below these is as if it were not there.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr/", "/etc/", "/proc/", "/sys/", "/dev/"];

/// A span by its place in the trace.
pub(super) type At = usize;

/// What a trace says.
#[derive(Debug)]
pub struct Account<'a> {
    pub(super) trace: &'a Trace,
    /// In the order of their start.
    pub(super) images: Vec<Image<'a>>,
    /// Every link.
    pub(super) links: Vec<Link<'a>>,
    by_id: BTreeMap<(&'a str, &'a str), At>,
    /// For each span the one that it goes on with, itself for most.
    principals: Vec<At>,
    /// For each span its image, by the image's place in `images`.
    owners: Vec<Option<usize>>,
}

/// An image.
#[derive(Debug)]
pub(super) struct Image<'a> {
    pub(super) span: &'a Span,
    /// Its own and those that go on with it.
    pub(super) spans: Vec<&'a Span>,
    pub(super) names: BTreeSet<String>,
    /// Its parent's place in `images`.
    pub(super) parent: Option<usize>,
}

impl<'a> Account<'a> {
    /// Reads a trace. Nothing that is wrong with it stops this: `broken_rules` says what is.
    #[must_use]
    pub fn of(trace: &'a Trace) -> Self {
        let mut by_id = BTreeMap::new();
        for (at, span) in trace.spans.iter().enumerate() {
            by_id.entry((span.trace_id.as_str(), span.id.as_str())).or_insert(at);
        }
        let mut account =
            Self { trace, images: Vec::new(), links: Vec::new(), by_id, principals: Vec::new(), owners: Vec::new() };
        account.principals = (0..trace.spans.len()).map(|at| account.principal_of(at)).collect();
        account.read_images();
        account.links = account.read_links();
        account
    }

    /// The span of this id, in this trace.
    pub(super) fn find(&self, trace_id: &str, id: &str) -> Option<At> {
        self.by_id.get(&(trace_id, id)).copied()
    }

    /// The parent's span.
    pub(super) fn parent(&self, at: At) -> Option<At> {
        let span = &self.trace.spans[at];
        self.find(&span.trace_id, span.parent.as_deref()?)
    }

    /// The span that this one goes on with; itself for most.
    pub(super) fn principal(&self, at: At) -> At {
        self.principals[at]
    }

    /// The image that a span is of, by its place in `images`.
    pub(super) fn owner(&self, at: At) -> Option<usize> {
        self.owners[at]
    }

    pub(super) fn span(&self, at: At) -> &'a Span {
        &self.trace.spans[at]
    }

    /// The images that match, by their place in `images`.
    pub(super) fn matches(&self, pattern: &ImagePattern) -> Vec<usize> {
        let of_name = |index: &usize| self.images[*index].names.contains(&pattern.name);
        let mut found = (0..self.images.len()).filter(of_name);
        match pattern.number {
            Some(number) => found.nth(number - 1).into_iter().collect(),
            None => found.collect(),
        }
    }

    /// What an image did on an object: spans of its own that begin something (none that go on), system paths left out.
    pub(super) fn doings(&self, image: usize, action: &str, object: &Object) -> Vec<At> {
        let is_it = |&at: &At| self.owners[at] == Some(image) && self.is_doing(at, action, object);
        (0..self.trace.spans.len()).filter(is_it).collect()
    }

    /// Whether a span is one end of a link that is claimed.
    pub(super) fn is_end(&self, at: At, endpoint: &Endpoint) -> bool {
        match &endpoint.doing {
            Some((action, object)) => self.is_doing(at, action, object),
            None => is_process(self.span(at)),
        }
    }

    fn is_doing(&self, at: At, action: &str, object: &Object) -> bool {
        let span = self.span(at);
        !is_process(span) && span.text("agentsight.action") == action && !is_system(span) && is_on(span, object)
    }

    fn principal_of(&self, at: At) -> At {
        let mut at = at;
        for _ in 0..DEEPEST {
            let span = self.span(at);
            let next = match span.text("agentsight.action") {
                "continue" => span.links.iter().find(|link| link.is("segment")).and_then(|link| self.end(link)),
                "exit" | "close" => self.parent(at),
                _ => None,
            };
            match next {
                Some(next) if next != at => at = next,
                _ => break,
            }
        }
        at
    }

    fn read_images(&mut self) {
        let mut heads: Vec<At> = (0..self.trace.spans.len())
            .filter(|&at| is_process(self.span(at)) && self.principal(at) == at)
            .filter(|&at| !["exit", "continue"].contains(&self.span(at).text("agentsight.action")))
            .collect();
        heads.sort_by_key(|&at| (self.span(at).start_nanos, &self.span(at).id));
        let place: BTreeMap<At, usize> = heads.iter().enumerate().map(|(index, &at)| (at, index)).collect();
        self.owners = (0..self.trace.spans.len()).map(|at| self.owner_of(at, &place)).collect();
        for at in heads {
            let span = self.span(at);
            let goes_on = |other: &At| self.principal(*other) == at && *other != at;
            let others = (0..self.trace.spans.len()).filter(goes_on).map(|other| self.span(other));
            let spans = std::iter::once(span).chain(others).collect();
            // A burst is nobody's parent.
            let parent = self.parent(at).filter(|&parent| is_process(self.span(parent)));
            let parent = parent.and_then(|parent| self.owners[parent]).filter(|&parent| self.images.len() != parent);
            self.images.push(Image { span, spans, names: names(span), parent });
        }
        // What was forked and has not exec'd answers to its parent's names, whether its span repeats them or not.
        for index in 0..self.images.len() {
            let is_bare = self.images[index].names.is_empty();
            let inherited =
                self.images[index].parent.filter(|_| is_bare).map(|parent| self.images[parent].names.clone());
            self.images[index].names.extend(inherited.into_iter().flatten());
        }
    }

    fn owner_of(&self, at: At, images: &BTreeMap<At, usize>) -> Option<usize> {
        let mut at = self.principal(at);
        for _ in 0..DEEPEST {
            if let Some(&image) = images.get(&at) {
                return Some(image);
            }
            at = self.principal(self.parent(at)?);
        }
        None
    }
}

/// Whether a span is about a process.
pub(super) fn is_process(span: &Span) -> bool {
    span.text("agentsight.object.type") == "process"
}

/// Whether what it read or wrote is below a folder that does not count.
pub(super) fn is_system(span: &Span) -> bool {
    let path = span.text("file.path");
    let first = path.split('/').nth(1).unwrap_or_default();
    let is_library = path.starts_with('/') && first.starts_with("lib");
    is_library || SYSTEM_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// Bytes that a burst moved.
pub(super) fn io_bytes(span: &Span) -> u64 {
    span.int("agentsight.io.bytes").and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

fn is_on(span: &Span, object: &Object) -> bool {
    let Object::Named(name) = object else { return true };
    let kind = span.text("agentsight.object.type");
    (kind == name && kind != "file") || base_name(span.text("file.path")) == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::made::Made;

    fn named(name: &str, number: Option<usize>) -> ImagePattern {
        ImagePattern { name: name.into(), number }
    }

    #[test]
    fn images_are_numbered_by_their_start() {
        let mut made = Made::default();
        let bash = made.image("bash", 1, None, 0..900);
        made.image("cat", 3, Some(bash), 500..600);
        made.image("cat", 2, Some(bash), 300..400);
        let account = Account::of(&made.trace);
        let second = account.matches(&named("cat", Some(2)));
        assert_eq!(
            second.iter().map(|&index| account.images[index].span.int("process.pid")).collect::<Vec<_>>(),
            [Some(3)]
        );
        assert_eq!(account.matches(&named("cat", None)).len(), 2);
        assert!(account.matches(&named("cat", Some(3))).is_empty());
    }

    #[test]
    fn what_goes_on_with_an_image_is_the_image() {
        let mut made = Made::default();
        let bash = made.image("bash", 1, None, 0..900);
        let exit = made.exit(bash, 0..2000);
        let cat = made.image("cat", 2, Some(exit), 100..200);
        let account = Account::of(&made.trace);
        assert_eq!(account.images.len(), 2, "an exit is no image");
        assert_eq!(account.owner(cat), Some(1));
        assert_eq!(account.images[1].parent, Some(0));
        assert_eq!(account.images[0].spans.len(), 2);
    }

    #[test]
    fn a_continuation_in_another_trace_stands_for_its_original() {
        let mut made = Made::default();
        let bash = made.image("bash", 1, None, 0..900);
        let again = made.continuation(bash, 800);
        let cat = made.image("cat", 2, Some(again), 810..820);
        let account = Account::of(&made.trace);
        let image = account.owner(cat).map(|index| &account.images[index]);
        assert_eq!(image.and_then(|image| image.parent), Some(0));
    }

    #[test]
    fn a_burst_below_a_connection_is_its_images() {
        let mut made = Made::default();
        let bash = made.image("bash", 1, None, 0..900);
        let connection = made.doing(bash, "tcp", "connect", "", 0, 100..800);
        let burst = made.doing(connection, "tcp", "write", "", 5, 200..300);
        let account = Account::of(&made.trace);
        assert_eq!(account.doings(0, "write", &Object::Named("tcp".into())), [burst]);
    }

    #[test]
    fn objects_go_by_base_name_or_kind_and_system_folders_do_not_count() {
        let mut made = Made::default();
        let cat = made.image("cat", 1, None, 0..900);
        made.doing(cat, "pipe", "read", "/tmp/d/f", 5, 1..2);
        for system in
            ["/usr/include/stdio.h", "/lib64/ld.so", "/lib/x", "/etc/passwd", "/proc/1/stat", "/sys/x", "/dev/null"]
        {
            made.doing(cat, "file", "read", system, 5, 1..2);
        }
        made.doing(cat, "file", "read", "/tmp/lib/x", 5, 1..2);
        let account = Account::of(&made.trace);
        let count = |name: &str| account.doings(0, "read", &Object::Named(name.into())).len();
        assert_eq!(
            [count("f"), count("pipe"), count("file"), count("x"), count("stdio.h"), count("tmp")],
            [1, 1, 0, 1, 0, 0]
        );
        assert_eq!(account.doings(0, "read", &Object::Any).len(), 2);
    }
}
