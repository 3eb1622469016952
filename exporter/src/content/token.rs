//! Words that nobody chose: ids and keys that say by themselves where they came from.

use std::ops::Range;

/// No shorter word is told apart by itself.
const SHORTEST: usize = 16;
/// Below this many bits a byte a word of 16 characters or more is a name.
const BITS: f64 = 4.0;
/// Hexadecimal numbers have 4 bits a digit at most; a long one of many different digits is as rare.
const SHORTEST_HEX: usize = 24;
const BITS_HEX: f64 = 3.0;
/// A word of this length with small letters, capitals and digits all mixed up need not use so many of them.
const SHORTEST_MIXED: usize = 20;
const BITS_MIXED: f64 = 3.5;
/// What is longer is data, which is compared by its grams.
const LONGEST: usize = 128;

/// The telling words of a text, in order.
pub(super) fn tokens(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|&&byte| is_of_token(byte)).count();
        if is_telling(&bytes[at..at + length]) {
            found.push(at..at + length);
        }
        at += length + 1;
    }
    found
}

/// Whether a word stands alone at this place.
pub(super) fn is_whole(bytes: &[u8], word: &Range<usize>) -> bool {
    let is_of = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|&byte| is_of_token(byte));
    !is_of(word.start.checked_sub(1)) && !is_of(Some(word.end))
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_telling(word: &[u8]) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = word.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let is_mixed = word.len() >= SHORTEST_MIXED && is_mixed(word);
    // A slug has a number at its end.
    let fewest_digits = if is_mixed { 1 } else { 2 };
    if !(SHORTEST..=LONGEST).contains(&word.len()) || digits < fewest_digits || letters < 2 {
        return false;
    }
    let is_hex = word.len() >= SHORTEST_HEX && word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
    let least = match (is_hex, is_mixed) {
        (true, _) => BITS_HEX,
        (false, true) => BITS_MIXED,
        (false, false) => BITS,
    };
    bits_per_byte(word) >= least
}

/// In chance, three pairs of neighbours in five are of different kinds; in a name of words fewer than two.
fn is_mixed(word: &[u8]) -> bool {
    let kind = |byte: u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    let changes = word.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    word.iter().all(u8::is_ascii_alphanumeric) && changes * 5 >= (word.len() - 1) * 2
}

/// Shannon's entropy of the bytes' frequencies.
fn bits_per_byte(word: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    word.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let length = f64::from(u32::try_from(word.len()).unwrap_or(u32::MAX));
    counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / length).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_telling_and_names_and_times_are_not() {
        for id in [
            "fld7Qx2Lq9Zx8Wc3Vb6Nm1Ty",
            "a8Fk2Lq9Zx7Wc3Vb",
            "aB3dE4aB3fG5dE4aB7hK6fG5",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "9f86d081884c7d659a2feaa0",
        ] {
            assert_eq!(tokens(format!("x={id}&").as_bytes()).first(), Some(&(2..2 + id.len())), "{id}");
        }
        for name in [
            "x86_64-unknown-linux-gnu",
            "2026-11-22T22:46:02.123456Z",
            "20261122T224602Z",
            "internationalization_and_localization",
            "00000000-0000-0000-0000-000000000000",
            "1234567890123456",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "a8Fk2Lq9Zx7Wc3V",
            "getElementFromDocumentCache2",
        ] {
            assert!(tokens(name.as_bytes()).is_empty(), "{name}");
        }
    }
}
