//! Contents as text: lines and tabs as they were, marks between `⟦` and `⟧`, everything else that is no plain text escaped.

use std::fmt::Write;

use super::piece::{Piece, pieces};
use super::{because, counted};
use crate::spans::model::SpanContent;
use crate::terminal::printable;

const OPEN: char = '⟦';
const CLOSE: char = '⟧';

/// What a span moved. Ends with a newline, unless there is nothing.
#[must_use]
pub fn text(content: &SpanContent) -> String {
    let mut text = String::new();
    for piece in pieces(content) {
        // Writing to a String cannot fail.
        let _ = match piece {
            Piece::Known { bytes, .. } => {
                write_known(bytes, &mut text);
                Ok(())
            }
            Piece::Redacted { bytes, .. } => write!(text, "{OPEN}{} redacted{CLOSE}", counted(bytes, "byte")),
            Piece::Hole { range, cause } => {
                let bytes = counted(range.end.saturating_sub(range.start), "byte");
                write!(text, "{OPEN}{bytes} missing: {}{CLOSE}", because(cause))
            }
            Piece::Leap { to } => write!(text, "{OPEN}on at {to}{CLOSE}"),
        };
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn write_known(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(['\n', '\t', OPEN, CLOSE]) {
            let plain = part.strip_suffix(['\n', '\t', OPEN, CLOSE]).unwrap_or(part);
            text.push_str(&printable(plain));
            match part[plain.len()..].chars().next() {
                // A mark is ours alone.
                Some(mark @ (OPEN | CLOSE)) => text.push_str(&format!("\\u{:04x}", u32::from(mark))),
                Some(space) => text.push(space),
                None => {}
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Missing;

    use super::super::piece::tests::content;
    use super::*;

    #[test]
    fn holes_redactions_and_leaps_are_marked_where_they_are() {
        let content = content(
            &[(10, b"{\"token\": \"****\",\n"), (4096, b"\t\"id\": 7}")],
            &[(21, 25)],
            &[(0, 10, Missing::RingFull), (28, 29, Missing::Unreadable)],
        );
        assert_eq!(
            text(&content),
            "⟦10 bytes missing: the kernel's ring was full⟧{\"token\": \"⟦4 bytes redacted⟧\",\n\
             ⟦1 byte missing: they could not be read where they were⟧⟦on at 4096⟧\t\"id\": 7}\n"
        );
    }

    #[test]
    fn nothing_that_drives_a_terminal_or_looks_like_a_mark_comes_through() {
        let text = |bytes: &[u8]| text(&content(&[(0, bytes)], &[], &[]));
        assert_eq!(text(b"\x1b]0;title\x07a\rb\0\xff\n"), "\\e]0;title\\x07a\\rb\\x00\\xff\n");
        assert_eq!(text("a⟦4 bytes redacted⟧b".as_bytes()), "a\\u27e64 bytes redacted\\u27e7b\n");
        assert_eq!(text("gr\u{202e}öße\n".as_bytes()), "gr\\u202eöße\n");
        assert_eq!(text(b""), "");
    }
}
