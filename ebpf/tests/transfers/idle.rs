//! What no call ends: user space takes it out after a second, and at the end of the session.

use std::process::{self, Command};
use std::time::{Duration, Instant};

use agentsight_ebpf::live::{Options, Probes};
use agentsight_ebpf::{Cut, Direction, Event, SessionNumber, Tgid};

use crate::observe::alone;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_pause_ends_a_burst_without_another_call_and_the_session_ends_the_rest() {
    let _alone = alone();
    let mut probes = Probes::attach(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    probes.attach_syscalls().unwrap_or_else(|error| panic!("{error}"));
    let mut ring = probes.take_ring().expect("nobody has taken it");
    let mut harvest = probes.take_harvest().expect("nobody has taken it");
    probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST).expect("the map has room");
    // Python goes on to live, and holds what it wrote to open.
    let program = "import os, time; r, w = os.pipe(); os.write(w, b'seven!!'); time.sleep(100)";
    let mut child = Command::new("python3").args(["-S", "-c", program]).spawn().expect("python3 is installed");

    let mut ends = Vec::new();
    let began = Instant::now();
    let is_ours = |end: &agentsight_ebpf::BurstEnd| end.direction == Direction::Out && end.bytes == 7;
    while !ends.iter().any(is_ours) {
        ring.drain(|record| {
            let (session, event) = record.expect("it is one of ours");
            harvest.hear(session, &event, |_| {});
        });
        harvest.sweep(probes.clock().now(), |session, event| {
            assert_eq!(session, SessionNumber::FIRST);
            if let Event::BurstEnd(end) = event {
                ends.push(end);
            }
        });
        assert!(began.elapsed() < LIMIT, "the burst did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let end = ends.iter().find(|end| is_ours(end)).expect("it was waited for");
    assert_eq!((end.cut, end.offset, end.end), (Cut::Idle, 0, 7));
    assert!(end.at.0 - end.last.0 > 1_000_000_000);
    harvest.finish(probes.clock().now(), |_, event| {
        assert!(matches!(
            event,
            Event::Copied(_) | Event::BurstEnd(agentsight_ebpf::BurstEnd { cut: Cut::Session, .. })
        ));
    });
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
}
