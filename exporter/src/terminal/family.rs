//! Who started whom, as far as finished spans tell.
//!
//! The spans may come from anywhere: an orphan is a root, a circle is cut, a repeated id is taken once. What continues
//! an image in a later trace is the image itself.

use std::collections::HashMap;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry::trace::SpanId;

use super::attribute::{int, text};
use crate::session::SpanRef;
use crate::spans::model::{Attribute, Span};

/// A process image, with the spans that it starts.
pub(super) struct Member<'a> {
    /// The image's span; its `exit`, where that is all there is.
    pub(super) span: &'a Span,
    /// The span that says how it ended, if it was promoted.
    exit: Option<&'a Span>,
    /// In order of start.
    pub(super) children: Vec<usize>,
    pub(super) parent: Option<usize>,
}

/// All images of a session.
pub(super) struct Family<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// Those that nobody here started, in order of start.
    pub(super) roots: Vec<usize>,
}

impl<'a> Family<'a> {
    pub(super) fn of(spans: &'a [Span]) -> Self {
        let is_process =
            |span: &&Span| text(&span.attributes, semconv::AGENTSIGHT_OBJECT_TYPE) == Some(object_type::PROCESS);
        let of_processes = || spans.iter().filter(is_process);
        let exits: Vec<_> = of_processes().filter(|span| does(span, action::EXIT)).collect();
        let images: Vec<_> =
            of_processes().filter(|span| !does(span, action::EXIT) && !does(span, action::CONTINUE)).collect();
        let continued: HashMap<SpanRef, SpanRef> = of_processes()
            .filter(|span| does(span, action::CONTINUE))
            .filter_map(|span| Some((span.id, linked(span, link_type::SEGMENT)?)))
            .collect();
        let parent_ref = |span: &Span| {
            let parent = parent_ref(span)?;
            Some(continued.get(&parent).copied().unwrap_or(parent))
        };
        let mut members: Vec<Member<'a>> = Vec::with_capacity(images.len());
        let mut places: HashMap<SpanRef, usize> = HashMap::new();
        for span in images {
            places.entry(span.id).or_insert_with(|| {
                members.push(Member { span, exit: None, children: Vec::new(), parent: None });
                members.len() - 1
            });
        }
        for exit in exits {
            match parent_ref(exit).and_then(|parent| places.get(&parent)) {
                Some(place) => members[*place].exit = Some(exit),
                None => members.push(Member { span: exit, exit: Some(exit), children: Vec::new(), parent: None }),
            }
        }
        for member in &mut members {
            let parent = parent_ref(member.span).and_then(|parent| places.get(&parent));
            member.parent = parent.or_else(|| places.get(&linked(member.span, link_type::LINEAGE)?)).copied();
        }
        let mut family = Self { members, roots: Vec::new() };
        family.cut_circles();
        family.join_children();
        family
    }

    /// Follow each chain of parents upwards, once; whoever meets their own descendant becomes a root.
    fn cut_circles(&mut self) {
        let mut walked = vec![None; self.members.len()];
        for first in 0..self.members.len() {
            let mut at = first;
            while walked[at].is_none() {
                walked[at] = Some(first);
                let Some(parent) = self.members[at].parent else { break };
                if walked[parent] == Some(first) {
                    self.members[at].parent = None;
                    break;
                }
                at = parent;
            }
        }
    }

    fn join_children(&mut self) {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|place| {
            let span = self.members[*place].span;
            (span.start, span.end, span.id.span_id.to_bytes())
        });
        for place in order {
            match self.members[place].parent {
                Some(parent) => self.members[parent].children.push(place),
                None => self.roots.push(place),
            }
        }
    }

    /// The member goes on with the process of its parent: it was exec'd.
    pub(super) fn replaces_parent(&self, place: usize) -> bool {
        let identity = |place: usize| {
            let attributes = &self.members[place].span.attributes;
            let start = text(attributes, semconv::AGENTSIGHT_PROCESS_START);
            int(attributes, semconv::PROCESS_PID).zip(start)
        };
        self.members[place]
            .parent
            .is_some_and(|parent| identity(parent).is_some() && identity(parent) == identity(place))
    }
}

impl<'a> Member<'a> {
    /// Its span, and the one that says how it ended.
    pub(super) fn spans(&self) -> impl Iterator<Item = &'a Span> + use<'a> {
        let exit = self.exit.filter(|exit| !std::ptr::eq(*exit, self.span));
        std::iter::once(self.span).chain(exit)
    }

    /// The span that knows the end: when, and how.
    pub(super) fn last(&self) -> &'a Span {
        self.exit.unwrap_or(self.span)
    }
}

fn does(span: &Span, action: &str) -> bool {
    text(&span.attributes, semconv::AGENTSIGHT_ACTION) == Some(action)
}

fn parent_ref(span: &Span) -> Option<SpanRef> {
    let parent = span.parent.filter(|parent| *parent != SpanId::INVALID)?;
    Some(SpanRef { trace_id: span.id.trace_id, span_id: parent })
}

/// The target of a link of this type: by lineage, the image that started this one, where the parent is a span of another program.
fn linked(span: &Span, link_type: &str) -> Option<SpanRef> {
    let is_such = |attributes: &[Attribute]| text(attributes, semconv::AGENTSIGHT_LINK_TYPE) == Some(link_type);
    span.links.iter().find(|link| is_such(&link.attributes)).map(|link| link.to)
}
