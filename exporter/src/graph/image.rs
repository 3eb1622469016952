//! The node of the process tree: a process between two execs.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use agentsight_ebpf::{Exec, ExecNumber, KernelNanos, ProcessKey};
use opentelemetry::trace::SpanId;

use super::{Cause, Confidence, Lineage, Trace};

/// Which image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    /// Its process.
    pub process: ProcessKey,
    /// Its number within the process.
    pub exec: ExecNumber,
    /// 0 where the process's fork was seen in its time, else when the process was first noticed: state is released
    /// some time after an exit, and what comes even later must not get the id of a span that was sent.
    pub noticed: KernelNanos,
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.process.tgid.0, self.exec.0)
    }
}

/// A process between two execs, with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Which.
    pub id: ImageId,
    /// How it came to be.
    pub origin: Origin,
    /// The trace that it belongs to.
    pub trace: Arc<Trace>,
    /// W3C trace state that came with the adopted parent, its own or an ancestor's.
    pub trace_state: Arc<str>,
    /// The span that its span hangs under.
    pub parent: Parent,
    /// The process that forked this one, where that is known.
    pub parent_process: Option<ProcessKey>,
    /// The process id in the process's own pid namespace.
    pub vpid: Option<u32>,
    /// The exec; the fork, where the forked image was folded into this one.
    pub start: KernelNanos,
    /// The exec that made this image, or what a process found running looked like; for a forked image the one that made the image it is a copy of.
    /// `None` where that exec was not seen.
    pub program: Option<Arc<Exec>>,
    /// Executables from the root to this image.
    pub lineage: Lineage,
    /// Links to causes, in order of discovery.
    pub causes: Vec<Cause>,
    /// `TRACEPARENT` as it was at the last exec of this image or an ancestor: what a change is measured against.
    pub(super) inherited_traceparent: Option<Arc<[u8]>>,
}

/// How an image came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The launcher, which is not traced, forked it for the command: the session's root, before and after its exec.
    Root,
    /// The process was forked and has not exec'd: it runs its parent's program.
    Forked,
    /// By an exec.
    Exec,
    /// Its fork was not seen.
    Unseen,
    /// It ran before it was traced.
    Running,
}

/// What the span of an image hangs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing: it is a root.
    None,
    /// Another image, in the same trace.
    Image {
        /// Which.
        id: ImageId,
        /// Which of its spans: the one in this image's trace.
        part: Part,
        /// How sure that is.
        confidence: Confidence,
    },
    /// A span of another program, in the image's trace.
    Adopted(SpanId),
}

/// Which of an image's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The one that tells of it, in the trace that it belongs to.
    Original,
    /// One that stands for it in a later trace.
    Continuation,
}

impl Image {
    /// What follows from this image: the one that a forked process begins with, or the next of its own process.
    pub(super) fn child(&self, id: ImageId, origin: Origin, start: KernelNanos, confidence: Confidence) -> Self {
        let program = if origin == Origin::Forked { self.program.clone() } else { None };
        Self {
            id,
            origin,
            trace: Arc::clone(&self.trace),
            trace_state: Arc::clone(&self.trace_state),
            parent: Parent::Image { id: self.id, part: Part::Original, confidence },
            parent_process: Some(self.id.process),
            vpid: None,
            start,
            lineage: self.lineage.child(program.as_deref()),
            program,
            causes: Vec::new(),
            inherited_traceparent: self.inherited_traceparent.clone(),
        }
    }

    /// Whether it is the session's root as it was promised: in the first trace, whatever else is there.
    pub(super) fn is_root(&self) -> bool {
        self.origin == Origin::Root && self.id.noticed == KernelNanos(0)
    }

    /// Name of the executable, lossy UTF-8; `None` where the exec was not seen.
    #[must_use]
    pub fn executable_name(&self) -> Option<Cow<'_, str>> {
        self.program.as_deref().and_then(executable_name)
    }
}

/// Base name of the file that runs, lossy UTF-8: its bytes are foreign and OpenTelemetry's strings are not.
pub(crate) fn executable_name(program: &Exec) -> Option<Cow<'_, str>> {
    base_name(&program.executable.bytes).or_else(|| base_name(&program.requested.bytes))
}

/// What follows the last slash, lossy UTF-8; `None` where that is empty.
pub(crate) fn base_name(path: &[u8]) -> Option<Cow<'_, str>> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name))
}
