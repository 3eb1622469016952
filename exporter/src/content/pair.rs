//! Values under a name: `"priority_folder_id": 7`, `folder=7`, `--folder 7`, `folder: 7`.

use std::ops::Range;

use super::normal::Normal;

/// No name is longer, no value either: longer ones are compared by their grams.
const LONGEST: usize = 64;
/// A text has no more than these: what is far inside a large one is compared by its grams alone.
const MOST: usize = 2048;

/// Values that stand everywhere.
const TRIVIAL: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"0.0",
    b"1.0",
    b"true",
    b"false",
    b"null",
    b"none",
    b"nil",
    b"yes",
    b"no",
    b"on",
    b"off",
    b"ok",
    b"string",
    b"object",
    b"number",
    b"integer",
    b"boolean",
    b"array",
    b"undefined",
    b"default",
    b"auto",
    b"utf-8",
];

/// Words of names that say nothing about what is named.
const GENERIC: &[&[u8]] = &[
    b"a",
    b"an",
    b"arg",
    b"args",
    b"at",
    b"code",
    b"content",
    b"count",
    b"data",
    b"date",
    b"default",
    b"end",
    b"error",
    b"field",
    b"flag",
    b"format",
    b"get",
    b"http",
    b"https",
    b"i",
    b"id",
    b"ids",
    b"in",
    b"index",
    b"info",
    b"input",
    b"is",
    b"item",
    b"key",
    b"kind",
    b"label",
    b"len",
    b"length",
    b"level",
    b"limit",
    b"line",
    b"list",
    b"max",
    b"message",
    b"min",
    b"mode",
    b"my",
    b"n",
    b"name",
    b"new",
    b"no",
    b"number",
    b"object",
    b"of",
    b"offset",
    b"old",
    b"option",
    b"output",
    b"page",
    b"param",
    b"path",
    b"query",
    b"result",
    b"role",
    b"set",
    b"size",
    b"start",
    b"state",
    b"status",
    b"string",
    b"text",
    b"the",
    b"time",
    b"timestamp",
    b"title",
    b"to",
    b"type",
    b"url",
    b"user",
    b"value",
    b"version",
    b"x",
    b"y",
];

/// A name and its value, as ranges of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The pairs of a text whose values are not trivial, in order; none reaches over the end of a piece.
pub(super) fn pairs(text: &Normal) -> Vec<Pair> {
    let moved = |range: Range<usize>, by: usize| range.start + by..range.end + by;
    let all = text.pieces().flat_map(|piece| {
        let found = pairs_of(&text.bytes()[piece.clone()]);
        found
            .map(|pair| Pair { name: moved(pair.name, piece.start), value: moved(pair.value, piece.start) })
            .collect::<Vec<_>>()
    });
    all.take(MOST).collect()
}

