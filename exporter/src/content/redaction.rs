//! Secrets out of contents: overwritten where they stand, so that every other byte keeps its place, and marked.
//!
//! Promises: the rules see what was put together, not chunks; they see it as it is and with its escapes undone; what a
//! hole or the end cuts off is taken for secret when it could be. Only what comes out here can be compared or kept.

use std::ops::Range;

use super::hash::ContentHash;
use super::stream::{Content, Ending, Hole, Order, Run};
use super::unescape::unescape;
use crate::capture::redact::{Redactor, looks_random};

/// What stands in the place of each byte of a secret.
const FILL: u8 = b'*';

/// Contents without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    pub(super) runs: Vec<Run>,
    pub(super) holes: Vec<Hole>,
    pub(super) redactions: Vec<Range<u64>>,
    pub(super) lost_chunks: u64,
    pub(super) unplaced_bytes: u64,
}

impl Content {
    /// Overwrite every secret.
    #[must_use]
    pub fn redact(mut self, redactor: &Redactor) -> Redacted {
        let mut redactions = Vec::new();
        let mut open = Open::Nothing;
        let mut end_before = None;
        let count = self.runs.len();
        for (index, run) in self.runs.iter_mut().enumerate() {
            let is_torn = match end_before {
                // Without a hole between them the runs of a file are neighbours by chance.
                Some(end) => self.order == Order::Stream || self.holes.iter().any(|hole| hole.range.start == end),
                None => run.offset > 0 || self.holes.first().is_some_and(|hole| hole.range.start < run.offset),
            };
            let goes_on = index + 1 < count || self.ending == Ending::Cut || !self.holes.is_empty();
            let mut secrets = if is_torn { head(&run.bytes, open) } else { Vec::new() };
            secrets.extend(secrets_of(&run.bytes, redactor, goes_on));
            let secrets = joined(secrets);
            open = left_open(&run.bytes, secrets.last());
            end_before = Some(run.range().end);
            for secret in secrets {
                run.bytes[secret.clone()].fill(FILL);
                redactions.push(run.offset + secret.start as u64..run.offset + secret.end as u64);
            }
        }
        Redacted {
            runs: self.runs,
            holes: self.holes,
            redactions,
            lost_chunks: self.lost_chunks,
            unplaced_bytes: self.unplaced_bytes,
        }
    }
}

impl Redacted {
    /// The bytes that are known, those of secrets overwritten; in order.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// What was moved and is not known, in order.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Where secrets stood, in order.
    #[must_use]
    pub fn redactions(&self) -> &[Range<u64>] {
        &self.redactions
    }

    /// Chunks that never came.
    #[must_use]
    pub fn lost_chunks(&self) -> u64 {
        self.lost_chunks
    }

    /// Bytes that came when the budget was spent and that no hole tells of.
    #[must_use]
    pub fn unplaced_bytes(&self) -> u64 {
        self.unplaced_bytes
    }

    /// SHA-256 of the redacted bytes: without holes what `sha256sum` prints of them.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::of_runs(&self.runs, &self.holes)
    }

    /// Of bytes that have none, or none any more.
    pub(super) fn without_secrets(bytes: &[u8]) -> Self {
        let runs = vec![Run { offset: 0, bytes: bytes.to_vec() }];
        Self { runs, holes: Vec::new(), redactions: Vec::new(), lost_chunks: 0, unplaced_bytes: 0 }
    }

    /// What lies between holes and redactions, with its place.
    pub(super) fn readable(&self) -> Vec<(u64, &[u8])> {
        let mut parts = Vec::new();
        for run in &self.runs {
            let first = self.redactions.partition_point(|secret| secret.end <= run.offset);
            let inside = self.redactions[first..].iter().take_while(|secret| secret.start < run.range().end);
            let mut at = 0;
            for secret in inside {
                let start = usize::try_from(secret.start - run.offset).unwrap_or(run.bytes.len());
                parts.push((run.offset + at as u64, &run.bytes[at..start]));
                at = usize::try_from(secret.end - run.offset).unwrap_or(run.bytes.len());
            }
            parts.push((run.offset + at as u64, &run.bytes[at..]));
        }
        parts.retain(|(_, bytes)| !bytes.is_empty());
        parts
    }
}

/// What the end of a run left unfinished.
#[derive(Clone, Copy)]
enum Open {
    Nothing,
    /// A value.
    Value,
    /// A private key in lines of base64.
    Key,
}

/// By the rules, in the bytes as they are and with their escapes undone.
fn secrets_of(bytes: &[u8], redactor: &Redactor, cut: bool) -> Vec<Range<usize>> {
    let mut found = redactor.secrets_of_content(bytes, cut);
    if bytes.iter().any(|byte| b"%\\&".contains(byte)) {
        let plain = unescape(bytes);
        if plain.bytes.len() != bytes.len() {
            found.extend(redactor.secrets_of_content(&plain.bytes, cut).into_iter().map(|range| plain.origin(range)));
        }
    }
    found
}

