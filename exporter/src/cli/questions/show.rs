//! `agentsight show`: a trace, or a session, as the tree that it was.

use std::io;
use std::process::ExitCode;

use agentsight::answer::json;
use agentsight::answer::picture::Picture;
use agentsight::otlp::decode;
use agentsight::query::{Filter, Question, ask};
use agentsight::store::StoredSpan;
use agentsight::terminal;

use super::super::screen;
use super::place::Place;
use super::{ShowArgs, TreeFormat, Trouble, finish, output};

/// A person cannot read more, and memory is not endless.
const SPANS_MAX: usize = 200_000;

/// `agentsight show`.
pub(crate) fn show(args: &ShowArgs) -> ExitCode {
    finish("show", try_show(args))
}

fn try_show(args: &ShowArgs) -> Result<(), Trouble> {
    let place = Place::open(&args.place)?;
    let found = spans(&place, &args.what)?;
    if found.len() >= SPANS_MAX {
        eprintln!("agentsight: only the first {SPANS_MAX} spans are shown: ask for a trace, or use query");
    }
    match args.format {
        TreeFormat::Tree => {
            let spans: Vec<_> = found.iter().filter_map(|found| decode::span(&found.span, &found.resource)).collect();
            output::text(&terminal::tree(&spans, screen::style_of(&io::stdout()), &[]))?;
        }
        TreeFormat::Json => output::json(&found.iter().map(json::span).collect())?,
        TreeFormat::Ndjson => output::lines(found.iter().map(json::span))?,
        TreeFormat::Dot => output::text(&Picture::of_spans(&found).dot())?,
        TreeFormat::Mermaid => output::text(&Picture::of_spans(&found).mermaid())?,
    }
    Ok(())
}

/// The spans of a session, where it is one, else of a trace.
fn spans(place: &Place, what: &str) -> Result<Vec<StoredSpan>, Trouble> {
    if let Place::Backend(..) = place {
        return spans_of_backend(place, what);
    }
    let session = place.session(what);
    match session {
        Ok(session) => {
            let id = agentsight::query::words::session(&session)?;
            place.session_spans(id, SPANS_MAX)
        }
        Err(Trouble::NotFound(_)) if what != "last" => {
            let trace = place.trace(what).map_err(|error| match error {
                Trouble::NotFound(_) => Trouble::NotFound(format!(
                    "there is no session and no trace {what:?} here: `agentsight sessions` lists what there is"
                )),
                other => other,
            })?;
            place.trace_spans(trace, SPANS_MAX)
        }
        Err(error) => Err(error),
    }
}

/// A backend knows whole ids alone, and both kinds look alike.
fn spans_of_backend(place: &Place, what: &str) -> Result<Vec<StoredSpan>, Trouble> {
    let mut source = place.source()?;
    let mut ask_for = |filter| {
        Ok::<_, Trouble>(ask(&mut *source, &Question { filter, limit: SPANS_MAX, ..Question::default() })?.spans)
    };
    let trace = place.trace(what)?;
    let of_trace = ask_for(Filter { trace: Some(trace), ..Filter::default() })?;
    if !of_trace.is_empty() {
        return Ok(of_trace);
    }
    let session = agentsight::query::words::session(&place.session(what)?)?;
    let of_session = ask_for(Filter { session: Some(session), ..Filter::default() })?;
    if of_session.is_empty() {
        return Err(Trouble::NotFound(format!("there is no session and no trace {what:?} there")));
    }
    Ok(of_session)
}
