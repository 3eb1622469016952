//! Whether a value that stands where a secret would is one.

use regex::bytes::Regex;

use super::rules::{Rules, RulesError, expression};

/// No reference, placeholder or path is longer than this: a longer value is judged by its place alone.
pub(super) const LONGEST_INNOCENT: usize = 512;

/// How much a name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// The value is secret.
    Certain,
    /// It is, unless it looks like something else.
    Likely,
    /// It is, if it looks random.
    Possible,
}

/// In what kind of text the value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Handed over as it is: no shell comes after, so a `$` is a `$`.
    Literal,
    /// In a script or command line, where `$NAME` is a reference.
    Script,
    /// All that stands after the name on a line of a document: a value of YAML, or the type of a field.
    Line,
    /// Perhaps in a sentence: only what no word looks like is secret.
    Prose,
}

/// Judges values.
#[derive(Debug)]
pub(super) struct Judge {
    innocent: Regex,
    reference: Regex,
    variable: Regex,
    types: Regex,
}

impl Judge {
    pub(super) fn compile(rules: &Rules) -> Result<Self, RulesError> {
        let whole = |name: &str, patterns: &[String]| {
            let alternatives = patterns.iter().map(|pattern| format!("(?:{pattern})")).collect::<Vec<_>>().join("|");
            expression(name, &format!(r"\A(?:{alternatives})\z"))
        };
        Ok(Self {
            innocent: whole("innocent", &rules.innocent)?,
            reference: whole("reference", &rules.reference)?,
            types: whole("types", &rules.types)?,
            variable: expression("variable", r"\A(?:\$[A-Za-z0-9_@*?!#]+|\$\{[^}]*\}?|\$\(.*|`.*|%[A-Za-z_]+%)\z")?,
        })
    }

    /// Whether `value` after a name of this level is a secret. `cut`: only its beginning is there.
    pub(super) fn is_secret(&self, value: &[u8], level: Level, place: Place, cut: bool) -> bool {
        if value.is_empty() {
            return false;
        }
        let is_short = value.len() <= LONGEST_INNOCENT;
        if is_short && place == Place::Line && self.types.is_match(value) {
            return false;
        }
        let place = if place == Place::Line { Place::Script } else { place };
        if is_short && (self.innocent.is_match(value) || place != Place::Literal && self.variable.is_match(value)) {
            return false;
        }
        match (level, place) {
            (Level::Possible, Place::Prose) if !is_short => looks_random(value),
            _ if cut => true,
            (Level::Certain, Place::Literal | Place::Script | Place::Line) => true,
            (Level::Certain, Place::Prose) => looks_made(trimmed(value)),
            (Level::Likely, _) if is_short && self.reference.is_match(value) => false,
            (Level::Likely, Place::Literal | Place::Script | Place::Line) => true,
            (Level::Likely, Place::Prose) => looks_made(trimmed(value)) && !is_name(trimmed(value)),
            (Level::Possible, _) if is_short && self.reference.is_match(value) => false,
            (Level::Possible, _) => looks_random(value),
        }
    }
}

/// No plain word: a digit and a letter, or both cases in the middle, or signs that words do not have.
pub(super) fn looks_made(value: &[u8]) -> bool {
    let has = |test: fn(&u8) -> bool| value.iter().any(test);
    let letters = has(u8::is_ascii_alphabetic);
    let digits = has(u8::is_ascii_digit);
    let signs = has(|byte| b"!@#%^&*+=~".contains(byte));
    value.len() >= 6 && letters && (digits || signs || mixes_cases(value))
}

/// Long, of both letters and digits (or both cases), and with as many different bytes as chance would give.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    let value = &value[..value.len().min(LONGEST_INNOCENT)];
    let count = |test: fn(&u8) -> bool| value.iter().filter(|byte| test(byte)).count();
    let (letters, digits) = (count(u8::is_ascii_alphabetic), count(u8::is_ascii_digit));
    // Paths, sentences and host names have more of these than a key has.
    let separators = value.iter().filter(|byte| b" ./:,;()<>".contains(byte)).count();
    if value.len() < 12 || separators * 12 > value.len() || letters < 2 {
        return false;
    }
    (digits >= 2 || value.len() >= 20 && mixes_cases(value)) && bits_per_byte(value) >= 3.0
}

/// `snake_case` or `dotted.names` with at most a number at the end: code, not a secret.
fn is_name(value: &[u8]) -> bool {
    let stem = value.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(&value[..0], |last| &value[..=last]);
    !stem.is_empty() && stem.iter().all(|byte| byte.is_ascii_alphabetic() || b"_.()[]/-".contains(byte))
}

fn mixes_cases(value: &[u8]) -> bool {
    value.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count() >= 2
}

/// Without the punctuation that ends a sentence or a clause.
fn trimmed(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !b".,;:!?)'\"".contains(byte)).map_or(0, |last| last + 1);
    &value[..end]
}

/// Shannon's entropy of the bytes' frequencies.
fn bits_per_byte(value: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    for &byte in value {
        counts[usize::from(byte)] += 1;
    }
    let length = f64::from(u16::try_from(value.len()).unwrap_or(u16::MAX));
    counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / length).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_look_random_and_names_do_not() {
        for key in
            ["9f86d081884c7d659a2feaa0c55ad015", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "Zm9vYmFyYmF6cXV4MTIz"]
        {
            assert!(looks_random(key.as_bytes()), "{key}");
        }
        for plain in
            ["", "basic", "/usr/lib/x86_64-linux-gnu/libc.so.6", "aaaaaaaaaaaaaaa11", "https://example.com/a1/b2"]
        {
            assert!(!looks_random(plain.as_bytes()), "{plain}");
        }
    }

    #[test]
    fn entropy_of_equally_frequent_bytes_is_their_logarithm() {
        assert!((bits_per_byte(b"abcdefgh") - 3.0).abs() < 1e-9);
        assert!(bits_per_byte(b"aaaa").abs() < 1e-9);
    }
}
