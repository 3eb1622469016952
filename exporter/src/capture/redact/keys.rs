//! Secrets that are known by the name before them: `--password=x`, `TOKEN=x`, `"api_key": "x"`, `?sig=x`, `X-Api-Key: x`.

use std::ops::Range;

use regex::bytes::{Captures, Regex};

use super::rules::{Rules, RulesError, expression, key_expression};
use super::value::{Judge, LONGEST_INNOCENT, Level, Place};
use super::words::is_script;
use super::{Capture, Layout};

/// No option's or variable's name is longer.
const LONGEST_NAME: usize = 64;

/// Compiled names, each set in two forms.
#[derive(Debug)]
pub(super) struct Keys {
    /// The name with the sign between it and its value.
    assigned: Regex,
    /// The name at the end of a word, its value being the next word.
    alone: Regex,
}

impl Keys {
    pub(super) fn compile(rules: &Rules) -> Result<Self, RulesError> {
        let any_of = |names: &[String]| -> Result<String, RulesError> {
            Ok(names.iter().map(|name| key_expression(name)).collect::<Result<Vec<_>, _>>()?.join("|"))
        };
        let keys = &rules.keys;
        let (certain, likely, possible) = (any_of(&keys.certain)?, any_of(&keys.likely)?, any_of(&keys.possible)?);
        let names = format!("(?i)(?:(?<certain>{certain})|(?<likely>{likely})|(?<possible>{possible}))");
        let assigned =
            names.clone() + r#"(?:\\*["'\]]){0,2}(?<sign>\s{0,4}(?:=>|:=|={1,3}|:)\s{0,4})(?<quote>\\*["'])?"#;
        Ok(Self { assigned: expression("keys", &assigned)?, alone: expression("keys", &format!(r"{names}\z"))? })
    }

    /// Whether a word is the name of a secret, and how sure that is.
    pub(super) fn level_of(&self, word: &[u8]) -> Option<Level> {
        if word.len() > LONGEST_NAME {
            return None;
        }
        self.alone.captures(word).map(|captures| level(&captures).1)
    }

    pub(super) fn find(&self, capture: &Capture<'_>, judge: &Judge, found: &mut Vec<Range<usize>>) {
        let parts = capture.parts();
        for (index, part) in parts.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &capture.bytes[parts[before].clone()]);
            self.find_in_part(capture, judge, part, before, found);
        }
    }

    /// Each byte is looked at a bounded number of times: after a secret the search goes on behind it,
    /// and a value that is none is at most [`LONGEST_INNOCENT`] long or ends the part.
    fn find_in_part(
        &self,
        capture: &Capture<'_>,
        judge: &Judge,
        part: &Range<usize>,
        before: Option<&[u8]>,
        found: &mut Vec<Range<usize>>,
    ) {
        let text = &capture.bytes[part.clone()];
        let mut from = 0;
        while let Some(captures) = self.assigned.captures_at(text, from) {
            let (name_end, level) = level(&captures);
            let sign = captures.name("sign").map_or(name_end..name_end, |sign| sign.range());
            let quote = captures.name("quote").map(|quote| quote.range());
            let assignment = Assignment { text, name_end, level, sign, quote };
            let Some((value, level, place)) = assignment.value(capture.layout, before) else {
                from = assignment.sign.end.max(from + 1);
                continue;
            };
            let whole = part.start + value.start..part.start + value.end;
            let cut = capture.is_cut_at(whole.end);
            from = if judge.is_secret(&text[value.clone()], level, place, cut) {
                found.push(whole);
                value.end
            } else {
                // What is inside a long value that is no secret is behind a bounded look too.
                if value.len() > LONGEST_INNOCENT { value.end } else { value.start }
            }
            .max(from + 1);
            if from > text.len() {
                break;
            }
        }
    }
}

/// Where the name ends, and its level.
fn level(captures: &Captures<'_>) -> (usize, Level) {
    let of = |name, level| captures.name(name).map(|found| (found.end(), level));
    of("certain", Level::Certain)
        .or_else(|| of("likely", Level::Likely))
        .or_else(|| of("possible", Level::Possible))
        .unwrap_or((0, Level::Possible))
}

/// A name, a sign, and whatever follows.
struct Assignment<'a> {
    text: &'a [u8],
    name_end: usize,
    level: Level,
    sign: Range<usize>,
    quote: Option<Range<usize>>,
}

