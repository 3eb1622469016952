//! `doctor`: from what was typed to a report and an exit code.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use agentsight::doctor::{self, Detail};
use agentsight_ebpf::live::BtfSource;

use super::{DoctorArgs, destination, screen};

/// `agentsight doctor`: 0 where all that is needed is there, 1 where something is limited, 2 where tracing cannot work.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let btf = match args.btf.as_deref().map(read_btf).transpose() {
        Ok(btf) => btf,
        Err(error) => {
            eprintln!("agentsight: {error}");
            return ExitCode::from(2);
        }
    };
    let report = doctor::examine(&destination::from_environment(&args.destination), btf.as_ref());
    let stdout = io::stdout();
    let detail = if args.verbose { Detail::Everything } else { Detail::Troubles };
    let text = match args.json {
        // A report holds strings, numbers and names alone, which always have a JSON form.
        true => serde_json::to_string_pretty(&report).map(|json| json + "\n").unwrap_or_default(),
        false => doctor::text(&report, screen::style_of(&stdout), detail),
    };
    // A reader that has seen enough (`| head`) is no failure.
    let _ = stdout.lock().write_all(text.as_bytes());
    ExitCode::from(report.exit_code())
}

fn read_btf(path: &Path) -> Result<BtfSource, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(BtfSource { path: path.to_owned(), bytes })
}
