//! Contents in the form in which they are compared: escapes undone, line numbers gone, white space collapsed; and the
//! way back from a place in it to the place in the stream or file.

use std::ops::Range;

use super::numbered::without_line_numbers;
use super::redaction::Redacted;
use super::unescape::unescape;

/// What contents are, as far as comparing minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Payload.
    Bytes,
    /// Arguments of a program, a NUL byte after each: nothing reaches from one to the next.
    Arguments,
}

/// Normalised contents. Holes, redactions and the ends of arguments divide it into pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    bytes: Vec<u8>,
    pieces: Vec<Range<u32>>,
    segments: Vec<Segment>,
}

/// From `at` on each byte stands for one byte of the original, or, if `width` is not 1, the one byte for that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    at: u32,
    width: u32,
    original: u64,
}

impl Normal {
    /// Normalise.
    #[must_use]
    pub fn of(content: &Redacted, form: Form) -> Self {
        let mut normal = Self { bytes: Vec::new(), pieces: Vec::new(), segments: Vec::new() };
        for (offset, bytes) in content.readable() {
            let mut start = 0;
            let part_ends = |byte: &u8| form == Form::Arguments && *byte == 0;
            for part in bytes.split(part_ends) {
                normal.append(offset + start, part);
                start += part.len() as u64 + 1;
            }
        }
        normal.bytes.shrink_to_fit();
        normal.segments.shrink_to_fit();
        normal
    }

    /// The bytes of all pieces, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place in the stream or file that a range of the normalised bytes stands for.
    #[must_use]
    pub fn origin(&self, range: Range<usize>) -> Range<u64> {
        let Some(last) = range.end.checked_sub(1) else { return 0..0 };
        self.origin_of(range.start).start..self.origin_of(last).end
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.pieces.iter().map(|piece| piece.start as usize..piece.end as usize)
    }

    pub(super) fn piece_at(&self, position: usize) -> Range<usize> {
        let after = self.pieces.partition_point(|piece| piece.end as usize <= position);
        self.pieces.get(after).map_or(position..position, |piece| piece.start as usize..piece.end as usize)
    }

    /// What it costs to keep, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + self.pieces.len() * size_of::<Range<u32>>() + self.segments.len() * size_of::<Segment>()
    }

    fn origin_of(&self, position: usize) -> Range<u64> {
        let after = self.segments.partition_point(|segment| segment.at as usize <= position);
        let Some(segment) = after.checked_sub(1).map(|index| self.segments[index]) else { return 0..0 };
        if segment.width == 1 {
            let at = segment.original + (position - segment.at as usize) as u64;
            at..at + 1
        } else {
            segment.original..segment.original + u64::from(segment.width)
        }
    }

    fn append(&mut self, offset: u64, raw: &[u8]) {
        let text = without_line_numbers(unescape(raw));
        let start = self.bytes.len();
        let mut at = 0;
        while at < text.bytes.len() {
            let blank = blank(&text.bytes[at..]);
            let (byte, length) = if blank > 0 { (b' ', blank) } else { (text.bytes[at], 1) };
            let from = (text.from[at].0, text.from[at + length - 1].1);
            if !self.push(byte, offset + u64::from(from.0), from.1 - from.0) {
                break;
            }
            at += length;
        }
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(start) = u32::try_from(start).ok().filter(|&start| start < end) {
            self.pieces.push(start..end);
        }
    }

    /// `false` when positions have no more room.
    fn push(&mut self, byte: u8, original: u64, width: u32) -> bool {
        let Some(at) = u32::try_from(self.bytes.len()).ok().filter(|at| *at < u32::MAX) else { return false };
        let continues = self
            .segments
            .last()
            .is_some_and(|last| last.width == 1 && width == 1 && last.original + u64::from(at - last.at) == original);
        if !continues {
            self.segments.push(Segment { at, width, original });
        }
        self.bytes.push(byte);
        true
    }
}

