//! Foreign text made harmless: quoted as a shell would read it, with nothing in it that drives a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// One argument as it could be typed into bash.
#[must_use]
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+./:=@%,^".contains(c) || (!c.is_ascii() && !drives(c));
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else if text.chars().any(drives) {
        Cow::Owned(format!("$'{}'", escaped(text, &['\'', '\\'])))
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

/// Text outside of quotes.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(drives) { Cow::Owned(escaped(text, &[])) } else { Cow::Borrowed(text) }
}

/// JSON that says the same, with nothing in it that drives a terminal.
pub(super) fn printable_json(json: &str) -> String {
    let mut printable = String::with_capacity(json.len());
    for c in json.chars() {
        if drives(c) {
            // All that is not ASCII stands in strings, and so does the one ASCII control that serde leaves as it is.
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(printable, "\\u{unit:04x}");
            }
        } else {
            printable.push(c);
        }
    }
    printable
}

fn escaped(text: &str, with_backslash: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match c {
            '\n' => escaped.write_str(r"\n"),
            '\t' => escaped.write_str(r"\t"),
            '\r' => escaped.write_str(r"\r"),
            '\x1b' => escaped.write_str(r"\e"),
            c if with_backslash.contains(&c) => write!(escaped, "\\{c}"),
            c if drives(c) && c.is_ascii() => write!(escaped, "\\x{:02x}", u32::from(c)),
            c if drives(c) && u32::from(c) <= 0xffff => write!(escaped, "\\u{:04x}", u32::from(c)),
            c if drives(c) => write!(escaped, "\\U{:08x}", u32::from(c)),
            c => escaped.write_char(c),
        };
    }
    escaped
}

/// Characters that act on the terminal, on the order of its text, or that cannot be seen: C0 and C1 controls,
/// soft hyphen, combining marks, zero-width and bidirectional controls, line separators, variation selectors, tags.
fn drives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
            | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{20d0}'..='\u{20ff}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_a_shell_needs_it() {
        for (text, quoted) in [
            ("--jobs=4", "--jobs=4"),
            ("größe", "größe"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
            ("{a,b}", "'{a,b}'"),
        ] {
            assert_eq!(shell_word(text), quoted);
        }
    }

    #[test]
    fn nothing_that_drives_a_terminal_comes_through() {
        for (text, quoted) in [
            ("a\nb", r"$'a\nb'"),
            ("\x1b[2J'", r"$'\e[2J\''"),
            ("\x1b]0;title\x07", r"$'\e]0;title\x07'"),
            ("\u{9b}2J", r"$'\u009b2J'"),
            ("a\u{202e}txt.exe", r"$'a\u202etxt.exe'"),
            ("\u{e0041}", r"$'\U000e0041'"),
            ("back\\slash\r", r"$'back\\slash\r'"),
        ] {
            assert_eq!(shell_word(text), quoted);
        }
        assert_eq!(printable_json("{\"a\":\"\u{9b}2J\u{7f}\u{e0041}ü\"}"), r#"{"a":"\u009b2J\u007f\udb40\udc41ü"}"#);
        assert_eq!(printable("it's \x1b[31mred"), r"it's \e[31mred");
    }
}
