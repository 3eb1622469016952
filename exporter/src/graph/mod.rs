//! What the events mean: images of processes, who started whom, and which trace each belongs to.
//!
//! Pure: the same events give the same activities. Knows nothing of OpenTelemetry's encoding, of
//! the store or of the clock; time arrives as [`Event::Tick`] and [`Event::Clock`]. Events are
//! foreign: no order or content of them may panic, each odd one is counted in [`Oddities`].
//! One file per causal rule: `fork`, `exec`, `exit`, `adoption`, `promotion`, `segment`, `snapshot`, `unseen`.

mod account;
mod activity;
mod adoption;
#[cfg(test)]
mod bounds;
mod burst;
mod cause;
mod circle;
mod connection;
mod contents;
mod control;
mod copy;
mod dns;
mod edges;
mod exec;
mod exit;
mod file;
#[cfg(test)]
pub(crate) mod fixture;
mod flow;
mod fold;
mod fork;
mod gap;
mod image;
mod leave;
mod lineage;
mod load;
mod moved;
mod object;
mod oddities;
mod open;
mod passage;
mod process;
mod promotion;
mod segment;
mod segment_id;
mod snapshot;
mod stream;
mod streams;
mod trace;
mod traceparent;
mod transfer;
mod unseen;

use std::sync::Arc;

use agentsight_ebpf::{Event, KernelNanos};

pub use activity::{Activity, Continued, Ended, Ending, Exited, Lost, Place, Promoted};
pub use cause::{Cause, CauseKind, Confidence, Match, Target};
pub use image::{Image, ImageId, Origin, Parent, Part};
pub(crate) use image::{base_name, executable_name};
pub use lineage::Lineage;
#[cfg(test)]
pub(crate) use load::Load;
pub use oddities::Oddities;
pub use trace::{Segment, Trace};
pub use traceparent::{MalformedTraceparent, Traceparent};
pub use transfer::{
    Account, Blind, Connection, ConnectionAt, ConnectionContinued, Folded, Note, Resolution, Side, Sums, Transfer,
    Under,
};

use crate::session::Session;
use burst::Bursts;
use circle::Circles;
use connection::Connections;
use contents::Contents;
use control::{Sent, Unwaited};
use dns::Names;
use file::Files;
use gap::Gaps;
use open::Opens;
use process::Processes;
use streams::Streams;
use trace::Traces;

/// How long the state of an ended process is kept for events that come late.
///
/// The capture delivers in order up to milliseconds; seconds leave room for an overloaded drain.
const GRACE: KernelNanos = KernelNanos(5_000_000_000);

/// The state of one session.
pub struct Graph {
    rules: Rules,
    processes: Processes,
    opens: Opens,
    bursts: Bursts,
    circles: Circles,
    connections: Connections,
    names: Names,
    unwaited: Unwaited,
    sent: Sent,
    files: Files,
    streams: Streams,
    contents: Contents,
    gaps: Gaps,
    traces: Traces,
    /// The session's first image as it was when it began: the parent of last resort.
    root: Option<Box<Image>>,
    oddities: Oddities,
}

/// What the session settles beforehand.
struct Rules {
    live_after: KernelNanos,
    adopt: bool,
    caller_traceparent: Option<Vec<u8>>,
    caller_tracestate: Option<String>,
    /// Captured text goes onto spans.
    content_on_spans: bool,
}

impl Graph {
    /// A graph that has seen nothing yet.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        let caller = &session.caller;
        Self {
            rules: Rules {
                live_after: KernelNanos(session.options.live_after_nanos),
                adopt: session.options.adopt,
                caller_traceparent: caller.traceparent.as_ref().map(|text| text.clone().into_bytes()),
                caller_tracestate: caller.tracestate.clone(),
                content_on_spans: session.options.content_on_spans,
            },
            processes: Processes::default(),
            opens: Opens::default(),
            bursts: Bursts::default(),
            circles: Circles::default(),
            connections: Connections::default(),
            names: Names::default(),
            unwaited: Unwaited::default(),
            sent: Sent::default(),
            files: Files::default(),
            streams: Streams::default(),
            contents: Contents::default(),
            gaps: Gaps::default(),
            traces: Traces::new(session),
            root: None,
            oddities: Oddities::default(),
        }
    }

    /// Take one event in and append what it means to `out`.
    pub fn apply(&mut self, event: &Event, out: &mut Vec<Activity>) {
        match event {
            Event::Fork(fork) => self.fork(fork, out),
            Event::Exec(exec) => self.exec(exec, out),
            Event::Snapshot(running) => self.snapshot(running, out),
            Event::Exit(exit) => self.exit(exit, out),
            Event::Open(open) => self.open(open, out),
            Event::Close(close) => self.close(close),
            Event::BurstBegin(begin) => self.begin_burst(begin, out),
            Event::BurstEnd(end) => self.end_burst(end, out),
            Event::Copied(copied) => self.copied(copied),
            Event::Change(change) => self.change(change, out),
            Event::Connect(connect) => self.connect(connect, out),
            Event::Dns(dns) => self.dns(dns, out),
            Event::Kill(kill) => self.kill(kill, out),
            Event::Wait(wait) => self.wait(wait),
            Event::Pass(pass) => self.pass(pass),
            Event::Call(call) => self.call(call, out),
            Event::Content(content) => self.content(content, out),
            // Raw payload ends in the capture.
            Event::Chunk(_) => {}
            Event::Loss(loss) => {
                self.gaps.add(*loss);
                out.push(Activity::Lost(self.lost(*loss)));
            }
            Event::Overhead(overhead) => out.push(Activity::Overhead(*overhead)),
            Event::Tick(tick) => {
                self.leave_settled(tick.at, out);
                self.tell_connections(tick.at, out);
                self.forget_names(tick.at, out);
                self.promote(tick.at, out);
                for process in self.processes.dead_with_bursts(tick.at) {
                    self.leave_of_process(process, tick.at, out);
                }
                self.release_opens(tick.at, out);
                self.processes.release_before(tick.at);
                self.traces.forget_unused();
            }
            Event::Clock(clock) => self.traces.set_clock(*clock),
        }
    }

    /// The session is over at `at`: what still lives is emitted as incomplete, and the graph is empty.
    pub fn finish(&mut self, at: KernelNanos, out: &mut Vec<Activity>) {
        self.leave_all(at, out);
        self.end_all_connections(at, out);
        self.forget_all_names(at, out);
        for process in self.processes.in_order_of_start() {
            if self.processes.get(process).is_some_and(|it| it.ended.is_none()) {
                self.end_image(process, at, Ending::Incomplete, out);
            }
        }
        self.processes = Processes::default();
        self.opens = Opens::default();
        self.files = Files::default();
        self.streams = Streams::default();
        self.contents = Contents::default();
        self.unwaited = Unwaited::default();
        self.sent = Sent::default();
        self.root = None;
    }

    /// How often an event did not fit what was known.
    #[must_use]
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// How many traces have state here: those of live images, the current one, and a bounded number of adopted ones.
    #[cfg(test)]
    pub(crate) fn trace_count(&self) -> usize {
        self.traces.count()
    }

    /// How many processes have state here: the live ones, and the dead of the last seconds.
    #[must_use]
    pub fn process_count(&self) -> usize {
        self.processes.len()
    }

    fn lost(&self, loss: agentsight_ebpf::Loss) -> Lost {
        let root = self.root.as_deref();
        let trace = root.map_or_else(|| self.traces.current(), |root| Arc::clone(&root.trace));
        Lost { loss, root: root.map(|root| root.id), trace }
    }
}
