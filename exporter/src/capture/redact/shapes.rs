//! Secrets that are known by their own look: token prefixes, private keys, URLs with a password.

use std::ops::Range;

use regex::bytes::Regex;

use super::Capture;
use super::rules::{Rules, RulesError, expression};
use super::value::{Judge, Level, Place};

/// A token that the cut made shorter than its minimum begins at most so many bytes before the end: no minimum is longer.
const CUT_WINDOW: usize = 256;

/// Compiled token prefixes and shapes.
#[derive(Debug)]
pub(super) struct Shapes {
    tokens: Regex,
    cut_tokens: Regex,
    shapes: Vec<Regex>,
    cut_shapes: Vec<Regex>,
}

impl Shapes {
    pub(super) fn compile(rules: &Rules) -> Result<Self, RulesError> {
        // A word may begin at a byte of any other kind, after a percent-encoded byte or after an escape.
        let begin = r"(?:\A|[^A-Za-z0-9]|%[0-9A-Fa-f]{2}|\\[nrt])";
        let (mut whole, mut cut) = (Vec::new(), Vec::new());
        for rule in &rules.tokens {
            let prefixes = rule.prefixes.iter().map(|prefix| regex::escape(prefix)).collect::<Vec<_>>().join("|");
            let token = format!("(?:{prefixes})({}{{{},}})", rule.body, rule.min);
            // Compiled alone first, so that the error names the rule.
            expression(&rule.name, &token)?;
            whole.push(token);
            cut.push(format!("(?:{prefixes})({}+)", rule.body));
        }
        let shape = |name: &str, pattern: &str| expression(name, pattern);
        Ok(Self {
            tokens: expression("tokens", &format!("{begin}(?:{})", whole.join("|")))?,
            cut_tokens: expression("tokens", &format!(r"{begin}(?:{})\z", cut.join("|")))?,
            shapes: rules.shapes.iter().map(|rule| shape(&rule.name, &rule.pattern)).collect::<Result<_, _>>()?,
            cut_shapes: rules
                .shapes
                .iter()
                .filter_map(|rule| Some(shape(&rule.name, rule.cut.as_deref()?)))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn find(&self, capture: &Capture<'_>, judge: &Judge, found: &mut Vec<Range<usize>>) {
        let bytes = capture.bytes;
        // A token of letters in one case alone is a word that happens to begin like one.
        find_groups(&self.tokens, bytes, 0, found, |token| {
            token.iter().any(u8::is_ascii_digit)
                || token.iter().any(u8::is_ascii_lowercase) && token.iter().any(u8::is_ascii_uppercase)
        });
        for shape in &self.shapes {
            find_groups(shape, bytes, 0, found, |value| judge.is_secret(value, Level::Certain, Place::Script, false));
        }
        if capture.cut {
            let tail = bytes.len().saturating_sub(CUT_WINDOW);
            find_groups(&self.cut_tokens, &bytes[tail..], tail, found, |_| true);
            for shape in &self.cut_shapes {
                find_groups(shape, bytes, 0, found, |_| true);
            }
        }
    }
}

/// Every capture group of every match that passes `test`; `offset` is where `bytes` begin.
fn find_groups(
    shape: &Regex,
    bytes: &[u8],
    offset: usize,
    found: &mut Vec<Range<usize>>,
    test: impl Fn(&[u8]) -> bool,
) {
    for captures in shape.captures_iter(bytes) {
        let secrets = captures.iter().skip(1).flatten().filter(|group| test(group.as_bytes()));
        found.extend(secrets.map(|group| offset + group.start()..offset + group.end()));
    }
}
