//! `run`, `record` and `attach`: from what was typed to what is traced.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use agentsight::launch::{LaunchError, TracedBy, Tracing};
use agentsight::otlp::settings::{Settings, SettingsError};
use agentsight::session::{CallerContext, SegmentLimits, SessionOptions};

use super::{AttachArgs, Names, RecordArgs, RunArgs, TracingArgs, capture, destination, screen};

/// `agentsight run`.
pub(crate) fn run(args: RunArgs) -> ExitCode {
    finish(tracing(&args.tracing, args.output, None).and_then(|tracing| launch(&args.command, &tracing)))
}

/// `agentsight record`.
pub(crate) fn record(args: RecordArgs) -> ExitCode {
    let tracing = tracing(&args.tracing, args.output, Some(args.recording));
    finish(tracing.and_then(|tracing| launch(&args.command, &tracing)))
}

/// `agentsight attach`.
pub(crate) fn attach(args: AttachArgs) -> ExitCode {
    finish(if args.detach {
        agentsight::launch::detach(args.pid).map_err(StartError::from).map(|session| {
            eprintln!("agentsight: session {session} has ended; process {} goes on", args.pid);
            0
        })
    } else {
        tracing(&args.tracing, args.output, args.recording).and_then(|tracing| {
            agentsight::launch::attach(args.pid, &tracing)?;
            Ok(0)
        })
    })
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

fn launch(command: &[OsString], tracing: &Tracing) -> Result<u8, StartError> {
    Ok(agentsight::launch::run(command, tracing)?)
}

fn finish(result: Result<u8, StartError>) -> ExitCode {
    match result {
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

fn tracing(args: &TracingArgs, output: Option<PathBuf>, recording: Option<PathBuf>) -> Result<Tracing, StartError> {
    // `--output` is in place of sending, whatever the environment says.
    let destination =
        if output.is_some() { Settings::default() } else { destination::from_environment(&args.destination)? };
    let stderr = io::stderr();
    let sums_up = !args.no_tree && (args.tree || args.format.is_some() || stderr.is_terminal());
    Ok(Tracing {
        options: options(args),
        context: context(),
        linger: args.linger,
        destination,
        output,
        recording,
        summary: sums_up.then(|| screen::format_of(args.format, &stderr)),
        ring_bytes: args.ring_bytes,
        data_ring_bytes: args.data_ring_bytes,
        perf_buffer: args.perf_buffer,
        start_limit: args.start_limit,
        btf: args.btf.clone(),
        self_telemetry: !args.no_self_telemetry,
        capture: capture::policy(&args.capture),
        content_ring_bytes: args.capture.content_ring_bytes,
        by: if args.no_daemon { TracedBy::OwnCollector } else { TracedBy::Anybody },
    })
}

fn options(args: &TracingArgs) -> SessionOptions {
    SessionOptions {
        service: args.service.clone(),
        target_names: args.names == Names::Target,
        adopt: !args.no_adopt,
        set_traceparent: !args.no_traceparent,
        live_after_nanos: nanos(args.live_after),
        segment: segment_limits(args),
        content_on_spans: args.capture.content_on_spans,
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
