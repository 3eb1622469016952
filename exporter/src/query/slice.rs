//! `why` and `impact`: everything that led to a span, and everything that it led to, over parents and links.
//!
//! What is reached by exact edges alone is found first, then what takes one `flow` ("may have"), then what takes two. So
//! each span stands where its best evidence is. A span that several edges lead to is there once; all edges are kept.

use std::collections::{HashMap, HashSet};
use std::mem;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, link_type, object_type};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;

use super::memory::{causes_of, id_of, parent_of, reference};
use super::source::{Source, SourceError};
use crate::facts::{self, Facts};
use crate::session::SpanRef;
use crate::store::StoredSpan;

mod evidence;
mod gap;

pub use evidence::Evidence;
pub use gap::{Gap, Loss};

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the causes.
    Why,
    /// To the effects.
    Impact,
}

/// How far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// Edges from the focus.
    pub depth: u32,
    /// Spans.
    pub spans: usize,
    /// Edges below this confidence are not followed.
    pub confidence: f64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { depth: 100, spans: 2_000, confidence: 0.0 }
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// What was asked about.
    pub focus: Vec<SpanRef>,
    /// The spans, the focus first, then in the order in which they were reached.
    pub nodes: Vec<Node>,
    /// All edges between them that were followed.
    pub edges: Vec<Edge>,
    /// Where the evidence has gaps.
    pub gaps: Vec<Gap>,
    /// There is more, beyond the reach that was asked for.
    pub cut: bool,
}

/// A span of the slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: SpanRef,
    /// The span.
    pub found: StoredSpan,
    /// Edges between it and the focus, on the best way.
    pub depth: u32,
    /// How many of them are `flow`.
    pub flows: u32,
    /// The last edge of that way, by its place in [`Slice::edges`]; `None` for the focus.
    pub via: Option<usize>,
}

/// An edge, from a cause to its effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// What led to it.
    pub cause: SpanRef,
    /// What it led to.
    pub effect: SpanRef,
    /// `agentsight.link.type`, or `parent`, or `part` between a connection and its bursts.
    pub kind: String,
    /// 1 is seen, less is inferred.
    pub confidence: f64,
    /// Bytes that went along it.
    pub bytes: Option<i64>,
    /// From the cause's end to the effect's start, nanoseconds; negative where they overlap.
    pub lag_nanos: i64,
    /// A traced program said so, not the kernel.
    pub asserted: bool,
    /// Bytes of the cause that were found again in the effect.
    pub evidence: Option<Evidence>,
}

/// From here on a `flow` whose bytes were found again is taken for seen.
const FOUND: f64 = 0.95;

/// The kind of the edge from a span to those that it started.
pub const PARENT: &str = "parent";
/// The kind of the edge between a connection that is asked about and its bursts.
pub const PART: &str = "part";

impl Edge {
    /// It says "may": a `flow` that is not proved by its bytes.
    #[must_use]
    pub fn is_flow(&self) -> bool {
        self.kind == link_type::FLOW && (self.evidence.is_none() || self.confidence < FOUND)
    }
}

/// `agentsight.link.type`; of another program's link `link`.
#[must_use]
pub fn edge_type(link: &Link) -> &str {
    let is_type = |name: &str| name == semconv::AGENTSIGHT_LINK_TYPE.as_str();
    let value = link.attributes.iter().find(|attribute| is_type(&attribute.key)).and_then(|it| it.value.as_ref());
    value.and_then(facts::text).unwrap_or("link")
}

/// Everything that led to these spans, or that they led to.
///
/// # Errors
/// When the source cannot be asked.
pub fn slice(source: &mut dyn Source, focus: &[SpanRef], way: Way, reach: Reach) -> Result<Slice, SourceError> {
    let mut walk = Walk { way, reach, slice: Slice::default(), places: HashMap::new(), missing: HashSet::new() };
    let mut found = source.spans(focus)?;
    found.sort_by_key(|found| found.span.start_time_unix_nano);
    let mut frontier = walk.begin(found);
    frontier.extend(walk.parts(source)?);
    // Behind one more `flow`: for later, unless an exact way leads there too.
    let mut later: Vec<Step> = Vec::new();
    while !frontier.is_empty() {
        let steps = match way {
            Way::Why => walk.backward(source, &frontier)?,
            Way::Impact => walk.forward(source, &frontier)?,
        };
        let (flows, exact): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| step.edge.is_flow());
        later.extend(flows);
        frontier = walk.take(exact);
        if frontier.is_empty() {
            frontier = walk.take(mem::take(&mut later));
        }
    }
    walk.slice.gaps = gap::gaps(source, &walk.slice.nodes, &walk.missing)?;
    Ok(walk.slice)
}

