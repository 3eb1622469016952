//! The loaded programs: what is attached, whom they watch, what they counted.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, MapData, MapError, ProgramArray};
use aya::programs::{Program, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};

use super::capture::{Capture, CaptureRoom};
use super::counts::Counts;
use super::hooks::{self, CONTINUATIONS, HOOKS, copies};
use super::io_uring::Requests;
use super::perf_buffers::PerfBuffers;
use super::ring::Source;
use super::ring_buffer::RingBuffer;
use super::syscalls::SyscallHooks;
use super::{Carrier, Cost, Harvest, KernelClock, LiveError, Ring, Tree, adoption, io_uring, syscalls};
use crate::{CapturePolicy, LossKind, SessionNumber, Tgid};

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// The rings (include/ring.h).
const LIFECYCLE: &str = "lifecycle";
const TRANSFERS: &str = "transfers";
const CONTENTS: &str = "contents";

/// How the programs are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How records travel; `None` is the best that the kernel has.
    pub carrier: Option<Carrier>,
    /// Size of the lifecycle ring in bytes; the loader rounds it to a power of two of pages. Perf buffers share it.
    pub ring_bytes: u32,
    /// Size of the ring of all other records, likewise.
    pub data_ring_bytes: u32,
    /// Type information of the running kernel, where the kernel itself has none.
    pub btf: Option<BtfSource>,
    /// Trees that already run will be adopted ([`Probes::adopt_tree`]).
    pub adopts: bool,
    /// Execs of processes that nobody traces may be asked for ([`Probes::watch_execs`]).
    pub watches: bool,
    /// How many sessions there may be at once.
    pub sessions: Sessions,
    /// Room for payload; `None`: it is never captured, and costs nothing.
    pub capture: Option<CaptureRoom>,
    /// Other programs than those built in, for the same carrier and with the same maps (only for comparing their cost).
    pub object: Option<&'static [u8]>,
    /// Let the verifier say what it does (only for finding out why it refuses).
    pub verifier_log: bool,
}

/// How many sessions the programs count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sessions {
    /// [`SessionNumber::FIRST`] alone.
    One,
    /// As many as there are slots.
    Many,
}

/// Type information that somebody else read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BtfSource {
    /// Where from, for messages.
    pub path: PathBuf,
    /// What was in it.
    pub bytes: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            carrier: None,
            // 10,000 execs with 600 bytes of arguments and paths each, without one drain in between.
            ring_bytes: 8 << 20,
            // 50,000 bursts begun or ended.
            data_ring_bytes: 8 << 20,
            btf: None,
            adopts: false,
            watches: false,
            sessions: Sessions::One,
            capture: None,
            object: None,
            verifier_log: false,
        }
    }
}

