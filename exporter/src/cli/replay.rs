//! `replay`: the rest of the pipeline on a recording. No root, no store.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentsight::caller::{Caller, UnknownCaller};
use agentsight::otlp::json;
use agentsight::otlp::settings::SettingsError;
use agentsight::pipeline::Pipeline;
use agentsight::private_file;
use agentsight::recording::{ReadError, Reader};
use agentsight::spans::model::{Signal, Span};
use agentsight::terminal;
use agentsight_ebpf::KernelNanos;

use super::{ReplayArgs, SummaryFormat, destination, screen, send};

/// `agentsight replay`: 0, or 1 where the recording is damaged or something could not be delivered, or 2 where nothing
/// could be done.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    match try_replay(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agentsight: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("{path} cannot be read: {reason}")]
    Open { path: PathBuf, reason: io::Error },
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: ReadError },
    #[error("{path}: {error}\nEverything before that was replayed")]
    Damaged { path: PathBuf, error: ReadError },
    #[error("{path} cannot be written: {reason}")]
    Write { path: PathBuf, reason: io::Error },
    #[error(transparent)]
    Caller(#[from] UnknownCaller),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Send(#[from] send::SendError),
}

impl ReplayError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } | Self::Send(_) => 1,
            Self::Open { .. } | Self::Unreadable { .. } | Self::Write { .. } | Self::Caller(_) | Self::Settings(_) => 2,
        }
    }
}

fn try_replay(args: &ReplayArgs) -> Result<(), ReplayError> {
    let path = args.recording.as_path();
    let caller = Caller::find()?;
    let settings = destination::from_flags(&args.destination)?;
    let (signals, damage) = read(path, &caller)?;
    if let Some(output) = &args.output {
        write(output, &json::lines(&signals), &caller)?;
    }
    if !args.no_tree {
        print(&signals, args.format);
    }
    send::send(&settings, &signals)?;
    damage.map_or(Ok(()), |error| Err(ReplayError::Damaged { path: path.to_owned(), error }))
}

/// Everything that the recording's readable part gives, and what ended it early.
fn read(path: &Path, caller: &Caller) -> Result<(Vec<Signal>, Option<ReadError>), ReplayError> {
    let failed = |reason| ReplayError::Open { path: path.to_owned(), reason };
    let opened = caller.with_rights(|| File::open(path)).map_err(|error| failed(error.into()))?;
    let file = opened.map_err(failed)?;
    let mut reader =
        Reader::open(BufReader::new(file)).map_err(|error| ReplayError::Unreadable { path: path.to_owned(), error })?;
    let mut pipeline = Pipeline::new(&reader.header().session);
    let mut signals = Vec::new();
    let mut last = KernelNanos(0);
    let mut damage = None;
    for event in &mut reader {
        match event {
            Ok(event) => {
                last = last.max(event.at());
                pipeline.apply(&event, &mut signals);
            }
            Err(error) => {
                damage = Some(error);
                break;
            }
        }
    }
    if reader.skipped() > 0 {
        eprintln!("agentsight: {} events of a later version of AgentSight were passed over", reader.skipped());
    }
    pipeline.finish(reader.end().map_or(last, |end| end.at), &mut signals);
    Ok((signals, damage))
}

fn write(path: &Path, lines: &str, caller: &Caller) -> Result<(), ReplayError> {
    let failed = |reason| ReplayError::Write { path: path.to_owned(), reason };
    let created = caller.with_rights(|| private_file::create(path)).map_err(|error| failed(error.into()))?;
    created.and_then(|mut file| file.write_all(lines.as_bytes())).map_err(failed)
}

fn print(signals: &[Signal], format: Option<SummaryFormat>) {
    let spans: Vec<Span> = signals
        .iter()
        .filter_map(|signal| match signal {
            Signal::Span(span) => Some((**span).clone()),
            Signal::Log(_) | Signal::Draft(_) | Signal::Content(_) => None,
        })
        .collect();
    let stdout = io::stdout();
    let text = terminal::summary(&spans, screen::format_of(format, &stdout), &[]);
    // A reader that has seen enough (`| head`) is no failure.
    let _ = if stdout.is_terminal() { write!(&stdout, "\r{text}") } else { write!(&stdout, "{text}") };
}
