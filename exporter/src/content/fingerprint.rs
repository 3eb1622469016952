//! Few of the hashes of a text, chosen so that two texts that share 64 bytes share one of them (winnowing).

use std::collections::VecDeque;

/// Bytes in one gram.
pub(super) const GRAM: usize = 32;
/// Grams of which one is chosen at least: what has `GRAM + WINDOW - 1` bytes in common is found.
pub(super) const WINDOW: usize = 33;

/// A gram of fewer different bytes is a rule, a padding or a column of zeros.
const FEWEST_DIFFERENT: u16 = 8;

/// The base of the polynomial: odd, and with about as many ones as zeros.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of every gram, in order; `None` for one that says nothing.
pub(super) fn grams(bytes: &[u8]) -> Grams<'_> {
    Grams { bytes, at: 0, hash: 0, seen: [0; 256], different: 0 }
}

/// See [`grams`].
pub(super) struct Grams<'a> {
    bytes: &'a [u8],
    at: usize,
    hash: u64,
    seen: [u8; 256],
    different: u16,
}

impl Iterator for Grams<'_> {
    type Item = Option<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        // The first gram takes its bytes one by one, each later one a byte more.
        loop {
            let &byte = self.bytes.get(self.at)?;
            if let Some(oldest) = self.at.checked_sub(GRAM) {
                let gone = self.bytes[oldest];
                self.hash = self.hash.wrapping_sub(u64::from(gone).wrapping_add(1).wrapping_mul(OLDEST));
                self.seen[usize::from(gone)] -= 1;
                self.different -= u16::from(self.seen[usize::from(gone)] == 0);
            }
            self.hash = self.hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1);
            self.different += u16::from(self.seen[usize::from(byte)] == 0);
            self.seen[usize::from(byte)] += 1;
            self.at += 1;
            if self.at >= GRAM {
                return Some((self.different >= FEWEST_DIFFERENT).then(|| mix(self.hash)));
            }
        }
    }
}

/// The weight of a gram's first byte.
const OLDEST: u64 = {
    let mut power = 1_u64;
    let mut at = 1;
    while at < GRAM {
        power = power.wrapping_mul(BASE);
        at += 1;
    }
    power
};

/// The chosen grams with their positions: of each window the smallest hash, of equal ones the last.
pub(super) fn fingerprints(bytes: &[u8]) -> Vec<(u64, usize)> {
    let mut chosen: Vec<(u64, usize)> = Vec::with_capacity(bytes.len() / WINDOW * 2 + 1);
    let mut smallest: VecDeque<(u64, usize)> = VecDeque::with_capacity(WINDOW);
    let last = bytes.len().saturating_sub(GRAM);
    for (position, gram) in grams(bytes).enumerate() {
        if let Some(hash) = gram {
            while smallest.back().is_some_and(|&(other, _)| other >= hash) {
                smallest.pop_back();
            }
            smallest.push_back((hash, position));
        }
        while smallest.front().is_some_and(|&(_, at)| at + WINDOW <= position) {
            smallest.pop_front();
        }
        // A text of fewer grams than a window is one window.
        let is_full = position + 1 >= WINDOW || position == last;
        if let Some(&least) = smallest.front().filter(|_| is_full)
            && chosen.last() != Some(&least)
        {
            chosen.push(least);
        }
    }
    chosen
}

/// All bits of a hash depend on all bits of another (the finalizer of `SplitMix64`).
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Of a short text; `kind` tells texts of different kinds apart.
pub(super) fn hash_of(kind: u64, parts: &[&[u8]]) -> u64 {
    let mut hash = mix(kind.wrapping_add(BASE));
    for part in parts {
        hash = part.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(BASE).rotate_left(23));
        hash = mix(hash ^ part.len() as u64);
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        (0..length as u64).map(|at| mix(seed.wrapping_mul(1_000_003).wrapping_add(at)).to_le_bytes()[0]).collect()
    }

    #[test]
    fn a_gram_has_the_same_hash_wherever_it_stands() {
        let text = noise(1, 500);
        let shifted = [&noise(2, 77)[..], &text].concat();
        let (one, other): (Vec<_>, Vec<_>) = (grams(&text).collect(), grams(&shifted).collect());
        assert_eq!(one, other[77..]);
        assert_eq!(one.len(), 500 - GRAM + 1);
    }

    #[test]
    fn texts_that_share_64_bytes_share_a_fingerprint() {
        for seed in 0..500 {
            let shared = noise(seed, GRAM + WINDOW - 1);
            let within = |seed: u64| [&noise(seed, 300)[..], &shared, &noise(seed + 1, 200)].concat();
            let set = |text: &[u8]| fingerprints(text).into_iter().map(|(hash, _)| hash).collect::<HashSet<u64>>();
            assert!(!set(&within(seed * 7 + 1000)).is_disjoint(&set(&within(seed * 7 + 1_000_000))), "{seed}");
        }
    }

    #[test]
    fn about_one_gram_in_seventeen_is_chosen() {
        let chosen = fingerprints(&noise(3, 100_000)).len();
        assert!((5_000..7_000).contains(&chosen), "{chosen}");
    }

    #[test]
    fn padding_is_never_chosen() {
        assert_eq!(fingerprints(&b"-=".repeat(500)), []);
        assert_eq!(fingerprints(&[b'a'; 31]), []);
    }
}
