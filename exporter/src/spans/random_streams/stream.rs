//! A stream of events as a kernel might say it, with what goes wrong between it and us.

use agentsight_ebpf::{
    Captured, Clock, Doer, Event, Exec, ExecNumber, Exit, Fork, Gap, KernelNanos, Loss, LossKind, Overhead, ProcessKey,
    ProgramTime, Tgid, Tick, Tid, WallNanos,
};

use super::NAMED;
use super::data::Data;
use super::random::Random;
use crate::graph::fixture::{BASE, WALL, exec_of};

pub(super) fn stream(random: &mut Random) -> Vec<Event> {
    let launcher = ProcessKey { tgid: Tgid(1), start: KernelNanos(1) };
    let mut now = BASE;
    let mut live = vec![(ProcessKey { tgid: Tgid(100), start: now }, ExecNumber(0))];
    let mut events = vec![
        Event::Clock(Clock { at: now, wall: WALL }),
        Event::Fork(fork(now, launcher, ExecNumber(0), live[0].0, true)),
    ];
    let mut data = Data::default();
    for _ in 0..random.below(500) {
        now.0 += if random.one_in(20) { random.below(8_000_000_000) } else { random.below(3_000_000) };
        let place = usize::try_from(random.below(live.len().max(1) as u64)).unwrap();
        let known = live.get(place).copied();
        let event = match (random.below(25), known) {
            (0..=3, Some((parent, exec))) => {
                // Few ids, so that they are used again.
                let child = ProcessKey { tgid: Tgid(100 + u32::try_from(random.below(40)).unwrap()), start: now };
                live.retain(|(process, _)| process.tgid != child.tgid || process.tgid == parent.tgid);
                live.push((child, ExecNumber(0)));
                Event::Fork(Fork { flow: data.flow(random, parent, exec), ..fork(now, parent, exec, child, false) })
            }
            (4..=6, Some((process, exec))) => {
                let flow = data.flow(random, process, exec);
                let exec = ExecNumber(exec.0 + 1);
                live[place].1 = exec;
                Event::Exec(Box::new(Exec { flow, ..exec_event(random, now, process, exec) }))
            }
            (7, Some((process, exec))) => {
                live.swap_remove(place);
                Event::Exit(Exit { at: now, process, exec, status: u32::try_from(random.below(0x1_0000)).unwrap() })
            }
            (8, _) if random.one_in(3) => Event::Overhead(Overhead {
                at: now,
                programs: random.of(&[None, Some(ProgramTime { nanos: u64::MAX, runs: u64::MAX })]),
                cpu_nanos: random.of(&[0, u64::MAX]),
                resident_bytes: random.of(&[None, Some(u64::MAX)]),
                events: random.below(9),
            }),
            (8, _) => Event::Loss(Loss { at: now, kind: random.of(&LossKind::ALL), count: random.below(5) }),
            (9..=23, Some((process, exec))) => {
                let by = Doer { process, exec, tid: Tid(process.tgid.0 + u32::try_from(random.below(2)).unwrap()) };
                data.event(random, now, by, &live)
            }
            _ if random.one_in(8) && random.one_in(2) => Data::nonsense(random, now),
            _ if random.one_in(8) => nonsense(random, now),
            _ => Event::Tick(Tick { at: now }),
        };
        if random.one_in(20) {
            continue; // Lost.
        }
        if random.one_in(30) {
            events.push(event.clone());
        }
        events.push(event);
        if random.one_in(30) {
            let last = events.len() - 1;
            let other = usize::try_from(random.below(last as u64)).unwrap();
            events.swap(last, other);
        }
    }
    events
}

fn fork(at: KernelNanos, parent: ProcessKey, parent_exec: ExecNumber, process: ProcessKey, root: bool) -> Fork {
    Fork { at, process, vpid: process.tgid.0, parent, parent_tid: Tid(parent.tgid.0), parent_exec, flow: None, root }
}

fn exec_event(random: &mut Random, at: KernelNanos, process: ProcessKey, exec: ExecNumber) -> Exec {
    let mut event = exec_of(random.of(&["/bin/sh", "/usr/bin/python3", "", "/", "\u{1b}[2J"]));
    let unusual = random.below(10);
    event.environment.traceparent = match unusual {
        0..=2 => Some(Captured::whole(random.of(&NAMED))),
        3 => Some(Captured::whole(random.next().to_le_bytes())),
        4 => Some(Captured { bytes: NAMED[0].into(), gap: Some(Gap::Unreadable) }),
        _ => None,
    };
    event.environment.resource_attributes = (unusual == 5).then(|| Captured::whole(b"a=%ff,\xff".as_slice()));
    event.args = Captured::whole(random.next().to_le_bytes());
    if random.one_in(50) {
        event.args = Captured {
            bytes: random.of(&[b"\0", b"\xff", b"a"]).repeat(random.of(&[1, 3_000, 9_000])),
            gap: random.of(&[None, Some(Gap::Truncated { total: 1 << 40 }), Some(Gap::Unreadable)]),
        };
        event.executable.gap = random.of(&[None, Some(Gap::Unreadable)]);
        event.requested.gap = event.executable.gap;
        event.working_directory = Captured { bytes: b"\xff".repeat(5_000), gap: Some(Gap::Truncated { total: 9 }) };
        event.executable_deleted = true;
        event.environment.incomplete = true;
        event.redactions = u32::MAX;
        event.vpid = 1 << 30;
    }
    Exec { at, process, exec, caller_tid: Tid(process.tgid.0), ..event }
}

/// Events that no kernel makes.
fn nonsense(random: &mut Random, now: KernelNanos) -> Event {
    let start = KernelNanos(random.of(&[0, BASE.0, now.0, u64::MAX]));
    let process = ProcessKey { tgid: Tgid(random.of(&[0, 100, 101, u32::MAX])), start };
    let exec = ExecNumber(random.of(&[0, 1, 2, u32::MAX]));
    let at = KernelNanos(random.of(&[0, now.0, now.0, u64::MAX]));
    let parent = random.of(&[process, ProcessKey { tgid: Tgid(100), start: BASE }]);
    match random.below(6) {
        0 => Event::Fork(fork(at, parent, exec, process, random.one_in(2))),
        4 => Event::Snapshot(Box::new(Exec { parent, ..exec_event(random, at, process, ExecNumber(0)) })),
        1 => Event::Exec(Box::new(exec_event(random, at, process, exec))),
        2 => Event::Exit(Exit { at, process, exec, status: u32::MAX }),
        3 => Event::Loss(Loss { at, kind: LossKind::Missed, count: u64::MAX }),
        _ => Event::Clock(Clock { at, wall: WallNanos(random.of(&[0, WALL.0, u64::MAX])) }),
    }
}