/// What of a run that begins after a hole may be the rest of a secret.
fn head(bytes: &[u8], open: Open) -> Vec<Range<usize>> {
    let end_of = |signs: &[u8]| bytes.iter().position(|byte| signs.contains(byte)).unwrap_or(bytes.len());
    let find = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
    let key_end = find(b"-----END").filter(|&end| {
        bytes[end..].iter().take(60).copied().collect::<Vec<_>>().windows(11).any(|window| window == b"PRIVATE KEY")
    });
    let begun = find(b"-----BEGIN");
    let rest = match (open, key_end) {
        (_, Some(end)) if begun.is_none_or(|begun| begun > end) => end,
        (Open::Key, _) => bytes.len(),
        (Open::Value, _) => end_of(b"\r\n\"'\0"),
        (Open::Nothing, _) => {
            let word = end_of(b" \t\r\n\"'\0&;,<>");
            if looks_random(&bytes[..word]) { word } else { 0 }
        }
    };
    let head = 0..rest;
    vec![head]
}

/// Whether the last secret of a run reaches its end.
fn left_open(bytes: &[u8], last: Option<&Range<usize>>) -> Open {
    let Some(last) = last.filter(|last| last.end == bytes.len()) else { return Open::Nothing };
    let before = &bytes[last.start.saturating_sub(64)..last.start];
    let is_key = before.windows(11).any(|window| window == b"PRIVATE KEY") || last.start == 0 && !bytes.contains(&b' ');
    if is_key { Open::Key } else { Open::Value }
}

/// In order, those that touch made one, none empty.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::super::stream::{Assembly, Chunk, Missing};
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new().expect("the built-in rules compile")
    }

    fn redacted(parts: &[(u64, &str)], ending: Ending) -> String {
        let mut assembly = Assembly::new(1 << 20);
        for (sequence, (offset, text)) in (0..).zip(parts) {
            let call = *offset..offset + text.len() as u64;
            let bytes = text.as_bytes().to_vec();
            assembly.push(Chunk { sequence, call, offset: *offset, bytes, missing: None }).expect("well formed");
        }
        let redacted = assembly.finish(Order::Stream, ending).redact(&redactor());
        redacted.runs().iter().map(|run| String::from_utf8_lossy(&run.bytes).into_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn every_other_byte_keeps_its_place() {
        let content = Content::whole(b"password=hunter2&folder=7").redact(&redactor());
        assert_eq!(content.runs()[0].bytes, b"password=*******&folder=7");
        assert_eq!(content.redactions().first(), Some(&(9..16)));
        assert_eq!(content.readable(), [(0, &b"password="[..]), (16, &b"&folder=7"[..])]);
    }

    #[test]
    fn a_token_split_over_two_chunks_is_found() {
        let text = "token ghp_a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4Eo0Pi8Sd7G end";
        for at in 1..text.len() {
            let parts = [(0, &text[..at]), (at as u64, &text[at..])];
            assert_eq!(redacted(&parts, Ending::Complete), format!("token ghp_{} end", "*".repeat(36)), "{at}");
        }
    }

    #[test]
    fn both_sides_of_a_hole_in_a_secret_are_redacted() {
        assert_eq!(
            redacted(&[(0, "x ghp_a8Fk2Lq"), (20, "Ty5Ru4Eo0Pi8Sd7G\nfolder=7")], Ending::Complete),
            "x ghp_*******|****************\nfolder=7"
        );
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\nabcd";
        assert_eq!(
            redacted(
                &[(0, key), (60, "Zm9vYmFy\nMIIE\n"), (80, "QUJD\n-----END PRIVATE KEY-----\nx=1")],
                Ending::Complete
            ),
            format!(
                "-----BEGIN PRIVATE KEY-----{}|{}|*****-----END PRIVATE KEY-----\nx=1",
                "*".repeat(12),
                "*".repeat(14)
            )
        );
        // The hole took the beginning, prefix and all.
        assert_eq!(redacted(&[(0, "a"), (20, "2Lq9Zx7Wc3Vb6Nm1Ty5 x")], Ending::Complete), "a|******************* x");
    }

    #[test]
    fn what_the_end_cuts_short_is_redacted() {
        assert_eq!(redacted(&[(0, "x ghp_a8F")], Ending::Cut), "x ghp_***");
        assert_eq!(redacted(&[(0, "x ghp_a8F")], Ending::Complete), "x ghp_a8F");
    }

    #[test]
    fn an_escape_hides_nothing() {
        for text in [
            r#"{"body":"{\"p\u0061ssword\":\"hunter2\"}"}"#,
            "%22password%22%3A%22hunter2%22",
            "&quot;password&quot;: &quot;hunter2&quot;",
            r#"{"env":"A=1\nDB_PASSWORD=hunter2\nB=2"}"#,
        ] {
            assert!(!redacted(&[(0, text)], Ending::Complete).contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn redacting_what_is_redacted_changes_nothing() {
        let text = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\npassword: geheim\nhttps://a:b@c/ ghp_a8Fk2Lq9Zx7Wc3Vb6Nm1Ty5Ru4";
        let once = redacted(&[(0, text)], Ending::Complete);
        assert_eq!(redacted(&[(0, &once)], Ending::Complete), once);
        assert!(once.contains("password: ******"), "{once}");
    }

    #[test]
    fn a_hole_of_the_budget_at_the_end_cuts_too() {
        let mut assembly = Assembly::new(1 << 20);
        let (bytes, missing) = (b"x ghp_a8F".to_vec(), Some(Missing::Budget));
        assembly.push(Chunk { sequence: 0, call: 0..99, offset: 0, bytes, missing }).expect("well formed");
        assert_eq!(assembly.finish(Order::Stream, Ending::Complete).redact(&redactor()).runs()[0].bytes, b"x ghp_***");
    }
}
