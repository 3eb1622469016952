//! When nobody drains, what was sent and what was lost is still what was made, kind by kind. Needs root.

use std::collections::BTreeMap;
use std::process::{self, Command};

use agentsight_ebpf::live::{Carrier, Options, Probes, Sessions};
use agentsight_ebpf::{Event, LossKind, SessionNumber, Tgid};

/// Each makes a fork, an exec and an exit; with the shell that starts them that is one more of each.
const CHILDREN: u64 = 401;

// One test for both, because the next child that this process forks is the traced one, whichever test forks it.
#[test]
fn sent_and_lost_is_made_when_nobody_drains() {
    for carrier in [Carrier::RingBuffer, Carrier::PerfBuffers] {
        let options = Options { carrier: Some(carrier), ring_bytes: 64 << 10, ..Options::default() };
        let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{carrier:?}: {error}"));
        let mut ring = probes.take_ring().expect("nobody has taken it");
        probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST).expect("the map has room");
        let script = format!("i=0; while [ $i -lt {CHILDREN} ]; do /bin/true; i=$((i+1)); done");
        let status = Command::new("sh").args(["-c", &script]).status().expect("every Unix has sh");
        assert!(status.success(), "{status}");

        let mut sent: BTreeMap<LossKind, u64> = BTreeMap::new();
        while ring.drain(|record| {
            let (session, event) = record.expect("it is one of ours");
            assert_eq!(session, SessionNumber::FIRST);
            *sent.entry(kind(&event)).or_default() += 1;
        }) > 0
        {}
        let mut lost_in_all = 0;
        for (kind, made, lost) in probes.read_counts(SessionNumber::FIRST).expect("the map is there") {
            if !sent.contains_key(&kind) && !matches!(kind, LossKind::Fork | LossKind::Exec | LossKind::Exit) {
                continue;
            }
            let sent = sent.get(&kind).copied().unwrap_or(0);
            assert_eq!(made, CHILDREN + 1, "{carrier:?}: {kind:?}");
            assert_eq!(sent + lost, made, "{carrier:?}: {kind:?}: {sent} sent, {lost} lost");
            lost_in_all += lost;
        }
        assert!(lost_in_all > 0, "{carrier:?}: the test should overload it");
        let losses = probes.take_losses(SessionNumber::FIRST).expect("the map is there");
        let reported: u64 = losses.iter().map(|(_, count)| count).sum();
        assert_eq!(reported, lost_in_all, "{carrier:?}");
    }
    losses_are_counted_for_each_session();
    a_ring_that_is_drained_loses_nothing_however_often_it_goes_round();
}

/// A ring is read through a window that moves over it: round and round, and over its end.
fn a_ring_that_is_drained_loses_nothing_however_often_it_goes_round() {
    const ROUNDS: u64 = 23;
    const CHILDREN: u64 = 29;
    let options = Options { carrier: Some(Carrier::RingBuffer), ring_bytes: 64 << 10, ..Options::default() };
    let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{error}"));
    let mut ring = probes.take_ring().expect("nobody has taken it");
    let mut executed = 0;
    for _ in 0..ROUNDS {
        probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST).expect("the map has room");
        let script = format!("i=0; while [ $i -lt {CHILDREN} ]; do /bin/true; i=$((i+1)); done");
        let status = Command::new("sh").args(["-c", &script]).status().expect("every Unix has sh");
        assert!(status.success(), "{status}");
        while ring.drain(|record| {
            let (_, event) = record.expect("it is one of ours");
            executed += u64::from(kind(&event) == LossKind::Exec);
        }) > 0
        {}
    }
    assert_eq!(executed, ROUNDS * (CHILDREN + 1));
    let lost = probes.take_losses(SessionNumber::FIRST).expect("the map is there");
    assert_eq!(lost, []);
}

/// Whose losses they are is known where there are many sessions: here one session makes ten times what another does.
fn losses_are_counted_for_each_session() {
    let options = Options {
        sessions: Sessions::Many,
        ring_bytes: 64 << 10,
        carrier: Some(Carrier::RingBuffer),
        ..Options::default()
    };
    let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{error}"));
    let _never_drained = probes.take_ring().expect("nobody has taken it");
    let mut made_and_lost = |session, children: u64| {
        probes.begin_counting(session).expect("the map is there");
        probes.trace_next_child(Tgid(process::id()), session).expect("the map has room");
        let script = format!("i=0; while [ $i -lt {children} ]; do /bin/true; i=$((i+1)); done");
        let status = Command::new("sh").args(["-c", &script]).status().expect("every Unix has sh");
        assert!(status.success(), "{status}");
        let counts = probes.read_counts(session).expect("the map is there");
        let forks = counts.iter().find(|(kind, ..)| *kind == LossKind::Fork).expect("forks are counted");
        let reported: u64 = probes.take_losses(session).expect("the map is there").iter().map(|(_, lost)| lost).sum();
        (forks.1, reported)
    };
    let quiet = SessionNumber(7);
    assert_eq!(made_and_lost(quiet, 3), (4, 0));
    let (made, lost) = made_and_lost(SessionNumber(8), CHILDREN);
    assert!(made == CHILDREN + 1 && lost > 0, "{made} made, {lost} lost");
    assert_eq!(probes.take_losses(quiet).expect("the map is there"), [], "another session's losses");
}

fn kind(event: &Event) -> LossKind {
    match event {
        Event::Fork(_) => LossKind::Fork,
        Event::Exec(_) => LossKind::Exec,
        Event::Exit(_) => LossKind::Exit,
        other => panic!("the programs do not make {other:?}"),
    }
}
