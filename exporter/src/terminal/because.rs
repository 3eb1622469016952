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
/// Of what was found again so much is shown; the link has more.
const EXCERPT_CHARS: usize = 40;

/// What a deed followed from: whose data it took, and what the image had taken in before; and where what it put out went.
/// Not escaped.
pub(super) fn because<'a>(deeds: &Deeds<'a>, family: &Family<'a>, place: usize, deed: &Deed<'a>) -> Vec<String> {
    let mut data = Words::default();
    let mut flow = Words::default();
    for link in deed.links() {
        let Some(cause) = deeds.cause(link) else { continue };
        match type_of(link) {
            Some(link_type::FLOW) => flow.extend(had(deeds, family, place, link, cause)),
            Some(kind) => data.extend(origin(deeds, family, deed, link, kind, cause)),
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

/// One source of what a deed took, or where what it put out went.
struct Word {
    verb: &'static str,
    text: String,
    /// The process that it is about, in the family.
    owner: Option<usize>,
    /// How long before the deed, nanoseconds.
    before: Option<u64>,
}

/// Different texts, in order of appearance; processes that go by one text are counted, and the nearest one's time is said.
#[derive(Default)]
struct Words(Vec<(Word, BTreeSet<usize>)>);

impl Extend<Word> for Words {
    fn extend<T: IntoIterator<Item = Word>>(&mut self, words: T) {
        for word in words {
            let owner = word.owner;
            let same = |it: &&mut (Word, BTreeSet<usize>)| (it.0.verb, &it.0.text) == (word.verb, &word.text);
            let owners = if let Some((known, owners)) = self.0.iter_mut().find(same) {
                known.before = known.before.min(word.before);
                owners
            } else {
                self.0.push((word, BTreeSet::new()));
                &mut self.0.last_mut().expect("it was just put there").1
            };
            owners.extend(owner);
        }
    }
}

impl Words {
    /// `read config.json, in.txt and 3 more`: a verb is not said twice in a row.
    fn joined(self, before: &str) -> Option<String> {
        let more = self.0.len().saturating_sub(NAMED);
        let mut joined = String::new();
        let mut last_verb = None;
        for (word, owners) in self.0.into_iter().take(NAMED) {
            joined += if joined.is_empty() { before } else { ", " };
            joined += if last_verb == Some(word.verb) { "" } else { word.verb };
            joined += &word.text;
            if owners.len() > 1 {
                joined += &format!(" ×{}", owners.len());
            }
            if let Some(nanos) = word.before.filter(|nanos| *nanos > 0) {
                joined += &format!(", {} before", duration(Duration::from_nanos(nanos)));
            }
            last_verb = Some(word.verb);
        }
        if more > 0 {
            joined += &format!(" and {more} more");
        }
        (!joined.is_empty()).then_some(joined)
    }
}

/// `read config.json ("folder": 7 → folder=7)`, `received from api.example.com:443`, and who had, if it was another.
fn had<'a>(deeds: &Deeds<'a>, family: &Family<'a>, place: usize, link: &Link, cause: &'a Span) -> Option<Word> {
    let verb = match text(&cause.attributes, semconv::AGENTSIGHT_OBJECT_TYPE)? {
        object_type::TCP | object_type::UDP | object_type::IP => "received from ",
        _ => "read ",
    };
    let mut words = target(deeds, cause);
    if let Some(other) = deeds.owner(cause).filter(|owner| *owner != place) {
        words += &format!(" by {}", short_name(family.members[other].span));
    }
    if let Some(found) = found_again(link) {
        words += &format!(" ({found})");
    }
    Some(Word { verb, text: words, owner: None, before: None })
}

/// The bytes that came out again, where contents were captured.
fn found_again(link: &Link) -> Option<String> {
    let of = |name| text(&link.attributes, name).map(shortened);
    let was = of(semconv::AGENTSIGHT_LINK_MATCH_EXCERPT)?;
    let is = of(semconv::AGENTSIGHT_LINK_MATCH_SINK_EXCERPT).map(|is| format!(" → {is}"));
    Some(was + &is.unwrap_or_default())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whose data it was.
fn origin<'a>(
    deeds: &Deeds<'a>,
    family: &Family<'a>,
    deed: &Deed<'a>,
    link: &Link,
    kind: &str,
    cause: &'a Span,
) -> Option<Word> {
    let owner = deeds.owner(cause);
    let who = owner.map_or_else(|| "another process".to_owned(), |owner| short_name(family.members[owner].span));
    let word = |verb, text| Some(Word { verb, text, owner, before: None });
    match kind {
        link_type::FILE | link_type::SHM => {
            let effect = deed.spans.iter().find(|span| span.links.iter().any(|it| std::ptr::eq(it, link)))?;
            let text = written(deeds, family, who, cause, effect);
            Some(Word { verb: "written by ", text, owner, before: Some(nanos_before(cause, effect)) })
        }
        link_type::COPY => Some(Word { verb: "copied from ", text: target(deeds, cause), owner: None, before: None }),
        link_type::PIPE | link_type::UNIX | link_type::TCP | link_type::UDP => word("from ", who),
        link_type::FD => word("descriptor from ", who),
        // The host's name stands in the deed.
        _ => None,
    }
}

/// `refresh.sh as config.tmp, renamed by mv`.
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
    words
}

fn nanos_before(cause: &Span, effect: &Span) -> u64 {
    // A span that says a moment is a nanosecond long.
    let ended = if cause.end.0 == cause.start.0.saturating_add(1) { cause.start.0 } else { cause.end.0 };
    effect.start.0.saturating_sub(ended)
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
            let text = short_name(family.members[owner].span);
            readers.extend([Word { verb: "", text, owner: Some(owner), before: None }]);
        }
    }
    readers.joined("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_name_are_counted_with_the_time_of_the_nearest() {
        let word = |text: &str, owner, before| Word { verb: "written by ", text: text.to_owned(), owner, before };
        let mut words = Words::default();
        words.extend([word("as", Some(1), Some(3_000_000)), word("as", Some(2), Some(1_000_000))]);
        words.extend([word("as", Some(2), Some(2_000_000)), word("ld", Some(3), Some(0)), word("cc1", Some(4), None)]);
        assert_eq!(words.joined("").unwrap(), "written by as ×2, 1 ms before, ld and 1 more");
    }
}
