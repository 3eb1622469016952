//! Patterns of paths as one table of states, which the kernel walks byte by byte.
//!
//! It reads a path as the kernel writes it: names, leaf first, each ended by NUL. The table is exact: all patterns are
//! followed at once, and where a path ends, which of them match is known, so that "wanted, allowed and not denied" is
//! one number. Built once for a session, by subset construction, and made as small as it can be.

use std::collections::BTreeMap;

use super::glob::{Bytes, Component, Glob, Path, Token};

/// So many states a table may have, and so many more while it is made.
const STATES_MAX: usize = 4096;
const STATES_MAX_WHILE_MADE: usize = 4 * STATES_MAX;

/// A table. State 0 is where no path that goes on is wanted any more, state 1 where every one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automaton {
    start: u16,
    states: Vec<State>,
}

/// What is known of a path so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// By the next byte.
    pub(crate) next: [u16; 256],
    /// The path is wanted if it ends here.
    pub(crate) accepts: bool,
}

/// The patterns are too much for a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the patterns together need more than {STATES_MAX} states: give fewer, or with fewer `*` in one name")]
pub struct AutomatonError;

impl Automaton {
    /// Of paths that one of `wanted` matches, one of `allowed` (where that is given), and none of `denied`.
    ///
    /// # Errors
    /// There would be too many states.
    pub fn build(wanted: &[Glob], allowed: Option<&[Glob]>, denied: &[Glob]) -> Result<Self, AutomatonError> {
        let mut patterns = Vec::new();
        for (role, globs) in
            [(Role::Wanted, wanted), (Role::Allowed, allowed.unwrap_or_default()), (Role::Denied, denied)]
        {
            patterns.extend(globs.iter().flat_map(Glob::paths).map(|path| (role, path)));
        }
        let accepts =
            |matching: Matching| matching.wanted && (allowed.is_none() || matching.allowed) && !matching.denied;
        Subsets { patterns: &patterns, classes: Classes::of(&patterns) }.build(accepts)
    }

    /// Whether no path at all is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == 0
    }

    /// Whether a path is wanted that is absolute.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut state = usize::from(self.start);
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).rev() {
            for byte in name.iter().chain(&[0]) {
                state = usize::from(self.states[state].next[usize::from(*byte)]);
            }
        }
        self.states[state].accepts
    }

    /// Where every path begins.
    #[cfg(any(feature = "live", test))]
    pub(crate) fn start(&self) -> u16 {
        self.start
    }

    /// All states; the first two are those of every table.
    #[cfg(any(feature = "live", test))]
    pub(crate) fn states(&self) -> &[State] {
        &self.states
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Wanted,
    Allowed,
    Denied,
}

/// Which kinds of patterns match.
#[derive(Clone, Copy, Debug, Default)]
struct Matching {
    wanted: bool,
    allowed: bool,
    denied: bool,
}

/// How far one pattern is: so many of its components are behind, and so many tokens of the current one. In a component
/// [`Component::Folders`], token 1 is within a name. Behind the last component it matches if the path ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    pattern: usize,
    component: usize,
    token: usize,
}

/// Bytes that no pattern tells apart. The first is of NUL alone.
struct Classes {
    of_byte: [usize; 256],
    /// One byte of each.
    examples: Vec<u8>,
}

impl Classes {
    fn of(patterns: &[(Role, &Path)]) -> Self {
        let mut sets: Vec<Bytes> = Vec::new();
        for component in patterns.iter().flat_map(|(_, path)| path.iter()) {
            let Component::Name(tokens) = component else { continue };
            for Token::One(bytes) | Token::Many(bytes) in tokens {
                if !sets.contains(bytes) {
                    sets.push(*bytes);
                }
            }
        }
        let mut known: BTreeMap<(bool, Vec<bool>), usize> = BTreeMap::new();
        let mut classes = Self { of_byte: [0; 256], examples: Vec::new() };
        for byte in 0..=u8::MAX {
            let told_apart_by = (byte == 0, sets.iter().map(|set| set.contains(byte)).collect());
            let class = *known.entry(told_apart_by).or_insert_with(|| {
                classes.examples.push(byte);
                classes.examples.len() - 1
            });
            classes.of_byte[usize::from(byte)] = class;
        }
        classes
    }
}

