//! `agentsight sessions`: what has been traced.

use std::process::ExitCode;

use agentsight::answer::{json, sessions_table};

use super::place::{Place, clock};
use super::{ListFormat, SessionsArgs, Trouble, finish, output};

/// `agentsight sessions`.
pub(crate) fn sessions(args: &SessionsArgs) -> ExitCode {
    finish("sessions", try_sessions(args))
}

fn try_sessions(args: &SessionsArgs) -> Result<(), Trouble> {
    let sessions = Place::open(&args.place)?.sessions(args.limit)?;
    match args.format {
        ListFormat::Table => output::text(&sessions_table(&sessions, &clock(), output::columns()))?,
        ListFormat::Json => output::json(&sessions.iter().map(json::session).collect())?,
        ListFormat::Ndjson => output::lines(sessions.iter().map(json::session))?,
    }
    Ok(())
}
