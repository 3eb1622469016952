//! What the matcher says: that an input came out again, how sure that is, and where to look.

use std::ops::Range;

use super::hash::ContentHash;
use super::index::SourceId;

/// Bytes of an input that came out in an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Which input.
    pub source: SourceId,
    /// Of the best evidence; at most 1.
    pub confidence: f64,
    /// The share of the input's compared bytes that came out, of 1.
    pub source_coverage: f64,
    /// The share of the output's compared bytes that came from there, of 1.
    pub sink_coverage: f64,
    /// The best first, at most [`Flow::MOST_EVIDENCE`].
    pub evidence: Vec<Evidence>,
    /// What else there is.
    pub more_evidence: usize,
}

impl Flow {
    /// More evidence than this is counted, not listed.
    pub const MOST_EVIDENCE: usize = 8;
}

/// One place in the input and one in the output that have the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// In what way they are alike.
    pub likeness: Likeness,
    /// How sure, of 1; divided by `alike` already.
    pub confidence: f64,
    /// Where in the input's stream or file.
    pub source: Range<u64>,
    /// Where in the output's.
    pub sink: Range<u64>,
    /// Compared bytes, normalised: white space collapsed, escapes undone.
    pub length: usize,
    /// Of the compared bytes: the same on both sides.
    pub hash: ContentHash,
    /// Inputs that are as near and have the same there, this one included.
    pub alike: usize,
    /// What stands there in the input, for people: normalised, without control characters, at most
    /// [`Evidence::EXCERPT_CHARS`] of it. No secret is in it, because what is compared has none.
    pub source_text: String,
    /// What stands there in the output, in the same way.
    pub sink_text: String,
}

impl Evidence {
    /// More characters than this are not shown.
    pub const EXCERPT_CHARS: usize = 80;
}

/// Foreign bytes, fit to be shown on one line.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    /// No character takes more bytes.
    const WIDEST: usize = 4;
    let most = Evidence::EXCERPT_CHARS;
    let head = &bytes[..bytes.len().min((most + 1) * WIDEST)];
    let text: String = String::from_utf8_lossy(head).chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    let text = text.trim();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// In what way two places are alike, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Likeness {
    /// A run of bytes with enough in it that is rare.
    Run,
    /// A word that nobody chose.
    Token,
    /// A value under a name about the same.
    Value,
    /// An argument of a program that is a value of the input.
    Argument,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line_whatever_the_bytes_are() {
        assert_eq!(excerpt(b" folder=7\x1b[2J\n"), "folder=7 [2J");
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
        for bytes in ["x".repeat(500), "\u{1F600}".repeat(500), "\u{1F600}".repeat(80)] {
            let text = excerpt(bytes.as_bytes());
            assert_eq!(text.chars().count(), Evidence::EXCERPT_CHARS, "{text}");
            assert_eq!(text.ends_with('…'), bytes.chars().count() > 80, "{text}");
        }
    }
}
