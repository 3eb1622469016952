//! Which kinds of programs and maps this kernel lets us have, found out by trying: nothing else is true everywhere.
//!
//! A program that loads and attaches is detached at once, and does nothing meanwhile.

use aya::maps::MapType;
use aya::programs::{BtfTracePoint, FEntry, Iter, KProbe, Lsm, ProgramType, RawTracePoint};
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

use super::BtfSource;
use super::probes::{chain, read_btf};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/hooks.bpf.o"));

/// Something of the kernel's that an eBPF program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Raw tracepoints: loaded and attached.
    RawTracepoint,
    /// Raw tracepoints with typed arguments (`tp_btf`): loaded and attached.
    BtfTracepoint,
    /// Kernel probes: loaded and attached.
    Kprobe,
    /// Function entry by trampoline: loaded and attached.
    Fentry,
    /// Programs at the hooks of security modules: loaded only, because an attached one would be asked about real files.
    Lsm,
    /// The iterator over tasks: loaded and attached.
    TaskIterator,
    /// The iterator over open files: loaded and attached.
    TaskFileIterator,
    /// The map type `RINGBUF`.
    RingBuffer,
    /// The map type `PERF_EVENT_ARRAY`.
    PerfBuffer,
    /// The map type `TASK_STORAGE`.
    TaskStorage,
    /// The clock that counts on while the machine sleeps (`bpf_ktime_get_boot_ns`).
    BootClock,
}

/// What came of trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It works.
    Works,
    /// It does not; this is why, as the kernel says it.
    Refused(String),
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::RawTracepoint,
        Self::BtfTracepoint,
        Self::Kprobe,
        Self::Fentry,
        Self::Lsm,
        Self::TaskIterator,
        Self::TaskFileIterator,
        Self::RingBuffer,
        Self::PerfBuffer,
        Self::TaskStorage,
        Self::BootClock,
    ];
}

/// Tries each feature. Needs the privileges that tracing needs; `btf` is for kernels without type information of their own.
#[must_use]
pub fn try_features(btf: Option<&BtfSource>) -> Vec<(Feature, Support)> {
    // Reading it takes longer than all the rest.
    let btf = read_btf(btf);
    let try_one = |feature| match feature {
        Feature::RingBuffer => map(MapType::RingBuf),
        Feature::PerfBuffer => map(MapType::PerfEventArray),
        Feature::TaskStorage => map(MapType::TaskStorage),
        Feature::BootClock => boot_clock(),
        _ => attach(feature, btf.as_ref().map_err(|_| "the kernel's type information (BTF) could not be read")?),
    };
    let support = |tried: Tried| match tried {
        Ok(()) => Support::Works,
        Err(error) => Support::Refused(reason(error.as_ref())),
    };
    Feature::ALL.map(|feature| (feature, support(try_one(feature)))).into()
}

/// What the kernel said, without the verifier's account of it.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let text = chain(error);
    let text = text.split(" Verifier output:").next().unwrap_or_default();
    text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

type Tried = Result<(), Box<dyn std::error::Error>>;

fn map(kind: MapType) -> Tried {
    if is_map_supported(kind)? { Ok(()) } else { Err("the kernel does not know this map".into()) }
}

fn boot_clock() -> Tried {
    let known = is_helper_supported(ProgramType::RawTracePoint, BpfHelper::BPF_FUNC_ktime_get_boot_ns)?;
    if known { Ok(()) } else { Err("the kernel does not know bpf_ktime_get_boot_ns".into()) }
}

fn attach(feature: Feature, btf: &Btf) -> Tried {
    let mut ebpf = EbpfLoader::new().btf(Some(btf)).load(OBJECT)?;
    match feature {
        Feature::RawTracepoint => {
            let program: &mut RawTracePoint = program(&mut ebpf, "try_raw_tp")?;
            program.load()?;
            program.attach("sched_process_exit")?;
        }
        Feature::BtfTracepoint => {
            let program: &mut BtfTracePoint = program(&mut ebpf, "try_tp_btf")?;
            program.load("sched_process_exit", btf)?;
            program.attach()?;
        }
        Feature::Kprobe => {
            let program: &mut KProbe = program(&mut ebpf, "try_kprobe")?;
            program.load()?;
            program.attach("bpf_fentry_test1", 0)?;
        }
        Feature::Fentry => {
            let program: &mut FEntry = program(&mut ebpf, "try_fentry")?;
            program.load("bpf_fentry_test1", btf)?;
            program.attach()?;
        }
        Feature::Lsm => {
            let program: &mut Lsm = program(&mut ebpf, "try_lsm")?;
            program.load("file_open", btf)?;
        }
        Feature::TaskIterator => iterate(&mut ebpf, "try_iter_task", "task", btf)?,
        Feature::TaskFileIterator => iterate(&mut ebpf, "try_iter_task_file", "task_file", btf)?,
        Feature::RingBuffer | Feature::PerfBuffer | Feature::TaskStorage | Feature::BootClock => {}
    }
    Ok(())
}

fn iterate(ebpf: &mut Ebpf, name: &str, over: &str, btf: &Btf) -> Tried {
    let program: &mut Iter = program(ebpf, name)?;
    program.load(over, btf)?;
    program.attach()?;
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Box<dyn std::error::Error>>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| format!("{name} is not in the object"))?;
    Ok(program.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tracing_stands_on_works_here_and_without_type_information_the_maps_alone_do() {
        assert!(nix::unistd::Uid::effective().is_root(), "this test loads eBPF programs: run it as root");
        let works = |btf: Option<&BtfSource>, feature| {
            try_features(btf).into_iter().any(|(tried, support)| tried == feature && support == Support::Works)
        };
        let needed = [Feature::RawTracepoint, Feature::RingBuffer];
        assert_eq!(needed.map(|feature| works(None, feature)), [true, true]);
        let nothing = BtfSource { path: "/nowhere.btf".into(), bytes: Vec::new() };
        assert_eq!(needed.map(|feature| works(Some(&nothing), feature)), [false, true]);
    }

    #[test]
    fn a_reason_is_one_line_without_the_verifiers_account() {
        let error: Box<dyn std::error::Error> =
            "the BPF_PROG_LOAD syscall returned EPERM. Verifier output: a\nb".into();
        assert_eq!(reason(error.as_ref()), "the BPF_PROG_LOAD syscall returned EPERM");
    }
}