/// The construction: each state is the set of positions that the patterns may be at.
struct Subsets<'a> {
    patterns: &'a [(Role, &'a Path)],
    classes: Classes,
}

impl Subsets<'_> {
    fn build(&self, accepts: impl Fn(Matching) -> bool) -> Result<Automaton, AutomatonError> {
        let begin = |pattern| Position { pattern, component: 0, token: 0 };
        let start = self.close((0..self.patterns.len()).map(begin).collect());
        let mut numbers = BTreeMap::from([(start.clone(), 0)]);
        let mut sets = vec![start];
        let mut next: Vec<Vec<usize>> = Vec::new();
        while let Some(positions) = sets.get(next.len()).cloned() {
            let mut row = Vec::with_capacity(self.classes.examples.len());
            for byte in &self.classes.examples {
                let moved = positions.iter().filter_map(|position| self.advance(*position, *byte)).collect();
                let moved = self.close(moved);
                let number = *numbers.entry(moved.clone()).or_insert_with(|| {
                    sets.push(moved);
                    sets.len() - 1
                });
                row.push(number);
            }
            next.push(row);
            if sets.len() > STATES_MAX_WHILE_MADE {
                return Err(AutomatonError);
            }
        }
        let accepting: Vec<bool> = sets.iter().map(|positions| accepts(self.matching(positions))).collect();
        self.lay_out(&next, &accepting, &equal_states(&next, &accepting))
    }

    fn component(&self, position: Position) -> Option<&Component> {
        self.patterns[position.pattern].1.get(position.component)
    }

    fn is_last(&self, position: Position) -> bool {
        position.component + 1 == self.patterns[position.pattern].1.len()
    }

    /// With the positions that are reached without a byte; sorted.
    fn close(&self, mut positions: Vec<Position>) -> Vec<Position> {
        let mut at = 0;
        while let Some(position) = positions.get(at).copied() {
            at += 1;
            match self.component(position) {
                // Of the folders above all names it is no matter where one ends, so a state there holds for ever.
                Some(Component::Folders) if position.token == 0 || self.is_last(position) => {
                    positions.push(Position { component: position.component + 1, token: 0, ..position });
                }
                Some(Component::Name(tokens)) if matches!(tokens.get(position.token), Some(Token::Many(_))) => {
                    positions.push(Position { token: position.token + 1, ..position });
                }
                _ => {}
            }
        }
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    fn advance(&self, position: Position, byte: u8) -> Option<Position> {
        match self.component(position)? {
            Component::Folders => Some(Position { token: usize::from(byte != 0), ..position }),
            Component::Name(tokens) => match tokens.get(position.token) {
                None => (byte == 0).then_some(Position { component: position.component + 1, token: 0, ..position }),
                Some(Token::One(bytes)) => {
                    bytes.contains(byte).then_some(Position { token: position.token + 1, ..position })
                }
                Some(Token::Many(bytes)) => bytes.contains(byte).then_some(position),
            },
        }
    }

    fn matching(&self, positions: &[Position]) -> Matching {
        let mut matching = Matching::default();
        for position in positions.iter().filter(|position| self.component(**position).is_none()) {
            match self.patterns[position.pattern].0 {
                Role::Wanted => matching.wanted = true,
                Role::Allowed => matching.allowed = true,
                Role::Denied => matching.denied = true,
            }
        }
        matching
    }

    /// One state for each block of equal ones, those two that decide for ever first.
    fn lay_out(&self, next: &[Vec<usize>], accepting: &[bool], blocks: &[usize]) -> Result<Automaton, AutomatonError> {
        let mut numbers: BTreeMap<usize, u16> = BTreeMap::new();
        let mut states = [false, true].map(|accepts| State { next: [u16::from(accepts); 256], accepts }).to_vec();
        let mut members = Vec::new();
        for (set, block) in blocks.iter().enumerate() {
            if numbers.contains_key(block) {
                continue;
            }
            let stays = next[set].iter().all(|to| blocks[*to] == *block);
            let number = if stays {
                u16::from(accepting[set])
            } else {
                members.push(set);
                u16::try_from(members.len() + 1).map_err(|_| AutomatonError)?
            };
            numbers.insert(*block, number);
        }
        for set in members {
            let to = self.classes.of_byte.map(|class| numbers[&blocks[next[set][class]]]);
            states.push(State { next: to, accepts: accepting[set] });
        }
        if states.len() > STATES_MAX {
            return Err(AutomatonError);
        }
        Ok(Automaton { start: numbers[&blocks[0]], states })
    }
}

