//! Where room or a budget ends: what is missing is said, and nothing is invented.

use agentsight_ebpf::live::{CaptureRoom, Carrier};
use agentsight_ebpf::{Direction, Event, LossKind, Missing};

use crate::payload::{Payload, files, python, room};

const WRITES: &str = "
import os, tempfile
def text(length): return b''.join(b'%d,' % number for number in range(length))[:length]
place = tempfile.mkdtemp()
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
all = text(300000)
for at in range(0, 300000, 30000): assert os.write(fd, all[at:at+30000]) == 30000
";

fn text(length: usize) -> Vec<u8> {
    (0..).flat_map(|number: u32| format!("{number},").into_bytes()).take(length).collect()
}

#[test]
fn a_bursts_budget_is_spent_to_the_byte_and_said_once() {
    let mut policy = files(&["in.txt"]);
    policy.budgets.burst_bytes = 64 << 10;
    python(WRITES, &policy, |payload| {
        let known = payload.known("in.txt", Direction::Out);
        assert_eq!(known.bytes, text(64 << 10));
        assert_eq!(known.holes, [(64 << 10..90_000, Missing::Budget)], "of the call that it ended in");
    });
}

#[test]
fn a_sessions_budget_holds_over_all_of_its_bursts() {
    let mut policy = files(&["in.txt"]);
    policy.budgets.session_bytes = 1000;
    let program = "
import os, tempfile
place = tempfile.mkdtemp()
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
os.write(fd, b'a' * 700); os.lseek(fd, 0, 0); os.read(fd, 700); os.lseek(fd, 0, 0); os.write(fd, b'b' * 700)
";
    python(program, &policy, |payload| {
        let taken: Vec<_> = payload.chunks.iter().map(|chunk| (chunk.bytes.len(), chunk.missing)).collect();
        assert_eq!(taken, [(700, None), (300, Some(Missing::Budget)), (0, Some(Missing::Budget))]);
    });
}

#[test]
fn the_hosts_budget_of_a_minute_is_another() {
    let room = CaptureRoom { bytes_per_minute: 45_000, ..room() };
    let payload = Payload::of(Carrier::RingBuffer, WRITES, room, &files(&["in.txt"]));
    let known = payload.known("in.txt", Direction::Out);
    assert_eq!((known.bytes, known.holes), (text(45_000), vec![(45_000..60_000, Missing::Budget)]));
}

#[test]
fn a_ring_without_room_leaves_holes_and_pushes_out_nothing_else() {
    // Too fast for whoever reads it: a megabyte at once into two pages, or into the least that perf buffers have.
    let program = "
import os, tempfile
def text(length): return b''.join(b'%d,' % number for number in range(length))[:length]
place = tempfile.mkdtemp()
fd = os.open(place + '/in.txt', os.O_RDWR | os.O_CREAT)
all = text(1 << 20)
for _ in range(5): assert os.pwrite(fd, all, 0) == 1 << 20
";
    for (carrier, ring_bytes) in [(Carrier::RingBuffer, 16 << 10), (Carrier::PerfBuffers, 4096)] {
        let payload = Payload::of(carrier, program, CaptureRoom { ring_bytes, ..room() }, &files(&["in.txt"]));
        let all = text(1 << 20);
        let mut known = 0;
        for chunk in &payload.chunks {
            let at = usize::try_from(chunk.offset).expect("it is small");
            assert_eq!(chunk.bytes, all[at..at + chunk.bytes.len()], "{carrier:?}: nothing is invented: {chunk:?}");
            known += chunk.bytes.len();
        }
        assert!(known > 0 && known < 5 << 20, "{carrier:?}: {known} bytes");
        let lost: Vec<_> = payload.lost.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(lost, [LossKind::Content], "{carrier:?}");
        let last = payload.chunks.last().expect("some came").sequence;
        let came = payload.chunks.len() as u64;
        assert!(last > came, "{carrier:?}: numbers are missing: {came} came, the last is {last}");
        let moved = payload.events.iter().find_map(|event| match event {
            Event::BurstEnd(end) if end.bytes == 5 << 20 => Some(end.operations),
            _ => None,
        });
        assert_eq!(moved, Some(5), "{carrier:?}: bursts are counted as ever");
    }
}
