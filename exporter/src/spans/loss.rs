//! Losses, on the trace that they belong to and as log records: never silent.
//!
//! On the root image's span; once that was sent, on its `exit`; after that on whatever is sent next.

use std::collections::BTreeMap;

use agentsight_ebpf::{Loss, LossKind};
use agentsight_semconv::{
    AGENTSIGHT_LOSS, AGENTSIGHT_LOSS_BURST, AGENTSIGHT_LOSS_CALL, AGENTSIGHT_LOSS_CHANGE, AGENTSIGHT_LOSS_CONNECT,
    AGENTSIGHT_LOSS_CONTENT, AGENTSIGHT_LOSS_DNS, AGENTSIGHT_LOSS_EXEC, AGENTSIGHT_LOSS_EXIT, AGENTSIGHT_LOSS_FORK,
    AGENTSIGHT_LOSS_MISSED, AGENTSIGHT_LOSS_OPEN, AGENTSIGHT_LOSS_PROCESS, AGENTSIGHT_LOSS_SNAPSHOT,
    AGENTSIGHT_LOSS_UNDECODABLE, AGENTSIGHT_SESSION_ID, Name,
};

use super::Spans;
use super::attributes::Attributes;
use super::model::{Attribute, LogRecord, Signal};
use super::time::wall;
use crate::graph::{ImageId, Lost, Part};
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
        if self.root == Root::Lives(image) { self.take() } else { self.take_for_any() }
    }

    /// The attributes for whatever span is about to be sent.
    pub(super) fn take_for_any(&mut self) -> Vec<Attribute> {
        if self.root == Root::None { self.take() } else { Vec::new() }
    }

    fn take(&mut self) -> Vec<Attribute> {
        let mut attributes = Attributes::default();
        for (kind, count) in std::mem::take(&mut self.counts) {
            attributes.int(name_of(kind), count);
        }
        attributes.finish()
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
            span: lost.root.map(|root| SpanRef {
                trace_id: lost.trace.id,
                span_id: self.ids.image(root, Part::Original, lost.trace.segment),
            }),
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
        LossKind::Snapshot => AGENTSIGHT_LOSS_SNAPSHOT,
        LossKind::Open => AGENTSIGHT_LOSS_OPEN,
        LossKind::Burst => AGENTSIGHT_LOSS_BURST,
        LossKind::Connect => AGENTSIGHT_LOSS_CONNECT,
        LossKind::Dns => AGENTSIGHT_LOSS_DNS,
        LossKind::Change => AGENTSIGHT_LOSS_CHANGE,
        LossKind::Call => AGENTSIGHT_LOSS_CALL,
        LossKind::Content => AGENTSIGHT_LOSS_CONTENT,
        LossKind::Missed => AGENTSIGHT_LOSS_MISSED,
        LossKind::Undecodable => AGENTSIGHT_LOSS_UNDECODABLE,
    }
}

