//! Which of the things that an image does are log records too, so that an audit finds them without reading spans.

use std::borrow::Cow;

use agentsight_ebpf::{CallKind, ChangeKind};
use agentsight_semconv as semconv;

use super::attributes::Attributes;
use super::model::{Attribute, LogRecord, Signal, Span, SpanEvent, Value};
use super::{note, outline};
use crate::graph::{Account, Image, Note};

/// INFO of the OpenTelemetry log data model: what they are to somebody else is for that somebody's rules.
const INFO: u8 = 9;

/// The log records of what `account` tells, with the ids of the image's span that has its events.
pub(super) fn records<'a>(
    account: &'a Account,
    image: &'a Image,
    span: &'a Span,
) -> impl Iterator<Item = Signal> + use<'a> {
    let noteworthy = account.notes.iter().zip(&span.events).filter(|(note, _)| is_security_relevant(note, image));
    noteworthy.map(|(_, event)| Signal::Log(Box::new(record(event, image, span))))
}

/// Rights were changed or used against another; code came from where no file is; or the watching itself is concerned.
/// Left out is what every build does thousands of times, and what has a span.
pub(super) fn is_security_relevant(note: &Note, image: &Image) -> bool {
    match note {
        Note::Change(change) => match change.kind {
            // Who may do what with a file: mode and owner, set-id bits, and capabilities and labels, which are attributes.
            ChangeKind::Chmod | ChangeKind::Chown | ChangeKind::Setxattr => true,
            // A device is a way around the file system's rights; a FIFO is not.
            ChangeKind::Mknod => note::device_kind(change).is_some(),
            ChangeKind::Rename
            | ChangeKind::Unlink
            | ChangeKind::Rmdir
            | ChangeKind::Link
            | ChangeKind::Symlink
            | ChangeKind::Mkdir
            | ChangeKind::Truncate
            | ChangeKind::Fallocate => false,
        },
        // Against another process; `abort` and shells signal themselves.
        Note::Kill(kill, _) => kill.target != image.id.process,
        Note::Call(call) => match call.kind {
            // Another's identity.
            CallKind::Setuid | CallKind::Setgid => true,
            // Another's memory and registers.
            CallKind::Ptrace | CallKind::ProcessVmWritev | CallKind::ProcessVmReadv => true,
            // A program in memory leaves no file behind.
            CallKind::MemfdCreate => true,
            // What they do is not all seen.
            CallKind::IoUringSetup | CallKind::IoUringUnseen | CallKind::CompatCall => true,
            // Another view of the file system, of processes or of the network.
            CallKind::Chroot | CallKind::Namespaces | CallKind::Mount => true,
            // Code in the kernel.
            CallKind::Bpf | CallKind::LoadModule => true,
            // Followed, its requests are like system calls; that there is a ring is worth knowing all the same.
            CallKind::IoUringFollowed => true,
            CallKind::Bind | CallKind::Listen | CallKind::MapShared => false,
        },
        Note::Connect(_) => false,
    }
}

fn record(event: &SpanEvent, image: &Image, span: &Span) -> LogRecord {
    let mut attributes: Vec<Attribute> =
        span.attributes.iter().filter(|it| it.name == semconv::AGENTSIGHT_SESSION_ID).cloned().collect();
    let mut process = Attributes::default();
    outline::identify_process(image, &mut process);
    attributes.extend(process.finish());
    attributes.extend(event.attributes.iter().cloned());
    LogRecord {
        at: event.at,
        severity: INFO,
        event_name: event.name,
        body: sentence(event, image),
        attributes,
        span: Some(span.id),
        resource: span.resource.clone(),
    }
}

/// `sh (101): chmod /srv/key 0640, failed: EPERM`.
fn sentence(event: &SpanEvent, image: &Image) -> String {
    let who = image.executable_name().unwrap_or(Cow::Borrowed("process"));
    let mut text = format!("{who} ({}): {}", image.id.process.tgid.0, event.name.as_str());
    let is_told = |name| name != semconv::AGENTSIGHT_FILE_ID && name != semconv::AGENTSIGHT_TARGET_START;
    for Attribute { name, value } in event.attributes.iter().filter(|it| is_told(it.name)) {
        let before = if *name == semconv::ERROR_TYPE { ", failed: " } else { " " };
        match value {
            Value::Text(value) => text += &format!("{before}{value}"),
            Value::Int(value) => text += &format!("{before}{value}"),
            Value::Double(_) | Value::Bool(_) | Value::Texts(_) => {}
        }
    }
    text
}
