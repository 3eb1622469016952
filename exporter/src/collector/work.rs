//! The session's main loop: event → container → redact → record → graph → spans → store → stub and sender.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use agentsight_ebpf::live::{KernelClock, Tree};
use agentsight_ebpf::{Event, ProcessKey};

use super::lifetime::Lifetime;
use super::recorder::Recorder;
use super::shelf::Shelf;
use super::stub::Stub;
use crate::capture::container::Containers;
use crate::capture::redact::Redactor;
use crate::channel::{OutputFile, Target, ToStub};
use crate::graph::Traceparent;
use crate::otlp::json;
use crate::pipeline::Pipeline;
use crate::session::Session;
use crate::spans;
use crate::spans::model::{Signal, Span};
use crate::telemetry::Account;

/// What the loop takes in, in order of arrival.
#[derive(Debug)]
pub(super) enum Input {
    /// From the kernel.
    Event(Event),
    /// The stub reaped the command, or its user has seen enough.
    End,
    /// The stub is gone; the command may live on.
    StubGone,
    /// The ring cannot be read any more.
    Failed(String),
}

/// So many inputs share one transaction of the store.
const BATCH: usize = 4096;
/// How long the loop sleeps when nothing comes.
const IDLE: Duration = Duration::from_millis(100);
/// The tree in the terminal is drawn from so many spans; a larger session is for a backend.
const SHOWN_SPANS_MAX: usize = 20_000;

/// Everything that one session needs while it runs.
pub(super) struct Work<'a> {
    pub(super) session: &'a Session,
    pub(super) target: Target,
    pub(super) tree: Arc<Tree>,
    pub(super) clock: KernelClock,
    pub(super) stub: &'a Stub,
    pub(super) shelf: Shelf,
    pub(super) account: Account,
    pub(super) containers: Containers,
    pub(super) redactor: Redactor,
    pub(super) recorder: Option<Recorder<'a>>,
    pub(super) writes_spans: bool,
    pub(super) keeps_spans: bool,
    pub(super) lifetime: Lifetime,
    pub(super) pipeline: Pipeline,
    pub(super) shown: Vec<Span>,
    pub(super) hidden: usize,
    pub(super) lost: u64,
    pub(super) started: bool,
}

impl Work<'_> {
    /// Until the session is over, or its stub gave up before the command began.
    pub(super) fn run(&mut self, inputs: &Receiver<Input>) {
        loop {
            match inputs.recv_timeout(IDLE) {
                Ok(first) => {
                    let rest = inputs.try_iter().take(BATCH);
                    if self.take(std::iter::once(first).chain(rest)).is_break() {
                        return;
                    }
                }
                // The ring is drained far more often than this: whoever is not in the tree, and whose exit has not come by
                // now, will not be heard of.
                Err(RecvTimeoutError::Timeout) => {
                    self.lifetime.forget_the_dead(|process| self.tree.exec_number(process).is_some());
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.lifetime.is_over(self.clock.now()) {
                return;
            }
        }
    }

    /// What has come meanwhile, while the drain is being stopped.
    pub(super) fn take_waiting(&mut self, inputs: &Receiver<Input>) {
        let _ = self.take(inputs.try_iter());
    }

    /// What the drain had left when it was stopped, and the end of everything that still lives.
    pub(super) fn finish(&mut self, inputs: &Receiver<Input>) {
        let _ = self.take(inputs.try_iter());
        let at = self.clock.now();
        let mut signals = Vec::new();
        self.pipeline.finish(at, &mut signals);
        self.deliver(signals);
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(at);
        }
    }

    fn take(&mut self, inputs: impl Iterator<Item = Input>) -> std::ops::ControlFlow<()> {
        let mut signals = Vec::new();
        let mut flow = std::ops::ControlFlow::Continue(());
        for input in inputs {
            match input {
                Input::Event(event) => self.take_event(event, &mut signals),
                Input::End => self.lifetime.end(self.clock.now(), |root| self.tree.exec_number(root).is_some()),
                // Without its user an attached session would go on for ever.
                Input::StubGone if !self.started || self.target != Target::NextChild => {
                    flow = std::ops::ControlFlow::Break(())
                }
                Input::StubGone => {}
                Input::Failed(reason) => {
                    self.stub.say(ToStub::Notice { message: format!("tracing stopped early: {reason}") });
                    flow = std::ops::ControlFlow::Break(());
                }
            }
        }
        self.deliver(signals);
        flow
    }

    fn take_event(&mut self, mut event: Event, signals: &mut Vec<Signal>) {
        self.containers.place(&mut event);
        self.redactor.redact(&mut event);
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&event);
            if matches!(event, Event::Tick(_)) {
                recorder.flush();
            }
        }
        self.account.count_event(&event);
        if let Event::Loss(loss) = &event {
            self.lost += loss.count;
        }
        let root = self.lifetime.observe(&event);
        self.pipeline.apply(&event, signals);
        if matches!(event, Event::Snapshot(_)) {
            self.started = true;
        }
        if let Some(root) = root {
            self.started = true;
            self.stub.say(ToStub::Started { environment: environment(self.session, root) });
        }
    }

    fn deliver(&mut self, signals: Vec<Signal>) {
        if signals.is_empty() {
            return;
        }
        if self.writes_spans {
            let bytes = json::lines(&signals).into_bytes();
            if !bytes.is_empty() {
                self.stub.say(ToStub::Output { file: OutputFile::Spans, bytes });
            }
        }
        self.shelf.put(&signals);
        if self.keeps_spans {
            for signal in signals {
                match signal {
                    Signal::Span(span) if self.shown.len() < SHOWN_SPANS_MAX => self.shown.push(*span),
                    Signal::Span(_) => self.hidden += 1,
                    Signal::Log(_) | Signal::Draft(_) => {}
                }
            }
        }
    }
}

/// What the command finds in its environment, so that its own SDK's spans join the root image's.
fn environment(session: &Session, root: ProcessKey) -> Vec<(String, Option<String>)> {
    if !session.options.set_traceparent {
        return Vec::new();
    }
    let root = spans::root_span(session, root);
    let is_callers_trace = session
        .caller
        .traceparent
        .as_deref()
        .and_then(|text| Traceparent::parse(text.as_bytes()).ok())
        .is_some_and(|caller| caller.span.trace_id == session.trace_id);
    vec![
        ("TRACEPARENT".to_owned(), Some(format!("00-{}-{}-01", root.trace_id, root.span_id))),
        // It belongs to the caller's trace and says nothing of another (W3C Trace Context, 3.3).
        ("TRACESTATE".to_owned(), session.caller.tracestate.clone().filter(|_| is_callers_trace)),
    ]
}
