//! The rules as they are written: one file of YAML, and a user's that adds to it.

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// Why redaction rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Not YAML, or of another form.
    #[error("redaction rules cannot be read: {0}; the form is that of the built-in redaction.yaml")]
    Form(#[from] serde_yaml_ng::Error),
    /// An expression is wrong or too large.
    #[error("redaction rule {rule:?} has an expression that does not compile: {reason}")]
    Expression {
        /// The rule's name, or the list it is in.
        rule: String,
        /// What the regex crate says.
        reason: Box<regex::Error>,
    },
    /// A prefix or name that would match everywhere.
    #[error("redaction rule {0:?} has an empty prefix, name or `near`: it would match everywhere")]
    Empty(String),
}

/// The content of one file; every list may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rules {
    pub(super) tokens: Vec<Token>,
    pub(super) shapes: Vec<Shape>,
    pub(super) keys: KeyNames,
    pub(super) options: Vec<ProgramOption>,
    pub(super) innocent: Vec<String>,
    pub(super) reference: Vec<String>,
    pub(super) types: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) name: String,
    pub(super) prefixes: Vec<String>,
    pub(super) body: String,
    pub(super) min: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) near: Vec<String>,
    pub(super) pattern: String,
    pub(super) cut: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeyNames {
    pub(super) certain: Vec<String>,
    pub(super) likely: Vec<String>,
    pub(super) possible: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramOption {
    pub(super) programs: Vec<String>,
    pub(super) flag: String,
    pub(super) value: Whither,
    pub(super) after: Option<char>,
}

/// Where an option's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Whither {
    Next,
    Attached,
    Either,
}

impl Rules {
    pub(super) fn builtin() -> Result<Self, RulesError> {
        Self::parse(include_str!("../redaction.yaml"))
    }

    pub(super) fn parse(yaml: &str) -> Result<Self, RulesError> {
        Ok(serde_yaml_ng::from_str(yaml)?)
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.tokens.extend(more.tokens);
        self.shapes.extend(more.shapes);
        self.keys.certain.extend(more.keys.certain);
        self.keys.likely.extend(more.keys.likely);
        self.keys.possible.extend(more.keys.possible);
        self.options.extend(more.options);
        self.innocent.extend(more.innocent);
        self.reference.extend(more.reference);
        self.types.extend(more.types);
    }

    /// Matches wherever any rule could: all literals that they start from.
    pub(super) fn gate(&self) -> Result<Regex, RulesError> {
        let prefixes = self.tokens.iter().flat_map(|rule| rule.prefixes.iter().map(move |text| (&rule.name, text)));
        let near = self.shapes.iter().flat_map(|rule| rule.near.iter().map(move |text| (&rule.name, text)));
        let programs = self.options.iter().flat_map(|rule| rule.programs.iter().map(move |text| (&rule.flag, text)));
        let mut alternatives = Vec::new();
        for (rule, literal) in prefixes.chain(near).chain(programs) {
            if literal.is_empty() {
                return Err(RulesError::Empty(rule.clone()));
            }
            alternatives.push(regex::escape(literal));
        }
        let keys = &self.keys;
        for key in keys.certain.iter().chain(&keys.likely).chain(&keys.possible) {
            alternatives.push(key_expression(key)?);
        }
        expression("gate", &format!("(?i){}", alternatives.join("|")))
    }
}

/// A key's name as an expression: `-` stands for any or no joint.
pub(super) fn key_expression(name: &str) -> Result<String, RulesError> {
    let words = name.strip_prefix('^').unwrap_or(name);
    let Some(first) = words.chars().next() else { return Err(RulesError::Empty(name.to_owned())) };
    let joined = words.split('-').map(regex::escape).collect::<Vec<_>>().join("[-_. ]?");
    if words == name {
        return Ok(joined);
    }
    // A capital in the middle of a name begins a word too (`dbPass`).
    let capital = format!("(?-i:[a-z]{}){}", first.to_ascii_uppercase(), &joined[first.len_utf8()..]);
    Ok(format!("(?:(?:\\A|[^A-Za-z]){joined}|{capital})"))
}

/// Compile for bytes of any content; `rule` is named in the error.
pub(super) fn expression(rule: &str, pattern: &str) -> Result<Regex, RulesError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(8 << 20)
        .dfa_size_limit(8 << 20)
        .build()
        .map_err(|reason| RulesError::Expression { rule: rule.to_owned(), reason: Box::new(reason) })
}
