//! Contents as hex digits with their places in the stream or file, as `hexdump -C` writes them.

use std::fmt::Write;

use super::piece::{Piece, pieces};
use super::{because, counted};
use crate::spans::model::SpanContent;

/// Bytes on a line.
const WIDTH: usize = 16;

/// What a span moved: 16 bytes a line, those that are redacted as `**`, holes on lines of their own.
#[must_use]
pub fn hex(content: &SpanContent) -> String {
    let mut text = String::new();
    let mut line = Line::default();
    for piece in pieces(content) {
        match piece {
            Piece::Known { at, bytes } => {
                for (place, byte) in (at..).zip(bytes) {
                    line.add(place, Some(*byte), &mut text);
                }
            }
            Piece::Redacted { at, bytes } => {
                for place in at..at.saturating_add(bytes) {
                    line.add(place, None, &mut text);
                }
            }
            Piece::Hole { range, cause } => {
                line.write(&mut text);
                let bytes = counted(range.end.saturating_sub(range.start), "byte");
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{:08x}  {bytes} missing: {}", range.start, because(cause));
            }
            Piece::Leap { .. } => line.write(&mut text),
        }
    }
    line.write(&mut text);
    text
}

/// Up to 16 bytes and the place of the first; `None` is one that is redacted.
#[derive(Default)]
struct Line {
    at: u64,
    bytes: Vec<Option<u8>>,
}

impl Line {
    fn add(&mut self, place: u64, byte: Option<u8>, text: &mut String) {
        if self.bytes.is_empty() {
            self.at = place;
        }
        self.bytes.push(byte);
        if self.bytes.len() == WIDTH {
            self.write(text);
        }
    }

    fn write(&mut self, text: &mut String) {
        if self.bytes.is_empty() {
            return;
        }
        let mut digits = String::new();
        let mut signs = String::new();
        for (number, byte) in self.bytes.drain(..).enumerate() {
            let gap = if number == WIDTH / 2 { "  " } else { " " };
            let (digit, sign) = match byte {
                Some(byte) if byte == b' ' || byte.is_ascii_graphic() => (format!("{byte:02x}"), char::from(byte)),
                Some(byte) => (format!("{byte:02x}"), '.'),
                None => ("**".to_owned(), '*'),
            };
            digits.push_str(gap);
            digits.push_str(&digit);
            signs.push(sign);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:08x} {digits:<49}  |{signs}|", self.at);
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Missing;

    use super::super::piece::tests::content;
    use super::*;

    #[test]
    fn lines_say_the_place_the_digits_and_the_signs() {
        let content =
            content(&[(5, b"password=*******&folder=7\x1b"), (4096, b"x")], &[(14, 21)], &[(31, 33, Missing::Budget)]);
        assert_eq!(
            hex(&content),
            "\
00000005  70 61 73 73 77 6f 72 64  3d ** ** ** ** ** ** **  |password=*******|
00000015  26 66 6f 6c 64 65 72 3d  37 1b                    |&folder=7.|
0000001f  2 bytes missing: a limit of the capture was reached
00001000  78                                                |x|
"
        );
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(hex(&content(&[], &[], &[])), "");
    }
}
