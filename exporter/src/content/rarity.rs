//! In how many documents a gram or value was seen: what stands in many says nothing about where it came from.
//!
//! Remembers the session by a sketch of fixed size, which can take the rare for common when it is overfull, never the
//! common for rare by more than the documents that share a mark; and the world by a seed of licences and the like.

use std::sync::{Arc, LazyLock};

use super::fingerprint::{WINDOW, grams, mix};
use super::index::features;
use super::normal::{Form, Normal};
use super::pair::pairs;
use super::redaction::Redacted;

/// Seen in so many documents, it is common.
const COMMON: u32 = 4;
/// Of a text that is common throughout, each window of grams has one that is known to be so: it speaks for its neighbours.
const BLOT: usize = WINDOW / 2 + 2;
/// Two cells of two rows must both have a document's mark.
const ROWS: usize = 2;

/// Texts that every machine has, as the hashes of all their grams and of what else they are found by.
#[derive(Debug, Default)]
pub struct Seed {
    hashes: Vec<u64>,
}

impl Seed {
    /// Licences, import blocks, headers of requests and phrases of prompts that come with AgentSight.
    #[must_use]
    pub fn builtin() -> Self {
        Self::of(&[
            include_str!("common/apache-2.0.txt"),
            include_str!("common/bsd.txt"),
            include_str!("common/gpl.txt"),
            include_str!("common/http.txt"),
            include_str!("common/imports.txt"),
            include_str!("common/isc.txt"),
            include_str!("common/mit.txt"),
            include_str!("common/mpl-2.0.txt"),
            include_str!("common/prompts.txt"),
        ])
    }

    /// The same as [`Seed::builtin`], made once for all sessions.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<Seed>> = LazyLock::new(|| Arc::new(Seed::builtin()));
        Arc::clone(&SHARED)
    }

    /// Of these texts.
    #[must_use]
    pub fn of(texts: &[&str]) -> Self {
        let mut all = Vec::new();
        for text in texts {
            let normal = Normal::of(&Redacted::without_secrets(text.as_bytes()), Form::Bytes);
            all.extend(features(&normal, &pairs(&normal)).into_iter().map(|(feature, _)| feature));
            for piece in normal.pieces() {
                all.extend(grams(&normal.bytes()[piece]).flatten());
            }
        }
        all.sort_unstable();
        all.dedup();
        Self { hashes: all }
    }

    fn has(&self, gram: u64) -> bool {
        self.hashes.binary_search(&gram).is_ok()
    }
}

/// The sketch of one session, over a seed.
#[derive(Debug)]
pub(super) struct Rarity {
    seed: Arc<Seed>,
    /// Each cell has a bit for each of 32 marks; a document has one mark, so seeing it again changes nothing.
    cells: Vec<u32>,
    row: usize,
}

impl Rarity {
    /// `bytes` of memory, rounded down to a power of two.
    pub(super) fn new(seed: Arc<Seed>, bytes: usize) -> Self {
        let wanted = (bytes / size_of::<u32>() / ROWS).max(64);
        let row = 1_usize << wanted.ilog2();
        Self { seed, cells: vec![0; row * ROWS], row }
    }

    /// Seen in the document of this number.
    pub(super) fn note(&mut self, hash: u64, document: u64) {
        let mark = 1 << (mix(document) & 31);
        for cell in self.places(hash) {
            self.cells[cell] |= mark;
        }
    }

    /// Whether the session has seen it in many documents, or every machine has.
    pub(super) fn is_common(&self, hash: u64) -> bool {
        self.is_counted_common(hash) || self.seed.has(hash)
    }

    /// Of a text only the fingerprints are counted.
    fn is_counted_common(&self, hash: u64) -> bool {
        let marks = self.places(hash).into_iter().fold(u32::MAX, |marks, cell| marks & self.cells[cell]);
        marks.count_ones() >= COMMON
    }

    /// How many grams follow each other of which none is common; counted up to `enough`.
    pub(super) fn rare_stretch(&self, text: &[u8], enough: usize) -> usize {
        let (mut longest, mut stretch, mut blotted) = (0, 0_usize, 0_usize);
        for gram in grams(text) {
            match gram {
                Some(hash) if self.is_counted_common(hash) => {
                    longest = longest.max(stretch.saturating_sub(BLOT));
                    (stretch, blotted) = (0, BLOT);
                }
                Some(hash) if !self.seed.has(hash) => {
                    if blotted == 0 {
                        stretch += 1;
                    }
                    // What is still to come may blot the end out.
                    if stretch >= enough + BLOT {
                        return enough;
                    }
                }
                _ => {
                    longest = longest.max(stretch);
                    stretch = 0;
                }
            }
            blotted = blotted.saturating_sub(1);
        }
        longest.max(stretch).min(enough)
    }

    pub(super) fn cost(&self) -> usize {
        self.cells.len() * size_of::<u32>()
    }

    fn places(&self, hash: u64) -> [usize; ROWS] {
        let mask = self.row as u64 - 1;
        // Below `row`, which is a `usize`.
        let place = |value: u64| usize::try_from(value & mask).unwrap_or(0);
        [place(hash), self.row + place(mix(hash ^ 1))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_four_documents_have_is_common_and_what_one_repeats_is_not() {
        let mut rarity = Rarity::new(Arc::default(), 1 << 16);
        for _ in 0..100 {
            rarity.note(mix(1), 7);
        }
        assert!(!rarity.is_common(mix(1)));
        // Marks are 32: of a few documents some share one.
        for document in 0..8 {
            rarity.note(mix(2), document);
        }
        assert!(rarity.is_common(mix(2)));
        assert!(!rarity.is_common(mix(3)));
    }

    #[test]
    fn a_full_session_leaves_the_rare_rare() {
        let mut rarity = Rarity::new(Arc::default(), 2 << 20);
        for gram in 0..1_000_000 {
            rarity.note(mix(gram), gram / 1000);
        }
        let taken = (2_000_000..2_010_000).filter(|&gram| rarity.is_common(mix(gram))).count();
        assert!(taken < 100, "{taken} of 10,000");
    }

    #[test]
    fn licences_are_common_in_any_comment() {
        let seed = Seed::builtin();
        let text = "/*\n * Permission is hereby granted, free of charge, to any person obtaining a copy of this\n * software and associated";
        let normal = Normal::of(&Redacted::without_secrets(text.as_bytes()), Form::Bytes);
        let all: Vec<u64> = grams(normal.bytes()).flatten().collect();
        let common = all.iter().filter(|&&gram| seed.has(gram)).count();
        assert!(common * 2 > all.len(), "{common} of {}", all.len());
        assert!(seed.hashes.len() < 500_000, "{}", seed.hashes.len());
    }
}
