//! Two ways of doing the same work, compared by pairs of measurements that were taken one after the other.
//!
//! A difference that is smaller than what the pairs vary by is not called one. It knows nothing of what was measured.

use std::fmt;

use crate::random::Random;

/// So often the pairs are drawn anew, with replacement, to see how far their median may be from the truth.
const DRAWS: usize = 2_000;
/// What lies outside of the interval, of a thousand draws, on each side.
const TAIL_PER_MILLE: usize = 25;

/// What the second of a pair took more than the first: the median, and an interval of 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How many pairs there are.
    pub pairs: usize,
    /// Median of what was measured first, in its own unit.
    pub base: f64,
    /// Median of the differences, as a part of the first: 0.01 is one per cent.
    pub median: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Comparison {
    /// Of pairs (first, second); `None` where there is none with a first.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().filter(|(a, _)| *a > 0.0).map(|(a, b)| (b - a) / a).collect();
        if differences.is_empty() {
            return None;
        }
        let mut random = Random::new(1);
        let count = differences.len() as u64;
        let mut draw = || {
            let place = usize::try_from(random.below(count)).unwrap_or(0);
            differences[place]
        };
        let mut medians: Vec<f64> = (0..DRAWS).map(|_| median((0..count).map(|_| draw()).collect())).collect();
        medians.sort_by(f64::total_cmp);
        let tail = DRAWS * TAIL_PER_MILLE / 1_000;
        Some(Self {
            pairs: differences.len(),
            base: median(pairs.iter().map(|(a, _)| *a).collect()),
            median: median(differences),
            low: medians[tail],
            high: medians[DRAWS - 1 - tail],
        })
    }

    /// Whether the pairs tell the two apart at all.
    #[must_use]
    pub fn is_told_apart(&self) -> bool {
        // Of fewer pairs no interval means anything.
        self.pairs >= 5 && (self.low > 0.0 || self.high < 0.0)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, low, high] = [self.median, self.low, self.high].map(|part| part * 100.0);
        if self.is_told_apart() {
            write!(f, "{median:+.1} % ({low:+.1} to {high:+.1})")
        } else if self.pairs < 5 {
            write!(f, "{median:+.0} % ({} pairs only)", self.pairs)
        } else {
            write!(f, "not told apart ({low:+.1} to {high:+.1} %)")
        }
    }
}

/// Of an even number the upper one of the two in the middle; 0 of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs around a cost, with a noise that is as often up as down.
    fn pairs(cost: f64, noise: f64) -> Vec<(f64, f64)> {
        let mut random = Random::new(7);
        let mut wobble = move || 1.0 + noise * (f64::from(u32::try_from(random.below(2_001)).unwrap()) / 1_000.0 - 1.0);
        (0..21).map(|_| (100.0 * wobble(), 100.0 * (1.0 + cost) * wobble())).collect()
    }

    #[test]
    fn a_cost_above_the_noise_is_found_and_its_interval_holds_it() {
        let found = Comparison::of(&pairs(0.10, 0.02)).unwrap();
        assert!(found.is_told_apart() && found.low <= 0.10 && found.high >= 0.10, "{found}");
    }

    #[test]
    fn a_cost_below_the_noise_is_not_called_a_difference() {
        let found = Comparison::of(&pairs(0.002, 0.10)).unwrap();
        assert!(!found.is_told_apart(), "{found}");
        assert!(found.to_string().starts_with("not told apart"), "{found}");
    }

    #[test]
    fn few_pairs_are_said_to_be_few_and_no_pair_is_no_comparison() {
        let found = Comparison::of(&[(1.0, 2.0), (1.0, 2.0)]).unwrap();
        assert_eq!(found.to_string(), "+100 % (2 pairs only)");
        assert_eq!(Comparison::of(&[(0.0, 1.0)]), None);
    }
}
