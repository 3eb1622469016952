//! `daemon`: from what was typed to what the daemon is told.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use agentsight::daemon::{self, Overrides};
use agentsight::otlp::settings::Flags;

use super::DaemonArgs;

/// `agentsight daemon`: 0 when it was stopped, 2 where it could not start, 1 where it had to end.
pub(crate) fn daemon(args: DaemonArgs) -> ExitCode {
    if args.print_schema {
        // A reader that has seen enough (`| head`) is no failure.
        let _ = io::stdout().write_all(daemon::schema().as_bytes());
        return ExitCode::SUCCESS;
    }
    let checks = args.check;
    let overrides = overrides(args);
    let outcome =
        if checks { daemon::check(&overrides).map_err(daemon::DaemonError::from) } else { daemon::run(&overrides) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentsight: {error}");
            let had_started = matches!(error, daemon::DaemonError::Service(daemon::ServiceError::Ring(_)));
            ExitCode::from(if had_started { 1 } else { 2 })
        }
    }
}

fn overrides(args: DaemonArgs) -> Overrides {
    let environment = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with("OTEL_"))
        .collect();
    Overrides {
        config: args.config,
        socket: args.socket,
        service: args.service,
        live_after: args.live_after,
        ring_bytes: args.ring_bytes,
        btf: args.btf,
        no_self_telemetry: args.no_self_telemetry,
        destination: Flags {
            endpoint: args.destination.endpoint,
            protocol: args.destination.protocol,
            headers: args.destination.header,
        },
        environment,
    }
}
