//! The order of a run: find the command, start the collector, fork, register, let go, wait, say the last words.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agentsight_ebpf::CapturePolicy;
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::Uid;

use super::collector_process::{self, StartError};
use super::command::{Command, CommandError};
use super::ear::Ear;
use super::held_child::{self, Exec, HeldChild};
use super::outputs::{OutputError, Outputs};
use super::signals::Signals;
use super::wait::{LastWords, Waiter};
use crate::caller::{Caller, UnknownCaller};
use crate::channel::{self, BtfFile, ChannelError, OutputFile, Request, Target, ToCollector, ToStub};
use crate::daemon_socket::{self, Found};
use crate::otlp::settings::Settings;
use crate::ownership;
use crate::session::{CallerContext, SessionId, SessionOptions};
use crate::terminal::Format;

/// How the user wants it traced.
#[derive(Debug)]
pub struct Tracing {
    /// What changes the spans.
    pub options: SessionOptions,
    /// Trace context in our own environment.
    pub context: CallerContext,
    /// How long descendants are followed after the command.
    pub linger: Duration,
    /// Where spans go.
    pub destination: Settings,
    /// `--output`.
    pub output: Option<PathBuf>,
    /// `record -o`.
    pub recording: Option<PathBuf>,
    /// How to sum the session up, if at all.
    pub summary: Option<Format>,
    /// Size of the ring, bytes.
    pub ring_bytes: Option<u32>,
    /// Size of the ring for what is no process's lifecycle, bytes.
    pub data_ring_bytes: Option<u32>,
    /// Perf buffers, even where the kernel has a ring buffer.
    pub perf_buffer: bool,
    /// How long the collector may take from its hello to the registration of the command.
    pub start_limit: Duration,
    /// `--btf`.
    pub btf: Option<PathBuf>,
    /// Send AgentSight's own metrics and traces too.
    pub self_telemetry: bool,
    /// What of payload is captured.
    pub capture: CapturePolicy,
    /// Size of the ring for payload, bytes.
    pub content_ring_bytes: Option<u32>,
    /// Who traces.
    pub by: TracedBy,
}

/// Who traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracedBy {
    /// The daemon where one runs, else a collector of our own.
    Anybody,
    /// A collector of our own.
    OwnCollector,
}

/// Nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The command cannot be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// SUDO_UID is no user.
    #[error(transparent)]
    Caller(#[from] UnknownCaller),
    /// A file of the user's cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// `--btf` cannot be read.
    #[error("{path}: {reason}\n--btf wants a file of kernel type information, such as /sys/kernel/btf/vmlinux")]
    Btf {
        /// As given.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The collector could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The collector could not trace.
    #[error("{0}")]
    Refused(String),
    /// The collector was too slow, or went away.
    #[error("the collector {0}; the command was not started")]
    Lost(&'static str),
    /// The collector lives and is not done in time.
    #[error("the collector did not answer within {}; the command was not started", humantime::format_duration(*limit))]
    Late {
        /// What it was given.
        limit: Duration,
    },
    /// A nested run has no session of its own.
    #[error(
        "this process is traced already, by session {session}, and a process belongs to one session: \
         a nested run cannot write a file of its own. Leave --output out, or run it outside"
    )]
    Joined {
        /// The outer session.
        session: SessionId,
    },
    /// A process belongs to one session.
    #[error(
        "process {pid} is traced already, by session {session}; `agentsight attach --detach --pid {pid}` ends that"
    )]
    Owned {
        /// As given.
        pid: u32,
        /// Its owner.
        session: SessionId,
    },
    /// Nothing to end.
    #[error("no session traces process {pid}")]
    NotTraced {
        /// As given.
        pid: u32,
    },
    /// Another user's processes are root's to look at.
    #[error(
        "a process that already runs is attached to by root: sudo agentsight attach --pid {pid}\n\
         Where AgentSight's daemon runs, you may attach to your own processes yourself"
    )]
    NotRoot {
        /// As given.
        pid: u32,
    },
    /// The system refused a process or a pipe.
    #[error("the command's process could not be made: {0}")]
    Process(#[source] io::Error),
}

