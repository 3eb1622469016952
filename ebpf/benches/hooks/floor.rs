//! Empty programs on the same hooks.

use aya::programs::{BtfTracePoint, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

use super::{Error, Hooks};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor.bpf.o"));

/// Which hooks, in which form.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    TypedExit,
    TypedBoth,
    RawExit,
    RawBoth,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::TypedExit, Self::TypedBoth, Self::RawExit, Self::RawBoth];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TypedExit => "empty tp_btf sys_exit: the floor",
            Self::TypedBoth => "empty tp_btf sys_exit and sys_enter",
            Self::RawExit => "empty raw_tp sys_exit",
            Self::RawBoth => "empty raw_tp sys_exit and sys_enter",
        }
    }

    fn hooks(self) -> &'static [&'static str] {
        match self {
            Self::TypedExit | Self::RawExit => &["exit"],
            Self::TypedBoth | Self::RawBoth => &["exit", "enter"],
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
        Ok(Self { ebpf })
    }

    pub(crate) fn with(&mut self, form: Form) -> Attached<'_> {
        Attached { ebpf: &mut self.ebpf, form, typed: Vec::new(), raw: Vec::new() }
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
}

impl Hooks for Attached<'_> {
    fn attach(&mut self) -> Result<(), Error> {
        for hook in self.form.hooks() {
            if matches!(self.form, Form::TypedExit | Form::TypedBoth) {
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
    }
}
