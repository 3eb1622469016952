//! When nobody drains, what was sent and what was lost is still what was made, kind by kind. Needs root.

use std::collections::BTreeMap;
use std::process::{self, Command};

use agentsight_ebpf::live::{Carrier, Options, Probes};
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
}

fn kind(event: &Event) -> LossKind {
    match event {
        Event::Fork(_) => LossKind::Fork,
        Event::Exec(_) => LossKind::Exec,
        Event::Exit(_) => LossKind::Exit,
        other => panic!("the programs do not make {other:?}"),
    }
}