impl LaunchError {
    /// 126 and 127 for the command, as a shell; 2 for everything of ours.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Command(error) => error.exit_code(),
            _ => 2,
        }
    }
}

/// Runs the command, traced; returns its exit code.
///
/// # Errors
/// The command was not started.
pub fn run(command: &[OsString], tracing: &Tracing) -> Result<u8, LaunchError> {
    // Nobody of the same user may take our descriptors (pidfd_getfd) and speak to the collector in our name. An exec
    // ends it: the command is what it always was.
    let _ = nix::sys::prctl::set_dumpable(false);
    let caller = Caller::find()?;
    let command = Command::find(command, &caller)?;
    if let Some(session) = ownership::find_owner() {
        return join(tracing, &command, &caller, session);
    }
    let Attached { collector, deadline, mut outputs } = attach_collector(tracing, &caller, Target::NextChild)?;

    let signals = Signals::take().map_err(process_failed)?;
    let child = HeldChild::fork(&command, &caller, &signals.original).map_err(process_failed)?;
    let pid = child.pid();
    let environment = match hear(&collector, deadline, &mut outputs) {
        Ok(ToStub::Started { environment }) => environment,
        result => {
            // Dropping the pipe ends the child before its exec.
            drop(child);
            let _ = waitpid(pid, None);
            return Err(result.err().unwrap_or(LaunchError::Lost("answered out of order")));
        }
    };
    let exec = child.release(&environment).map_err(LaunchError::Process)?;

    // The command runs: from here on nothing of ours may keep its exit code from the caller.
    let mut waiter = Waiter {
        signals: &signals,
        collector: Ear::new(collector).ok(),
        outputs: &mut outputs,
        words: LastWords::default(),
    };
    let code = waiter.wait_for_command(pid);
    waiter.wait_for_collector(tracing.linger);
    say(&waiter.words);
    match exec {
        Exec::Succeeded => Ok(code),
        Exec::Failed(errno) => Err(explain_exec(&command, errno).into()),
    }
}

/// Somebody traces us already, and so the command too: it only has to be executed, in our place.
fn join(tracing: &Tracing, command: &Command, caller: &Caller, session: SessionId) -> Result<u8, LaunchError> {
    if tracing.output.is_some() || tracing.recording.is_some() {
        return Err(LaunchError::Joined { session });
    }
    let errno = held_child::exec_in_place(command, caller);
    Err(explain_exec(command, errno).into())
}

/// Until when, and how long that was.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    limit: Duration,
}

/// A collector that traces, and what the stub has open for it.
pub(super) struct Attached {
    pub(super) collector: UnixStream,
    /// Until when the command must have been registered.
    pub(super) deadline: Deadline,
    pub(super) outputs: Outputs,
}

/// Opens the user's files, starts the collector, and returns when it has everything in place.
pub(super) fn attach_collector(tracing: &Tracing, caller: &Caller, target: Target) -> Result<Attached, LaunchError> {
    let mut outputs = Outputs::default();
    for (file, path) in [(OutputFile::Spans, &tracing.output), (OutputFile::Recording, &tracing.recording)] {
        if let Some(path) = path {
            outputs.open(file, path, caller)?;
        }
    }
    let request = make_request(tracing, caller, target, outputs.kinds())?;
    let limit = tracing.start_limit;
    let collector = match find_daemon(tracing) {
        Some(daemon) => daemon,
        None if matches!(target, Target::Running(_)) && !Uid::effective().is_root() => {
            return Err(LaunchError::NotRoot { pid: target_id(target) });
        }
        None => collector_process::start(limit)?,
    };
    let deadline = Deadline { at: Instant::now() + limit, limit };
    collector.set_write_timeout(Some(limit)).map_err(LaunchError::Process)?;
    channel::send(&collector, &ToCollector::Request(Box::new(request))).map_err(|error| lost(error, limit))?;
    match hear(&collector, deadline, &mut outputs)? {
        ToStub::Attached => Ok(Attached { collector, deadline, outputs }),
        _ => Err(LaunchError::Lost("answered out of order")),
    }
}

