//! Events from compact text, and activities as text: what the tests of graph, spans and terminal are written in.
//!
//! One event a line, `TIME KIND …`, times in milliseconds after the root's fork unless they end in `s`:
//! ```text
//! 0   clock                          1 s of kernel time is 2026-01-01T00:00:00Z
//! 0   root 100                       fork by the launcher; `fork 100 101` by a traced process
//! 1   exec 100 /bin/sh sh -c 'a b'   environment first: `exec 100 TRACEPARENT=x /bin/sh sh`; `UNREAD=` where it could not be read
//! 2   running 101 under 100 /bin/sh sh    found running when its tree was attached to
//! 9   exit 100 2                     or `exit 100 signal 15`
//! 2   open 100 #3 file a.txt         open file 3; for the words of data see `data`
//! 11s tick
//! 12s lost exec 3                    a report of loss
//! 12s overhead 9000 3 8000 4096 7    what the recording took: ns in 3 runs, ns of processor, bytes, events
//! 12s again                          the event before, once more as it was
//! ```
//! `! ` before a line: it happened, but no event of it arrived. Exec numbers and starts of processes are kept track of.

use std::collections::HashMap;

use agentsight_ebpf::{
    Captured, Clock, Credentials, EarlierSpan, Environment, Event, Exec, ExecNumber, Exit, Fork, KernelNanos, Loss,
    LossKind, Overhead, ProcessKey, ProgramTime, Tgid, Tick, Tid, WallNanos,
};
use opentelemetry::trace::TraceId;

mod data;

use super::{Activity, Cause, CauseKind, Ending, Graph, Image, Parent, Part, Segment, Target, Trace};
use crate::session::{CallerContext, Session, SessionId, SessionOptions};

pub(crate) const BASE: KernelNanos = KernelNanos(1_000_000_000);
/// 2026-01-01T00:00:00Z
pub(crate) const WALL: WallNanos = WallNanos(1_767_225_600_000_000_000);

pub(crate) fn session() -> Session {
    Session {
        id: SessionId([0x5e; 16]),
        trace_id: TraceId::from_bytes([0x11; 16]),
        id_key: [7; 16],
        boot_id: "b0071d".into(),
        host: [("host.name", "box"), ("os.type", "linux")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        caller: CallerContext::default(),
        options: SessionOptions::default(),
    }
}

/// The exec of a program that nothing else is known of.
pub(crate) fn exec_of(path: &str) -> Exec {
    let nobody = ProcessKey { tgid: Tgid(1), start: KernelNanos(0) };
    Exec {
        at: BASE,
        process: nobody,
        exec: ExecNumber(1),
        caller_tid: Tid(1),
        vpid: 1,
        parent: nobody,
        credentials: Credentials::default(),
        cgroup_id: 1,
        cgroup: Captured::default(),
        container: None,
        executable: Captured::whole(path),
        executable_deleted: false,
        requested: Captured::whole(path),
        working_directory: Captured::whole("/home/me"),
        args: Captured::default(),
        redactions: 0,
        continues: None,
        flow: None,
        environment: Environment::default(),
    }
}

pub(crate) fn events(text: &str) -> Vec<Event> {
    let mut world = World::default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|line| [world.event(line), world.after.take()]).flatten().collect()
}

#[derive(Default)]
struct World {
    latest: Option<Event>,
    /// A second event of the same line.
    after: Option<Event>,
    processes: HashMap<u32, (ProcessKey, ExecNumber, Option<ProcessKey>)>,
    data: data::Data,
}

