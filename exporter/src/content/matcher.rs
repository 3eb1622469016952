//! Inputs found again in an output, by what is rare in them.
//!
//! Promises: only inputs are ever the cause, so two outputs that are equal are never linked; nothing taken in at or
//! after the output's moment is its cause; above 0.8 only what the caller says can be reached; memory is bounded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::assignment::{Candidate, Group, assign};
use super::evidence::{Evidence, Flow, Likeness, excerpt};
use super::fingerprint::GRAM;
use super::hash::ContentHash;
use super::index::{Held, Index, Moment, Place, Source, SourceId, argument_feature, pair_feature, token_feature};
use super::normal::{Form, Normal};
use super::pair::{Pair, option_pair, pairs, words};
use super::rarity::{Rarity, Seed};
use super::redaction::Redacted;
use super::run::{Shared, Spared, longest_outside};
use super::sent::{Repeated, Sent};
use super::token::{is_whole, tokens};

/// A run has so many rare grams in a row.
const RARE_GRAMS: usize = 16;
/// The bytes of those.
const SHORTEST_RUN: usize = GRAM + RARE_GRAMS - 1;
/// The rare bytes that make a run sure: what two files of one project have in common by habit is mostly shorter.
const SURE_RUN: usize = 56;
/// The rare bytes that leave no doubt.
const LONG_RUN: usize = 256;
/// A value of so many bytes is no small number.
const LONG_VALUE: usize = 4;

const OF_SHORT_RUN: f64 = 0.8;
const OF_RUN: f64 = 0.95;
const OF_LONG_RUN: f64 = 0.99;
const OF_TOKEN: f64 = 0.95;
/// A long value under the same name; never more for a value.
const OF_VALUE: f64 = 0.8;
const OF_HALF_VALUE: f64 = 0.7;
const OF_SHORT_VALUE: f64 = 0.6;
/// Never more where the output cannot be reached.
const APART: f64 = 0.8;

/// Where an output goes: an endpoint, a file, a program that is started, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// How an input and an output hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// The image that took it in gave it out (0), or there is a path of so many exact edges.
    Hops(u32),
    /// No way is known.
    Apart,
}

/// An output.
#[derive(Clone, Copy, Debug)]
pub struct Sink<'a> {
    /// Where it goes.
    pub channel: ChannelId,
    /// When its first byte went.
    pub given_at: Moment,
    /// What it is.
    pub form: Form,
    /// The bytes.
    pub content: &'a Redacted,
}

/// Finds inputs in outputs; one per session.
#[derive(Debug)]
pub struct Matcher {
    index: Index,
    rarity: Rarity,
    sent: Sent,
    too_large: u64,
    unfinished: u64,
}

impl Matcher {
    /// `budget_bytes` bounds its memory: an eighth counts documents, a quarter holds the last outputs.
    #[must_use]
    pub fn new(seed: Arc<Seed>, budget_bytes: usize) -> Self {
        let (documents, sent) = (budget_bytes / 8, budget_bytes / 4);
        Self {
            index: Index::new(budget_bytes - documents - sent),
            rarity: Rarity::new(seed, documents),
            sent: Sent::new(sent),
            too_large: 0,
            unfinished: 0,
        }
    }

    /// Remember an input.
    pub fn take_in(&mut self, source: &Source<'_>) {
        let Some((_, features)) = self.index.add(source, Form::Bytes) else {
            self.too_large += 1;
            return;
        };
        if source.origin == super::index::Origin::Entered {
            for feature in features {
                self.rarity.note(feature, source.object.0);
            }
        }
    }

    /// Which inputs came out in this output, the surest first. `nearness` of an input to the output.
    pub fn flows_into(&mut self, sink: &Sink<'_>, nearness: impl Fn(SourceId) -> Nearness) -> Vec<Flow> {
        let text = Normal::of(sink.content, sink.form);
        let mut spared = Spared::for_text(text.bytes().len());
        let repeated = self.sent.repeated(sink.channel, &text, &mut spared);
        let search = Search { matcher: self, sink, text: &text, repeated: &repeated, nearness: &nearness };
        let mut candidates = search.runs(&mut spared);
        candidates.extend(search.tokens());
        candidates.extend(search.values());
        let flows = search.flows(assign(candidates, SHORTEST_RUN));
        self.unfinished += u64::from(spared.gave_up());
        self.sent.note(sink);
        flows
    }

    /// Memory that is taken, in bytes.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.index.cost() + self.sent.cost() + self.rarity.cost()
    }

    /// Inputs that were larger than the whole budget.
    #[must_use]
    pub fn too_large(&self) -> u64 {
        self.too_large
    }

    /// Outputs that repeat themselves so often that not every pair of places was compared.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.unfinished
    }
}

struct Search<'a, N> {
    matcher: &'a Matcher,
    sink: &'a Sink<'a>,
    text: &'a Normal,
    repeated: &'a Repeated,
    nearness: &'a N,
}