/// Bytes of white space, and of what begins each line of a comment or a quotation where a line ended in between.
fn blank(rest: &[u8]) -> usize {
    let white = |rest: &[u8]| rest.iter().take_while(|&&byte| is_blank(byte)).count();
    let mut length = white(rest);
    while rest[..length].contains(&b'\n') {
        let lead = rest[length..].iter().take(4).take_while(|byte| b"/*#-;>!|".contains(byte)).count();
        let after = white(&rest[length + lead..]);
        if lead == 0 || lead == 4 || after == 0 {
            break;
        }
        length += lead + after;
    }
    length
}

/// White space, and the zeros that binary formats pad with.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0 || byte == 11
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::mix;
    use super::super::stream::Content;
    use super::*;
    use crate::capture::redact::Redactor;

    fn normal(text: &str, form: Form) -> Normal {
        let redactor = Redactor::new().expect("the built-in rules compile");
        Normal::of(&Content::whole(text.as_bytes()).redact(&redactor), form)
    }

    #[test]
    fn a_text_and_its_escaped_numbered_and_wrapped_forms_are_one() {
        let plain = normal("if (a < b) {\n\tsay(\"hello\");\n}\n", Form::Bytes);
        for other in [
            r#"if (a < b) {\n\tsay(\"hello\");\n}\n"#,
            r#"if (a < b) {\\n\\tsay(\\\"hello\\\");\\n}\\n"#,
            "if (a &lt; b) {\n\tsay(&quot;hello&quot;);\n}\n",
            "if%20(a%20%3C%20b)%20%7B%0A%09say(%22hello%22);%0A%7D%0A",
            "     1\tif (a < b) {\n     2\t\tsay(\"hello\");\n     3\t}\n",
            "if (a < b)\n   { say(\"hello\");\n}   ",
            "if (a < b) {\n//   say(\"hello\");\n// }\n",
        ] {
            assert_eq!(normal(other, Form::Bytes).bytes(), plain.bytes(), "{other}");
        }
    }

    #[test]
    fn the_way_back_leads_to_the_same_text() {
        let text = r#"{"x":"one  two\nthree \u00e9 four"}"#;
        let normal = normal(text, Form::Bytes);
        let at = |word: &[u8]| normal.bytes().windows(word.len()).position(|window| window == word).expect("is there");
        for (word, raw) in [("one two", "one  two"), ("two three", r"two\nthree"), ("é four", r"\u00e9 four")] {
            let start = at(word.as_bytes());
            let origin = normal.origin(start..start + word.len());
            let origin = usize::try_from(origin.start).expect("small")..usize::try_from(origin.end).expect("small");
            assert_eq!(&text[origin], raw);
        }
    }

    /// Foreign bytes of the kinds that have a meaning here, in any order.
    #[test]
    fn odd_text_has_a_place_for_every_byte() {
        let signs: Vec<&str> =
            "0 1 2 3 : | \t \n \\ \\u00e9 \\ud83d %41 % & &amp; &#1; ; / * # \" a = [ → \0 token= -----BEGIN"
                .split(' ')
                .chain([" "])
                .collect();
        let redactor = Redactor::new().expect("the built-in rules compile");
        for seed in 0..3000_u64 {
            let pick = |at: u64| signs[usize::from(mix(seed * 1000 + at).to_le_bytes()[0]) % signs.len()];
            let text: String = (0..seed % 60).map(pick).collect();
            for form in [Form::Bytes, Form::Arguments] {
                let normal = Normal::of(&Content::whole(text.as_bytes()).redact(&redactor), form);
                let mut before = 0;
                for at in 0..normal.bytes().len() {
                    let origin = normal.origin(at..at + 1);
                    assert!(origin.start < origin.end && origin.end <= text.len() as u64, "{text:?}");
                    assert!(before <= origin.start, "{text:?}");
                    before = origin.start;
                }
            }
        }
    }

    #[test]
    fn arguments_and_redactions_divide_it() {
        let arguments = normal("x\0--token=hunter2\0y\0", Form::Arguments);
        let pieces: Vec<&[u8]> = arguments.pieces().map(|piece| &arguments.bytes()[piece]).collect();
        assert_eq!(pieces, [&b"x"[..], b"--token=", b"y"]);
    }
}
