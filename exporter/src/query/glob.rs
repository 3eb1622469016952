//! Patterns of paths and names: `*` within a folder, `**` across folders, `?`, `[a-z]`, `{a,b}`.
//!
//! A pattern without a slash is about the last part of a path, as in `.gitignore`.

use regex::{Regex, RegexBuilder};

use crate::store::PathText;

/// A pattern that was understood.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    regex: Regex,
    /// How every match begins; all of it where the pattern has no wildcard.
    known: PathText,
}

/// Why a pattern was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A bracket without its other half.
    #[error("the pattern {0:?} has a {1:?} that is never closed")]
    Unclosed(String, char),
    /// It is longer, or would take more memory, than any pattern needs.
    #[error("the pattern is too large: at most {LONGEST} bytes")]
    TooLarge,
}

/// The longest path that Linux takes.
const LONGEST: usize = 4_096;
/// Memory for one compiled pattern, bytes.
const COMPILED_MAX: usize = 1 << 20;

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Glob {
    /// A pattern of paths.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn path(text: &str) -> Result<Self, GlobError> {
        if text.contains('/') { Self::of(text, "") } else { Self::of(text, "(?:.*/)?") }
    }

    /// A pattern of names: the whole name, whatever is in it.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn name(text: &str) -> Result<Self, GlobError> {
        Self::of(text, "")
    }

    fn of(text: &str, before: &str) -> Result<Self, GlobError> {
        if text.len() > LONGEST {
            return Err(GlobError::TooLarge);
        }
        let pattern = format!("^{before}{}$", translate(text)?);
        let compiled = RegexBuilder::new(&pattern).dot_matches_new_line(true).size_limit(COMPILED_MAX).build();
        let regex = compiled.map_err(|_| GlobError::TooLarge)?;
        let literal = &text[..text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len())];
        let known = match before {
            "" if literal.len() == text.len() => PathText::Whole(text.to_owned()),
            "" => PathText::Prefix(literal.to_owned()),
            _ => PathText::Prefix(String::new()),
        };
        Ok(Self { text: text.to_owned(), regex, known })
    }

    /// Whether a text is meant.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How every match begins.
    #[must_use]
    pub fn known(&self) -> &PathText {
        &self.known
    }

    /// The text, where the pattern is just that.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        if let PathText::Whole(text) = &self.known { Some(text) } else { None }
    }
}

fn translate(text: &str) -> Result<String, GlobError> {
    let mut regex = String::with_capacity(text.len() * 2);
    let mut characters = text.chars().peekable();
    let mut alternatives = 0_u32;
    let unclosed = |bracket| GlobError::Unclosed(text.to_owned(), bracket);
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                // `a/**/b` is `a/b` too.
                if regex.ends_with('/') && characters.next_if_eq(&'/').is_some() {
                    regex.push_str("(?:.*/)?");
                } else {
                    regex.push_str(".*");
                }
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                regex.push('[');
                if characters.next_if(|c| *c == '!' || *c == '^').is_some() {
                    regex.push_str("^/");
                }
                let mut first = true;
                loop {
                    match characters.next().ok_or_else(|| unclosed('['))? {
                        ']' if !first => break,
                        '-' => regex.push('-'),
                        c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                    }
                    first = false;
                }
                regex.push(']');
            }
            '{' => {
                alternatives += 1;
                regex.push_str("(?:");
            }
            '}' if alternatives > 0 => {
                alternatives -= 1;
                regex.push(')');
            }
            ',' if alternatives > 0 => regex.push('|'),
            '\\' => {
                let c = characters.next().unwrap_or('\\');
                regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if alternatives > 0 { Err(unclosed('{')) } else { Ok(regex) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_a_shell_and_git_mean() {
        for (pattern, path, is_meant) in [
            ("/etc/**", "/etc/ssl/certs/ca.pem", true),
            ("/etc/**", "/etcetera/x", false),
            ("/etc/*", "/etc/ssl/certs", false),
            ("/etc/*.conf", "/etc/host.conf", true),
            ("config.json", "/home/me/config.json", true),
            ("config.json", "/home/me/my-config.json", false),
            ("*.{json,yaml}", "/a/b.yaml", true),
            ("/a/**/b", "/a/b", true),
            ("/a/**/b", "/a/x/y/b", true),
            ("/a/**/b", "/a/xb", false),
            ("/a/?[0-9]", "/a/x7", true),
            ("/a/[!0-9]", "/a/7", false),
            ("/a/[!0-9]", "/a//", false),
            ("/a.b", "/aXb", false),
            (r"/a/\*", "/a/*", true),
            ("/new\nline*", "/new\nlines", true),
            ("/a}", "/a}", true),
        ] {
            assert_eq!(Glob::path(pattern).unwrap().matches(path), is_meant, "{pattern} {path}");
        }
    }

    #[test]
    fn what_every_match_begins_with_is_known() {
        assert_eq!(Glob::path("/etc/**").unwrap().known(), &PathText::Prefix("/etc/".to_owned()));
        assert_eq!(Glob::path("/etc/hosts").unwrap().exact(), Some("/etc/hosts"));
        assert_eq!(Glob::path("hosts").unwrap().known(), &PathText::Prefix(String::new()));
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_refused_and_none_takes_the_machines_memory() {
        assert_eq!(Glob::path("/a/[b").unwrap_err(), GlobError::Unclosed("/a/[b".to_owned(), '['));
        assert_eq!(Glob::path("/a/{b").unwrap_err(), GlobError::Unclosed("/a/{b".to_owned(), '{'));
        assert_eq!(Glob::path(&"x".repeat(5_000)).unwrap_err(), GlobError::TooLarge);
        let _ = Glob::path(&"{*,?".repeat(500));
        let _ = Glob::path(&"*".repeat(4_000)).map(|glob| glob.matches(&"a".repeat(4_000)));
    }
}
