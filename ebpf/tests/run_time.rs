//! How long the programs on system calls run, in times of what an empty program takes beside them. Needs root.
//!
//! The kernel keeps the account, of both at the same calls, so a slow or busy machine slows both. Of all rounds the best
//! counts: others are longer for what interrupted them. The bounds are twice what was measured, for the empty program's
//! time is the kernel's reading of its clock, which differs between machines, and a test that fails of itself is worth
//! less than one that sees only what doubles. `make bench-hooks` has the figures.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::{self, Command};

use agentsight_ebpf::live::{Carrier, Options, Probes};
use agentsight_ebpf::{SessionNumber, Tgid};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

static EMPTY: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor.bpf.o"));

const ROUNDS: usize = 16;
/// So many of them count, those in which others called least: what the programs do for others takes less.
const COUNTED: usize = 8;
/// Each reads a byte and writes it.
const COPIES: u64 = 10_007;
const HOOKS: [&str; 2] = ["sys_enter", "sys_exit"];

/// Whose calls, on which hook, and how many times the empty program's time ours may take.
const BOUNDS: [(Caller, &str, f64); 4] = [
    (Caller::Untraced, "sys_enter", 2.5),
    (Caller::Untraced, "sys_exit", 2.5),
    (Caller::Traced, "sys_enter", 6.0),
    (Caller::Traced, "sys_exit", 14.0),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Untraced,
    Traced,
}

#[test]
fn a_call_costs_no_more_times_the_empty_program_than_it_did() {
    let account = aya::sys::enable_stats(aya::sys::Stats::RunTime).expect("this test needs root, and Linux 5.8");
    let empty = Empty::attach();
    let options = Options { carrier: Some(Carrier::RingBuffer), ..Options::default() };
    let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{error}"));
    probes.attach_syscalls().unwrap_or_else(|error| panic!("{error}"));
    let mut ring = probes.take_ring().expect("nobody has taken it");
    let mut slower = Vec::new();
    for caller in [Caller::Untraced, Caller::Traced] {
        let mut rounds = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            if caller == Caller::Traced {
                probes.trace_next_child(Tgid(process::id()), SessionNumber::FIRST).expect("the map has room");
            }
            let before = HOOKS.map(|hook| accounts(&probes, &empty, hook));
            copy_bytes();
            let after = HOOKS.map(|hook| accounts(&probes, &empty, hook));
            while ring.drain(|_| ()) > 0 {}
            for ((rounds, before), after) in rounds.iter_mut().zip(before).zip(after) {
                rounds.push([after[0].since(before[0]), after[1].since(before[1])]);
            }
        }
        for (hook, rounds) in HOOKS.into_iter().zip(rounds) {
            let [ours, empty] = best(rounds);
            let times = ours / empty;
            let (.., bound) = BOUNDS.into_iter().find(|it| it.0 == caller && it.1 == hook).expect("each has its bound");
            println!("{caller:?} {hook}: {ours:.0} ns, empty {empty:.0} ns: {times:.2} of {bound} times");
            if times > bound {
                slower.push((caller, hook, times));
            }
        }
    }
    drop(account);
    assert!(slower.is_empty(), "{slower:?} are more times the empty program than {BOUNDS:?}");
}

/// Nanoseconds of a run of ours and of the empty one, where neither was interrupted and few others called.
fn best(mut rounds: Vec<[Account; 2]>) -> [f64; 2] {
    rounds.sort_by(|one, other| one[0].runs.total_cmp(&other[0].runs));
    rounds.truncate(COUNTED);
    [0, 1].map(|which| {
        let each = rounds.iter().map(|round| round[which].nanos / round[which].runs);
        each.fold(f64::INFINITY, f64::min)
    })
}

fn copy_bytes() {
    let count = format!("count={COPIES}");
    let mut dd = Command::new("dd");
    let status = dd.args(["if=/dev/zero", "of=/dev/null", "bs=1", "status=none", &count]).status();
    assert!(status.is_ok_and(|status| status.success()), "every Linux has dd");
}

/// The empty programs, on.
struct Empty(Ebpf);

impl Empty {
    fn attach() -> Self {
        let btf = Btf::from_sys_fs().expect("the kernel has its type information");
        let mut ebpf = EbpfLoader::new().btf(Some(&btf)).load(EMPTY).expect("the benchmark's object loads");
        for hook in HOOKS {
            let program = ebpf.program_mut(&Self::name(hook)).expect("it is in the object");
            let program: &mut BtfTracePoint = program.try_into().expect("it is one of these");
            program.load(hook, &btf).and_then(|()| program.attach()).expect("this test needs root");
        }
        Self(ebpf)
    }

    fn name(hook: &str) -> String {
        hook.replace("sys_", "floor_tp_btf_")
    }

    fn descriptor(&self, hook: &str) -> BorrowedFd<'_> {
        let program = self.0.program(&Self::name(hook)).expect("it is in the object");
        program.fd().expect("it is loaded").as_fd()
    }
}

/// What the kernel says of a program since it was loaded.
#[derive(Clone, Copy)]
struct Account {
    nanos: f64,
    runs: f64,
}

impl Account {
    fn read(program: BorrowedFd<'_>) -> Self {
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).expect("/proc is mounted");
        let figure = |key: &str| -> f64 {
            let said = text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
            said.unwrap_or_else(|| panic!("the kernel does not say {key}"))
        };
        Self { nanos: figure("run_time_ns:"), runs: figure("run_cnt:") }
    }

    fn since(self, before: Self) -> Self {
        let runs = self.runs - before.runs;
        assert!(runs >= 2.0 * COPIES as f64, "it ran {runs} times only");
        Self { nanos: self.nanos - before.nanos, runs }
    }
}

/// Of ours, and of the empty one.
fn accounts(probes: &Probes, empty: &Empty, hook: &str) -> [Account; 2] {
    let name = format!("agentsight_{hook}");
    let programs = probes.programs();
    let ours = programs.iter().find(|(program, _)| *program == name).unwrap_or_else(|| panic!("{name} is gone")).1;
    [Account::read(ours), Account::read(empty.descriptor(hook))]
}
