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