impl<N: Fn(SourceId) -> Nearness> Search<'_, N> {
    fn runs(&self, spared: &mut Spared) -> Vec<Candidate> {
        let shared = self.matcher.index.shared(self.text, spared);
        shared.into_iter().filter_map(|shared| self.run(&shared)).collect()
    }

    fn run(&self, shared: &Shared) -> Option<Candidate> {
        let held = self.matcher.index.get(shared.number)?;
        let (_, nearness, taken_at) = self.nearest(held)?;
        let text_at = match self.repeated.sent_at {
            Some(sent_at) if taken_at < sent_at => longest_outside(&shared.text_at, &self.repeated.ranges),
            _ => shared.text_at.clone(),
        };
        if text_at.len() < SHORTEST_RUN {
            return None;
        }
        let enough = LONG_RUN - GRAM + 1;
        let rare = self.matcher.rarity.rare_stretch(&self.text.bytes()[text_at.clone()], enough);
        if rare < RARE_GRAMS {
            return None;
        }
        let held_start = shared.held_at + text_at.start - shared.text_at.start;
        Some(Candidate {
            number: shared.number,
            object: held.object,
            nearness,
            taken_at,
            likeness: Likeness::Run,
            held_at: held_start..held_start + text_at.len(),
            compared: text_at.clone(),
            text_at,
            confidence: match rare + GRAM - 1 {
                LONG_RUN.. => OF_LONG_RUN,
                SURE_RUN.. => OF_RUN,
                _ => OF_SHORT_RUN,
            },
        })
    }

    fn tokens(&self) -> Vec<Candidate> {
        let mut found = Vec::new();
        for piece in self.text.pieces() {
            for token in tokens(&self.text.bytes()[piece.clone()]) {
                let text_at = piece.start + token.start..piece.start + token.end;
                let feature = token_feature(&self.text.bytes()[text_at.clone()]);
                let places = self.rare_places(feature);
                found.extend(places.iter().filter_map(|place| self.token(place, text_at.clone())));
            }
        }
        found
    }

    fn token(&self, place: &Place, text_at: Range<usize>) -> Option<Candidate> {
        let held = self.matcher.index.get(place.number)?;
        let held_at = place.at as usize..place.at as usize + text_at.len();
        let is_same = held.normal.bytes().get(held_at.clone()) == Some(&self.text.bytes()[text_at.clone()]);
        if !is_same || !is_whole(held.normal.bytes(), &held_at) {
            return None;
        }
        self.candidate(place, held, Likeness::Token, OF_TOKEN, held_at, text_at.clone(), text_at)
    }

    fn values(&self) -> Vec<Candidate> {
        let bytes = self.text.bytes();
        let mut found = Vec::new();
        for pair in self.pairs() {
            for word in words(&bytes[pair.name.clone()]) {
                let feature = pair_feature(&word, &bytes[pair.value.clone()]);
                found.extend(self.rare_places(feature).iter().filter_map(|place| self.value(place, &word, &pair)));
            }
        }
        if self.sink.form == Form::Arguments {
            for argument in self.text.pieces() {
                let Some(feature) = argument_feature(&bytes[argument.clone()]) else { continue };
                let places = self.rare_places(feature);
                found.extend(places.iter().filter_map(|place| self.argument(place, argument.clone())));
            }
        }
        found
    }

    fn pairs(&self) -> Vec<Pair> {
        let bytes = self.text.bytes();
        let mut found = pairs(self.text);
        if self.sink.form == Form::Arguments {
            let arguments: Vec<Range<usize>> = self.text.pieces().collect();
            let options = arguments.iter().enumerate();
            found.extend(
                options
                    .filter_map(|(at, argument)| option_pair(bytes, argument.clone(), arguments.get(at + 1).cloned())),
            );
        }
        found
    }

    fn value(&self, place: &Place, word: &[u8], pair: &Pair) -> Option<Candidate> {
        let (held, theirs) = self.held_pair(place)?;
        let (bytes, other) = (self.text.bytes(), held.normal.bytes());
        let value = &bytes[pair.value.clone()];
        let (name, their_name) = (&bytes[pair.name.clone()], &other[theirs.name.clone()]);
        if *value != other[theirs.value.clone()] || !words(their_name).iter().any(|theirs| theirs == word) {
            return None;
        }
        let is_same_name = words(name) == words(their_name);
        // A word of letters is what many things are called.
        let is_word = value.iter().all(u8::is_ascii_alphabetic);
        let confidence = match (is_same_name, value.len() >= LONG_VALUE && !is_word) {
            (true, true) => OF_VALUE,
            (true, false) | (false, true) => OF_HALF_VALUE,
            (false, false) if !is_word => OF_SHORT_VALUE,
            (false, false) => return None,
        };
        let (held_at, text_at) = (spanned(theirs), spanned(pair));
        self.candidate(place, held, Likeness::Value, confidence, held_at, text_at, pair.value.clone())
    }

    fn argument(&self, place: &Place, argument: Range<usize>) -> Option<Candidate> {
        let (held, theirs) = self.held_pair(place)?;
        if self.text.bytes()[argument.clone()] != held.normal.bytes()[theirs.value.clone()] {
            return None;
        }
        let held_at = spanned(theirs);
        self.candidate(place, held, Likeness::Argument, OF_SHORT_VALUE, held_at, argument.clone(), argument)
    }

    fn held_pair(&self, place: &Place) -> Option<(&Held, &Pair)> {
        let held = self.matcher.index.get(place.number)?;
        Some((held, held.pairs.get(place.at as usize)?))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the candidate's fields")]
    fn candidate(
        &self,
        place: &Place,
        held: &Held,
        likeness: Likeness,
        confidence: f64,
        held_at: Range<usize>,
        text_at: Range<usize>,
        compared: Range<usize>,
    ) -> Option<Candidate> {
        let (_, nearness, taken_at) = self.nearest(held)?;
        let is_old = self.repeated.sent_at.is_some_and(|sent_at| taken_at < sent_at);
        if is_old && longest_outside(&compared, &self.repeated.ranges).is_empty() {
            return None;
        }
        let number = place.number;
        Some(Candidate {
            number,
            object: held.object,
            nearness,
            taken_at,
            likeness,
            held_at,
            text_at,
            compared,
            confidence,
        })
    }

    fn rare_places(&self, feature: u64) -> &[Place] {
        if self.matcher.rarity.is_common(feature) { &[] } else { self.matcher.index.places(feature) }
    }

    /// The take that is nearest among those before the output, the newest of them.
    fn nearest(&self, held: &Held) -> Option<(SourceId, Nearness, Moment)> {
        let before = held.takes.iter().filter(|(_, taken_at)| *taken_at < self.sink.given_at);
        let known = before.map(|&(id, taken_at)| (id, (self.nearness)(id), taken_at));
        known.min_by_key(|&(_, nearness, taken_at)| (nearness, std::cmp::Reverse(taken_at)))
    }

    fn flows(&self, groups: Vec<Group>) -> Vec<Flow> {
        let mut by_source: BTreeMap<u32, Vec<Evidence>> = BTreeMap::new();
        for group in groups {
            let alike = group.candidates.len();
            for candidate in group.candidates {
                if let Some(evidence) = self.evidence(&candidate, alike) {
                    by_source.entry(candidate.number).or_default().push(evidence);
                }
            }
        }
        let flows = by_source.into_iter().filter_map(|(number, evidence)| self.flow(number, evidence));
        let mut flows: Vec<Flow> = flows.collect();
        flows.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.source.cmp(&b.source)));
        flows
    }

    fn flow(&self, number: u32, mut evidence: Vec<Evidence>) -> Option<Flow> {
        let held = self.matcher.index.get(number)?;
        let (source, _, _) = self.nearest(held)?;
        evidence.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(b.length.cmp(&a.length)));
        let matched: usize = evidence.iter().map(|evidence| evidence.length).sum();
        let share = |of: usize| (matched as f64 / of.max(1) as f64).min(1.0);
        let more_evidence = evidence.len().saturating_sub(Flow::MOST_EVIDENCE);
        let confidence = evidence.first()?.confidence;
        let (source_coverage, sink_coverage) = (share(held.normal.bytes().len()), share(self.text.bytes().len()));
        evidence.truncate(Flow::MOST_EVIDENCE);
        Some(Flow { source, confidence, source_coverage, sink_coverage, evidence, more_evidence })
    }

    fn evidence(&self, candidate: &Candidate, alike: usize) -> Option<Evidence> {
        let held = self.matcher.index.get(candidate.number)?;
        let most = if candidate.nearness == Nearness::Apart { APART } else { 1.0 };
        let (source, sink) = (held.normal.bytes(), self.text.bytes());
        let (held_at, text_at) = (quoted(source, &candidate.held_at), quoted(sink, &candidate.text_at));
        Some(Evidence {
            likeness: candidate.likeness,
            confidence: candidate.confidence.min(most) / alike as f64,
            source: held.normal.origin(held_at.clone()),
            sink: self.text.origin(text_at.clone()),
            length: candidate.compared.len(),
            hash: ContentHash::of(&sink[candidate.compared.clone()]),
            alike,
            source_text: excerpt(&source[held_at]),
            sink_text: excerpt(&sink[text_at]),
        })
    }
}

/// From the first of name and value to the last.
fn spanned(pair: &Pair) -> Range<usize> {
    pair.name.start.min(pair.value.start)..pair.value.end.max(pair.name.end)
}

/// With the quotation marks around it whose other halves are within: `"folder": "7"`, not `folder": "7`.
fn quoted(bytes: &[u8], range: &Range<usize>) -> Range<usize> {
    let is_mark = |at: usize| bytes.get(at).is_some_and(|byte| b"\"'".contains(byte));
    let before = range.start.checked_sub(1).filter(|&at| is_mark(at) && bytes[range.clone()].contains(&bytes[at]));
    let start = before.unwrap_or(range.start);
    let opened = before.map_or(0, |at| bytes[at..range.end].iter().filter(|&&byte| byte == bytes[at]).count());
    let is_open = opened % 2 == 1 && before.is_some_and(|at| bytes.get(range.end) == Some(&bytes[at]));
    start..range.end + usize::from(is_open)
}
