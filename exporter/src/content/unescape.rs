//! Text as it was before it was written into JSON, HTML or a URL, each byte with where it stood.

use std::ops::Range;

/// An escaped text inside an escaped text is undone too; more than this is not looked for.
const ROUNDS: usize = 3;

/// Bytes and, for each, the range of the original that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) bytes: Vec<u8>,
    pub(super) from: Vec<(u32, u32)>,
}

impl Mapped {
    /// The bytes themselves. Offsets are 32 bits wide: what is beyond 4 GiB is left out.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { bytes: bytes[..length as usize].to_vec(), from: (0..length).map(|at| (at, at + 1)).collect() }
    }

    pub(super) fn with_capacity(length: usize) -> Self {
        Self { bytes: Vec::with_capacity(length), from: Vec::with_capacity(length) }
    }

    pub(super) fn push(&mut self, byte: u8, from: (u32, u32)) {
        self.bytes.push(byte);
        self.from.push(from);
    }

    /// What the original had there.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        let from = &self.from[range];
        let start = from.first().map_or(0, |from| from.0);
        start as usize..from.last().map_or(start, |from| from.1) as usize
    }
}

/// Undo percent-encoding, backslashes and entities, however deep. Any number of backslashes counts as one: how often
/// a text was escaped is not to be told from the text.
pub(super) fn unescape(bytes: &[u8]) -> Mapped {
    let mut text = Mapped::of(bytes);
    for _ in 0..ROUNDS {
        if !text.bytes.iter().any(|byte| b"%\\&".contains(byte)) {
            break;
        }
        let (next, changed) = unescape_once(&text);
        text = next;
        if !changed {
            break;
        }
    }
    text
}

fn unescape_once(text: &Mapped) -> (Mapped, bool) {
    let bytes = &text.bytes;
    let mut out = Mapped::with_capacity(bytes.len());
    let mut changed = false;
    let mut at = 0;
    while at < bytes.len() {
        let found = match bytes[at] {
            b'%' => percent(&bytes[at..]),
            b'\\' => backslash(&bytes[at..]),
            b'&' => entity(&bytes[at..]),
            _ => None,
        };
        let Some((length, meant)) = found else {
            out.push(bytes[at], text.from[at]);
            at += 1;
            continue;
        };
        let from = (text.from[at].0, text.from[at + length - 1].1);
        let mut encoded = [0; 4];
        match meant {
            Meant::Byte(byte) => out.push(byte, from),
            Meant::Char(char) => char.encode_utf8(&mut encoded).bytes().for_each(|byte| out.push(byte, from)),
        }
        changed |= length > 1;
        at += length;
    }
    (out, changed)
}

enum Meant {
    Byte(u8),
    Char(char),
}

fn percent(rest: &[u8]) -> Option<(usize, Meant)> {
    let value = hex(rest.get(1..3)?)?;
    Some((3, Meant::Byte(u8::try_from(value).ok()?)))
}

/// A run of backslashes and what it escapes; one backslash, where that is nothing special.
fn backslash(rest: &[u8]) -> Option<(usize, Meant)> {
    let run = rest.iter().take_while(|&&byte| byte == b'\\').count();
    let byte = match rest.get(run) {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(&sign @ (b'"' | b'\'' | b'/')) => sign,
        Some(b'u') => {
            if let Some((length, char)) = unicode(&rest[run + 1..]) {
                return Some((run + 1 + length, Meant::Char(char)));
            }
            return Some((run, Meant::Byte(b'\\')));
        }
        _ => return Some((run, Meant::Byte(b'\\'))),
    };
    Some((run + 1, Meant::Byte(byte)))
}

/// Four digits, or two times four with `\u` between for what is beyond the first 65,536 characters.
fn unicode(rest: &[u8]) -> Option<(usize, char)> {
    let first = hex(rest.get(..4)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|char| (4, char));
    }
    let run = rest[4..].iter().take_while(|&&byte| byte == b'\\').count();
    let second =
        rest.get(4 + run..4 + run + 5).filter(|next| run > 0 && next[0] == b'u').and_then(|next| hex(&next[1..]))?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low).map(|char| (4 + run + 5, char))
}

fn entity(rest: &[u8]) -> Option<(usize, Meant)> {
    let end = rest.iter().take(10).position(|&byte| byte == b';')?;
    let char = match &rest[1..end] {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        b"nbsp" => ' ',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    };
    Some((end + 1, Meant::Char(char)))
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_is_what_it_was() {
        for (escaped, plain) in [
            (r#"a \"b\" c\nd"#, "a \"b\" c\nd"),
            (r#"a \\\"b\\\" c\\nd"#, "a \"b\" c\nd"),
            (r"\u00e9 \ud83d\ude00 \\ud83d\\ude00", "é 😀 😀"),
            ("&lt;a href=&quot;x&quot;&gt; &amp;lt; &#39;&#x27;", "<a href=\"x\"> < ''"),
            ("a%20b%2520c%3D%22", "a b c=\""),
            (r"\u0026lt; \&quot;", "< \""),
            ("100% of %zz & more &unknown; \\d", "100% of %zz & more &unknown; \\d"),
            (r"\ud83d alone", r"\ud83d alone"),
        ] {
            assert_eq!(String::from_utf8_lossy(&unescape(escaped.as_bytes()).bytes), plain, "{escaped}");
        }
    }

    #[test]
    fn every_byte_knows_where_it_stood() {
        let text = unescape(br"ab\\ncd\u00e9e");
        assert_eq!(text.bytes, "ab\ncdée".as_bytes());
        assert_eq!(text.origin(2..3), 2..5);
        assert_eq!(text.origin(3..5), 5..7);
        assert_eq!(text.origin(5..7), 7..13);
        assert_eq!(text.origin(7..8), 13..14);
    }
}
