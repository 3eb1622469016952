//! Rule: a `TRACEPARENT` that changed names the span that an image hangs under.
//!
//! Inherited unchanged it means nothing, every descendant has it. It is measured against the value at
//! the exec of the nearest exec'd ancestor, because programs set it for the children that they start.

use std::sync::Arc;

use agentsight_ebpf::{Captured, Exec};

use super::image::Parent;
use super::{Cause, CauseKind, Confidence, Graph, Image, Target, Traceparent};

/// Bytes of `TRACESTATE` that the W3C recommendation asks everyone to pass on.
const TRACE_STATE_LIMIT: usize = 512;

impl Graph {
    /// The root image hangs under the span that `run` was called in. That trace is then the session's own.
    pub(super) fn adopt_callers(&mut self, image: &mut Image) {
        let Some(value) = self.rules.caller_traceparent.clone() else { return };
        image.inherited_traceparent = Some(value.as_slice().into());
        let Some(parsed) = self.parse(&value) else { return };
        if parsed.sampled && parsed.span.trace_id == image.trace.id {
            image.parent = Parent::Adopted(parsed.span.span_id);
            image.trace_state = trace_state(self.rules.caller_tracestate.as_deref().map(str::as_bytes));
        } else {
            image.causes.push(explicit(parsed));
        }
    }

    /// An image that is not announced yet was exec'd as `program`; `parent_name` is what its parent runs.
    pub(super) fn adopt(&mut self, image: &mut Image, program: &Exec, parent_name: Option<String>) {
        let value = match &program.environment.traceparent {
            Some(Captured { bytes, gap: None }) => Some(bytes.as_slice()),
            None if !program.environment.incomplete => None,
            // Not seen: it cannot be said to have changed.
            Some(_) | None => return,
        };
        let changed = image.inherited_traceparent.as_deref() != value;
        image.inherited_traceparent = value.map(Arc::from);
        let Some(value) = value.filter(|_| changed) else { return };
        let Some(parsed) = self.parse(value) else { return };
        let is_root = self.root.as_ref().is_some_and(|root| root.id == image.id);
        if is_root && self.rules.set_traceparent && parsed.span.trace_id == self.traces.own().id {
            return; // `run` set it, and it names this very image.
        }
        if !parsed.sampled {
            image.causes.push(explicit(parsed));
            return;
        }
        if let Parent::Image { id, confidence } = image.parent {
            let target = Target::Image { id, trace: image.trace.id, name: parent_name };
            image.causes.push(Cause { kind: CauseKind::Lineage, confidence, target });
        }
        image.parent = Parent::Adopted(parsed.span.span_id);
        image.trace = self.traces.get(parsed.span.trace_id);
        image.trace_state = trace_state(whole(program.environment.tracestate.as_ref()));
    }

    fn parse(&mut self, value: &[u8]) -> Option<Traceparent> {
        if !self.rules.adopt {
            return None;
        }
        let parsed = Traceparent::parse(value).ok();
        self.oddities.malformed_traceparents += u64::from(parsed.is_none());
        parsed
    }
}

fn explicit(parsed: Traceparent) -> Cause {
    Cause { kind: CauseKind::Explicit, confidence: Confidence::CERTAIN, target: Target::Foreign(parsed.span) }
}

fn whole(value: Option<&Captured>) -> Option<&[u8]> {
    value.filter(|it| it.gap.is_none()).map(|it| it.bytes.as_slice())
}

/// The trace state to pass on: nothing, rather than something that a backend refuses.
fn trace_state(value: Option<&[u8]>) -> Arc<str> {
    let printable =
        |bytes: &&[u8]| bytes.len() <= TRACE_STATE_LIMIT && bytes.iter().all(|it| matches!(it, b' '..=b'~'));
    value.filter(printable).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default().into()
}
