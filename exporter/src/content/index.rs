//! What was taken in, findable by what is in it, within a budget of bytes: the oldest goes first.

use std::collections::{BTreeMap, HashMap};

use super::fingerprint::{fingerprints, hash_of};
use super::hash::ContentHash;
use super::normal::{Form, Normal};
use super::pair::{Pair, pairs, words};
use super::redaction::Redacted;
use super::run::{Shared, Spared, extend};
use super::token::tokens;

/// Places that are remembered of one gram, token or value: the newest.
const MOST_PLACES: usize = 16;
/// Times that are remembered at which the same bytes were taken in from one object: the newest.
const MOST_TAKES: usize = 16;
/// A value that is compared without a name has at least so many bytes.
const SHORTEST_ARGUMENT: usize = 6;
/// What a hash table costs beside its entries, in eighths: it is between 7/16 and 7/8 full.
const TABLE_EIGHTHS: usize = 12;

/// Who took it in: a burst, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// What it was taken in from: a file, a pipe, a stream, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// A place in the order of all that happened. Nothing is taken for the cause of what happened at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

/// Where the bytes were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing is known of them: they make a document, which counts when it is asked what is common.
    Entered,
    /// A traced program put them there: a copy on its way is no document more.
    Relayed,
}

/// An input.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Who took it in.
    pub id: SourceId,
    /// From where.
    pub object: ObjectId,
    /// When its last byte was there.
    pub taken_at: Moment,
    /// Where it was before.
    pub origin: Origin,
    /// The bytes.
    pub content: &'a Redacted,
}

/// Contents that are held, and when they were taken in.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) object: ObjectId,
    pub(super) takes: Vec<(SourceId, Moment)>,
    pub(super) normal: Normal,
    pub(super) pairs: Vec<Pair>,
    hash: ContentHash,
    cost: usize,
}

/// Where something stands: `at` is a position in the normalised bytes, for a pair its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u32,
    pub(super) at: u32,
}

#[derive(Debug)]
enum Places {
    One(Place),
    Many(Vec<Place>),
}

/// Contents by what is in them.
#[derive(Debug)]
pub(super) struct Index {
    places: HashMap<u64, Places>,
    held: BTreeMap<u32, Held>,
    by_content: HashMap<(ObjectId, ContentHash), u32>,
    next: u32,
    cost: usize,
    budget: usize,
}

impl Index {
    pub(super) fn new(budget: usize) -> Self {
        Self { places: HashMap::new(), held: BTreeMap::new(), by_content: HashMap::new(), next: 0, cost: 0, budget }
    }

    /// Returns the number under which it is held, and the hashes of what is in it where it was not held before.
    /// `None`: it is larger than the budget.
    pub(super) fn add(&mut self, source: &Source<'_>, form: Form) -> Option<(u32, Vec<u64>)> {
        let hash = source.content.hash();
        let take = (source.id, source.taken_at);
        if let Some(&number) = self.by_content.get(&(source.object, hash))
            && let Some(held) = self.held.get_mut(&number)
        {
            if held.takes.len() == MOST_TAKES {
                held.takes.remove(0);
            }
            held.takes.push(take);
            return Some((number, Vec::new()));
        }
        let normal = Normal::of(source.content, form);
        let pairs = pairs(&normal);
        let mut held = Held { object: source.object, takes: vec![take], normal, pairs, hash, cost: 0 };
        let features = features(&held.normal, &held.pairs);
        let entry = (size_of::<(u64, Places)>() + 1) * TABLE_EIGHTHS / 8;
        held.cost =
            size_of::<Held>() + held.normal.cost() + held.pairs.len() * size_of::<Pair>() + features.len() * entry;
        if held.cost > self.budget {
            return None;
        }
        let number = self.next;
        self.next = self.next.checked_add(1)?;
        self.cost += held.cost;
        for &(feature, at) in &features {
            self.put(feature, Place { number, at });
        }
        self.by_content.insert((source.object, hash), number);
        self.held.insert(number, held);
        while self.cost > self.budget {
            let oldest = self.held.keys().next().copied()?;
            self.remove(oldest);
        }
        Some((number, features.into_iter().map(|(feature, _)| feature).collect()))
    }

