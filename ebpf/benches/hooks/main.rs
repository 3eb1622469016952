//! What the hooks on system calls add to a call, of a process that is traced and of one that is not.
//!
//! `make bench-hooks` prints the table (`cargo bench -p agentsight-ebpf --bench hooks single-calls` a longer one, `contents` that
//! of the programs with and without the capture of payload). Machines change their speed from one moment to the next, so every
//! sample with the hooks stands between two without, and counts only where these two agree. With the word `hold` it only keeps
//! empty programs on every hook of AgentSight's until it is ended: the floor of other benchmarks; with `timed` as well, the kernel
//! keeps run times meanwhile. Needs root.

// The tests' own, which are too much to depend on for two files.
#[allow(unreachable_pub, dead_code, reason = "they are a library's")]
#[path = "../../../tests/src/comparison.rs"]
mod comparison;
mod contents;
mod floor;
#[allow(unreachable_pub, reason = "it is a library's")]
#[path = "../../../tests/src/random.rs"]
mod random;
mod worker;

use std::process;

use agentsight_ebpf::live::{Carrier, LiveError, Options, Probes, Ring};
use agentsight_ebpf::{SessionNumber, Tgid};

use floor::{Floor, Form};
use worker::{Call, Worker};

/// So many pairs make a median.
const PAIRS: usize = 15;
/// On a machine that is never at rest: after so many tries it is what there is.
const TRIES: usize = 90;
/// The samples before and after may differ by so much of themselves.
const AGREEMENT: f64 = 0.05;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    if std::env::args().any(|argument| argument == worker::ARGUMENT) {
        return worker::serve();
    }
    if std::env::args().any(|argument| argument == "hold") {
        let mut floor = Floor::load()?;
        let mut held = floor.with(Form::All);
        held.attach()?;
        let timed = std::env::args().any(|argument| argument == "timed");
        let _account = timed.then(|| aya::sys::enable_stats(aya::sys::Stats::RunTime)).transpose()?;
        println!("ready");
        loop {
            std::thread::park();
        }
    }
    if std::env::args().any(|argument| argument == "contents") {
        return contents::compare();
    }
    println!("ns added to a call, medians of {PAIRS} pairs (fewer in brackets: the machine was not at rest)\n");
    println!("{:<44}{:>16}{:>16}{:>16}{:>16}", "hooks", "getppid", "pread 1 byte", "pwrite 4 KiB", "open and close");
    let mut untraced = Worker::start()?;
    let mut alone = Nothing;
    row("none: the call itself", &mut untraced, &mut alone)?;
    let mut floor = Floor::load()?;
    for form in Form::ALL {
        row(form.name(), &mut untraced, &mut floor.with(form))?;
    }
    if std::env::args().any(|argument| argument == "single-calls") {
        for form in Form::OF_SINGLE_CALLS {
            row(form.name(), &mut untraced, &mut floor.with(form))?;
        }
    }
    for (carrier, form) in [(Carrier::RingBuffer, "tp_btf"), (Carrier::PerfBuffers, "raw_tp")] {
        let mut ours = Ours::load(carrier)?;
        row(&format!("ours, {form}: a process that is not traced"), &mut untraced, &mut ours)?;
        ours.probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST)?;
        let mut traced = Worker::start()?;
        row(&format!("ours, {form}: a process that is traced"), &mut traced, &mut ours)?;
    }
    Ok(())
}

/// Something that can be put on the system calls and taken off.
trait Hooks {
    fn attach(&mut self) -> Result<(), Error>;
    fn detach(&mut self);
    /// Adds something to what is measured, or is what is measured.
    fn is_added(&self) -> bool {
        true
    }
}

struct Nothing;

impl Hooks for Nothing {
    fn attach(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn detach(&mut self) {}

    fn is_added(&self) -> bool {
        false
    }
}

struct Ours {
    probes: Probes,
    ring: Ring,
}

impl Ours {
    fn load(carrier: Carrier) -> Result<Self, LiveError> {
        let mut probes = Probes::attach(&Options { carrier: Some(carrier), ..Options::default() })?;
        let ring = probes.take_ring()?;
        Ok(Self { probes, ring })
    }
}

impl Hooks for Ours {
    fn attach(&mut self) -> Result<(), Error> {
        Ok(self.probes.attach_syscalls()?)
    }

    fn detach(&mut self) {
        self.probes.detach_syscalls();
        while self.ring.drain(|_| ()) > 0 {}
    }
}

fn row(name: &str, worker: &mut Worker, hooks: &mut dyn Hooks) -> Result<(), Error> {
    print!("{name:<44}");
    for call in Call::ALL {
        let mut added = Vec::new();
        for _ in 0..TRIES {
            if added.len() == PAIRS {
                break;
            }
            let before = worker.measure(call)?;
            hooks.attach()?;
            let with = worker.measure(call)?;
            hooks.detach();
            let after = worker.measure(call)?;
            let baseline = f64::midpoint(before, after);
            if (before - after).abs() <= AGREEMENT * baseline {
                added.push(if hooks.is_added() { with - baseline } else { with });
            }
        }
        let pairs = added.len();
        let text = median(added).map_or_else(|| "?".to_owned(), |nanos| format!("{nanos:.0}"));
        print!("{:>16}", if pairs < PAIRS { format!("{text} [{pairs}]") } else { text });
    }
    println!();
    Ok(())
}

fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}
