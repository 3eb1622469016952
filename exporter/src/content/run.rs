//! Bytes that two texts have in common, found byte by byte.

use std::ops::Range;

use super::normal::Normal;

/// How often the bytes of a text may be compared on the average before the rest is left: a text that repeats itself
/// has as many diagonals as it has places.
const COMPARISONS: usize = 64;

/// A run that the text shares with what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) number: u32,
    /// Where it begins in what is held.
    pub(super) held_at: usize,
    pub(super) text_at: Range<usize>,
}

/// The work that is still allowed.
#[derive(Debug)]
pub(super) struct Spared {
    left: usize,
    gave_up: bool,
}

impl Spared {
    pub(super) fn for_text(length: usize) -> Self {
        Self { left: length.saturating_mul(COMPARISONS).saturating_add(1 << 16), gave_up: false }
    }

    pub(super) fn may_go_on(&mut self) -> bool {
        self.gave_up |= self.left == 0;
        !self.gave_up
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes + 1);
    }

    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }
}

/// The longest range of `text` around `text_at` that is equal in `held` around `held_at`; within their pieces.
pub(super) fn extend(held: &Normal, held_at: usize, text: &Normal, text_at: usize) -> Range<usize> {
    let (held_piece, text_piece) = (held.piece_at(held_at), text.piece_at(text_at));
    let (a, b) = (held.bytes(), text.bytes());
    let before = a[held_piece.start..held_at].iter().rev().zip(b[text_piece.start..text_at].iter().rev());
    let backward = before.take_while(|(one, other)| one == other).count();
    let after = a[held_at..held_piece.end].iter().zip(&b[text_at..text_piece.end]);
    let forward = after.take_while(|(one, other)| one == other).count();
    if forward == 0 {
        // The hash was another text's.
        return text_at..text_at;
    }
    text_at - backward..text_at + forward
}

/// `range` without what `others` cover: the longest part that is left.
pub(super) fn longest_outside(range: &Range<usize>, others: &[Range<usize>]) -> Range<usize> {
    let mut others: Vec<&Range<usize>> =
        others.iter().filter(|other| other.start < range.end && range.start < other.end).collect();
    others.sort_by_key(|other| other.start);
    let mut longest = range.start..range.start;
    let mut at = range.start;
    let end = range.end..range.end;
    for other in others.into_iter().chain(std::iter::once(&end)) {
        if other.start > at && other.start - at > longest.len() {
            longest = at..other.start;
        }
        at = at.max(other.end);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_outside_is_found() {
        assert_eq!(longest_outside(&(0..10), &[]), 0..10);
        assert_eq!(longest_outside(&(0..10), &[8..20, 2..4]), 4..8);
        assert!(longest_outside(&(2..4), &[0..3, 3..9]).is_empty());
    }
}