/// The programs in the kernel. Dropping it detaches them.
pub struct Probes {
    ebpf: Ebpf,
    clock: KernelClock,
    ring: Option<Ring>,
    syscall_hooks: Option<SyscallHooks>,
    requests: Requests,
    counts: Counts,
    capture: Option<Capture>,
    reported_missed: u64,
    /// What no copy of a program saw, where there are several.
    witnessed: Option<Array<MapData, u64>>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Config {
    adopts: u32,
    watches: u32,
    own_tgid: u32,
    preemptible: u32,
    captures: u32,
    reserved: u32,
}
// SAFETY: six u32, no padding, every bit pattern is valid.
unsafe impl aya::Pod for Config {}

impl Probes {
    /// Loads the programs and attaches them. Nothing is traced until [`Probes::trace_next_child`].
    ///
    /// # Errors
    /// The kernel lacks BTF, is locked down, or refuses; the error says how to mend it.
    pub fn attach(options: &Options) -> Result<Self, LiveError> {
        if fs::read_to_string(LOCKDOWN).is_ok_and(|modes| modes.contains("[confidentiality]")) {
            return Err(LiveError::Lockdown);
        }
        let btf = read_btf(options.btf.as_ref())?;
        let copies = copies();
        let config = Config {
            adopts: u32::from(options.adopts),
            watches: u32::from(options.watches),
            own_tgid: std::process::id(),
            preemptible: u32::from(copies > 1),
            captures: u32::from(options.capture.is_some()),
            reserved: 0,
        };
        let log = if options.verifier_log {
            VerifierLogLevel::DEBUG | VerifierLogLevel::STATS
        } else {
            VerifierLogLevel::DISABLE
        };
        let carrier = options.carrier.unwrap_or_else(Carrier::best);
        let clock = carrier.clock();
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf)).override_global("config", &config, true).verifier_log_level(log);
        loader.map_max_entries("counts", Counts::entries(options.sessions));
        if carrier == Carrier::RingBuffer {
            loader.map_max_entries(LIFECYCLE, options.ring_bytes).map_max_entries(TRANSFERS, options.data_ring_bytes);
            // A ring has a page at least; the loader rounds it up.
            loader.map_max_entries(CONTENTS, options.capture.as_ref().map_or(1, |room| room.ring_bytes));
        }
        if let Some(room) = &options.capture {
            room.make(&mut loader, options.sessions);
        }
        let mut ebpf =
            loader.load(options.object.unwrap_or_else(|| carrier.object())).map_err(|error| refused(&error))?;
        for hook in &HOOKS {
            for name in hook.programs(copies) {
                raw_tracepoint(&mut ebpf, name)?.load().map_err(|error| refused_program(name, &error))?;
            }
        }
        syscalls::load(&mut ebpf, &btf, options.capture.as_ref())?;
        let requests = match io_uring::load(&mut ebpf, options.capture.as_ref()) {
            Ok(()) => Requests::Followed,
            Err(_) => Requests::BlindSpot,
        };
        if options.adopts {
            adoption::load_iterator(&mut ebpf, &btf)?;
        }
        for (array, programs) in CONTINUATIONS {
            let mut tail_calls: ProgramArray<_> = take(&mut ebpf, array)?;
            for (slot, name) in (0..).zip(&programs[..copies]) {
                let target = raw_tracepoint(&mut ebpf, name)?;
                target.load().map_err(|error| refused_program(name, &error))?;
                let target = target.fd().map_err(|error| refused(&error))?;
                tail_calls.set(slot, target, 0).map_err(|error| map_failed(array, &error))?;
            }
            // The kernel empties a program array when its last descriptor is closed (prog_array_map_clear()).
            std::mem::forget(tail_calls);
        }
        // Before the first record, and while we still may: opening a perf buffer takes privileges that are dropped later.
        let mut rings = vec![(LIFECYCLE, options.ring_bytes), (TRANSFERS, options.data_ring_bytes)];
        rings.extend(options.capture.as_ref().map(|room| (CONTENTS, room.ring_bytes)));
        let source = match carrier {
            Carrier::RingBuffer => {
                let open = |(name, _): &(&'static str, u32)| ring_buffer(&mut ebpf, name);
                Source::RingBuffers(rings.iter().map(open).collect::<Result<_, _>>()?)
            }
            Carrier::PerfBuffers => {
                let open =
                    |(name, bytes): &(&'static str, u32)| PerfBuffers::open(take(&mut ebpf, name)?, name, *bytes);
                Source::PerfBuffers(rings.iter().map(open).collect::<Result<_, _>>()?)
            }
        };
        let ring = Ring::new(source, clock);
        let counts = Counts::new(take(&mut ebpf, "counts")?);
        let capture = options.capture.as_ref().map(|room| Capture::open(&mut ebpf, room)).transpose()?;
        let witnessed = if copies > 1 { Some(take(&mut ebpf, "missed")?) } else { None };
        for hook in &HOOKS {
            for name in hook.programs(copies) {
                raw_tracepoint(&mut ebpf, name)?
                    .attach(hook.tracepoint)
                    .map_err(|error| LiveError::Attach { hook: hook.tracepoint, reason: chain(&error) })?;
            }
        }
        Ok(Self {
            ebpf,
            clock,
            ring: Some(ring),
            syscall_hooks: None,
            requests,
            witnessed,
            counts,
            capture,
            reported_missed: 0,
        })
    }

    /// From here on the system calls of traced processes are seen, and every process of the host pays a little for it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn attach_syscalls(&mut self) -> Result<(), LiveError> {
        if self.syscall_hooks.is_none() {
            self.syscall_hooks = Some(syscalls::attach(&mut self.ebpf, self.requests)?);
        }
        Ok(())
    }

    /// Nothing is traced any more: system calls are not looked at.
    pub fn detach_syscalls(&mut self) {
        self.syscall_hooks = None;
    }

    /// The clock of the events.
    #[must_use]
    pub fn clock(&self) -> KernelClock {
        self.clock
    }

    /// The next child that `launcher` forks, and only that one, becomes the root of a traced tree.
    ///
    /// # Errors
    /// The map is full or gone.
    pub fn trace_next_child(&mut self, launcher: Tgid, session: SessionNumber) -> Result<(), LiveError> {
        let mut launchers: HashMap<&mut MapData, u32, u32> = open(&mut self.ebpf, "launchers")?;
        launchers.insert(launcher.0, session.0, 0).map_err(|error| map_failed("launchers", &error))
    }

