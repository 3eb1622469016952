//! `agentsight query`: the spans that match.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use agentsight::answer::picture::Picture;
use agentsight::answer::{json, spans_table};
use agentsight::query::moment::Clock;
use agentsight::query::words::Words;
use agentsight::query::{Membership, Page, Question, ask};
use agentsight::store::{Seq, StoredSpan};
use serde_json::json;

use super::place::{Place, clock};
use super::{QueryArgs, QueryFormat, Trouble, finish, output};

/// `agentsight query`.
pub(crate) fn query(args: &QueryArgs) -> ExitCode {
    finish("query", try_query(args))
}

fn try_query(args: &QueryArgs) -> Result<(), Trouble> {
    let place = Place::open(&args.place)?;
    let clock = clock();
    let words = Words {
        sort: args.sort.clone(),
        limit: args.limit.clone(),
        cursor: args.cursor.clone(),
        ..args.filter.words()
    };
    let question = place.question(words, &clock)?;
    if args.follow {
        return follow(&place, question, args.format, &clock);
    }
    let page = ask(&mut *place.source()?, &question)?;
    write(&page, args.format, &clock)?;
    if let (Some(next), true) = (page.next, args.format != QueryFormat::Json) {
        eprintln!("agentsight: there are more: --limit for a longer page, or --cursor {next} for the next one");
    }
    Ok(())
}

fn write(page: &Page, format: QueryFormat, clock: &Clock) -> Result<(), Trouble> {
    let spans = &page.spans;
    match format {
        QueryFormat::Table => output::text(&spans_table(spans, clock, output::columns()))?,
        QueryFormat::Json => {
            let next = page.next.map(|next| next.to_string());
            output::json(&json!({"spans": spans.iter().map(json::span).collect::<Vec<_>>(), "next": next}))?;
        }
        QueryFormat::Ndjson => output::lines(spans.iter().map(json::span))?,
        QueryFormat::Dot => output::text(&Picture::of_spans(spans).dot())?,
        QueryFormat::Mermaid => output::text(&Picture::of_spans(spans).mermaid())?,
    }
    Ok(())
}

/// Between two looks at what is new.
const PAUSE: Duration = Duration::from_millis(250);

/// Writes what matches now, then what is stored as it comes, in the order in which it was stored.
fn follow(place: &Place, question: Question, format: QueryFormat, clock: &Clock) -> Result<(), Trouble> {
    if !matches!(format, QueryFormat::Table | QueryFormat::Ndjson) {
        return Err(Trouble::Unclear("--follow goes with --format table or ndjson".to_owned()));
    }
    let mut source = place.source()?;
    let mut membership = question.subtree.map(|subtree| Membership::new(subtree, &question.filter));
    let mut last = match question.filter.from {
        Some(_) => Seq::BEFORE_ANY,
        None => place.last_stored()?,
    };
    let mut heading = true;
    loop {
        let (spans, seen) = place.stored_since(last, FOLLOWED_MAX)?;
        let is_all = seen == last;
        last = seen;
        let mut spans: Vec<StoredSpan> = spans.into_iter().filter(|found| question.filter.takes(found)).collect();
        if let Some(membership) = &mut membership {
            let mut members = Vec::new();
            for found in spans {
                if membership.takes(&mut *source, &found)? {
                    members.push(found);
                }
            }
            spans = members;
        }
        if !spans.is_empty() {
            match format {
                QueryFormat::Ndjson => output::lines(spans.iter().map(json::span))?,
                _ => {
                    let table = spans_table(&spans, clock, output::columns());
                    let rest = table.split_once('\n').map_or("", |(_, rest)| rest);
                    output::text(if heading { &table } else { rest })?;
                }
            }
            heading = false;
        }
        if is_all {
            thread::sleep(PAUSE);
        }
    }
}

/// At a time.
const FOLLOWED_MAX: usize = 1_000;
