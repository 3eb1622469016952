//! Empty programs on the same hooks.

use std::os::fd::OwnedFd;

use aya::programs::{BtfTracePoint, RawTracePoint, TracePoint};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

use super::{Error, Hooks};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor.bpf.o"));

/// Which hooks, in which form.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    TypedExit,
    /// With the kernel's account of run times.
    TypedExitTimed,
    TypedBoth,
    RawExit,
    RawBoth,
    PerfEnter,
    PerfEnterAndTypedExit,
    /// On all that AgentSight has programs on, for those who hold it while something else is measured.
    All,
}

/// What AgentSight has programs on besides system calls.
const BESIDE: [&str; 5] =
    ["sched_process_fork", "sched_process_exec", "sched_process_exit", "inet_sock_set_state", "signal_generate"];

impl Form {
    pub(crate) const ALL: [Self; 5] =
        [Self::TypedExit, Self::TypedExitTimed, Self::TypedBoth, Self::RawExit, Self::RawBoth];
    /// An idea that did not hold: to enter by events of the single calls. Taking them off takes a second and a half.
    pub(crate) const OF_SINGLE_CALLS: [Self; 2] = [Self::PerfEnter, Self::PerfEnterAndTypedExit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TypedExit => "empty tp_btf sys_exit: the floor",
            Self::TypedExitTimed => "the same, while run times are kept",
            Self::TypedBoth => "empty tp_btf sys_exit and sys_enter",
            Self::RawExit => "empty raw_tp sys_exit",
            Self::RawBoth => "empty raw_tp sys_exit and sys_enter",
            Self::PerfEnter => "perf enter events of 22 calls, hash",
            Self::PerfEnterAndTypedExit => "the same, and empty tp_btf sys_exit",
            Self::All => "empty programs on every hook of AgentSight's",
        }
    }

    fn hooks(self) -> &'static [&'static str] {
        match self {
            Self::PerfEnter => &[],
            Self::TypedExit | Self::TypedExitTimed | Self::RawExit | Self::PerfEnterAndTypedExit => &["exit"],
            Self::TypedBoth | Self::RawBoth | Self::All => &["exit", "enter"],
        }
    }
}

/// The programs, loaded.
pub(crate) struct Floor {
    ebpf: Ebpf,
}

impl Floor {
    pub(crate) fn load() -> Result<Self, Error> {
        let btf = Btf::from_sys_fs()?;
        let mut ebpf = EbpfLoader::new().btf(Some(&btf)).load(OBJECT)?;
        for hook in ["exit", "enter"] {
            let program: &mut BtfTracePoint = program(&mut ebpf, &format!("floor_tp_btf_{hook}"))?.try_into()?;
            program.load(&format!("sys_{hook}"), &btf)?;
            let program: &mut RawTracePoint = self::program(&mut ebpf, &format!("floor_raw_tp_{hook}"))?.try_into()?;
            program.load()?;
        }
        for hook in BESIDE {
            let program: &mut RawTracePoint = program(&mut ebpf, &format!("floor_{hook}"))?.try_into()?;
            program.load()?;
        }
        let program: &mut TracePoint = program(&mut ebpf, "floor_of_one_call")?.try_into()?;
        program.load()?;
        Ok(Self { ebpf })
    }

    pub(crate) fn with(&mut self, form: Form) -> Attached<'_> {
        Attached { ebpf: &mut self.ebpf, form, typed: Vec::new(), raw: Vec::new(), one: Vec::new(), account: None }
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::programs::Program, Error> {
    ebpf.program_mut(name).ok_or_else(|| format!("{name} is not in the object").into())
}

/// One form of them, on and off.
pub(crate) struct Attached<'a> {
    ebpf: &'a mut Ebpf,
    form: Form,
    typed: Vec<aya::programs::tp_btf::BtfTracePointLink>,
    raw: Vec<aya::programs::raw_trace_point::RawTracePointLink>,
    one: Vec<aya::programs::trace_point::TracePointLink>,
    account: Option<OwnedFd>,
}

/// Those that the enter hook is for.
const ONES: [&str; 22] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "vmsplice",
    "copy_file_range",
    "splice",
    "tee",
    "connect",
    "close",
    "dup2",
    "dup3",
    "close_range",
    "setuid",
    "setreuid",
    "setresuid",
    "setgid",
    "setresgid",
];

impl Hooks for Attached<'_> {
    fn attach(&mut self) -> Result<(), Error> {
        if matches!(self.form, Form::TypedExitTimed) {
            self.account = Some(aya::sys::enable_stats(aya::sys::Stats::RunTime)?);
        }
        if matches!(self.form, Form::PerfEnter | Form::PerfEnterAndTypedExit) {
            let program: &mut TracePoint = program(self.ebpf, "floor_of_one_call")?.try_into()?;
            for one in ONES {
                let id = program.attach("syscalls", &format!("sys_enter_{one}"))?;
                self.one.push(program.take_link(id)?);
            }
        }
        if matches!(self.form, Form::All) {
            for tracepoint in BESIDE {
                let program: &mut RawTracePoint = program(self.ebpf, &format!("floor_{tracepoint}"))?.try_into()?;
                let id = program.attach(tracepoint)?;
                self.raw.push(program.take_link(id)?);
            }
        }
        for hook in self.form.hooks() {
            if matches!(
                self.form,
                Form::TypedExit | Form::TypedExitTimed | Form::TypedBoth | Form::PerfEnterAndTypedExit | Form::All
            ) {
                let program: &mut BtfTracePoint = program(self.ebpf, &format!("floor_tp_btf_{hook}"))?.try_into()?;
                let id = program.attach()?;
                self.typed.push(program.take_link(id)?);
            } else {
                let program: &mut RawTracePoint = program(self.ebpf, &format!("floor_raw_tp_{hook}"))?.try_into()?;
                let id = program.attach(&format!("sys_{hook}"))?;
                self.raw.push(program.take_link(id)?);
            }
        }
        Ok(())
    }

    fn detach(&mut self) {
        self.typed.clear();
        self.raw.clear();
        self.one.clear();
        self.account = None;
    }
}