/// A collector that is made for one run can be told how; the daemon is as it is.
fn find_daemon(tracing: &Tracing) -> Option<UnixStream> {
    let is_special = tracing.ring_bytes.is_some() || tracing.perf_buffer || tracing.btf.is_some();
    if is_special || tracing.by == TracedBy::OwnCollector {
        return None;
    }
    match daemon_socket::find(tracing.start_limit) {
        Found::Daemon(socket) => Some(socket),
        Found::Nobody => None,
        Found::Stranger(why) => {
            eprintln!("agentsight: the daemon at {} is not used: {why}", daemon_socket::path().display());
            None
        }
    }
}

fn target_id(target: Target) -> u32 {
    match target {
        Target::NextChild => std::process::id(),
        Target::Running(pid) => pid,
    }
}

fn make_request(
    tracing: &Tracing,
    caller: &Caller,
    target: Target,
    outputs: Vec<OutputFile>,
) -> Result<Request, LaunchError> {
    let btf = match &tracing.btf {
        None => None,
        Some(path) => {
            let failed = |reason: String| LaunchError::Btf { path: path.clone(), reason };
            let bytes = caller
                .with_rights(|| std::fs::read(path))
                .map_err(|error| failed(error.desc().to_owned()))?
                .map_err(|error| failed(error.to_string()))?;
            Some(BtfFile { path: path.clone(), bytes })
        }
    };
    Ok(Request {
        stub: std::process::id(),
        target,
        uid: caller.uid().as_raw(),
        options: tracing.options.clone(),
        context: tracing.context.clone(),
        linger: tracing.linger,
        destination: tracing.destination.clone(),
        outputs,
        summary: tracing.summary,
        ring_bytes: tracing.ring_bytes,
        data_ring_bytes: tracing.data_ring_bytes,
        perf_buffer: tracing.perf_buffer,
        btf,
        self_telemetry: tracing.self_telemetry,
        capture: tracing.capture.clone(),
        content_ring_bytes: tracing.content_ring_bytes,
    })
}

/// The collector's next word about the start; what it has for a file by then is written.
fn hear(collector: &UnixStream, deadline: Deadline, outputs: &mut Outputs) -> Result<ToStub, LaunchError> {
    loop {
        let left = deadline.at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        collector.set_read_timeout(Some(left)).map_err(LaunchError::Process)?;
        match channel::receive(collector) {
            Ok(Some(ToStub::Output { file, bytes })) => outputs.write(file, &bytes)?,
            Ok(Some(ToStub::Failed { message })) => return Err(LaunchError::Refused(message)),
            Ok(Some(message)) => return Ok(message),
            Ok(None) => return Err(LaunchError::Lost("ended before tracing began")),
            Err(error) => return Err(lost(error, deadline.limit)),
        }
    }
}

fn lost(error: ChannelError, limit: Duration) -> LaunchError {
    match error {
        ChannelError::Socket(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            LaunchError::Late { limit }
        }
        ChannelError::Socket(_) => LaunchError::Lost("ended before tracing began"),
        ChannelError::Frame(_) => StartError::from(error).into(),
    }
}

pub(super) fn process_failed(errno: Errno) -> LaunchError {
    LaunchError::Process(errno.into())
}

fn explain_exec(command: &Command, errno: Errno) -> CommandError {
    let path = command.path.display().to_string();
    match errno {
        // The file was there a moment ago: what is missing is the interpreter that its first line names.
        Errno::ENOENT => CommandError::NotFound { name: path, hint: " (its interpreter is missing)".to_owned() },
        errno => CommandError::NotExecutable { path, reason: errno.desc().to_owned() },
    }
}

/// On standard error, which the command has left to us; a closed one is nobody's fault.
pub(super) fn say(words: &LastWords) {
    let mut stderr = io::stderr().lock();
    if !words.summary.is_empty() {
        // The command may have left the cursor in the middle of a line.
        let _ = if stderr.is_terminal() { write!(stderr, "\r\n") } else { Ok(()) };
        let _ = stderr.write_all(words.summary.as_bytes());
    }
    for notice in &words.notices {
        let _ = writeln!(stderr, "{notice}");
    }
}