fn pairs_of(bytes: &[u8]) -> impl Iterator<Item = Pair> {
    let signs = bytes.iter().enumerate().filter(|(_, byte)| b"=:".contains(byte));
    signs.filter_map(|(sign, _)| {
        let name_end = sign - bytes[..sign].iter().rev().take(4).take_while(|byte| b" \"'".contains(byte)).count();
        let name_length = bytes[..name_end].iter().rev().take(LONGEST).take_while(|&&byte| is_of_name(byte)).count();
        let name = name_end - name_length..name_end;
        // `10:00` has no name.
        let is_named =
            bytes[name.clone()].first().is_some_and(|&byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
        let start = sign + 1 + bytes[sign + 1..].iter().take(4).take_while(|byte| b" \"'".contains(byte)).count();
        let value = value(bytes, start).filter(|_| is_named)?;
        is_whole(bytes, sign, &value).then_some(Pair { name, value })
    })
}

/// The pair that an option makes with what is attached to it or comes after it, each an argument.
pub(super) fn option_pair(bytes: &[u8], argument: Range<usize>, next: Option<Range<usize>>) -> Option<Pair> {
    let dashes = bytes[argument.clone()].iter().take(2).take_while(|&&byte| byte == b'-').count();
    let name = argument.start + dashes..argument.end;
    let is_option = dashes > 0 && !name.is_empty() && bytes[name.clone()].iter().all(|&byte| is_of_name(byte));
    let next = next.filter(|next| is_option && !bytes[next.clone()].starts_with(b"-"))?;
    let value = value(&bytes[..next.end], next.start).filter(|value| value.end == next.end)?;
    Some(Pair { name, value })
}

/// The words of a name that say something, in small letters: `priorityFolderID` has two.
pub(super) fn words(name: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    let mut before = 0_u8;
    for &byte in name {
        let begins = byte.is_ascii_uppercase() && before.is_ascii_lowercase();
        if begins || !byte.is_ascii_alphanumeric() {
            words.push(Vec::new());
        }
        if let Some(word) = words.last_mut().filter(|_| byte.is_ascii_alphanumeric()) {
            word.push(byte.to_ascii_lowercase());
        }
        before = byte;
    }
    words.retain(|word| !word.is_empty() && !GENERIC.contains(&&word[..]) && !word.iter().all(u8::is_ascii_digit));
    words
}

/// Not the first word of a sentence.
fn is_whole(bytes: &[u8], sign: usize, value: &Range<usize>) -> bool {
    let quote = value.start.checked_sub(1).map(|at| bytes[at]).filter(|before| b"\"'".contains(before));
    let rest = &bytes[value.end..];
    match (quote, rest) {
        (Some(quote), _) => rest.first() == Some(&quote),
        // White space is collapsed: what comes next may be the next line, with a name of its own.
        (None, [b' ', next @ ..]) => {
            let name = next.iter().take(LONGEST).take_while(|&&byte| is_of_name(byte)).count();
            let is_next_name = next.get(name).is_some_and(|byte| b":=".contains(byte));
            bytes[sign] == b'=' || is_next_name || !next.first().is_some_and(u8::is_ascii_lowercase)
        }
        _ => true,
    }
}

/// Days and hours, which everything has that happened then.
fn is_time(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= 4
        && value.iter().all(|byte| byte.is_ascii_digit() || b"-:.TZ+/".contains(byte))
        && digits < value.len()
        && value.iter().filter(|byte| b"-:/".contains(byte)).count() >= 2
}

fn value(bytes: &[u8], start: usize) -> Option<Range<usize>> {
    let is_of_value = |byte: &&u8| !byte.is_ascii_whitespace() && !b"\"'`,;&{}[]()<>=".contains(byte);
    let length = bytes[start..].iter().take(LONGEST + 1).take_while(is_of_value).count();
    // The full stop of a sentence is not the value's.
    let length = length - usize::from(bytes[start..start + length].ends_with(b"."));
    let value = start..start + length;
    let small = bytes[value.clone()].to_ascii_lowercase();
    let is_plain = small.is_empty()
        || small.iter().all(u8::is_ascii_punctuation)
        || TRIVIAL.contains(&&small[..])
        || is_time(&bytes[value.clone()]);
    (!is_plain && length <= LONGEST).then_some(value)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, &str)> {
        pairs_of(text.as_bytes()).map(|pair| (&text[pair.name], &text[pair.value])).collect()
    }

    #[test]
    fn names_and_values_are_found_in_every_notation() {
        assert_eq!(found(r#"{"priority_folder_id": 7, "x": true}"#), [("priority_folder_id", "7")]);
        assert_eq!(found("POST /move?folder=7&ticket=T-12 "), [("folder", "7"), ("ticket", "T-12")]);
        assert_eq!(found("host: db.internal, port = 5432"), [("host", "db.internal"), ("port", "5432")]);
        assert_eq!(found("host: db.internal port: 5432"), [("host", "db.internal"), ("port", "5432")]);
        assert_eq!(found("a note: the first word of \"text\": \"one of several\" made_at=2026-11-22T10:00:00Z"), []);
    }

    #[test]
    fn words_of_a_name_are_what_it_is_about() {
        let all = |name: &str| words(name.as_bytes()).join(&b' ');
        assert_eq!(all("priority_folder_id"), b"priority folder");
        assert_eq!(all("priorityFolderId"), b"priority folder");
        assert_eq!(all("id"), b"");
    }

    #[test]
    fn an_option_and_the_argument_after_it_are_a_pair() {
        let bytes = b"--folder-id7-v";
        assert_eq!(option_pair(bytes, 0..11, Some(11..12)), Some(Pair { name: 2..11, value: 11..12 }));
        assert_eq!(option_pair(bytes, 0..11, Some(12..14)), None);
    }
}
