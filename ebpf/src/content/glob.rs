//! Patterns of paths: `*` is any part of a name, `?` one character of it, `[a-z]` and `[!a-z]` one of those or another,
//! `{a,b}` one of several, `**` any number of folders; `\` takes the next character as it is.
//!
//! A pattern that begins with `/` is about the whole path, any other about its end: `config.json`, `src/*.py`. One that
//! ends with `/` is about everything beneath. A path is what the process sees: below its root, without `.` and `..`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What one pattern's braces may stand for.
const ALTERNATIVES_MAX: usize = 64;

/// A pattern.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    paths: Vec<Path>,
}

/// One alternative: its names, leaf first, as the kernel writes a path.
pub(super) type Path = Vec<Component>;

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Component {
    /// `**`: any number of names.
    Folders,
    /// One name.
    Name(Vec<Token>),
}

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// One byte of these.
    One(Bytes),
    /// Any number of these.
    Many(Bytes),
}

/// A set of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes([u64; 4]);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// Nothing is in it.
    #[error("an empty pattern matches no file: write the file's name, or `**` for all")]
    Empty,
    /// No path has a NUL.
    #[error("{0:?}: no path has a NUL in it")]
    Nul(String),
    /// `.` or `..`.
    #[error("{0:?}: a path is compared without `.` and `..`: write `/the/whole/path`, or its end: `folder/name`")]
    Dots(String),
    /// A brace without its other half.
    #[error("{0:?}: a brace is open, or closes nothing: write `{{a,b}}`, or `\\{{` for the brace itself")]
    Brace(String),
    /// A bracket without its other half, or with nothing in it.
    #[error("{0:?}: `[` begins a set such as `[a-z]` of ASCII characters: write `\\[` for the bracket itself")]
    Set(String),
    /// A backslash with nothing behind it.
    #[error("{0:?}: nothing follows the last `\\`: write `\\\\` for the backslash itself")]
    Escape(String),
    /// Too many.
    #[error("{0:?}: its braces stand for more than {ALTERNATIVES_MAX} patterns: give them one by one")]
    Alternatives(String),
}

