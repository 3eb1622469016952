//! The command line as typed. The modules beside this one turn it into what is used.

#[cfg(feature = "live")]
mod capture;
#[cfg(feature = "live")]
pub(crate) mod daemon;
mod destination;
#[cfg(feature = "live")]
pub(crate) mod doctor;
#[cfg(feature = "live")]
pub(crate) mod launch;
pub(crate) mod questions;
pub(crate) mod reference;
pub(crate) mod replay;
mod screen;
mod send;
pub(crate) mod serve;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use agentsight_ebpf::{Glob, Network};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A flight recorder for AI agents that speaks OpenTelemetry.
#[derive(Debug, Parser)]
#[command(version, about, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command and trace it with all its descendants
    ///
    /// The command has your environment, terminal and rights; only AgentSight's collector is root (sudo is asked for
    /// once). The exit code is the command's. Spans go where OTEL_EXPORTER_OTLP_ENDPOINT or --endpoint says, and into
    /// the store in any case.
    #[cfg(feature = "live")]
    Run(RunArgs),
    /// Like run, and keep the event stream in a file that `replay` understands
    #[cfg(feature = "live")]
    Record(RecordArgs),
    /// Trace a process tree that is already running, until it ends or Ctrl-C
    ///
    /// The tree does not notice: not when it is attached to, not when the tracing ends. Needs root.
    #[cfg(feature = "live")]
    Attach(AttachArgs),
    /// Trace every process of this host that a rule names, and let `run` trace without sudo
    ///
    /// What is typed wins over the environment (AGENTSIGHT_… and the standard OTEL_EXPORTER_OTLP_…), which wins over the
    /// file, which wins over what is built in. SIGHUP reads the file again, SIGTERM ends the daemon. Needs root.
    #[cfg(feature = "live")]
    Daemon(DaemonArgs),
    /// Run the rest of the pipeline on a recording: no root, same spans, same ids
    Replay(ReplayArgs),
    /// Say what this kernel and this user allow, and how to mend what they do not
    ///
    /// Changes nothing and asks for no password; by sudo it can try more. The exit code is 0 where all that is needed is
    /// there, 1 where something is limited or could not be seen, and 2 where tracing cannot work.
    #[cfg(feature = "live")]
    Doctor(DoctorArgs),
    /// List what has been traced
    Sessions(questions::SessionsArgs),
    /// Show a trace or a session as the process tree that it was
    Show(questions::ShowArgs),
    /// Find what was done: by whom, to what, when
    ///
    /// Such as all network requests made by a process in the last five minutes: --action network --pid 1234 --since 5m
    Query(questions::QueryArgs),
    /// Explain a span: everything that led to it, with the evidence
    ///
    /// Edges that only may be causes (flow) come after those that are, and it is said where the evidence has gaps. Of an
    /// image that is only an ancestor, what it waited for and which signals it got is not followed.
    Why(questions::SliceArgs),
    /// Say what a span led to, with the evidence
    Impact(questions::SliceArgs),
    /// Show the bytes that a span read, wrote, sent or received, as they were at that moment
    ///
    /// They are there where they were captured, with secrets redacted. What is missing and what is redacted is marked, and said on
    /// standard error. That they are read is written down: --readers says by whom.
    Content(questions::ContentArgs),
    /// Send again what the store holds, under the same ids
    Export(questions::ExportArgs),
    /// Answer questions over HTTP: AgentSight's own API, and Jaeger's
    Serve(serve::ServeArgs),
    /// The privileged half of `run`; not for people
    #[cfg(feature = "live")]
    #[command(hide = true)]
    Collector(CollectorArgs),
    /// Write man pages and shell completions; for those who make packages
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

/// `agentsight reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// The folder that gets `man` and `completions`
    pub folder: PathBuf,
}

