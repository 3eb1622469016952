//! The links of a trace, and what they say went from one process to another.

use std::collections::BTreeSet;

use super::account::{Account, At};
use crate::flow::Flow;
use crate::trace::{self, Value};

/// Links that say that one process' bytes became another's. (`copy` is one call's; `shm` and `flow` say "may".)
const BETWEEN_PROCESSES: [&str; 5] = ["file", "pipe", "unix", "tcp", "udp"];

/// A link. Both ends are those that the spans named by it go on with.
#[derive(Debug)]
pub(super) struct Link<'a> {
    pub(super) link_type: &'a str,
    /// `None` where the trace has no such span.
    pub(super) cause: Option<At>,
    pub(super) effect: At,
    pub(super) bytes: u64,
    pub(super) confidence: f64,
    pub(super) names: &'a trace::Link,
}

impl<'a> Account<'a> {
    /// What went from one process to another by files, pipes and sockets, by the links that say so.
    #[must_use]
    pub fn flows(&self) -> BTreeSet<Flow> {
        let of_data = self.links.iter().filter(|link| BETWEEN_PROCESSES.contains(&link.link_type));
        let flows = of_data.filter_map(|link| {
            let (cause, effect) = (self.span(link.cause?), self.span(link.effect));
            // A connect and its accept are linked, too, and move nothing.
            let is_data = cause.text("agentsight.action") == "write" && effect.text("agentsight.action") == "read";
            let (writer, reader) = (self.process(link.cause?)?, self.process(link.effect).filter(|_| is_data)?);
            let path = effect.text("file.path");
            let object = if path.is_empty() { effect.text("agentsight.object.type") } else { path };
            Some(Flow { writer, reader, object: object.to_owned() })
        });
        flows.filter(|flow| flow.writer != flow.reader).collect()
    }

    fn process(&self, at: At) -> Option<u32> {
        let pid = self.images[self.owner(at)?].span.int("process.pid")?;
        u32::try_from(pid).ok()
    }

    /// The span that a link names.
    pub(super) fn end(&self, link: &trace::Link) -> Option<At> {
        self.find(&link.trace_id, &link.span_id)
    }

    pub(super) fn read_links(&self) -> Vec<Link<'a>> {
        let mut links = Vec::new();
        for (at, span) in self.trace.spans.iter().enumerate() {
            for names in &span.links {
                links.push(Link {
                    link_type: text(&names.attributes, "agentsight.link.type"),
                    cause: self.end(names).map(|cause| self.principal(cause)),
                    effect: self.principal(at),
                    bytes: match names.attributes.get("agentsight.link.bytes") {
                        Some(Value::Int(bytes)) => u64::try_from(*bytes).unwrap_or(0),
                        _ => 0,
                    },
                    confidence: match names.attributes.get("agentsight.link.confidence") {
                        Some(Value::Double(confidence)) => *confidence,
                        // A JSON writer may leave out the fraction of 1.0.
                        Some(Value::Int(1)) => 1.0,
                        _ => 0.0,
                    },
                    names,
                });
            }
        }
        links
    }
}

fn text<'a>(attributes: &'a trace::Attributes, name: &str) -> &'a str {
    match attributes.get(name) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::made::Made;

    #[test]
    fn flows_are_the_data_links_between_two_processes() {
        let mut made = Made::default();
        let (a, b) = (made.image("a", 1, None, 0..900), made.image("b", 2, None, 0..900));
        let write = made.doing(a, "file", "write", "/d/x", 5, 10..20);
        let (own, read) =
            (made.doing(a, "file", "read", "/d/x", 5, 30..40), made.doing(b, "file", "read", "/d/x", 5, 30..40));
        made.link("file", write, own, 5, 1.0);
        made.link("file", write, read, 5, 1.0);
        made.link("flow", write, b, 0, 0.5);
        let flow = Flow { writer: 1, reader: 2, object: "/d/x".into() };
        assert_eq!(Account::of(&made.trace).flows(), BTreeSet::from([flow]));
    }
}