fn sentence(kind: LossKind, count: u64) -> String {
    let what = match kind {
        LossKind::Fork => "fork events lost, for want of room in the ring buffer",
        LossKind::Exec => "exec events lost, for want of room in the ring buffer",
        LossKind::Exit => "exit events lost, for want of room in the ring buffer",
        LossKind::Process => "processes not traced, nor their descendants, for want of room in the process map",
        LossKind::Snapshot => "processes found running and not described, for want of room in the ring buffer",
        LossKind::Open => "open files not described, for want of room in the ring buffer or the map of open files",
        LossKind::Burst => "transfers not counted, for want of room in the ring buffer or the map of bursts",
        LossKind::Connect => {
            "connects whose outcome is not known, for want of room in the ring buffer or the map of sockets"
        }
        LossKind::Dns => "DNS messages not seen, for want of room in the ring buffer",
        LossKind::Change => "changes of names and metadata of files not seen, for want of room in the ring buffer",
        LossKind::Call => {
            "signals, waits, passed descriptors or other calls not seen, for want of room in the ring buffer"
        }
        LossKind::Content => "chunks of captured contents lost, for want of room in the ring buffer",
        LossKind::Missed => "runs of an eBPF program skipped by the kernel",
        LossKind::Undecodable => "records of the kernel side that could not be decoded",
    };
    format!("{what}: {count}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::{events, session};
    use crate::spans::fixture::{render, signals};

    fn check(text: &str, expect: &expect_test::Expect) {
        let is_loss = |line: &&str| !line.starts_with(' ') || line.contains("agentsight.loss.");
        let text = render(&signals(&session(), &events(text)));
        expect.assert_eq(&text.lines().filter(is_loss).map(|line| format!("{line}\n")).collect::<String>());
    }

    #[test]
    fn losses_stand_on_the_roots_span_summed_by_kind() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 lost exec 3
                4 exit 101 0
                5 lost exec 4
                5 lost fork 1
                6 exit 100 0
            ",
            &expect![[r#"
                log agentsight.loss severity 13 on #2: exec events lost, for want of room in the ring buffer: 3
                  agentsight.loss.exec=3
                #1 bash under #2 2..4 unset
                log agentsight.loss severity 13 on #2: exec events lost, for want of room in the ring buffer: 4
                  agentsight.loss.exec=4
                log agentsight.loss severity 13 on #2: fork events lost, for want of room in the ring buffer: 1
                  agentsight.loss.fork=1
                #2 bash under - 0..6 unset
                  agentsight.loss.fork=1
                  agentsight.loss.exec=7
            "#]],
        );
    }

    #[test]
    fn once_the_root_is_promoted_they_wait_for_its_exit() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                2 lost exit 1
                11s tick
                12s lost process 2
                12s fork 100 101
                13s exit 101 0
                14s exit 100 0
            ",
            &expect![[r#"
                log agentsight.loss severity 13 on #1: exit events lost, for want of room in the ring buffer: 1
                  agentsight.loss.exit=1
                #1 bash under - 0..11000 unset
                  agentsight.loss.exit=1
                log agentsight.loss severity 13 on #1: processes not traced, nor their descendants, for want of room in the process map: 2
                  agentsight.loss.process=2
                #2 bash under #1 12000..13000 unset
                #3 exit under #1 0..14000 unset
                  agentsight.loss.process=2
            "#]],
        );
    }

    #[test]
    fn once_the_root_is_gone_they_stand_on_the_next_span() {
        check(
            "
                0 clock
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 exit 100 0
                4 lost missed 2
                4 lost snapshot 3
                4 lost open 4
                4 lost burst 5
                4 lost connect 6
                4 lost dns 7
                4 lost change 8
                4 lost call 9
                4 lost content 10
                5 lost undecodable 1
                5 exit 101 0
            ",
            &expect![[r#"
                #1 bash under - 0..3 unset
                log agentsight.loss severity 13 on #1: runs of an eBPF program skipped by the kernel: 2
                  agentsight.loss.missed=2
                log agentsight.loss severity 13 on #1: processes found running and not described, for want of room in the ring buffer: 3
                  agentsight.loss.snapshot=3
                log agentsight.loss severity 13 on #1: open files not described, for want of room in the ring buffer or the map of open files: 4
                  agentsight.loss.open=4
                log agentsight.loss severity 13 on #1: transfers not counted, for want of room in the ring buffer or the map of bursts: 5
                  agentsight.loss.burst=5
                log agentsight.loss severity 13 on #1: connects whose outcome is not known, for want of room in the ring buffer or the map of sockets: 6
                  agentsight.loss.connect=6
                log agentsight.loss severity 13 on #1: DNS messages not seen, for want of room in the ring buffer: 7
                  agentsight.loss.dns=7
                log agentsight.loss severity 13 on #1: changes of names and metadata of files not seen, for want of room in the ring buffer: 8
                  agentsight.loss.change=8
                log agentsight.loss severity 13 on #1: signals, waits, passed descriptors or other calls not seen, for want of room in the ring buffer: 9
                  agentsight.loss.call=9
                log agentsight.loss severity 13 on #1: chunks of captured contents lost, for want of room in the ring buffer: 10
                  agentsight.loss.content=10
                log agentsight.loss severity 13 on #1: records of the kernel side that could not be decoded: 1
                  agentsight.loss.undecodable=1
                #2 bash under #1 2..5 unset
                  agentsight.loss.snapshot=3
                  agentsight.loss.open=4
                  agentsight.loss.burst=5
                  agentsight.loss.connect=6
                  agentsight.loss.dns=7
                  agentsight.loss.change=8
                  agentsight.loss.call=9
                  agentsight.loss.content=10
                  agentsight.loss.missed=2
                  agentsight.loss.undecodable=1
            "#]],
        );
    }
}