/// `agentsight run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// How it is traced.
    #[command(flatten)]
    pub tracing: TracingArgs,
    /// Write the spans to FILE as OTLP/JSON lines, in place of sending them
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["endpoint", "protocol", "header"])]
    pub output: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `agentsight record`.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// How it is traced.
    #[command(flatten)]
    pub tracing: TracingArgs,
    /// Write the event stream to FILE
    #[arg(short = 'o', long = "recording", value_name = "FILE")]
    pub recording: PathBuf,
    /// Write the spans to FILE too, as OTLP/JSON lines, in place of sending them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint", "protocol", "header"])]
    pub output: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `agentsight attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The process at the root of the tree
    #[arg(short, long, value_name = "PID")]
    pub pid: u32,
    /// End the session that traces the process, and leave the process alone
    #[arg(long)]
    pub detach: bool,
    /// How it is traced.
    #[command(flatten)]
    pub tracing: TracingArgs,
    /// Write the spans to FILE as OTLP/JSON lines, in place of sending them
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["endpoint", "protocol", "header"])]
    pub output: Option<PathBuf>,
    /// Write the event stream to FILE too
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
}

/// `agentsight daemon`.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// What to trace and where to send it, as YAML
    #[arg(short, long, value_name = "FILE", env = "AGENTSIGHT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where `run` finds the daemon [default: /run/agentsight/daemon.sock]
    #[arg(long, value_name = "PATH", env = "AGENTSIGHT_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Where the sessions of rules are sent.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// service.name of processes whose environment names none
    #[arg(long, value_name = "NAME", env = "AGENTSIGHT_SERVICE")]
    pub service: Option<String>,
    /// Send a process that lives longer than this while it still runs [default: 10s]
    #[arg(long, value_name = "DURATION", env = "AGENTSIGHT_LIVE_AFTER", value_parser = humantime::parse_duration)]
    pub live_after: Option<Duration>,
    /// Size of the kernel's ring in bytes [default: 8388608]
    #[arg(long, value_name = "BYTES", env = "AGENTSIGHT_RING_BYTES")]
    pub ring_bytes: Option<u32>,
    /// Type information of the running kernel, where it has no /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE", env = "AGENTSIGHT_BTF")]
    pub btf: Option<PathBuf>,
    /// Do not send AgentSight's own metrics and traces
    #[arg(long)]
    pub no_self_telemetry: bool,
    /// Check the configuration and do nothing else
    #[arg(long)]
    pub check: bool,
    /// Print the JSON schema of the configuration, for editors
    #[arg(long)]
    pub print_schema: bool,
}

/// How a command is traced.
#[derive(Debug, Args)]
pub(crate) struct TracingArgs {
    /// Where spans are sent.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// What of contents is captured.
    #[command(flatten)]
    pub capture: CaptureArgs,
    /// How long to follow descendants that outlive the command
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    pub linger: Duration,
    /// service.name of processes whose environment names none
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Span names with the target (`python3 agent.py`), or plain (`python3`)
    #[arg(long, value_enum, default_value_t = Names::Target)]
    pub names: Names,
    /// Ignore TRACEPARENT wherever it is found
    #[arg(long)]
    pub no_adopt: bool,
    /// Do not set TRACEPARENT for the command
    #[arg(long)]
    pub no_traceparent: bool,
    /// Send a process that lives longer than this while it still runs
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub live_after: Duration,
    /// Draw the process tree on standard error at the end (the default where that is a terminal)
    #[arg(long, overrides_with = "no_tree")]
    pub tree: bool,
    /// Do not draw the process tree
    #[arg(long)]
    pub no_tree: bool,
    /// Sum the session up on standard error at the end, as a tree for people or as JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "no_tree")]
    pub format: Option<SummaryFormat>,
    /// Type information of the running kernel, where it has no /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Do not send AgentSight's own metrics and traces
    #[arg(long)]
    pub no_self_telemetry: bool,
    /// Start a collector for this alone, also where the daemon runs
    #[arg(long)]
    pub no_daemon: bool,
    /// Size of the kernel's ring in bytes (for tests of what happens when it is full)
    #[arg(long, value_name = "BYTES", hide = true)]
    pub ring_bytes: Option<u32>,
    /// Size of the kernel's ring for what is no process's lifecycle, in bytes
    #[arg(long, value_name = "BYTES", hide = true)]
    pub data_ring_bytes: Option<u32>,
    /// Spans in one trace before the session goes on in the next (for tests)
    #[arg(long, value_name = "COUNT", hide = true)]
    pub segment_spans: Option<u64>,
    /// Bytes of spans in one trace (for tests)
    #[arg(long, value_name = "BYTES", hide = true)]
    pub segment_bytes: Option<u64>,
    /// Age of one trace (for tests)
    #[arg(long, value_name = "DURATION", hide = true, value_parser = humantime::parse_duration)]
    pub segment_age: Option<Duration>,
    /// Let the kernel hand events over by perf buffers, as kernels before 5.8 do (for tests on later ones)
    #[arg(long, hide = true)]
    pub perf_buffer: bool,
    /// How long the collector may take to have everything in place (for machines that are emulated)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, hide = true)]
    pub start_limit: Duration,
}

/// What of the contents that go through calls is captured: nothing, unless it is asked for. Secrets are redacted.
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Keep what is read from and written to files of this pattern; may be given again
    ///
    /// `config.json` and `*.yaml` are names anywhere, `/etc/**` is everything beneath. `*` is any part of a name, `**` any
    /// number of folders, `?` one character, `[a-z]` one of these, `{a,b}` one of several.
    #[arg(long, value_name = "GLOB", help_heading = "Contents")]
    pub capture: Vec<Glob>,
    /// Never keep what goes through files of this pattern, whatever else is said; may be given again
    #[arg(long, value_name = "GLOB", help_heading = "Contents")]
    pub no_capture: Vec<Glob>,
    /// Keep what is sent to and received from these: api.internal:8080, 10.0.0.0/8, *:5432; may be given again
    #[arg(long, value_name = "HOST:PORT|CIDR", help_heading = "Contents")]
    pub capture_net: Vec<Network>,
    /// Keep what goes through pipes
    #[arg(long, help_heading = "Contents")]
    pub capture_pipes: bool,
    /// Keep what goes through unix sockets
    #[arg(long, help_heading = "Contents")]
    pub capture_unix: bool,
    /// Keep what goes through terminals
    #[arg(long, help_heading = "Contents")]
    pub capture_tty: bool,
    /// Put the beginning of what is kept (2 KiB, redacted) on the spans too
    #[arg(long, help_heading = "Contents")]
    pub content_on_spans: bool,
    /// How much is kept of one burst of calls [default: 65536]
    #[arg(long, value_name = "BYTES", help_heading = "Contents")]
    pub capture_burst_bytes: Option<u32>,
    /// How much is kept of the session [default: 16777216]
    #[arg(long, value_name = "BYTES", help_heading = "Contents")]
    pub capture_session_bytes: Option<u64>,
    /// Size of the kernel's ring for contents in bytes (for tests of what happens when it is full)
    #[arg(long, value_name = "BYTES", hide = true)]
    pub content_ring_bytes: Option<u32>,
}

/// Where spans are sent; the OTEL_EXPORTER_OTLP_* variables say the same, and more.
#[derive(Debug, Args)]
pub(crate) struct DestinationArgs {
    /// Send to this OTLP endpoint (as OTEL_EXPORTER_OTLP_ENDPOINT), such as http://localhost:4317
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// grpc, http/protobuf or http/json (unset: grpc for port 4317, else http/protobuf)
    #[arg(long, value_name = "PROTOCOL")]
    pub protocol: Option<String>,
    /// Send this header with every request; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
}

/// `agentsight replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Where spans are sent; without --endpoint nothing is.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// A file that `record` wrote
    #[arg(value_name = "FILE")]
    pub recording: PathBuf,
    /// Write the spans to FILE as OTLP/JSON lines
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Do not draw the process tree
    #[arg(long)]
    pub no_tree: bool,
    /// Sum the recording up as a tree for people, or as JSON for programs
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "no_tree")]
    pub format: Option<SummaryFormat>,
}

/// `agentsight doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Where spans would be sent: it is asked whether it takes any.
    #[command(flatten)]
    pub destination: DestinationArgs,
    /// Type information of the running kernel, where it has no /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Explain what is well too
    #[arg(short, long)]
    pub verbose: bool,
}

/// `agentsight collector`.
#[derive(Debug, Args)]
pub(crate) struct CollectorArgs {
    /// Process id of the stub; its channel is standard input and output
    #[arg(long = "for", value_name = "PID")]
    pub stub: u32,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SummaryFormat {
    /// Processes with what they did, one line each.
    Tree,
    /// One JSON object, with everything.
    Json,
}

/// `--names`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Names {
    /// With the base name of what the program works on.
    Target,
    /// The executable's base name alone.
    Plain,
}