impl World {
    fn event(&mut self, line: &str) -> Option<Event> {
        let arrived = !line.starts_with("! ");
        let words = shell_words(line.trim_start_matches("! "));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let at = time(words[0]);
        let event = match &words[1..] {
            ["clock"] => Event::Clock(Clock { at, wall: WallNanos(WALL.0 + at.0 - BASE.0) }),
            ["tick"] => Event::Tick(Tick { at }),
            ["root", child] => {
                let launcher = ProcessKey { tgid: Tgid(9), start: KernelNanos(1) };
                Event::Fork(self.fork(at, launcher, ExecNumber(0), child, true))
            }
            ["fork", parent, child, rest @ ..] => {
                let (parent, exec, _) = self.process(parent);
                let flow = data::flow(rest);
                Event::Fork(Fork { flow, ..self.fork(at, parent, exec, child, false) })
            }
            ["running", process, "under", parent, rest @ ..] => {
                let (parent, ..) = self.process(parent);
                let key = ProcessKey { tgid: Tgid(number(process)), start: KernelNanos(BASE.0 - 1) };
                self.processes.insert(number(process), (key, ExecNumber(0), Some(parent)));
                let exec = self.exec(at, process, rest);
                self.processes.insert(number(process), (key, ExecNumber(0), Some(parent)));
                Event::Snapshot(Box::new(Exec { exec: ExecNumber(0), ..exec }))
            }
            ["exec", process, rest @ ..] => Event::Exec(Box::new(self.exec(at, process, rest))),
            ["exit", process, rest @ ..] => {
                let (process, exec, _) = self.process(process);
                let status = match rest {
                    ["signal", signal] => number(signal),
                    [code] => number(code) << 8,
                    _ => panic!("{line}"),
                };
                Event::Exit(Exit { at, process, exec, status })
            }
            ["lost", kind, count] => Event::Loss(Loss { at, kind: loss_kind(kind), count: u64::from(number(count)) }),
            ["overhead", nanos, runs, cpu, resident, events] => Event::Overhead(Overhead {
                at,
                programs: Some(ProgramTime { nanos: number(nanos).into(), runs: number(runs).into() }),
                cpu_nanos: number(cpu).into(),
                resident_bytes: Some(number(resident).into()),
                events: number(events).into(),
            }),
            [kind, rest @ ..] if data::is_event(kind) => data::event(self, at, kind, rest),
            ["again"] => self.latest.clone().unwrap(),
            _ => panic!("not an event: {line}"),
        };
        self.latest = Some(event.clone());
        arrived.then_some(event)
    }

    fn process(&self, tgid: &str) -> (ProcessKey, ExecNumber, Option<ProcessKey>) {
        let tgid = number(tgid);
        let unheard_of = (ProcessKey { tgid: Tgid(tgid), start: KernelNanos(BASE.0 + 1) }, ExecNumber(0), None);
        self.processes.get(&tgid).copied().unwrap_or(unheard_of)
    }

    fn fork(&mut self, at: KernelNanos, parent: ProcessKey, parent_exec: ExecNumber, child: &str, root: bool) -> Fork {
        let tgid = number(child);
        let process = ProcessKey { tgid: Tgid(tgid), start: at };
        self.processes.insert(tgid, (process, ExecNumber(0), Some(parent)));
        Fork { at, process, vpid: tgid, parent, parent_tid: Tid(parent.tgid.0), parent_exec, flow: None, root }
    }