impl Glob {
    /// The patterns that it stands for.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if text.contains('\0') {
            return Err(GlobError::Nul(text.to_owned()));
        }
        let items = read_items(text)?;
        let mut paths = Vec::new();
        for alternative in expand(&items, text)? {
            paths.push(path_of(&alternative, text)?);
        }
        Ok(Self { text: text.to_owned(), paths })
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(text: String) -> Result<Self, GlobError> {
        text.parse()
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.text
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Bytes {
    /// No byte.
    const NONE: Self = Self([0; 4]);

    /// Those that a name may have.
    fn of_names() -> Self {
        Self::from_iter((1..=u8::MAX).filter(|byte| *byte != b'/'))
    }

    /// Those that go on with a character of several bytes (UTF-8).
    fn of_continuation() -> Self {
        Self::from_iter(0x80..=0xbf)
    }

    pub(super) fn contains(self, byte: u8) -> bool {
        self.0[usize::from(byte / 64)] & 1 << (byte % 64) != 0
    }

    fn without(self, other: Self) -> Self {
        Self::from_iter((0..=u8::MAX).filter(|byte| self.contains(*byte) && !other.contains(*byte)))
    }
}

impl FromIterator<u8> for Bytes {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut set = Self::NONE;
        for byte in bytes {
            set.0[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
        set
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((0..=u8::MAX).filter(|byte| self.contains(*byte))).finish()
    }
}

/// A pattern, character by character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Byte(u8),
    Set { bytes: Bytes, negated: bool },
    AnyCharacter,
    Star,
    Slash,
    BraceOpens,
    Comma,
    BraceCloses,
}

fn read_items(text: &str) -> Result<Vec<Item>, GlobError> {
    let mut items = Vec::new();
    let mut rest = text.bytes();
    let mut depth = 0_usize;
    while let Some(byte) = rest.next() {
        items.push(match byte {
            b'\\' => Item::Byte(rest.next().ok_or_else(|| GlobError::Escape(text.to_owned()))?),
            b'*' => Item::Star,
            b'?' => Item::AnyCharacter,
            b'/' => Item::Slash,
            b'[' => read_set(&mut rest).ok_or_else(|| GlobError::Set(text.to_owned()))?,
            b'{' => {
                depth += 1;
                Item::BraceOpens
            }
            b',' if depth > 0 => Item::Comma,
            b'}' => {
                depth = depth.checked_sub(1).ok_or_else(|| GlobError::Brace(text.to_owned()))?;
                Item::BraceCloses
            }
            other => Item::Byte(other),
        });
    }
    if depth > 0 { Err(GlobError::Brace(text.to_owned())) } else { Ok(items) }
}

/// What is between `[` and `]`.
fn read_set(rest: &mut std::str::Bytes<'_>) -> Option<Item> {
    let mut members: Vec<u8> = Vec::new();
    loop {
        match rest.next()? {
            b']' if !members.is_empty() => break,
            b'\\' => members.push(rest.next()?),
            byte => members.push(byte),
        }
    }
    let negated = members.len() > 1 && matches!(members[0], b'!' | b'^');
    let members = &members[usize::from(negated)..];
    if !members.is_ascii() || members.contains(&b'/') {
        return None;
    }
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(first) = members.get(at) {
        match members.get(at + 1..at + 3) {
            Some([b'-', last]) if first <= last => {
                bytes.extend(*first..=*last);
                at += 3;
            }
            Some([b'-', _]) => return None,
            _ => {
                bytes.push(*first);
                at += 1;
            }
        }
    }
    Some(Item::Set { bytes: Bytes::from_iter(bytes), negated })
}

/// Without braces: every alternative by itself.
fn expand(items: &[Item], text: &str) -> Result<Vec<Vec<Item>>, GlobError> {
    let mut done = Vec::new();
    let mut waiting = vec![items.to_vec()];
    while let Some(pattern) = waiting.pop() {
        if waiting.len() + done.len() >= ALTERNATIVES_MAX {
            return Err(GlobError::Alternatives(text.to_owned()));
        }
        // The first that closes belongs to the last that opened before it.
        let Some(closes) = pattern.iter().position(|item| *item == Item::BraceCloses) else {
            if !done.contains(&pattern) {
                done.push(pattern);
            }
            continue;
        };
        let opens = pattern[..closes].iter().rposition(|item| *item == Item::BraceOpens);
        let opens = opens.ok_or_else(|| GlobError::Brace(text.to_owned()))?;
        for choice in pattern[opens + 1..closes].split(|item| *item == Item::Comma) {
            waiting.push([&pattern[..opens], choice, &pattern[closes + 1..]].concat());
        }
    }
    Ok(done)
}

fn path_of(items: &[Item], text: &str) -> Result<Path, GlobError> {
    let is_whole = items.first() == Some(&Item::Slash);
    let is_beneath = items.last() == Some(&Item::Slash);
    let mut path = Path::new();
    for name in items.split(|item| *item == Item::Slash).filter(|name| !name.is_empty()) {
        path.push(match name {
            [Item::Star, Item::Star] => Component::Folders,
            [Item::Byte(b'.')] | [Item::Byte(b'.'), Item::Byte(b'.')] => return Err(GlobError::Dots(text.to_owned())),
            name => Component::Name(tokens_of(name)),
        });
    }
    if is_beneath {
        path.push(Component::Folders);
    }
    // What is at the end is a file, or a folder itself.
    if path.last() == Some(&Component::Folders) {
        path.push(Component::Name(vec![Token::Many(Bytes::of_names())]));
    }
    path.reverse();
    if !is_whole {
        path.push(Component::Folders);
    }
    path.dedup_by(|next, component| *next == Component::Folders && *component == Component::Folders);
    Ok(path)
}

fn tokens_of(name: &[Item]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for item in name {
        match item {
            Item::Byte(byte) => tokens.push(Token::One(Bytes::from_iter([*byte]))),
            Item::Set { bytes, negated: false } => tokens.push(Token::One(*bytes)),
            Item::Set { bytes, negated: true } => push_character(&mut tokens, *bytes),
            Item::AnyCharacter => push_character(&mut tokens, Bytes::NONE),
            Item::Star => tokens.push(Token::Many(Bytes::of_names())),
            Item::Slash | Item::BraceOpens | Item::Comma | Item::BraceCloses => {}
        }
    }
    tokens
}

/// Any character but these: its first byte, and those that go on with it.
fn push_character(tokens: &mut Vec<Token>, but: Bytes) {
    tokens.push(Token::One(Bytes::of_names().without(Bytes::of_continuation()).without(but)));
    tokens.push(Token::Many(Bytes::of_continuation()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pattern_says_how_to_mend_it() {
        let refusal = |text: &str| text.parse::<Glob>().expect_err(text);
        assert_eq!(refusal(""), GlobError::Empty);
        assert_eq!(refusal("./config.json"), GlobError::Dots("./config.json".to_owned()));
        assert_eq!(refusal("/etc/../x"), GlobError::Dots("/etc/../x".to_owned()));
        assert_eq!(refusal("{a,b"), GlobError::Brace("{a,b".to_owned()));
        assert_eq!(refusal("a}"), GlobError::Brace("a}".to_owned()));
        assert_eq!(refusal("[a-"), GlobError::Set("[a-".to_owned()));
        assert_eq!(refusal("[z-a]"), GlobError::Set("[z-a]".to_owned()));
        assert_eq!(refusal("[é]"), GlobError::Set("[é]".to_owned()));
        assert_eq!(refusal("a\\"), GlobError::Escape("a\\".to_owned()));
        let many = "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}";
        assert_eq!(refusal(many), GlobError::Alternatives(many.to_owned()));
        assert!(refusal("{a,b").to_string().contains("`\\{`"));
    }

    #[test]
    fn braces_are_every_alternative() {
        let paths = |text: &str| text.parse::<Glob>().expect(text).paths().len();
        assert_eq!((paths("a"), paths("*.{yaml,yml}"), paths("{a,{b,c}}/{d,e}")), (1, 2, 6));
    }

    #[test]
    fn a_pattern_is_kept_as_it_was_given() {
        let glob: Glob = "src/*.{py,rs}".parse().expect("it is one");
        assert_eq!((glob.to_string(), String::from(glob.clone())), ("src/*.{py,rs}".to_owned(), glob.text));
    }
}
