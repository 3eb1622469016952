//! Spans made by hand, for the tests of the judge: no kernel, no clock; times are nanoseconds after a beginning.

use std::ops::Range;

use crate::trace::{Attributes, Event, Link, Span, Trace, Value};

/// The beginning of all times.
const BEGINNING: u64 = 1_000_000;

/// A trace in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    pub(super) trace: Trace,
}

/// A span of it: its place in the trace.
pub(super) type Which = usize;

impl Made {
    /// An image called by its own name, of `/usr/bin`.
    pub(super) fn image(&mut self, name: &str, pid: i64, parent: Option<Which>, time: Range<u64>) -> Which {
        self.image_called(&format!("/usr/bin/{name}"), &[name], pid, parent, time)
    }

    pub(super) fn image_called(
        &mut self,
        path: &str,
        arguments: &[&str],
        pid: i64,
        parent: Option<Which>,
        time: Range<u64>,
    ) -> Which {
        let which = self.push("process", "exec", parent, time);
        let name = path.rsplit('/').next().unwrap_or(path);
        self.set(which, "process.pid", Value::Int(pid));
        self.set(which, "process.executable.path", Value::Text(path.into()));
        self.set(which, "process.executable.name", Value::Text(name.into()));
        let arguments = arguments.iter().map(|&argument| Value::Text(argument.into())).collect();
        self.set(which, "process.command_args", Value::List(arguments));
        which
    }

    /// The end of a promoted image.
    pub(super) fn exit(&mut self, image: Which, time: Range<u64>) -> Which {
        self.set(image, "agentsight.span.promoted", Value::Bool(true));
        self.push("process", "exit", Some(image), time)
    }

    /// An image's span in another trace.
    pub(super) fn continuation(&mut self, image: Which, at: u64) -> Which {
        let which = self.push("process", "continue", None, at..at + 1);
        self.trace.spans[which].trace_id = format!("{:032x}", 2);
        self.link("segment", image, which, 0, 1.0);
        which
    }

    /// A burst or a connection.
    pub(super) fn doing(
        &mut self,
        under: Which,
        object: &str,
        action: &str,
        path: &str,
        bytes: i64,
        time: Range<u64>,
    ) -> Which {
        let which = self.push(object, action, Some(under), time);
        self.set(which, "agentsight.io.bytes", Value::Int(bytes));
        if !path.is_empty() {
            self.set(which, "file.path", Value::Text(path.into()));
        }
        which
    }

    pub(super) fn link(&mut self, link_type: &str, cause: Which, effect: Which, bytes: i64, confidence: f64) {
        let attributes = Attributes::from([
            ("agentsight.link.type".into(), Value::Text(link_type.into())),
            ("agentsight.link.bytes".into(), Value::Int(bytes)),
            ("agentsight.link.confidence".into(), Value::Double(confidence)),
        ]);
        let cause = &self.trace.spans[cause];
        let link = Link { trace_id: cause.trace_id.clone(), span_id: cause.id.clone(), attributes };
        self.trace.spans[effect].links.push(link);
    }

    pub(super) fn event(&mut self, of: Which, name: &str) {
        let at_nanos = self.trace.spans[of].start_nanos;
        self.trace.spans[of].events.push(Event { name: name.into(), at_nanos, attributes: Attributes::new() });
    }

    pub(super) fn error(&mut self, of: Which, error_type: &str) {
        self.trace.spans[of].status_code = 2;
        self.set(of, "error.type", Value::Text(error_type.into()));
    }

    pub(super) fn set(&mut self, of: Which, name: &str, value: Value) {
        self.trace.spans[of].attributes.insert(name.into(), value);
    }

    pub(super) fn times(&mut self, of: Which, time: Range<u64>) {
        (self.trace.spans[of].start_nanos, self.trace.spans[of].end_nanos) =
            (BEGINNING + time.start, BEGINNING + time.end);
    }

    pub(super) fn span(&self, which: Which) -> &Span {
        &self.trace.spans[which]
    }

    fn push(&mut self, object: &str, action: &str, parent: Option<Which>, time: Range<u64>) -> Which {
        let which = self.trace.spans.len();
        let trace_id = parent.map_or_else(|| format!("{:032x}", 1), |parent| self.trace.spans[parent].trace_id.clone());
        self.trace.spans.push(Span {
            trace_id,
            id: format!("{:016x}", which + 1),
            parent: parent.map(|parent| self.trace.spans[parent].id.clone()),
            trace_state: String::new(),
            name: action.into(),
            kind: 1,
            start_nanos: 0,
            end_nanos: 0,
            attributes: Attributes::from([
                ("agentsight.object.type".into(), Value::Text(object.into())),
                ("agentsight.action".into(), Value::Text(action.into())),
            ]),
            events: Vec::new(),
            links: Vec::new(),
            status_code: 0,
            status_message: String::new(),
            resource: Attributes::new(),
        });
        self.times(which, time);
        which
    }
}
