//! The one span that a question is about: named, or the one that filters find.

use agentsight::answer::spans_table;
use agentsight::query::memory::id_of;
use agentsight::query::words::Words;
use agentsight::query::{Question, ask};
use agentsight::session::SpanRef;
use agentsight::store::Direction;

use super::place::{Place, clock};
use super::{FocusArgs, Trouble};

/// The span that is asked about.
pub(super) fn focus(place: &Place, args: &FocusArgs) -> Result<SpanRef, Trouble> {
    let filter: Words = args.filter.words();
    match (&args.span, args.filter.is_empty()) {
        (Some(span), true) => place.span(span),
        (Some(_), false) => {
            Err(Trouble::Unclear("name a span, or say by which filters it is found, not both".to_owned()))
        }
        (None, true) if !args.last => Err(Trouble::Unclear(
            "which span? Name it (TRACE:SPAN), or say by which filters it is found, such as --action connect --host api.example.com --last"
                .to_owned(),
        )),
        (None, _) => {
            let clock = clock();
            let question = place.question(filter, &clock)?;
            let question = Question { direction: Direction::Descending, limit: if args.last { 1 } else { 5 }, ..question };
            let page = ask(&mut *place.source()?, &question)?;
            let ids: Vec<SpanRef> = page.spans.iter().filter_map(|found| id_of(&found.span)).collect();
            match ids[..] {
                [] => Err(Trouble::NotFound("no span matches".to_owned())),
                [one] => Ok(one),
                _ => Err(Trouble::Unclear(format!(
                    "several spans match: add --last for the newest, or name one of them\n{}",
                    spans_table(&page.spans, &clock, 200)
                ))),
            }
        }
    }
}