struct Walk {
    way: Way,
    reach: Reach,
    slice: Slice,
    places: HashMap<SpanRef, usize>,
    /// Spans that an edge names and that the source does not have, with the kind of the edge.
    missing: HashSet<(SpanRef, String)>,
}

/// An edge to be taken, and what it leads to.
struct Step {
    edge: Edge,
    from: usize,
    to: SpanRef,
    found: StoredSpan,
}

impl Walk {
    fn begin(&mut self, found: Vec<StoredSpan>) -> Vec<usize> {
        let mut places = Vec::new();
        for found in found {
            let Some(id) = id_of(&found.span) else { continue };
            self.slice.focus.push(id);
            places.extend(self.node(id, found, 0, 0, None));
        }
        places
    }

    /// The bursts of a connection that is asked about: what went over it is what it is about.
    fn parts(&mut self, source: &mut dyn Source) -> Result<Vec<usize>, SourceError> {
        let is_connection = |node: &&Node| {
            let facts = Facts::of(&node.found.span);
            facts.object != Some(object_type::PROCESS) && matches!(facts.action, Some(action::CONNECT | action::ACCEPT))
        };
        let connections: Vec<SpanRef> = self.slice.nodes.iter().filter(is_connection).map(|node| node.id).collect();
        // Forward they come as its children.
        if self.way == Way::Impact || connections.is_empty() {
            return Ok(Vec::new());
        }
        let mut steps = Vec::new();
        for found in source.children(&connections)? {
            let (Some(id), Some(parent)) = (id_of(&found.span), parent_of(&found.span)) else { continue };
            let Some(from) = self.places.get(&parent).copied() else { continue };
            let effect = self.slice.nodes[from].found.span.clone();
            let edge = Edge { lag_nanos: 0, ..edge(PART, id, &found.span, parent, &effect) };
            steps.push(Step { edge, from, to: id, found });
        }
        Ok(self.take(steps))
    }

    fn backward(&mut self, source: &mut dyn Source, frontier: &[usize]) -> Result<Vec<Step>, SourceError> {
        let mut edges: Vec<(usize, Edge)> = Vec::new();
        for &place in frontier {
            let node = &self.slice.nodes[place];
            let span = &node.found.span;
            let is_part = node.via.is_some_and(|via| self.slice.edges[via].kind == PART);
            // Why a burst of the connection: not because of the connection that brought us here.
            if let Some(parent) = parent_of(span).filter(|_| !is_part) {
                let mut edge = edge(PARENT, parent, span, node.id, span);
                if let Some(confidence) = facts::attribute(span, semconv::AGENTSIGHT_PARENT_CONFIDENCE.as_str()) {
                    edge.confidence = facts::number(confidence).unwrap_or(1.0);
                }
                edges.push((place, edge));
            }
            for link in &span.links {
                let Some(cause) = reference(&link.trace_id, &link.span_id) else { continue };
                // What happened to an image while it ran did not start it, nor what it had done by then.
                let is_influence = matches!(edge_type(link), link_type::JOIN | link_type::SIGNAL);
                if node.depth > 0 && is_influence {
                    continue;
                }
                edges.push((place, edge_of(link, cause, span, node.id, span)));
            }
        }
        let edges = self.merged(edges);
        let wanted: Vec<SpanRef> = distinct(edges.iter().map(|(_, edge)| edge.cause));
        let found: HashMap<SpanRef, StoredSpan> =
            source.spans(&wanted)?.into_iter().filter_map(|found| Some((id_of(&found.span)?, found))).collect();
        let mut steps = Vec::new();
        for (from, mut edge) in edges {
            let Some(cause) = found.get(&edge.cause) else {
                self.missing.insert((edge.cause, edge.kind));
                continue;
            };
            let effect = &self.slice.nodes[from].found.span;
            edge.lag_nanos = lag(&cause.span, effect, &edge.kind);
            steps.push(Step { to: edge.cause, edge, from, found: cause.clone() });
        }
        Ok(steps)
    }

    fn forward(&mut self, source: &mut dyn Source, frontier: &[usize]) -> Result<Vec<Step>, SourceError> {
        let ids: Vec<SpanRef> = frontier.iter().map(|place| self.slice.nodes[*place].id).collect();
        let within: HashSet<SpanRef> = ids.iter().copied().collect();
        let mut edges = Vec::new();
        let mut found = HashMap::new();
        for child in source.children(&ids)? {
            let (Some(id), Some(parent)) = (id_of(&child.span), parent_of(&child.span)) else { continue };
            let Some(from) = self.places.get(&parent).copied() else { continue };
            edges.push((from, edge(PARENT, parent, &self.slice.nodes[from].found.span, id, &child.span)));
            found.insert(id, child);
        }
        for effect in source.effects(&ids)? {
            let Some(id) = id_of(&effect.span) else { continue };
            for link in &effect.span.links {
                let cause = reference(&link.trace_id, &link.span_id).filter(|cause| within.contains(cause));
                let Some((cause, from)) = cause.and_then(|cause| Some((cause, *self.places.get(&cause)?))) else {
                    continue;
                };
                edges.push((from, edge_of(link, cause, &self.slice.nodes[from].found.span, id, &effect.span)));
            }
            found.insert(id, effect);
        }
        let mut steps = Vec::new();
        for (from, edge) in self.merged(edges) {
            let Some(found) = found.get(&edge.effect) else { continue };
            steps.push(Step { to: edge.effect, edge, from, found: found.clone() });
        }
        Ok(steps)
    }

