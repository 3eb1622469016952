//! What the capture of payload costs a traced process that has none captured: our programs beside the same compiled without it.
//!
//! Both are loaded and both trace the process; their hooks on system calls are put on one after the other, in turns that change
//! which is first.

use std::collections::BTreeSet;
use std::process;

use agentsight_ebpf::live::{CaptureRoom, Carrier, Options, Probes, Ring};
use agentsight_ebpf::{CapturePolicy, SessionNumber, Tgid};
use aya::include_bytes_aligned;

use super::Error;
use super::comparison::Comparison;
use super::worker::{Call, Worker};

static WITHOUT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/without_contents.bpf.o"));

const PAIRS: usize = 201;
/// Those that every transfer runs through, and the hooks themselves.
const PROGRAMS: [&str; 5] =
    ["agentsight_sys_enter", "agentsight_sys_exit", "agentsight_transfer", "agentsight_move", "agentsight_count"];

pub(crate) fn compare() -> Result<(), Error> {
    // It wants what nobody does: each open file is decided to be none, and after that it is one flag.
    let policy =
        CapturePolicy { files: vec!["/nowhere/*".parse()?], streams: BTreeSet::new(), ..CapturePolicy::default() };
    let mut off = Side::load(None, None)?;
    let mut other = Side::load(None, Some(CaptureRoom::of(&policy)?))?;
    other.probes.capture(SessionNumber::FIRST, &policy)?;
    let mut without = Side::load(Some(WITHOUT), None)?;
    for side in [&mut off, &mut other, &mut without] {
        side.probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST)?;
    }
    let mut worker = Worker::start()?;

    println!("instructions of the programs: compiled without contents, capture off, capture of other files\n");
    for program in PROGRAMS {
        println!("{program:<24}{:>8}{:>8}{:>8}", without.length(program), off.length(program), other.length(program));
    }
    println!("\nns a call takes a traced process, {PAIRS} pairs, and by how much more (95 % interval)\n");
    println!("{:<16}{:>12}   {:<36}{:<36}", "call", "without", "capture off", "capture of other files");
    for call in Call::ALL {
        let mut pairs = [Vec::new(), Vec::new()];
        for number in 0..PAIRS {
            for (side, pairs) in [&mut off, &mut other].into_iter().zip(&mut pairs) {
                pairs.push(if number % 2 == 0 {
                    let base = without.measure(&mut worker, call)?;
                    (base, side.measure(&mut worker, call)?)
                } else {
                    let with = side.measure(&mut worker, call)?;
                    (without.measure(&mut worker, call)?, with)
                });
            }
        }
        let [off, other] = pairs.map(|pairs| Comparison::of(&pairs));
        let (Some(off), Some(other)) = (off, other) else { return Err("there are no pairs".into()) };
        println!("{:<16}{:>12.0}   {:<36}{:<36}", call.name(), off.base, off.to_string(), other.to_string());
    }
    Ok(())
}

struct Side {
    probes: Probes,
    ring: Ring,
}

impl Side {
    fn load(object: Option<&'static [u8]>, capture: Option<CaptureRoom>) -> Result<Self, Error> {
        let carrier = Some(Carrier::RingBuffer);
        let mut probes = Probes::attach(&Options { carrier, object, capture, ..Options::default() })?;
        let ring = probes.take_ring()?;
        Ok(Self { probes, ring })
    }

    fn measure(&mut self, worker: &mut Worker, call: Call) -> Result<f64, Error> {
        self.probes.attach_syscalls()?;
        let nanos = worker.measure(call);
        self.probes.detach_syscalls();
        while self.ring.drain(|_| ()) > 0 {}
        nanos
    }

    fn length(&self, program: &str) -> u32 {
        self.probes.lengths().iter().find(|(name, _)| *name == program).map_or(0, |(_, length)| *length)
    }
}
