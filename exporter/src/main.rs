//! The `agentsight` binary: what was typed, to what is done, to an exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(feature = "live")]
        Command::Run(args) => cli::launch::run(args),
        #[cfg(feature = "live")]
        Command::Record(args) => cli::launch::record(args),
        #[cfg(feature = "live")]
        Command::Attach(args) => cli::launch::attach(args),
        #[cfg(feature = "live")]
        Command::Daemon(args) => cli::daemon::daemon(args),
        Command::Replay(args) => cli::replay::replay(&args),
        Command::Sessions(args) => cli::questions::sessions(&args),
        Command::Show(args) => cli::questions::show(&args),
        Command::Query(args) => cli::questions::query(&args),
        Command::Why(args) => cli::questions::why(&args),
        Command::Impact(args) => cli::questions::impact(&args),
        Command::Content(args) => cli::questions::content(&args),
        Command::Serve(args) => cli::serve::serve(args),
        Command::Export(args) => cli::questions::export(&args),
        #[cfg(feature = "live")]
        Command::Doctor(args) => cli::doctor::doctor(&args),
        #[cfg(feature = "live")]
        Command::Collector(args) => agentsight::collector::run(args.stub),
        Command::Reference(args) => cli::reference::reference(&args),
    }
}