    fn exec(&mut self, at: KernelNanos, process: &str, rest: &[&str]) -> Exec {
        let (process, exec, parent) = self.process(process);
        let exec = ExecNumber(exec.0 + 1);
        self.processes.insert(process.tgid.0, (process, exec, parent));
        let mut environment = Environment::default();
        let mut continues = None;
        let mut rest = rest;
        let flow = data::flow(rest);
        if flow.is_some() {
            rest = &rest[2..];
        }
        while let Some((name, value)) = rest[0].split_once('=') {
            let digit = || value.parse().expect("a digit stands for all bytes of an id");
            let value = Some(Captured::whole(value));
            match name {
                "TRACEPARENT" => environment.traceparent = value,
                "TRACESTATE" => environment.tracestate = value,
                "OTEL_SERVICE_NAME" => environment.service_name = value,
                "OTEL_RESOURCE_ATTRIBUTES" => environment.resource_attributes = value,
                "EARLIER" => continues = Some(EarlierSpan { trace_id: [digit(); 16], span_id: [digit(); 8] }),
                "UNREAD" => environment.incomplete = true,
                _ => panic!("not a variable that is read: {name}"),
            }
            rest = &rest[1..];
        }
        let args: Vec<u8> = rest[1..].iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
        Exec {
            at,
            process,
            exec,
            caller_tid: Tid(process.tgid.0),
            vpid: process.tgid.0,
            parent: parent.unwrap_or(ProcessKey { tgid: Tgid(1), start: KernelNanos(0) }),
            args: Captured::whole(args),
            flow,
            environment,
            continues,
            ..exec_of(rest[0])
        }
    }
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn time(text: &str) -> KernelNanos {
    let nanos = match text.strip_suffix('s') {
        Some(seconds) => u64::from(number(seconds)) * 1_000_000_000,
        None => u64::from(number(text)) * 1_000_000,
    };
    KernelNanos(BASE.0 + nanos)
}

fn loss_kind(text: &str) -> LossKind {
    match text {
        "fork" => LossKind::Fork,
        "exec" => LossKind::Exec,
        "exit" => LossKind::Exit,
        "process" => LossKind::Process,
        "snapshot" => LossKind::Snapshot,
        "open" => LossKind::Open,
        "burst" => LossKind::Burst,
        "connect" => LossKind::Connect,
        "dns" => LossKind::Dns,
        "change" => LossKind::Change,
        "call" => LossKind::Call,
        "content" => LossKind::Content,
        "missed" => LossKind::Missed,
        "undecodable" => LossKind::Undecodable,
        _ => panic!("not a kind of loss: {text}"),
    }
}

/// Words as a shell would split them, single quotes included; `\n` and `\e` within them are control characters.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            let text = part.replace("\\n", "\n").replace("\\e", "\x1b");
            words.last_mut().unwrap().push_str(&text);
            continue;
        }
        let mut pieces = part.split(' ');
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(str::to_owned));
    }
    // An argument that is empty can only be written with quotes; those of runs of blanks are dropped.
    words.retain(|word| !word.is_empty());
    words
}

/// Everything that the graph says of these events, `finish` included where `end` is given.
pub(crate) fn activities(session: &Session, events: &[Event], end: Option<KernelNanos>) -> (Vec<Activity>, Graph) {
    let mut graph = Graph::new(session);
    let mut out = Vec::new();
    for event in events {
        graph.apply(event, &mut out);
    }
    if let Some(end) = end {
        graph.finish(end, &mut out);
    }
    (out, graph)
}

fn render(activities: &[Activity]) -> String {
    activities.iter().map(|activity| line(activity) + "\n").collect()
}

fn line(activity: &Activity) -> String {
    match activity {
        Activity::Transferred(it) => data::transfer(it),
        Activity::TransferPromised(it) => format!("promised #{}.{}", it.id.open.0, it.id.number),
        Activity::ConnectionBegan(it) => data::connection(it),
        Activity::ConnectionContinued(it) => {
            let (open, trace) = (it.connection.open.0, trace(&it.place.trace));
            let part = if it.under.part == Part::Continuation { "~" } else { "" };
            format!("goes on  #{open} at {} under {}{part}{trace}", millis(it.place.start), it.connection.image.id)
        }
        Activity::ConnectionPromoted(it) => data::connection_at("promoted", it),
        Activity::ConnectionEnded(it) => data::connection_at("closed  ", it),
        Activity::Resolved(it) => data::resolution(it),
        Activity::ImageBegan(image) => format!("began    {}", describe(image)),
        Activity::ImagePromoted(it) => {
            let rest = data::account(&it.account) + &late_causes(&it.image);
            format!("promoted {} {}{rest}", it.image.id, span(it.image.start, it.at))
        }
        Activity::ImageContinued(it) => {
            let parent = parent(it.parent);
            format!("goes on  {} at {} under {parent}{}", it.image.id, millis(it.place.start), trace(&it.place.trace))
        }
        Activity::ImageEnded(it) => {
            let rest = data::account(&it.account) + &late_causes(&it.image);
            format!("ended    {} {} {}{rest}", it.image.id, span(it.image.start, it.at), how(it.ending))
        }
        Activity::ImageExited(it) => {
            let under = match it.under.part {
                Part::Original => String::new(),
                Part::Continuation => format!(" under {}~{}", it.image.id, trace(&it.under.trace)),
            };
            let rest = data::account(&it.account) + &late_causes(&it.image);
            format!("exited   {} {} {}{under}{rest}", it.image.id, span(it.image.start, it.at), how(it.ending))
        }
        Activity::Overhead(it) => format!("overhead {} events", it.events),
        Activity::Lost(it) => format!("lost     {:?} {}", it.loss.kind, it.loss.count),
    }
}

