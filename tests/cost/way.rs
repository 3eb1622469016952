//! The ways in which a command can be run: alone, beside somebody who is traced, or traced by one tool or another.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use agentsight_tests::agentsight::{Agentsight, without_opentelemetry};
use agentsight_tests::collector::Collector;
use agentsight_tests::requirement::find_program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Alone,
    AgentSight,
    /// Likewise, with its collector stopped while the work is done: what is left is what the programs cost.
    Stopped,
    /// The command is not traced, another one is.
    Neighbour,
    /// Programs that do nothing are on every hook that AgentSight has one on.
    Floor,
    Strace,
    PerfTrace,
    Bpftrace,
}

impl Way {
    pub(crate) const TRACERS: [Self; 7] =
        [Self::AgentSight, Self::Stopped, Self::Neighbour, Self::Floor, Self::Strace, Self::PerfTrace, Self::Bpftrace];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alone => "nothing",
            Self::AgentSight => "AgentSight",
            Self::Stopped => "AgentSight, its collector stopped",
            Self::Neighbour => "AgentSight traces another",
            Self::Floor => "empty programs on the same hooks",
            Self::Strace => "strace -f",
            Self::PerfTrace => "perf trace",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Another tool, to compare with.
    pub(crate) fn is_others(self) -> bool {
        match self {
            Self::Alone | Self::AgentSight | Self::Stopped | Self::Neighbour | Self::Floor => false,
            Self::Strace | Self::PerfTrace | Self::Bpftrace => true,
        }
    }

    /// Whether this machine has what it takes.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Alone | Self::AgentSight | Self::Stopped | Self::Neighbour => true,
            Self::Floor => floor().is_some(),
            Self::Strace => find_program("strace").is_some(),
            Self::PerfTrace => find_program("perf").is_some(),
            Self::Bpftrace => find_program("bpftrace").is_some(),
        }
    }

    /// Starts the command in this way; it is stopped when what is returned is finished.
    pub(crate) fn start(self, words: &[String]) -> Running {
        let agentsight = Agentsight::as_root();
        let outer: Vec<&str> = match self {
            Self::Alone | Self::Neighbour | Self::Floor | Self::Bpftrace => vec![],
            Self::AgentSight => vec!["run", "--no-tree", "--no-self-telemetry", "--"],
            // With room for all that comes meanwhile.
            Self::Stopped => {
                vec![
                    "run",
                    "--no-tree",
                    "--no-self-telemetry",
                    "--ring-bytes",
                    "67108864",
                    "--data-ring-bytes",
                    "268435456",
                    "--",
                ]
            }
            Self::Strace => vec!["strace", "-f", "-o", "/dev/null"],
            Self::PerfTrace => vec!["perf", "trace", "-o", "/dev/null"],
        };
        let beside = match self {
            Self::Neighbour => {
                let words = ["run", "--no-tree", "--no-self-telemetry", "--", "sleep", "600"];
                let beside = quiet(&mut agentsight.command(words)).spawn().expect("it was built");
                let _ = Collector::wait_for(Pid::from_raw(beside.id().cast_signed()));
                // It speaks of the command's exec when everything is attached.
                let path = format!("/proc/{0}/task/{0}/children", beside.id());
                wait(|| fs::read_to_string(&path).is_ok_and(|children| !children.trim().is_empty()));
                Some(beside)
            }
            Self::Floor => {
                let mut command = Command::new(floor().expect("it was asked for"));
                command.arg("hold");
                Some(beside(&agentsight, &mut command))
            }
            Self::Bpftrace => {
                let program = "BEGIN { printf(\"ready\\n\"); } \
                    tracepoint:raw_syscalls:sys_exit { @[pid, args->id] = count(); }";
                Some(beside(&agentsight, Command::new("bpftrace").args(["-e", program])))
            }
            _ => None,
        };
        let all: Vec<&str> = outer.into_iter().chain(words.iter().map(String::as_str)).collect();
        let mut command = if matches!(self, Self::AgentSight | Self::Stopped) {
            agentsight.command(&all)
        } else {
            let mut command = Command::new(all[0]);
            command.args(&all[1..]);
            command
        };
        without_opentelemetry(&mut command);
        if self == Self::Stopped {
            command.env(STOPS, "");
        }
        let complaints = agentsight.directory().join("complaints");
        let file = fs::File::create(&complaints).expect("the directory is ours");
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().expect("it is here");
        let watch = (self == Self::AgentSight).then(|| Watch::begin(process.id()));
        Running { process, beside, watch, complaints, _agentsight: agentsight }
    }
}

/// The variable that tells a work to stop the collector that traces it while it measures.
const STOPS: &str = "AGENTSIGHT_BENCH_STOPS";

