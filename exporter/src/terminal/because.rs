//! Causes of a deed in words: `← written by refresh.sh as config.tmp, renamed by mv, 12 ms before`.

use std::collections::BTreeSet;
use std::time::Duration;

use agentsight_semconv as semconv;
use agentsight_semconv::value::{action, link_type, object_type};

use super::attribute::text;
use super::deed::{Deed, Deeds, Kind, link_type as type_of};
use super::duration;
use super::family::Family;
use super::label::short_name;
use super::object::{base, target};
use crate::spans::model::{Link, Span};

/// Causes of one sort that are named; the others are counted.
const NAMED: usize = 2;

/// What a deed followed from: whose data it took, and what the image had taken in before; and where what it put out went.
/// Not escaped.
pub(super) fn because<'a>(deeds: &Deeds<'a>, family: &Family<'a>, place: usize, deed: &Deed<'a>) -> Vec<String> {
    let mut data = Words::default();
    let mut flow = Words::default();
    for link in deed.links() {
        let Some(cause) = deeds.cause(link) else { continue };
        match type_of(link) {
            Some(link_type::FLOW) => flow.add(had(deeds, cause)),
            Some(kind) => data.add(origin(deeds, family, deed, link, kind, cause)),
            None => {}
        }
    }
    let mut words: Vec<String> = data.joined("").map(|text| format!("← {text}")).into_iter().collect();
    words.extend(flow.joined("had ").map(|text| format!("← {text}")));
    // Of what was put out, why it was comes before whose answer came back.
    if !matches!(deed.kind, Kind::Read) {
        words.reverse();
    }
    words.extend(receivers(deeds, family, place, deed).map(|text| format!("→ {text}")));
    words
}

/// Different texts, in order of appearance, each with the verb that it goes with.
#[derive(Default)]
struct Words {
    list: Vec<(&'static str, String)>,
    seen: BTreeSet<(&'static str, String)>,
}

impl Words {
    fn add(&mut self, text: Option<(&'static str, String)>) {
        if let Some(text) = text
            && self.seen.insert(text.clone())
        {
            self.list.push(text);
        }
    }

    /// `read config.json, in.txt and 3 more`: a verb is not said twice in a row.
    fn joined(self, before: &str) -> Option<String> {
        let more = self.list.len().saturating_sub(NAMED);
        let mut joined = String::new();
        let mut last_verb = None;
        for (verb, text) in self.list.into_iter().take(NAMED) {
            joined += if joined.is_empty() { before } else { ", " };
            joined += if last_verb == Some(verb) { "" } else { verb };
            joined += &text;
            last_verb = Some(verb);
        }
        if more > 0 {
            joined += &format!(" and {more} more");
        }
        (!joined.is_empty()).then_some(joined)
    }
}

/// `read config.json`, `received from api.example.com:443`.
fn had<'a>(deeds: &Deeds<'a>, cause: &'a Span) -> Option<(&'static str, String)> {
    let verb = match text(&cause.attributes, semconv::AGENTSIGHT_OBJECT_TYPE)? {
        object_type::TCP | object_type::UDP | object_type::IP => "received from ",
        _ => "read ",
    };
    Some((verb, target(deeds, cause)))
}

/// Whose data it was.
fn origin<'a>(
    deeds: &Deeds<'a>,
    family: &Family<'a>,
    deed: &Deed<'a>,
    link: &Link,
    kind: &str,
    cause: &'a Span,
) -> Option<(&'static str, String)> {
    let who = deeds.owner(cause).map(|owner| short_name(family.members[owner].span));
    let who = who.unwrap_or_else(|| "another process".to_owned());
    match kind {
        link_type::FILE | link_type::SHM => {
            let effect = deed.spans.iter().find(|span| span.links.iter().any(|it| std::ptr::eq(it, link)))?;
            Some(("written by ", written(deeds, family, who, cause, effect)))
        }
        link_type::COPY => Some(("copied from ", target(deeds, cause))),
        link_type::PIPE | link_type::UNIX | link_type::TCP | link_type::UDP => Some(("from ", who)),
        link_type::FD => Some(("descriptor from ", who)),
        // The host's name stands in the deed.
        _ => None,
    }
}

/// `refresh.sh as config.tmp, renamed by mv, 12 ms before`.
fn written<'a>(deeds: &Deeds<'a>, family: &Family<'a>, who: String, cause: &'a Span, effect: &'a Span) -> String {
    let mut words = who;
    let path = |span: &'a Span| text(&span.attributes, semconv::FILE_PATH);
    if let (Some(then), Some(now)) = (path(cause), path(effect))
        && then != now
    {
        words += &format!(" as {}", base(then));
        let renamer = deeds.renamer(now, cause.end, effect.start);
        words += &renamer
            .map_or_else(String::new, |owner| format!(", renamed by {}", short_name(family.members[owner].span)));
    }
    // A span that says a moment is a nanosecond long.
    let ended = if cause.end.0 == cause.start.0.saturating_add(1) { cause.start.0 } else { cause.end.0 };
    match effect.start.0.saturating_sub(ended) {
        0 => words,
        nanos => format!("{words}, {} before", duration(Duration::from_nanos(nanos))),
    }
}

/// Who took what was put into a pipe or socket.
fn receivers<'a>(deeds: &Deeds<'a>, family: &Family<'a>, place: usize, deed: &Deed<'a>) -> Option<String> {
    let is_stream = matches!(deed.object(), object_type::PIPE | object_type::UNIX | object_type::UDP);
    if !is_stream || matches!(deed.kind, Kind::Change(_)) {
        return None;
    }
    let mut readers = Words::default();
    for span in &deed.spans {
        let effects = deeds.effects(span).iter();
        let takers = effects.filter(|it| text(&it.attributes, semconv::AGENTSIGHT_ACTION) == Some(action::READ));
        for owner in takers.filter_map(|taker| deeds.owner(taker)).filter(|owner| *owner != place) {
            readers.add(Some(("", short_name(family.members[owner].span))));
        }
    }
    readers.joined("")
}
