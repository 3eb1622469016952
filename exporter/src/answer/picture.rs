//! Spans and edges as pictures: Graphviz's dot, and mermaid. Arrows run from cause to effect.

use std::collections::HashMap;
use std::fmt::Write;

use crate::facts::Facts;
use crate::query::memory::{causes_of, id_of, parent_of};
use crate::query::slice::{Edge, PARENT, Slice, edge_type};
use crate::session::SpanRef;
use crate::store::StoredSpan;

/// What is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picture {
    nodes: Vec<(SpanRef, String)>,
    edges: Vec<Arrow>,
}

#[derive(Clone, Debug, PartialEq)]
struct Arrow {
    from: SpanRef,
    to: SpanRef,
    label: String,
    /// It says "may".
    is_flow: bool,
}

impl Picture {
    /// A slice.
    #[must_use]
    pub fn of_slice(slice: &Slice) -> Self {
        let arrow = |edge: &Edge| {
            let label =
                if edge.confidence < 1.0 { format!("{} {}", edge.kind, edge.confidence) } else { edge.kind.clone() };
            Arrow { from: edge.cause, to: edge.effect, label, is_flow: edge.is_flow() }
        };
        Self {
            nodes: slice.nodes.iter().map(|node| (node.id, label(&node.found))).collect(),
            edges: slice.edges.iter().map(arrow).collect(),
        }
    }

    /// Spans, with what joins them to each other.
    #[must_use]
    pub fn of_spans(spans: &[StoredSpan]) -> Self {
        let nodes: Vec<(SpanRef, String)> =
            spans.iter().filter_map(|found| Some((id_of(&found.span)?, label(found)))).collect();
        let known: HashMap<SpanRef, ()> = nodes.iter().map(|(id, _)| (*id, ())).collect();
        let mut edges = Vec::new();
        for found in spans {
            let Some(to) = id_of(&found.span) else { continue };
            let linked: Vec<SpanRef> = causes_of(&found.span).collect();
            if let Some(from) = parent_of(&found.span).filter(|from| known.contains_key(from) && !linked.contains(from))
            {
                edges.push(Arrow { from, to, label: PARENT.to_owned(), is_flow: false });
            }
            for (link, from) in found.span.links.iter().zip(linked).filter(|(_, from)| known.contains_key(from)) {
                let label = edge_type(link).to_owned();
                let is_flow = label == agentsight_semconv::value::link_type::FLOW;
                edges.push(Arrow { from, to, label, is_flow });
            }
        }
        Self { nodes, edges }
    }

    /// For Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = "digraph agentsight {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
        for (id, label) in &self.nodes {
            let _ = writeln!(text, "  \"{}\" [label={}];", key(*id), dot_text(label));
        }
        for arrow in &self.edges {
            let style = if arrow.is_flow { ", style=dashed" } else { "" };
            let label = dot_text(&arrow.label);
            let _ = writeln!(text, "  \"{}\" -> \"{}\" [label={label}{style}];", key(arrow.from), key(arrow.to));
        }
        text.push_str("}\n");
        text
    }

    /// For mermaid.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (id, label) in &self.nodes {
            let _ = writeln!(text, "  s{}[\"{}\"]", key(*id), mermaid_text(label));
        }
        for arrow in &self.edges {
            let line = if arrow.is_flow { "-.->" } else { "-->" };
            let label = mermaid_text(&arrow.label);
            let _ = writeln!(text, "  s{} {line}|\"{label}\"| s{}", key(arrow.from), key(arrow.to));
        }
        text
    }
}

fn key(id: SpanRef) -> String {
    // A span id alone is unique but for chance; a picture has no room for more.
    id.span_id.to_string()
}

fn label(found: &StoredSpan) -> String {
    let facts = Facts::of(&found.span);
    match (facts.executable, facts.pid) {
        (Some(executable), Some(pid)) => format!("{}\n{executable} {pid}", found.span.name),
        _ => found.span.name.clone(),
    }
}

fn dot_text(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push('\u{fffd}'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Entities for everything that mermaid or the page around it could take for its own.
fn mermaid_text(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("<br/>"),
            c if c.is_alphanumeric() || " ._-/:".contains(c) => quoted.push(c),
            c if c.is_control() => quoted.push('\u{fffd}'),
            c => {
                let _ = write!(quoted, "#{};", u32::from(c));
            }
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::{found, span};

    #[test]
    fn no_name_of_a_traced_program_gets_out_of_its_quotes() {
        let odd = "a\"]; x -> y [label=\"\\\n<script>alert(1)</script>\u{1b}[2J";
        let picture = Picture::of_spans(&[found(span(1, 0, odd, (0, 1)))]);
        let dot = picture.dot();
        assert!(dot.contains(r#"[label="a\"]; x -> y [label=\"\\\n<script>"#) && !dot.contains('\u{1b}'), "{dot}");
        let mermaid = picture.mermaid();
        let label = mermaid.split_once("[\"").and_then(|(_, rest)| rest.split_once("\"]")).unwrap().0;
        assert!(
            !label.contains(['"', '<', ']', '\u{1b}']) || label.replace("<br/>", "").find('<').is_none(),
            "{mermaid}"
        );
        assert!(mermaid.contains("#60;script#62;"), "{mermaid}");
    }
}