/// Which states no path tells apart, by the number of their block: split until nothing splits any more (Moore).
fn equal_states(next: &[Vec<usize>], accepting: &[bool]) -> Vec<usize> {
    let mut blocks: Vec<usize> = accepting.iter().map(|accepts| usize::from(*accepts)).collect();
    let mut count = 0;
    loop {
        let mut numbers: BTreeMap<(usize, Vec<usize>), usize> = BTreeMap::new();
        let split: Vec<usize> = blocks
            .iter()
            .zip(next)
            .map(|(block, row)| {
                let fresh = numbers.len();
                *numbers.entry((*block, row.iter().map(|to| blocks[*to]).collect())).or_insert(fresh)
            })
            .collect();
        if numbers.len() == count {
            return split;
        }
        count = numbers.len();
        blocks = split;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn wanted(texts: &[&str]) -> Automaton {
        Automaton::build(&globs(texts), None, &[]).expect("they are few")
    }

    #[test]
    fn patterns_match_as_they_say() {
        for (pattern, path, expected) in [
            ("config.json", "/srv/app/config.json", true),
            ("config.json", "/config.json", true),
            ("config.json", "/srv/config.json.bak", false),
            ("config.json", "/srv/my-config.json", false),
            ("config.json", "/config.json/more", false),
            ("*.yaml", "/a/b/.yaml", true),
            ("*.yaml", "/a/b/values.yaml", true),
            ("*.yaml", "/a/b.yaml/values", false),
            ("src/*.py", "/home/me/src/a.py", true),
            ("src/*.py", "/home/me/src/deep/a.py", false),
            ("src/**/*.py", "/home/me/src/deep/er/a.py", true),
            ("src/**/*.py", "/home/me/src/a.py", true),
            ("/etc/*", "/etc/passwd", true),
            ("/etc/*", "/srv/etc/passwd", false),
            ("/etc/*", "/etc/ssl/cert", false),
            ("/etc/**", "/etc/ssl/cert", true),
            ("/etc/", "/etc/ssl/cert", true),
            ("/etc/**", "/etcetera/x", false),
            ("**", "/anything/at all", true),
            ("*", "/anything/at all", true),
            ("/*", "/anything/at all", false),
            ("/**/x", "/x", true),
            ("a?c", "/abc", true),
            ("a?c", "/ac", false),
            ("a?c", "/aéc", true),
            ("a?c", "/aéec", false),
            ("[a-c]x", "/bx", true),
            ("[!a-c]x", "/bx", false),
            ("[!a-c]x", "/éx", true),
            ("[]]x", "/]x", true),
            ("*.{yaml,yml}", "/a.yml", true),
            ("*.{yaml,yml}", "/a.yl", false),
            ("\\*", "/*", true),
            ("\\*", "/a", false),
            ("*a*b", "/xaxbxb", true),
            ("*a*b", "/xbxa", false),
        ] {
            assert_eq!(wanted(&[pattern]).matches(path.as_bytes()), expected, "{pattern} on {path}");
        }
    }

    /// The same by trying, name by name from the root.
    fn matches_slowly(path: &[Component], names: &[&[u8]]) -> bool {
        match path.split_first() {
            None => names.is_empty(),
            Some((Component::Folders, rest)) => (0..=names.len()).any(|taken| matches_slowly(rest, &names[taken..])),
            Some((Component::Name(tokens), rest)) => names
                .split_first()
                .is_some_and(|(name, names)| name_matches_slowly(tokens, name) && matches_slowly(rest, names)),
        }
    }

    fn name_matches_slowly(tokens: &[Token], name: &[u8]) -> bool {
        match tokens.split_first() {
            None => name.is_empty(),
            Some((Token::One(bytes), rest)) => {
                name.split_first().is_some_and(|(byte, name)| bytes.contains(*byte) && name_matches_slowly(rest, name))
            }
            Some((Token::Many(bytes), rest)) => {
                let taken = name.iter().take_while(|byte| bytes.contains(**byte)).count();
                (0..=taken).any(|taken| name_matches_slowly(rest, &name[taken..]))
            }
        }
    }

    #[test]
    fn the_table_says_what_trying_says_of_all_short_paths() {
        let patterns =
            ["a", "a*", "*b", "*a*b", "a/**", "/a/b", "/**/b", "**/a/*", "?", "b/{a,b?}", "[!a]", "/a/", "/*"];
        let letters = [b'a', b'b', b'/'];
        let mut paths = vec![b"/".to_vec()];
        for length in 1..=6_u32 {
            for number in 0..3_usize.pow(length) {
                let letter = |place: u32| letters[number / 3_usize.pow(place) % 3];
                paths.push([b'/'].into_iter().chain((0..length).map(letter)).collect());
            }
        }
        for (index, pattern) in patterns.iter().enumerate() {
            let other = patterns[(index + 5) % patterns.len()];
            let allowed = patterns[(index + 3) % patterns.len()];
            let [glob, denied, within] = [pattern, other, allowed].map(|text| globs(&[text]));
            let alone = wanted(&[pattern]);
            let bounded = Automaton::build(&glob, Some(&within), &denied).expect("they are few");
            for path in &paths {
                let names: Vec<&[u8]> =
                    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).rev().collect();
                let slowly = |globs: &[Glob]| globs[0].paths().iter().any(|path| matches_slowly(path, &names));
                let text = String::from_utf8_lossy(path);
                assert_eq!(alone.matches(path), slowly(&glob), "{pattern} on {text}");
                let expected = slowly(&glob) && slowly(&within) && !slowly(&denied);
                assert_eq!(bounded.matches(path), expected, "{pattern} within {allowed}, not {other}, on {text}");
            }
        }
    }

    #[test]
    fn what_is_denied_is_not_wanted_and_what_is_not_allowed_is_not_either() {
        let table =
            Automaton::build(&globs(&["**"]), Some(&globs(&["/srv/"])), &globs(&["*.key"])).expect("they are few");
        assert!(table.matches(b"/srv/a/config"));
        assert!(!table.matches(b"/srv/a/tls.key"));
        assert!(!table.matches(b"/etc/config"));
        assert!(Automaton::build(&globs(&["*.key"]), None, &globs(&["*.key"])).expect("they are few").is_empty());
    }

    #[test]
    fn a_table_is_as_small_as_it_can_be() {
        // The letters of the name, the NUL behind it, and the two ends.
        assert_eq!(wanted(&["config.json"]).states().len(), 2 + "config.json".len() + 1);
        assert_eq!(wanted(&["*", "a", "b*"]).start(), wanted(&["*"]).start());
        assert!(wanted(&[]).is_empty());
    }

    #[test]
    fn patterns_that_would_need_too_many_states_are_refused() {
        let text = format!("*a{}", "?".repeat(14));
        assert_eq!(Automaton::build(&globs(&[&text]), None, &[]), Err(AutomatonError));
    }
}