    /// Between the same two spans an `exec` or another link says more than that one is the other's parent.
    fn merged(&self, edges: Vec<(usize, Edge)>) -> Vec<(usize, Edge)> {
        let linked: HashSet<(SpanRef, SpanRef)> = edges
            .iter()
            .filter(|(_, edge)| edge.kind != PARENT && !edge.is_flow())
            .map(|(_, edge)| (edge.cause, edge.effect))
            .collect();
        edges
            .into_iter()
            .filter(|(_, edge)| edge.kind != PARENT || !linked.contains(&(edge.cause, edge.effect)))
            .filter(|(_, edge)| edge.confidence >= self.reach.confidence)
            .collect()
    }

    /// Takes steps, the surest first; says which spans are new.
    fn take(&mut self, mut steps: Vec<Step>) -> Vec<usize> {
        steps.sort_by(|one, other| {
            other.edge.confidence.total_cmp(&one.edge.confidence).then_with(|| {
                let start = |step: &Step| step.found.span.start_time_unix_nano;
                start(one).cmp(&start(other))
            })
        });
        let mut fresh = Vec::new();
        for Step { edge, from, to, found } in steps {
            let (depth, flows) = (self.slice.nodes[from].depth + 1, self.slice.nodes[from].flows);
            let is_known = self.places.contains_key(&to);
            if !is_known && (depth > self.reach.depth || self.slice.nodes.len() >= self.reach.spans) {
                self.slice.cut = true;
                continue;
            }
            let flows = flows + u32::from(edge.is_flow());
            let via = self.slice.edges.len();
            self.slice.edges.push(edge);
            fresh.extend(self.node(to, found, depth, flows, Some(via)));
        }
        fresh
    }

    fn node(&mut self, id: SpanRef, found: StoredSpan, depth: u32, flows: u32, via: Option<usize>) -> Option<usize> {
        if self.places.contains_key(&id) {
            return None;
        }
        let place = self.slice.nodes.len();
        self.places.insert(id, place);
        self.slice.nodes.push(Node { id, found, depth, flows, via });
        Some(place)
    }
}

/// Between two spans of which one may not be known yet; its time comes later then.
fn edge(kind: &str, cause: SpanRef, cause_span: &Span, effect: SpanRef, effect_span: &Span) -> Edge {
    let lag_nanos = lag(cause_span, effect_span, kind);
    Edge {
        cause,
        effect,
        kind: kind.to_owned(),
        confidence: 1.0,
        bytes: None,
        lag_nanos,
        asserted: false,
        evidence: None,
    }
}

fn edge_of(link: &Link, cause: SpanRef, cause_span: &Span, effect: SpanRef, effect_span: &Span) -> Edge {
    let value = |name: semconv::Name| {
        link.attributes.iter().find(|attribute| attribute.key == name.as_str()).and_then(|it| it.value.as_ref())
    };
    let kind = edge_type(link);
    Edge {
        // A link of another program says nothing of how sure it is: it was asserted.
        confidence: value(semconv::AGENTSIGHT_LINK_CONFIDENCE).and_then(facts::number).unwrap_or(1.0),
        bytes: value(semconv::AGENTSIGHT_LINK_BYTES).and_then(facts::int),
        asserted: kind == "link" || kind == link_type::EXPLICIT || value(semconv::AGENTSIGHT_ASSERTED).is_some(),
        evidence: Evidence::of(link),
        ..edge(kind, cause, cause_span, effect, effect_span)
    }
}

/// A parent goes on while its child runs, so what counts is when it began.
fn lag(cause: &Span, effect: &Span, kind: &str) -> i64 {
    let signed = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
    let from = if kind == PARENT { cause.start_time_unix_nano } else { cause.end_time_unix_nano };
    signed(effect.start_time_unix_nano).saturating_sub(signed(from))
}

fn distinct(ids: impl Iterator<Item = SpanRef>) -> Vec<SpanRef> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).collect()
}

/// Whether one of a span's links leads to another.
#[must_use]
pub fn is_caused_by(effect: &Span, cause: SpanRef) -> bool {
    causes_of(effect).any(|found| found == cause)
}