    /// A launcher will fork no root any more; nothing happens where it has.
    ///
    /// # Errors
    /// The map is gone.
    pub fn forget_launcher(&mut self, launcher: Tgid) -> Result<(), LiveError> {
        let mut launchers: HashMap<&mut MapData, u32, u32> = open(&mut self.ebpf, "launchers")?;
        match launchers.remove(&launcher.0) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(nix::errno::Errno::ENOENT as i32) =>
            {
                Ok(())
            }
            Err(error) => Err(map_failed("launchers", &error)),
        }
    }

    /// Takes a running process and all its descendants into the tree, without a gap while they fork and exit. Their
    /// [`Event::Snapshot`](crate::Event::Snapshot)s are in the ring afterwards, the root's first.
    ///
    /// # Errors
    /// The options did not ask for it, the kernel has no iterators (before 5.8), or the process is gone.
    pub fn adopt_tree(&mut self, tree: &Tree, root: Tgid, session: SessionNumber) -> Result<(), LiveError> {
        adoption::adopt_tree(&mut self.ebpf, tree, root, session)
    }

    /// Whether execs of processes that nobody traces are emitted, as [`SessionNumber::NOBODY`]'s.
    ///
    /// # Errors
    /// The map is gone.
    pub fn watch_execs(&mut self, watch: bool) -> Result<(), LiveError> {
        let mut map: Array<&mut MapData, u32> = open(&mut self.ebpf, "watch_execs")?;
        map.set(0, u32::from(watch), 0).map_err(|error| map_failed("watch_execs", &error))
    }

    /// What of a session's payload is taken from here on: call it before the session's first process.
    ///
    /// # Errors
    /// The options made no room for payload, or there is none left.
    pub fn capture(&mut self, session: SessionNumber, policy: &CapturePolicy) -> Result<(), LiveError> {
        self.capture.as_mut().ok_or(LiveError::NoCapture)?.begin(session, policy)
    }

    /// A host's name stands for this address as well: what goes there is taken from here on, where the name is wanted.
    ///
    /// # Errors
    /// The map is full or gone.
    pub fn capture_at(&mut self, session: SessionNumber, name: &str, address: IpAddr) -> Result<(), LiveError> {
        self.capture.as_mut().map_or(Ok(()), |capture| capture.learn(session, name, address))
    }

    /// Nothing of a session's payload is taken any more; nothing happens where none was.
    ///
    /// # Errors
    /// A map is gone.
    pub fn capture_no_more(&mut self, session: SessionNumber) -> Result<(), LiveError> {
        self.capture.as_mut().map_or(Ok(()), |capture| capture.end(session))
    }

    /// The list of traced processes. The first call has it, later ones fail.
    ///
    /// # Errors
    /// It was taken already.
    pub fn take_tree(&mut self) -> Result<Tree, LiveError> {
        Ok(Tree::new(take(&mut self.ebpf, "tree")?))
    }

    /// The bursts that the programs have under way, for taking out those that no call will end. The first call has it,
    /// later ones fail.
    ///
    /// # Errors
    /// It was taken already.
    pub fn take_harvest(&mut self) -> Result<Harvest, LiveError> {
        Ok(Harvest::new(take(&mut self.ebpf, "bursts")?))
    }

    /// The reading end of the ring. The first call has it, later ones fail.
    ///
    /// # Errors
    /// It was taken already.
    pub fn take_ring(&mut self) -> Result<Ring, LiveError> {
        self.ring.take().ok_or_else(|| LiveError::Map { map: LIFECYCLE, reason: "it was taken".to_owned() })
    }

    /// From here on a session counts from zero. Its slot may have been another's before.
    ///
    /// # Errors
    /// The map is gone.
    pub fn begin_counting(&mut self, session: SessionNumber) -> Result<(), LiveError> {
        self.counts.take_losses(session).map(drop)
    }

    /// How many events of each kind the programs made for a session, and what was lost of them, since they were loaded.
    ///
    /// # Errors
    /// The map is gone.
    pub fn read_counts(&self, session: SessionNumber) -> Result<Vec<(LossKind, u64, u64)>, LiveError> {
        self.counts.read(session)
    }

    /// What a session lost since the last call, by kind; kinds without loss are left out.
    ///
    /// # Errors
    /// The map is gone.
    pub fn take_losses(&mut self, session: SessionNumber) -> Result<Vec<(LossKind, u64)>, LiveError> {
        self.counts.take_losses(session)
    }

    /// How often the kernel skipped a program since the last call: whose event that was nobody can say.
    #[must_use]
    pub fn take_missed(&mut self) -> u64 {
        let missed = self.missed();
        missed - std::mem::replace(&mut self.reported_missed, missed).min(missed)
    }

    /// How many events no program saw, at most; of a program that is there once, every time that it was skipped.
    fn missed(&self) -> u64 {
        let witnessed = self.witnessed.as_ref().map(|map| map.get(&0, 0).unwrap_or_default());
        let (twice, other): (Vec<_>, Vec<_>) = self.costs().partition(|(name, _)| hooks::INTERRUPTED.contains(name));
        let lone = other.iter().filter(|(name, _)| witnessed.is_none() || !hooks::has_copies(name));
        let lone = lone.map(|(_, cost)| cost.missed).sum::<u64>();
        let twice = twice.iter().map(|(_, cost)| cost.missed).min();
        witnessed.unwrap_or_default() + lone + twice.unwrap_or_default()
    }

    /// What the programs cost so far. Time and count grow only while the kernel is told to keep them ([`Statistics`](super::Statistics)).
    #[must_use]
    pub fn cost(&self) -> Cost {
        let mut sum = Cost::default();
        self.costs().for_each(|(_, cost)| sum.add(cost));
        sum
    }

    /// What each program that is loaded cost.
    fn costs(&self) -> impl Iterator<Item = (&str, Cost)> {
        self.ebpf.programs().filter_map(|(name, program)| Some((name, Cost::of(program.fd().ok()?))))
    }
}

