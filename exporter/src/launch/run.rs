//! The order of a run: find the command, start the collector, fork, register, let go, wait, say the last words.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::wait::waitpid;

use super::caller::{Caller, UnknownCaller};
use super::collector_process::{self, START_LIMIT, StartError};
use super::command::{Command, CommandError};
use super::ear::Ear;
use super::held_child::{self, Exec, HeldChild};
use super::outputs::{OutputError, Outputs};
use super::signals::Signals;
use super::wait::{LastWords, Waiter};
use crate::channel::{self, BtfFile, ChannelError, OutputFile, Request, ToCollector, ToStub};
use crate::otlp::settings::Settings;
use crate::ownership;
use crate::session::{CallerContext, SessionId, SessionOptions};
use crate::terminal::TreeStyle;

/// What the user asked for.
#[derive(Debug)]
pub struct Launch {
    /// The command and its arguments; at least one word.
    pub command: Vec<OsString>,
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
    /// How to draw the tree.
    pub tree: Option<TreeStyle>,
    /// Size of the ring, bytes.
    pub ring_bytes: Option<u32>,
    /// `--btf`.
    pub btf: Option<PathBuf>,
    /// Send AgentSight's own metrics and traces too.
    pub self_telemetry: bool,
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
    /// A nested run has no session of its own.
    #[error(
        "this process is traced already, by session {session}, and a process belongs to one session: \
         a nested run cannot write a file of its own. Leave --output out, or run it outside"
    )]
    Joined {
        /// The outer session.
        session: SessionId,
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
pub fn run(launch: &Launch) -> Result<u8, LaunchError> {
    let caller = Caller::find()?;
    let command = Command::find(&launch.command, &caller)?;
    if let Some(session) = ownership::find_owner() {
        return join(launch, &command, &caller, session);
    }
    let mut outputs = Outputs::default();
    for (file, path) in [(OutputFile::Spans, &launch.output), (OutputFile::Recording, &launch.recording)] {
        if let Some(path) = path {
            outputs.open(file, path, &caller)?;
        }
    }
    let request = make_request(launch, &caller, outputs.kinds())?;

    let collector = collector_process::start()?;
    let deadline = Instant::now() + START_LIMIT;
    channel::send(&collector, &ToCollector::Request(Box::new(request))).map_err(StartError::from)?;
    let ToStub::Attached = hear(&collector, deadline, &mut outputs)? else {
        return Err(LaunchError::Lost("answered out of order"));
    };

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
        command: pid,
        signals: &signals,
        collector: Ear::new(collector).ok(),
        outputs: &mut outputs,
        words: LastWords::default(),
    };
    let code = waiter.wait_for_command();
    waiter.wait_for_collector(launch.linger);
    say(&waiter.words);
    match exec {
        Exec::Succeeded => Ok(code),
        Exec::Failed(errno) => Err(explain_exec(&command, errno).into()),
    }
}

/// Somebody traces us already, and so the command too: it only has to be executed, in our place.
fn join(launch: &Launch, command: &Command, caller: &Caller, session: SessionId) -> Result<u8, LaunchError> {
    if launch.output.is_some() || launch.recording.is_some() {
        return Err(LaunchError::Joined { session });
    }
    let errno = held_child::exec_in_place(command, caller);
    Err(explain_exec(command, errno).into())
}

fn make_request(launch: &Launch, caller: &Caller, outputs: Vec<OutputFile>) -> Result<Request, LaunchError> {
    let btf = match &launch.btf {
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
        launcher: std::process::id(),
        uid: caller.uid().as_raw(),
        options: launch.options.clone(),
        context: launch.context.clone(),
        linger: launch.linger,
        destination: launch.destination.clone(),
        outputs,
        tree: launch.tree,
        ring_bytes: launch.ring_bytes,
        btf,
        self_telemetry: launch.self_telemetry,
    })
}

/// The collector's next word about the start; what it has for a file by then is written.
fn hear(collector: &UnixStream, deadline: Instant, outputs: &mut Outputs) -> Result<ToStub, LaunchError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        collector.set_read_timeout(Some(left)).map_err(LaunchError::Process)?;
        match channel::receive(collector) {
            Ok(Some(ToStub::Output { file, bytes })) => outputs.write(file, &bytes)?,
            Ok(Some(ToStub::Failed { message })) => return Err(LaunchError::Refused(message)),
            Ok(Some(message)) => return Ok(message),
            Ok(None) => return Err(LaunchError::Lost("ended before tracing began")),
            Err(ChannelError::Socket(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                return Err(LaunchError::Lost("did not answer within 10 s"));
            }
            Err(error) => return Err(StartError::from(error).into()),
        }
    }
}

fn process_failed(errno: Errno) -> LaunchError {
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
fn say(words: &LastWords) {
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
