//! A small program under observation: what the kernel side said of it.

use std::process::{self, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use agentsight_ebpf::live::{CaptureRoom, Carrier, Options, Probes};
use agentsight_ebpf::{CapturePolicy, Event, LossKind, SessionNumber, Tgid};

/// The next child of this process is the traced one, whichever test forks it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Far more than any of the programs takes.
const LIMIT: Duration = Duration::from_secs(20);

/// While it is held, no other test of this binary traces.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that was said of a Python program, over either carrier; nothing may be lost.
#[allow(dead_code, reason = "not every test has one")]
pub(crate) fn observe(carrier: Carrier, program: &str) -> Vec<Event> {
    observe_command(carrier, &mut python(program))
}

fn python(program: &str) -> Command {
    // What is called python3 may be a script that starts it, after many things of its own.
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = String::from_utf8(asked.expect("python3 is installed").stdout).expect("its path is text");
    let mut command = Command::new(python.trim());
    command.args(["-S", "-c", program]);
    command
}

/// Likewise of any command.
#[allow(dead_code, reason = "not every test has one")]
pub(crate) fn observe_command(carrier: Carrier, command: &mut Command) -> Vec<Event> {
    let (events, lost) = watch(carrier, command, None);
    assert_eq!(lost, [], "{carrier:?}");
    events
}

/// Everything that was said of a Python program whose payload is captured, and what was lost.
#[allow(dead_code, reason = "not every test captures")]
pub(crate) fn observe_contents(
    carrier: Carrier,
    program: &str,
    room: CaptureRoom,
    policy: &CapturePolicy,
) -> (Vec<Event>, Vec<(LossKind, u64)>) {
    watch(carrier, &mut python(program), Some((room, policy)))
}

fn watch(
    carrier: Carrier,
    command: &mut Command,
    capture: Option<(CaptureRoom, &CapturePolicy)>,
) -> (Vec<Event>, Vec<(LossKind, u64)>) {
    let _alone = alone();
    let room = capture.map(|(room, _)| room);
    let options = Options { carrier: Some(carrier), capture: room, ..Options::default() };
    let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{carrier:?}: {error}"));
    probes.attach_syscalls().unwrap_or_else(|error| panic!("{carrier:?}: {error}"));
    let mut ring = probes.take_ring().expect("nobody has taken it");
    let mut harvest = probes.take_harvest().expect("nobody has taken it");
    if let Some((_, policy)) = capture {
        probes.capture(SessionNumber::FIRST, policy).unwrap_or_else(|error| panic!("{carrier:?}: {error}"));
    }
    probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST).expect("the map has room");
    let status = command.status().expect("the program is installed");
    assert!(status.success(), "{carrier:?}: the program: {status}");

    let mut events = Vec::new();
    let began = Instant::now();
    while !events.iter().any(|event| matches!(event, Event::Exit(exit) if is_root(&events, exit.process))) {
        ring.drain(|event| {
            let (session, event) = event.expect("it is one of ours");
            harvest.hear(session, &event, |end| events.push(end));
            events.push(event);
        });
        assert!(began.elapsed() < LIMIT, "{carrier:?}: no exit came");
    }
    let mut lost = probes.take_losses(SessionNumber::FIRST).expect("the map is there");
    println!("{carrier:?}: lost {lost:?}, {} runs missed", probes.take_missed());
    lost.retain(|(kind, _)| *kind != LossKind::Missed);
    (events, lost)
}

/// Over both carriers, one after the other.
#[allow(dead_code, reason = "not every test needs both")]
pub(crate) fn on_both(program: &str, claim: impl Fn(&[Event])) {
    for carrier in [Carrier::RingBuffer, Carrier::PerfBuffers] {
        println!("{carrier:?}");
        claim(&observe(carrier, program));
    }
}

fn is_root(events: &[Event], process: agentsight_ebpf::ProcessKey) -> bool {
    events.iter().any(|event| matches!(event, Event::Fork(fork) if fork.root && fork.process == process))
}
