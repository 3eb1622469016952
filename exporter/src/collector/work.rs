//! One session's line: event → container → contents → redact → record → graph → spans → store → stub and sender.

use std::collections::HashMap;
use std::sync::Arc;

use agentsight_ebpf::{Clock, EarlierSpan, Event, ProcessKey};

use super::lifetime::Lifetime;
use super::recorder::Recorder;
use super::sessions::Workshop;
use super::shelf::Shelf;
use super::stub::Stub;
use super::summary::Lost;
use super::target;
use crate::capture::contents::Contents;
use crate::channel::{OutputFile, Target, ToStub};
use crate::graph::Traceparent;
use crate::otlp::json;
use crate::pipeline::Pipeline;
use crate::recording::WriteError;
use crate::session::Session;
use crate::spans;
use crate::spans::model::{Signal, Span};

/// The tree in the terminal is drawn from so many spans; a larger session is for a backend.
const SHOWN_SPANS_MAX: usize = 20_000;

/// Everything that one session needs while it runs, and no other session has.
pub(crate) struct Work {
    pub(crate) session: Session,
    pub(crate) target: Target,
    /// Who asked for it, where somebody did.
    pub(crate) stub: Option<Arc<Stub>>,
    pub(crate) shelf: Shelf,
    pub(super) recorder: Option<Recorder>,
    /// The first reading of both clocks, by which the whole first trace has its times.
    clock: Option<Clock>,
    pub(crate) writes_spans: bool,
    pub(crate) keeps_spans: bool,
    pub(crate) lifetime: Lifetime,
    pub(crate) pipeline: Pipeline,
    /// Of the inputs taken since the last delivery.
    pub(crate) signals: Vec<Signal>,
    pub(crate) shown: Vec<Span>,
    pub(crate) hidden: usize,
    pub(crate) lost: Lost,
    pub(crate) started: bool,
    /// Its stub gave up before anything began.
    pub(crate) abandoned: bool,
    /// What has come while its tree is being adopted.
    held: Option<Vec<Event>>,
    /// Payload that is not complete.
    contents: Contents,
}

impl Work {
    /// A session in which nothing has happened yet.
    pub(crate) fn new(session: Session, target: Target, lifetime: Lifetime, shelf: Shelf) -> Self {
        Self {
            pipeline: Pipeline::new(&session),
            session,
            target,
            stub: None,
            shelf,
            recorder: None,
            clock: None,
            writes_spans: false,
            keeps_spans: false,
            lifetime,
            signals: Vec::new(),
            shown: Vec::new(),
            hidden: 0,
            lost: Lost::default(),
            started: false,
            abandoned: false,
            held: None,
            contents: Contents::default(),
        }
    }

    /// The session speaks to the stub that asked for it, which has these files open and perhaps draws the tree.
    pub(crate) fn speak_to(&mut self, stub: Arc<Stub>, outputs: &[OutputFile], keeps_spans: bool) {
        self.writes_spans = outputs.contains(&OutputFile::Spans);
        self.keeps_spans = keeps_spans;
        self.stub = Some(stub);
    }

    /// What the session is told from here on is recorded, with the clock that it goes by.
    ///
    /// # Errors
    /// When the recording's beginning cannot be written.
    pub(crate) fn record_to(&mut self, stub: Arc<Stub>) -> Result<(), WriteError> {
        let mut recorder = Recorder::begin(stub, &self.session)?;
        self.clock.into_iter().for_each(|clock| recorder.write(&Event::Clock(clock)));
        self.recorder = Some(recorder);
        Ok(())
    }

    /// From here on events wait until [`Work::let_go`]: they may come before the snapshots of whom they are about.
    pub(crate) fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Ends [`Work::hold`]; `earlier` has the spans that processes had in an earlier session.
    pub(super) fn let_go(&mut self, shop: &mut Workshop, earlier: &HashMap<ProcessKey, EarlierSpan>) {
        let Some(mut events) = self.held.take() else { return };
        target::describe_adopted(&mut events, &shop.tree);
        for mut event in events {
            if let Event::Snapshot(running) = &mut event {
                running.continues = earlier.get(&running.process).copied();
            }
            self.take_event(event, shop);
        }
        self.lifetime.begin();
        self.deliver(shop);
    }

    /// Takes one event in; what it makes waits for [`Work::deliver`].
    pub(crate) fn take_event(&mut self, mut event: Event, shop: &mut Workshop) {
        if let Some(held) = &mut self.held {
            // Time that passes before anything has happened is of no interest.
            if !matches!(event, Event::Tick(_) | Event::Clock(_)) {
                held.push(event);
            }
            return;
        }
        if let Event::Chunk(chunk) = event {
            self.contents.add(*chunk);
            return;
        }
        for content in self.contents.before(&event, &shop.redactor) {
            self.hand_on(&content);
        }
        shop.containers.place(&mut event);
        shop.redactor.redact(&mut event);
        self.hand_on(&event);
    }

    /// What is redacted goes its way.
    fn hand_on(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder.write(event);
            if matches!(event, Event::Tick(_)) {
                recorder.flush();
            }
        }
        match event {
            Event::Loss(loss) => self.lost.add(loss),
            Event::Clock(clock) => self.clock = self.clock.or(Some(*clock)),
            _ => {}
        }
        let root = self.lifetime.observe(event);
        self.pipeline.apply(event, &mut self.signals);
        if matches!(event, Event::Snapshot(_)) {
            self.started = true;
        }
        if let Some(root) = root {
            self.started = true;
            self.say(ToStub::Started { environment: environment(&self.session, root) });
        }
    }

    /// The stub reaped the command, or its user has seen enough.
    pub(super) fn end(&mut self, shop: &Workshop) {
        self.lifetime.end(shop.clock.now(), |root| shop.tree.exec_number(root).is_some());
    }

    /// The stub is gone; the command may live on. Without its user an attached session would go on for ever.
    pub(super) fn lose_stub(&mut self) {
        self.abandoned |= !self.started || self.target != Target::NextChild;
    }

    /// Everything that still lives is incomplete.
    pub(super) fn finish(&mut self, shop: &mut Workshop) {
        let at = shop.clock.now();
        for content in self.contents.finish(at, &shop.redactor) {
            self.hand_on(&content);
        }
        self.pipeline.finish(at, &mut self.signals);
        self.deliver(shop);
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(at);
        }
    }

    /// Hands on what has come together; says whether there was anything.
    pub(super) fn deliver(&mut self, shop: &mut Workshop) -> bool {
        if self.signals.is_empty() {
            return false;
        }
        let signals = std::mem::take(&mut self.signals);
        if self.writes_spans {
            let bytes = json::lines(&signals).into_bytes();
            if !bytes.is_empty() {
                self.say(ToStub::Output { file: OutputFile::Spans, bytes });
            }
        }
        if self.keeps_spans {
            for signal in &signals {
                match signal {
                    Signal::Span(span) if self.shown.len() < SHOWN_SPANS_MAX => self.shown.push((**span).clone()),
                    Signal::Span(_) => self.hidden += 1,
                    Signal::Log(_) | Signal::Draft(_) | Signal::Content(_) => {}
                }
            }
        }
        self.shelf.put(&mut shop.store, signals);
        true
    }

    pub(crate) fn say(&self, message: ToStub) {
        if let Some(stub) = &self.stub {
            stub.say(message);
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
