//! Secrets that are a word of a command: the one after `--token`, and those that some programs' options take.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::bytes::Regex;

use super::Capture;
use super::keys::Keys;
use super::rules::{Rules, RulesError, Whither, expression};
use super::value::{Judge, Level, Place};
use super::words::{Command, Reader, base_name, commands, unquoted};

/// Compiled options of programs.
#[derive(Debug)]
pub(super) struct Options {
    options: Vec<ProgramOption>,
}

#[derive(Debug)]
struct ProgramOption {
    programs: Vec<String>,
    /// The whole word is the option.
    next: Option<Regex>,
    /// The word begins with the option.
    attached: Option<Regex>,
    after: Option<char>,
}

impl Options {
    pub(super) fn compile(rules: &Rules) -> Result<Self, RulesError> {
        let mut options = Vec::with_capacity(rules.options.len());
        for rule in &rules.options {
            let next = expression(&rule.flag, &format!(r"\A(?:{})\z", rule.flag))?;
            let attached = expression(&rule.flag, &format!(r"\A(?:{})", rule.flag))?;
            options.push(ProgramOption {
                programs: rule.programs.clone(),
                next: (rule.value != Whither::Attached).then_some(next),
                attached: (rule.value != Whither::Next).then_some(attached),
                after: rule.after,
            });
        }
        Ok(Self { options })
    }

    pub(super) fn find(&self, capture: &Capture<'_>, keys: &Keys, judge: &Judge, found: &mut Vec<Range<usize>>) {
        for command in commands(capture) {
            let search = Search { capture, judge, command: &command };
            let taken = search.after_programs(&self.options, found);
            search.after_names(keys, &taken, found);
        }
    }
}

struct Search<'a> {
    capture: &'a Capture<'a>,
    judge: &'a Judge,
    command: &'a Command,
}

impl Search<'_> {
    /// `--token x`, and `config set aws_secret_access_key x`. `taken`: starts of words that are no names (`-psecret` of mysql).
    fn after_names(&self, keys: &Keys, taken: &BTreeSet<usize>, found: &mut Vec<Range<usize>>) {
        for pair in self.command.words.windows(2) {
            let (name, value) = (self.word(&pair[0]), self.word(&pair[1]));
            if taken.contains(&pair[0].start) {
                continue;
            }
            let Some(level) = keys.level_of(name) else { continue };
            let is_option = name.starts_with(b"-");
            let level = if is_option { level } else { Level::Possible };
            // The option before another one takes no value: it asks, or reads it from elsewhere.
            if value.starts_with(b"-") && !super::value::looks_made(value) {
                continue;
            }
            let place = match self.command.reader {
                Reader::Anyone if level != Level::Certain => Place::Prose,
                Reader::Program => Place::Literal,
                Reader::Shell | Reader::Anyone => Place::Script,
            };
            // `grep password sr…` goes on with anything, `set secret_key sr…` with a key.
            let cut = (is_option || name.contains(&b'_')) && self.capture.is_cut_at(pair[1].end);
            if self.judge.is_secret(value, level, place, cut) {
                found.push(pair[1].clone());
            }
        }
    }

    /// Returns where the words begin that have a secret attached.
    fn after_programs(&self, options: &[ProgramOption], found: &mut Vec<Range<usize>>) -> BTreeSet<usize> {
        let mut taken = BTreeSet::new();
        let place = if self.command.reader == Reader::Program { Place::Literal } else { Place::Script };
        for option in options {
            let is_program =
                |word: &Range<usize>| option.programs.iter().any(|name| name.as_bytes() == base_name(self.word(word)));
            let Some(program) = self.command.words.iter().position(is_program) else { continue };
            let words = &self.command.words[program + 1..];
            for (index, word) in words.iter().enumerate() {
                let Some(value) = self.value(option, word, words.get(index + 1)) else { continue };
                let cut = self.capture.is_cut_at(value.end);
                if value.start < word.end {
                    taken.insert(word.start);
                }
                if self.judge.is_secret(self.word(&value), Level::Certain, place, cut) {
                    found.push(value);
                }
            }
        }
        taken
    }

    /// The secret part of the option's value, where `word` is this option.
    fn value(&self, option: &ProgramOption, word: &Range<usize>, next: Option<&Range<usize>>) -> Option<Range<usize>> {
        let text = self.word(word);
        let value = if option.next.as_ref().is_some_and(|flag| flag.is_match(text)) {
            next?.clone()
        } else {
            let flag = option.attached.as_ref()?.find(text)?;
            unquoted(self.capture, word.start + flag.end()..word.end)
        };
        let Some(after) = option.after else { return Some(value) };
        let separator = self.word(&value).iter().position(|&byte| char::from(byte) == after)?;
        Some(value.start + separator + 1..value.end)
    }

    fn word(&self, range: &Range<usize>) -> &[u8] {
        &self.capture.bytes[range.clone()]
    }
}