impl Probes {
    /// How many instructions each program has by now, as the kernel runs it; without those it does not say (before 4.15).
    #[must_use]
    pub fn lengths(&self) -> Vec<(&str, u32)> {
        let length = |program: &Program| {
            let info = match program {
                Program::BtfTracePoint(program) => program.info(),
                Program::RawTracePoint(program) => program.info(),
                _ => return None,
            };
            // Eight bytes each (struct bpf_insn).
            info.ok()?.size_translated().map(|bytes| bytes / 8)
        };
        self.ebpf.programs().filter_map(|(name, program)| Some((name, length(program)?))).collect()
    }

    /// Each program that is loaded, for whoever asks the kernel about it.
    #[must_use]
    pub fn programs(&self) -> Vec<(&str, BorrowedFd<'_>)> {
        self.ebpf.programs().filter_map(|(name, program)| Some((name, program.fd().ok()?.as_fd()))).collect()
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("ebpf", &self.ebpf).field("counts", &self.counts).finish_non_exhaustive()
    }
}

pub(super) fn read_btf(given: Option<&BtfSource>) -> Result<Btf, LiveError> {
    // aya skips relocation silently where there is no BTF, and the programs would read wrong offsets.
    let (path, read) = match given {
        Some(source) => (source.path.as_path(), Btf::parse(&source.bytes, Endianness::default())),
        None => (Path::new(KERNEL_BTF), Btf::parse_file(KERNEL_BTF, Endianness::default())),
    };
    read.map_err(|error| LiveError::Btf { path: path.to_owned(), reason: chain(&error) })
}

fn ring_buffer(ebpf: &mut Ebpf, name: &'static str) -> Result<RingBuffer, LiveError> {
    let map = ebpf.take_map(name).ok_or_else(|| LiveError::Map { map: name, reason: "it was taken".to_owned() })?;
    RingBuffer::open(map, name)
}

pub(super) fn raw_tracepoint<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut RawTracePoint, LiveError> {
    let program = ebpf.program_mut(name).ok_or_else(|| LiveError::Load { reason: format!("{name} is not in it") })?;
    program.try_into().map_err(|error| refused(&error))
}

pub(super) fn open<'a, M>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<M, LiveError>
where
    M: TryFrom<&'a mut aya::maps::Map, Error = MapError>,
{
    let map = ebpf.map_mut(name).ok_or_else(|| LiveError::Map { map: name, reason: "it is not there".to_owned() })?;
    M::try_from(map).map_err(|error| map_failed(name, &error))
}

pub(super) fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, LiveError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or_else(|| LiveError::Map { map: name, reason: "it was taken".to_owned() })?;
    M::try_from(map).map_err(|error| map_failed(name, &error))
}

pub(super) fn map_failed(map: &'static str, error: &MapError) -> LiveError {
    LiveError::Map { map, reason: chain(error) }
}

pub(super) fn refused(error: &(dyn std::error::Error + 'static)) -> LiveError {
    let reason = chain(error);
    let mut source = Some(error);
    while let Some(error) = source {
        let denied = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if matches!(denied, Some(code) if code == nix::errno::Errno::EPERM as i32 || code == nix::errno::Errno::EACCES as i32 && !nix::unistd::Uid::effective().is_root())
        {
            return LiveError::Privileges { reason };
        }
        source = error.source();
    }
    LiveError::Load { reason }
}

/// Likewise, of one program, whose name is where to look.
pub(super) fn refused_program(name: &str, error: &(dyn std::error::Error + 'static)) -> LiveError {
    match refused(error) {
        LiveError::Load { reason } => LiveError::Load { reason: format!("{name}: {reason}") },
        other => other,
    }
}

/// An error with its causes, in one line; aya's causes are not in its own text.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