impl Assignment<'_> {
    /// The value's range, how sure the name is in this place, and the place. `before` is the argument before.
    fn value(&self, layout: Layout, before: Option<&[u8]>) -> Option<(Range<usize>, Level, Place)> {
        let name_start = self.name_start();
        let sign = self.text[self.sign.clone()].trim_ascii();
        let is_spaced = sign.len() < self.sign.len();
        let script = before.is_some_and(is_script);
        let opens = layout == Layout::Arguments && name_start == 0 && !script;
        let unquoted = self.sign.end;
        let all = || unquoted..self.text.len();

        if opens && sign == b"=" && !is_spaced {
            return Some((all(), self.level, Place::Literal));
        }
        // `--password==x` has a value that begins with the sign; `name==1.2` compares or pins a version.
        if opens && sign.starts_with(b"==") && self.text.starts_with(b"-") {
            return Some((self.sign.start + 1..self.text.len(), self.level, Place::Literal));
        }
        if let Some(quote) = &self.quote {
            return Some((self.quoted(quote.clone()), self.level, Place::Script));
        }
        if layout == Layout::Content {
            return self.content_value(name_start, sign);
        }
        if sign == b":" {
            if !is_spaced {
                // `module::name` and `image:tag` are no assignments; `token:9f86…` may be one.
                let value = self.until(unquoted, b"");
                return (!self.text[unquoted..].starts_with(b":")).then_some((value, Level::Possible, Place::Script));
            }
            let is_header = before.is_some_and(|before| before == b"-H" || before == b"--header");
            if opens && (is_header || !self.text[unquoted..].contains(&b' ')) {
                return Some((all(), self.level, Place::Literal));
            }
            // A header in quotes, as a script has it: its name has a joint, which a word before a colon seldom has.
            let quote = name_start.checked_sub(1).map(|ahead| self.text[ahead]).filter(|ahead| b"\"'".contains(ahead));
            if quote.is_some() && self.text[name_start..self.name_end].contains(&b'-') {
                return Some((self.until(unquoted, b""), self.level, Place::Script));
            }
            return Some((self.until(unquoted, b""), self.level, Place::Prose));
        }
        if is_spaced || sign.starts_with(b"==") {
            return Some((self.until(unquoted, b""), self.level, Place::Prose));
        }
        let ahead = name_start.checked_sub(1).map(|ahead| self.text[ahead]);
        let value = match ahead {
            Some(b'?' | b'&') => self.until(unquoted, b"#"),
            Some(b',') => self.until(unquoted, b","),
            _ if layout == Layout::List => self.until(unquoted, b","),
            _ => self.until(unquoted, b""),
        };
        Some((value, self.level, Place::Script))
    }

    /// Not quoted, in a document. A value that code surrounds must look made; one of a form, of a shell's assignment, of
    /// a header or alone on its line need not.
    fn content_value(&self, name_start: usize, sign: &[u8]) -> Option<(Range<usize>, Level, Place)> {
        if self.text[self.sign.clone()].contains(&b'\n') {
            return None;
        }
        // Indentation, a list's dash, a comment's or a quotation's sign; more than a name's length of it is something else.
        let before = &self.text[name_start.saturating_sub(LONGEST_NAME)..name_start];
        let opens_line = match before.iter().rposition(|byte| !b" \t-#<>".contains(byte)) {
            Some(last) => before[last] == b'\n',
            None => before.len() == name_start,
        };
        let is_spaced = sign.len() < self.sign.len();
        let start = self.sign.end;
        let line = self.until_line_ends(start);
        let alone = line.len() < LONGEST_INNOCENT && !self.text[line.clone()].iter().any(u8::is_ascii_whitespace);
        let value = self.until(start, b"");
        let is_code = self.text[value.clone()].iter().any(|byte| b"()[]{},".contains(byte))
            || matches!(self.text.get(value.end), Some(b';' | b'<' | b'`'));
        let prose = || Some((value.clone(), self.level, Place::Prose));
        match sign {
            b":" => {
                let is_header = opens_line && self.text[name_start..self.name_end].contains(&b'-');
                if is_header && alone && !is_code && !self.text[start..].starts_with(b":") {
                    return Some((line, self.level, Place::Line));
                }
                if !is_spaced {
                    let path = self.text[start..].starts_with(b":");
                    return (!path).then_some((value, Level::Possible, Place::Script));
                }
                if opens_line && alone && !is_code { Some((line, self.level, Place::Line)) } else { prose() }
            }
            b"=" if !is_spaced && !is_code => {
                let is_field = matches!(name_start.checked_sub(1).map(|ahead| self.text[ahead]), Some(b'?' | b'&'));
                let value = if is_field { self.until(start, b"#") } else { value };
                Some((value, self.level, Place::Script))
            }
            _ => prose(),
        }
    }

    /// To the end of the line, without the white space before it; at most [`LONGEST_INNOCENT`] bytes.
    fn until_line_ends(&self, start: usize) -> Range<usize> {
        let rest = &self.text[start..self.text.len().min(start + LONGEST_INNOCENT)];
        let line = rest.iter().position(|byte| b"\r\n\0".contains(byte)).map_or(rest, |end| &rest[..end]);
        start..start + line.trim_ascii_end().len()
    }

    /// Where the word that ends in the name begins: `--db-password` whole.
    fn name_start(&self) -> usize {
        let nearest = self.name_end.saturating_sub(LONGEST_NAME);
        let run = &self.text[nearest..self.name_end];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        run.iter().rposition(|byte| !is_name(byte)).map_or(nearest, |last| nearest + last + 1)
    }

    /// From `start` to white space, a quote, what ends a shell word, or one of `ends`.
    fn until(&self, start: usize, ends: &[u8]) -> Range<usize> {
        let ends_value = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`;|&<>\0".contains(byte) || ends.contains(byte);
        // `<token>` is a placeholder and begins with one of them.
        let skipped = usize::from(self.text[start..].starts_with(b"<"));
        let rest = &self.text[start + skipped..];
        let end = rest.iter().position(ends_value).map_or(self.text.len(), |end| start + skipped + end);
        start..end + usize::from(skipped == 1 && self.text.get(end) == Some(&b'>'))
    }

    /// Between the quote, which may have backslashes before it, and the next of its kind that has no more of them.
    fn quoted(&self, quote: Range<usize>) -> Range<usize> {
        let mark = self.text[quote.end - 1];
        let backslashes = quote.len() - 1;
        let mut run = 0;
        for (index, &byte) in self.text[quote.end..].iter().enumerate() {
            if byte == mark && (run <= backslashes && (mark == b'\'' || run == backslashes || run % 2 == 0)) {
                return quote.end..quote.end + index - run.min(backslashes);
            }
            run = if byte == b'\\' { run + 1 } else { 0 };
        }
        quote.end..self.text.len()
    }
}
