//! Losses, on the trace that they belong to and as log records: never silent.
//!
//! On the root image's span; once that was sent, on its `exit`; after that on whatever is sent next.

use std::collections::BTreeMap;

use agentsight_ebpf::{Loss, LossKind};
use agentsight_semconv::{
    AGENTSIGHT_LOSS, AGENTSIGHT_LOSS_EXEC, AGENTSIGHT_LOSS_EXIT, AGENTSIGHT_LOSS_FORK, AGENTSIGHT_LOSS_MISSED,
    AGENTSIGHT_LOSS_PROCESS, AGENTSIGHT_LOSS_UNDECODABLE, AGENTSIGHT_SESSION_ID, Name,
};

use super::Spans;
use super::attributes::Attributes;
use super::model::{Attribute, LogRecord, Signal};
use super::time::wall;
use crate::graph::{ImageId, Lost};
use crate::session::SpanRef;

/// WARN of the OpenTelemetry log data model.
const WARN: u8 = 13;

/// What was lost and has not been said on a span yet.
#[derive(Default)]
pub(super) struct Losses {
    counts: BTreeMap<LossKind, u64>,
    root: Root,
}

#[derive(Default, PartialEq, Eq)]
enum Root {
    /// None was seen, or it has ended: the next span will do.
    #[default]
    None,
    /// Its span, or its `exit`, is still to be sent.
    Lives(ImageId),
}

impl Losses {
    pub(super) fn note_root(&mut self, root: ImageId) {
        self.root = Root::Lives(root);
    }

    pub(super) fn note_end(&mut self, image: ImageId) {
        if self.root == Root::Lives(image) {
            self.root = Root::None;
        }
    }

    fn add(&mut self, loss: Loss) {
        let count = self.counts.entry(loss.kind).or_default();
        *count = count.saturating_add(loss.count);
    }

    /// The attributes for the span of `image` that is about to be sent.
    pub(super) fn take_for(&mut self, image: ImageId) -> Vec<Attribute> {
        match self.root {
            Root::Lives(root) if root != image => Vec::new(),
            Root::Lives(_) | Root::None => {
                let mut attributes = Attributes::default();
                for (kind, count) in std::mem::take(&mut self.counts) {
                    attributes.int(name_of(kind), count);
                }
                attributes.finish()
            }
        }
    }
}

impl Spans {
    pub(super) fn lost(&mut self, lost: &Lost) -> Signal {
        self.losses.add(lost.loss);
        let Loss { at, kind, count } = lost.loss;
        let mut attributes = Attributes::default();
        attributes.text(AGENTSIGHT_SESSION_ID, self.session_id.clone());
        attributes.int(name_of(kind), count);
        Signal::Log(Box::new(LogRecord {
            at: wall(&lost.trace, at),
            severity: WARN,
            event_name: AGENTSIGHT_LOSS,
            body: sentence(kind, count),
            attributes: attributes.finish(),
            span: lost.root.map(|root| SpanRef { trace_id: lost.trace.id, span_id: self.ids.image(root) }),
            resource: self.services.resource(None),
        }))
    }
}

fn name_of(kind: LossKind) -> Name {
    match kind {
        LossKind::Fork => AGENTSIGHT_LOSS_FORK,
        LossKind::Exec => AGENTSIGHT_LOSS_EXEC,
        LossKind::Exit => AGENTSIGHT_LOSS_EXIT,
        LossKind::Process => AGENTSIGHT_LOSS_PROCESS,
        LossKind::Missed => AGENTSIGHT_LOSS_MISSED,
        LossKind::Undecodable => AGENTSIGHT_LOSS_UNDECODABLE,
    }
}

fn sentence(kind: LossKind, count: u64) -> String {
    match kind {
        LossKind::Fork => format!("{count} fork events were lost: the ring buffer was full"),
        LossKind::Exec => format!("{count} exec events were lost: the ring buffer was full"),
        LossKind::Exit => format!("{count} exit events were lost: the ring buffer was full"),
        LossKind::Process => {
            format!("{count} processes and their descendants are not traced: the process map was full")
        }
        LossKind::Missed => format!("{count} runs of an eBPF program were skipped by the kernel"),
        LossKind::Undecodable => format!("{count} records of the kernel side could not be decoded"),
    }
}
