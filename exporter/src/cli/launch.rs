//! `run` and `record`: from what was typed to a launch.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agentsight::launch::{Launch, LaunchError};
use agentsight::otlp::settings::{Settings, SettingsError};
use agentsight::session::{CallerContext, SegmentLimits, SessionOptions};

use super::{Names, RecordArgs, RunArgs, TracingArgs, destination, screen};

/// `agentsight run`.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    start(&args.tracing, args.command, args.output, None)
}

/// `agentsight record`.
pub(crate) fn record(args: RecordArgs) -> ExitCode {
    start(&args.tracing, args.command, args.output, Some(args.recording))
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

fn start(
    tracing: &TracingArgs,
    command: Vec<OsString>,
    output: Option<PathBuf>,
    recording: Option<PathBuf>,
) -> ExitCode {
    match try_start(tracing, command, output, recording) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("agentsight: {error}");
            ExitCode::from(match error {
                StartError::Settings(_) => 2,
                StartError::Launch(error) => error.exit_code(),
            })
        }
    }
}

fn try_start(
    tracing: &TracingArgs,
    command: Vec<OsString>,
    output: Option<PathBuf>,
    recording: Option<PathBuf>,
) -> Result<u8, StartError> {
    // `--output` is in place of sending, whatever the environment says.
    let destination =
        if output.is_some() { Settings::default() } else { destination::from_environment(&tracing.destination)? };
    let stderr = io::stderr();
    let draws = !tracing.no_tree && (tracing.tree || stderr.is_terminal());
    Ok(agentsight::launch::run(&Launch {
        command,
        options: options(tracing),
        context: context(),
        linger: tracing.linger,
        destination,
        output,
        recording,
        tree: draws.then(|| screen::style_of(&stderr)),
        ring_bytes: tracing.ring_bytes,
        btf: tracing.btf.clone(),
        self_telemetry: !tracing.no_self_telemetry,
    })?)
}

fn options(args: &TracingArgs) -> SessionOptions {
    SessionOptions {
        service: args.service.clone(),
        target_names: args.names == Names::Target,
        adopt: !args.no_adopt,
        set_traceparent: !args.no_traceparent,
        live_after_nanos: nanos(args.live_after),
        segment: segment_limits(args),
    }
}

fn segment_limits(args: &TracingArgs) -> SegmentLimits {
    let defaults = SegmentLimits::default();
    SegmentLimits {
        spans: args.segment_spans.unwrap_or(defaults.spans),
        bytes: args.segment_bytes.unwrap_or(defaults.bytes),
        age_nanos: args.segment_age.map_or(defaults.age_nanos, nanos),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn context() -> CallerContext {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    CallerContext { traceparent: variable("TRACEPARENT"), tracestate: variable("TRACESTATE") }
}
