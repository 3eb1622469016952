//! Patterns of bytes: `*` is any number of them, `?` is one, everything else is itself. `/` is a byte like any other.

use std::fmt;

/// A pattern.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Glob(String);

impl Glob {
    /// Every text is a pattern.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether all of `text` matches. Takes at most as many steps as the product of both lengths.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut p, mut t) = (0, 0);
        // Where to go on if what follows the last `*` does not fit: it takes one byte more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (pattern.get(p), text.get(t)) {
                (Some(b'*'), _) => {
                    retry = Some((p + 1, t));
                    p += 1;
                }
                (None, None) => return true,
                (Some(wanted), Some(found)) if *wanted == b'?' || wanted == found => {
                    p += 1;
                    t += 1;
                }
                (_, _) => match retry {
                    Some((after_star, taken)) if taken < text.len() => {
                        retry = Some((after_star, taken + 1));
                        p = after_star;
                        t = taken + 1;
                    }
                    _ => return false,
                },
            }
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_they_say() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "/a/b", true),
            ("*/claude", "/usr/bin/claude", true),
            ("*/claude", "/usr/bin/claude-code", false),
            ("*/claude*", "/usr/bin/claude-code", true),
            ("/usr/?in/*", "/usr/bin/x", true),
            ("/usr/?in/*", "/usr/in/x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*.py*", "python3 agent.py --fast", true),
            ("a**", "a", true),
            ("é?", "é!", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_on_a_long_text_end_soon() {
        let text = [b'a'].repeat(12_288);
        assert!(!Glob::new("*a*a*a*a*a*a*a*a*b").matches(&text));
    }
}