fn describe(image: &Image) -> String {
    let (parent, trace) = (parent(image.parent), trace(&image.trace));
    let causes: String = image.causes.iter().map(cause).collect();
    format!("{} {:?} {} under {parent}{trace}{causes}", image.id, image.origin, image.lineage.as_str())
}

/// `100#1`, `100#1~` for a continuation of it, `-` for none.
fn parent(parent: Parent) -> String {
    match parent {
        Parent::None => "-".to_owned(),
        Parent::Image { id, part, confidence } => {
            let part = if part == Part::Continuation { "~" } else { "" };
            let confidence = confidence.as_fraction();
            if confidence < 1.0 { format!("{id}{part} ({confidence})") } else { format!("{id}{part}") }
        }
        Parent::Adopted(span) => format!("adopted {span}"),
    }
}

/// Nothing for the session's first, ` segment 1` for a later one, ` trace bbbb` for an adopted one.
fn trace(trace: &Trace) -> String {
    match (trace.segment, trace.id.to_bytes()) {
        (_, [0x11, ..]) => String::new(),
        (Segment::FIRST, _) => format!(" trace {:.4}", trace.id.to_string()),
        (Segment(number), _) => format!(" segment {number}"),
    }
}

/// Links of an image that it had not when it began.
fn late_causes(image: &Image) -> String {
    let is_late = |it: &&Cause| !matches!(it.kind, CauseKind::Exec | CauseKind::Lineage | CauseKind::Explicit);
    image.causes.iter().filter(is_late).map(cause).collect()
}

/// ` <-File #2.1 47 (0.95)`: of a burst its number, of an image its id; the bytes, and what is not certain.
fn cause(cause: &Cause) -> String {
    let target = match &cause.target {
        Target::Image { id, .. } => id.to_string(),
        Target::Foreign(span) => span.span_id.to_string(),
        Target::Burst { id, .. } => format!("#{}.{}", id.open.0, id.number),
        Target::Connection { open, image, .. } => format!("{} #{}", image.id, open.0),
        Target::Resolution { name, .. } => name.clone(),
    };
    let bytes = cause.bytes.map_or_else(String::new, |bytes| format!(" {bytes}"));
    let confidence = cause.confidence.as_fraction();
    let confidence = if confidence < 1.0 { format!(" ({confidence})") } else { String::new() };
    let matched = cause.matched.as_ref().map_or_else(String::new, |it| {
        let (kind, from, to) = (it.likeness, it.source.start, it.sink.start);
        format!(" {kind:?} at {from} '{}' as at {to} '{}'", it.source_text, it.sink_text)
    });
    format!(" <-{:?} {target}{bytes}{confidence}{matched}", cause.kind)
}

fn span(start: KernelNanos, end: KernelNanos) -> String {
    format!("{}..{}", millis(start), millis(end))
}

fn millis(at: KernelNanos) -> u64 {
    at.0.saturating_sub(BASE.0) / 1_000_000
}

fn how(ending: Ending) -> String {
    match ending {
        Ending::Exited(exit) => match exit.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("exit {}", exit.code().unwrap()),
        },
        Ending::Replaced { into } => format!("into {into}"),
        Ending::Incomplete => "incomplete".to_owned(),
    }
}

/// What the graph says of `text`, then what it found odd. What lives at 20 s is finished there.
pub(crate) fn check(text: &str, expect: &expect_test::Expect) {
    check_with(&session(), text, expect);
}

pub(crate) fn check_with(session: &Session, text: &str, expect: &expect_test::Expect) {
    let (activities, graph) = activities(session, &events(text), Some(time("20s")));
    let mut actual = render(&activities);
    if graph.oddities() != super::Oddities::default() {
        let counts = format!("{:?}", graph.oddities());
        let counts = counts.trim_start_matches("Oddities { ").trim_end_matches(" }").split(", ");
        let counts: Vec<_> = counts.filter(|count| !count.ends_with(": 0")).collect();
        actual.push_str(&format!("odd      {}\n", counts.join(", ")));
    }
    expect.assert_eq(&actual);
}