    pub(super) fn remove(&mut self, number: u32) {
        let Some(held) = self.held.remove(&number) else { return };
        self.cost -= held.cost;
        self.by_content.remove(&(held.object, held.hash));
        for (feature, _) in features(&held.normal, &held.pairs) {
            let is_gone = match self.places.get_mut(&feature) {
                Some(Places::One(place)) => place.number == number,
                Some(Places::Many(places)) => {
                    places.retain(|place| place.number != number);
                    places.is_empty()
                }
                None => false,
            };
            if is_gone {
                self.places.remove(&feature);
            }
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Held> {
        self.held.get(&number)
    }

    /// Bytes that it takes, of which the budget is the bound.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Where a feature stands, the oldest first.
    pub(super) fn places(&self, feature: u64) -> &[Place] {
        match self.places.get(&feature) {
            Some(Places::One(place)) => std::slice::from_ref(place),
            Some(Places::Many(places)) => places,
            None => &[],
        }
    }

    /// Every longest run of bytes that `text` shares with what is held and that has a fingerprint in it.
    pub(super) fn shared(&self, text: &Normal, spared: &mut Spared) -> Vec<Shared> {
        let mut found: Vec<Shared> = Vec::new();
        // How far each diagonal has been looked at.
        let mut seen: HashMap<(u32, i64), usize> = HashMap::new();
        for piece in text.pieces() {
            for (gram, position) in fingerprints(&text.bytes()[piece.clone()]) {
                let at = piece.start + position;
                for place in self.places(gram) {
                    let Some(held) = self.held.get(&place.number) else { continue };
                    let diagonal = (place.number, i64::from(place.at) - at as i64);
                    if seen.get(&diagonal).is_some_and(|&end| at < end) || !spared.may_go_on() {
                        continue;
                    }
                    let shared = extend(&held.normal, place.at as usize, text, at);
                    spared.spend(shared.len());
                    seen.insert(diagonal, at.max(shared.end) + 1);
                    if !shared.is_empty() {
                        let start = place.at as usize - (at - shared.start);
                        found.push(Shared { number: place.number, held_at: start, text_at: shared });
                    }
                }
            }
        }
        found
    }

    fn put(&mut self, feature: u64, place: Place) {
        match self.places.get_mut(&feature) {
            None => {
                self.places.insert(feature, Places::One(place));
            }
            Some(Places::Many(places)) => {
                if places.len() == MOST_PLACES {
                    places.remove(0);
                }
                places.push(place);
            }
            Some(one) => {
                if let Places::One(first) = *one {
                    *one = Places::Many(vec![first, place]);
                }
            }
        }
    }
}

/// A token, wherever it stands.
pub(super) fn token_feature(token: &[u8]) -> u64 {
    hash_of(1, &[token])
}

/// A value under a name with this word in it.
pub(super) fn pair_feature(word: &[u8], value: &[u8]) -> u64 {
    hash_of(2, &[word, value])
}

/// A value under whatever name; `None` where it is too plain to be compared so.
pub(super) fn argument_feature(value: &[u8]) -> Option<u64> {
    let is_plain = value.len() < SHORTEST_ARGUMENT || value.iter().all(u8::is_ascii_digit) || value.starts_with(b"-");
    (!is_plain).then(|| hash_of(3, &[value]))
}

/// All by which contents are found; the same for the same contents.
pub(super) fn features(normal: &Normal, pairs: &[Pair]) -> Vec<(u64, u32)> {
    let bytes = normal.bytes();
    let mut features = Vec::with_capacity(bytes.len() / 12);
    // Positions in normalised bytes are 32 bits wide.
    let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    for piece in normal.pieces() {
        let text = &bytes[piece.clone()];
        features.extend(fingerprints(text).into_iter().map(|(gram, at)| (gram, position(piece.start + at))));
        features.extend(
            tokens(text)
                .into_iter()
                .map(|token| (token_feature(&text[token.clone()]), position(piece.start + token.start))),
        );
    }
    for (number, pair) in pairs.iter().enumerate() {
        let value = &bytes[pair.value.clone()];
        let words = words(&bytes[pair.name.clone()]);
        features.extend(words.iter().map(|word| (pair_feature(word, value), position(number))));
        features.extend(argument_feature(value).map(|feature| (feature, position(number))));
    }
    features
}
