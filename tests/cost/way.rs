//! The ways in which a command can be run: alone, beside somebody who is traced, or traced by one tool or another.

use std::collections::BTreeMap;
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
    /// AgentSight, the floor beside it, and the kernel keeps the run times of both.
    Timed,
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
            Self::Timed => "AgentSight and empty programs, while run times are kept",
            Self::Strace => "strace -f",
            Self::PerfTrace => "perf trace",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Another tool, to compare with.
    pub(crate) fn is_others(self) -> bool {
        match self {
            Self::Alone | Self::AgentSight | Self::Stopped | Self::Neighbour | Self::Floor | Self::Timed => false,
            Self::Strace | Self::PerfTrace | Self::Bpftrace => true,
        }
    }

    /// Whether this machine has what it takes.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Alone | Self::AgentSight | Self::Stopped | Self::Neighbour => true,
            Self::Floor => floor().is_some(),
            Self::Timed => floor().is_some() && find_program("bpftool").is_some(),
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
            Self::AgentSight | Self::Timed => vec!["run", "--no-tree", "--no-self-telemetry", "--"],
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
            Self::Floor | Self::Timed => {
                let mut command = Command::new(floor().expect("it was asked for"));
                command.arg("hold").args((self == Self::Timed).then_some("timed"));
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
        let mut command = if matches!(self, Self::AgentSight | Self::Stopped | Self::Timed) {
            agentsight.command(&all)
        } else {
            let mut command = Command::new(all[0]);
            command.args(&all[1..]);
            command
        };
        without_opentelemetry(&mut command);
        // Cargo's: each program would look for its libraries in all of these folders first.
        command.env_remove("LD_LIBRARY_PATH");
        match self {
            Self::Stopped => _ = command.env(STOPS, ""),
            Self::Timed => _ = command.env(ACCOUNTS, ""),
            _ => {}
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

/// The variable that tells a work to say what the programs took while it was done.
const ACCOUNTS: &str = "AGENTSIGHT_BENCH_ACCOUNTS";

/// What the kernel's account says of the programs so far.
pub(crate) struct Accounts(BTreeMap<String, (f64, f64)>);

impl Accounts {
    pub(crate) fn if_asked() -> Option<Self> {
        env::var_os(ACCOUNTS)?;
        Some(Self::read())
    }

    fn read() -> Self {
        let output = Command::new("bpftool").args(["-j", "prog", "show"]).output().expect("it was asked for");
        let programs: serde_json::Value = serde_json::from_slice(&output.stdout).expect("bpftool -j says JSON");
        let mut accounts = BTreeMap::new();
        for program in programs.as_array().into_iter().flatten() {
            // Others' may have the same name.
            if let (Some(name), Some(nanos), Some(runs)) =
                (program["name"].as_str(), program["run_time_ns"].as_f64(), program["run_cnt"].as_f64())
            {
                let (all_nanos, all_runs) = accounts.entry(name.to_owned()).or_insert((0.0, 0.0));
                *all_nanos += nanos;
                *all_runs += runs;
            }
        }
        Self(accounts)
    }

    /// What came since, on each hook: `sys_exit runs`, `sys_exit ns a run` of ours, and of the empty program.
    pub(crate) fn since(&self) -> BTreeMap<String, f64> {
        let now = Self::read();
        let taken = |name: &str| {
            let of = |accounts: &Self| accounts.0.get(name).copied().unwrap_or_default();
            let (before, after) = (of(self), of(&now));
            (after.0 - before.0, after.1 - before.1)
        };
        let mut numbers = BTreeMap::new();
        for (hook, empty, ours) in HOOKS {
            let (empty_nanos, runs) = taken(empty);
            if runs == 0.0 {
                continue;
            }
            // Where there are copies, each runs every time.
            let nanos: f64 = now.0.keys().filter(|name| name.starts_with(ours)).map(|name| taken(name).0).sum();
            numbers.insert(format!("{hook} runs"), runs);
            numbers.insert(format!("{hook} ns"), nanos / runs);
            numbers.insert(format!("{hook} empty ns"), empty_nanos / runs);
        }
        numbers
    }
}

/// Each hook, the empty program on it, and how the names of ours on it begin. Those that they lead to have no account.
pub(crate) const HOOKS: [(&str, &str, &str); 7] = [
    ("sys_enter", "floor_tp_btf_enter", "agentsight_sys_enter"),
    ("sys_exit", "floor_tp_btf_exit", "agentsight_sys_exit"),
    ("sched_process_fork", "floor_sched_process_fork", "agentsight_fork"),
    ("sched_process_exec", "floor_sched_process_exec", "agentsight_exec"),
    ("sched_process_exit", "floor_sched_process_exit", "agentsight_exit"),
    ("inet_sock_set_state", "floor_inet_sock_set_state", "agentsight_connected"),
    ("signal_generate", "floor_signal_generate", "agentsight_kill"),
];

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
