//! `agentsight export`: sends again what the store holds, with the ids that it had.

use std::process::ExitCode;

use agentsight::otlp::request::Request;
use agentsight::query::{Question, ask};

use super::super::{destination, send};
use super::place::{Place, clock};
use super::{ExportArgs, Trouble, finish};

/// Spans in memory at a time.
const PAGE: usize = 1_000;

/// `agentsight export`.
pub(crate) fn export(args: &ExportArgs) -> ExitCode {
    finish("export", try_export(args))
}

fn try_export(args: &ExportArgs) -> Result<(), Trouble> {
    let settings = destination::from_environment(&args.destination)?;
    let Some(endpoint) = &settings.traces else {
        return Err(Trouble::Unclear("where to? Say --endpoint URL, or set OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()));
    };
    let place = Place::open(&args.place)?;
    let mut question = Question { limit: PAGE, ..place.question(args.filter.words(), &clock())? };
    let mut sender = send::SpanSender::new(endpoint)?;
    let mut sent = 0_usize;
    loop {
        let page = ask(&mut *place.source()?, &question)?;
        sent += page.spans.len();
        let spans = page.spans.into_iter().map(|found| (found.resource.as_ref().clone(), found.span));
        if let Some(request) = Request::of_spans(spans) {
            sender.send(&request)?;
        }
        match page.next {
            Some(next) => question.cursor = Some(next),
            None => break,
        }
    }
    println!("{sent} spans sent to {}", endpoint.url);
    Ok(())
}