/// The collector that traces this process, stopped until this is dropped; `None` where nobody asked for it.
pub(crate) struct StoppedCollector(Collector);

impl StoppedCollector {
    pub(crate) fn if_asked() -> Option<Self> {
        env::var_os(STOPS)?;
        let collector = Collector::of(Pid::parent()).expect("this was started by agentsight run");
        // What it does at the beginning of a trace it has done by then.
        thread::sleep(Duration::from_secs(1));
        collector.signal(Signal::SIGSTOP);
        Some(Self(collector))
    }
}

impl Drop for StoppedCollector {
    fn drop(&mut self) {
        self.0.signal(Signal::SIGCONT);
    }
}

/// The program that holds the floor (`ebpf/benches/hooks`, which `make bench` builds).
fn floor() -> Option<OsString> {
    env::var_os("AGENTSIGHT_FLOOR")
}

/// Something that says when it is ready, and then runs beside the command.
fn beside(agentsight: &Agentsight, command: &mut Command) -> Child {
    let said = agentsight.directory().join("said");
    let file = fs::File::create(&said).expect("the directory is ours");
    let child = quiet(command).stdout(file).spawn().expect("it is here");
    wait(|| fs::read_to_string(&said).is_ok_and(|text| text.contains("ready")));
    child
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

fn wait(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "a tracer did not get ready in a minute");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A command on its way.
pub(crate) struct Running {
    pub(crate) process: Child,
    beside: Option<Child>,
    watch: Option<Watch>,
    complaints: PathBuf,
    _agentsight: Agentsight,
}

/// What it came to.
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    /// Events that AgentSight says it lost.
    pub(crate) lost: u64,
    /// What its collector took.
    pub(crate) collector: Option<Taken>,
}

impl Running {
    /// Ends what does not end by itself, and waits.
    pub(crate) fn end(self) -> Outcome {
        // By its name: a tracer between it and us passes signals on or not, as it likes.
        end_descendants(self.process.id());
        self.finish()
    }

    pub(crate) fn finish(self) -> Outcome {
        let output = self.process.wait_with_output().expect("it is our child");
        if let Some(mut beside) = self.beside {
            let _gone = kill(Pid::from_raw(beside.id().cast_signed()), Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(20);
            while matches!(beside.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            let _ended = beside.kill();
            let _waited = beside.wait();
        }
        let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
        let lost = complaints.lines().filter(|line| line.contains("were lost: the trace has holes"));
        let lost = lost.filter_map(|line| line.split_whitespace().find_map(|word| word.parse::<u64>().ok())).sum();
        if lost > 0 {
            eprintln!("{}", complaints.trim_end());
        }
        Outcome {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            lost,
            collector: self.watch.map(Watch::end),
        }
    }
}

/// Ends the leaves of the tree below a process.
pub(crate) fn end_descendants(root: u32) {
    let path = format!("/proc/{root}/task/{root}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    if children.is_empty() {
        let _gone = kill(Pid::from_raw(root.cast_signed()), Signal::SIGTERM);
    }
    children.into_iter().for_each(end_descendants);
}

/// What a collector took of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    /// The most resident memory, MiB.
    pub(crate) mib: f64,
    /// Time on processors, its own start included, seconds.
    pub(crate) cpu_s: f64,
}

/// Watches a collector.
struct Watch {
    taken: Arc<Mutex<Taken>>,
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Watch {
    fn begin(stub: u32) -> Self {
        let (taken, over) = (Arc::new(Mutex::new(Taken::default())), Arc::new(AtomicBool::new(false)));
        let (most, enough) = (Arc::clone(&taken), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                if let Some(Collector(pid)) = Collector::of(Pid::from_raw(stub.cast_signed())) {
                    // From here on two files say it.
                    while !enough.load(Ordering::Relaxed)
                        && let (Some(kib), Some(cpu_s)) = (resident_kib(pid), processor_s(pid))
                    {
                        let mut most = most.lock().unwrap_or_else(PoisonError::into_inner);
                        most.mib = most.mib.max(kib as f64 / 1_024.0);
                        most.cpu_s = cpu_s;
                        drop(most);
                        thread::sleep(Duration::from_millis(20));
                    }
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self { taken, over, thread }
    }

    fn end(self) -> Taken {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` where it has ended.
pub(crate) fn resident_kib(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// In its own mode and in the kernel's; `None` where it has ended.
fn processor_s(pid: Pid) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses the state is the first; utime is the twelfth, stime the next.
    let mut times = stat.rsplit(") ").next()?.split(' ').skip(11);
    let ticks = times.next()?.parse::<f64>().ok()? + times.next()?.parse::<f64>().ok()?;
    // The kernel's unit for user space, everywhere that Rust's standard library runs on Linux.
    Some(ticks / 100.0)
}
