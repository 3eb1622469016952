//! Attributes within limits: 128 of them, 2 KiB a value; what was cut is named, what was dropped is counted.

use std::borrow::Cow;

use agentsight_ebpf::Captured;
use agentsight_semconv::{AGENTSIGHT_TRUNCATED, Name};

use super::model::{Attribute, Span, Value};

/// As OpenTelemetry's SDKs have it by default.
const COUNT_LIMIT: usize = 128;
/// Bytes of one string. Tempo cuts at the same length, but says so only in its own metrics.
const TEXT_LIMIT: usize = 2048;
/// Bytes of all strings of one value together, so that a request never grows past its limit by a single span.
const TEXTS_LIMIT: usize = 16 * 1024;

/// Attributes in the order in which they were set.
#[derive(Default)]
pub(super) struct Attributes {
    list: Vec<Attribute>,
    truncated: Vec<Name>,
}

impl Attributes {
    /// None yet, with room for what most spans have.
    pub(super) fn of_span() -> Self {
        Self { list: Vec::with_capacity(24), truncated: Vec::new() }
    }

    pub(super) fn text(&mut self, name: Name, text: impl Into<Cow<'static, str>>) {
        let mut text = text.into();
        if text.len() > TEXT_LIMIT {
            cut(text.to_mut(), TEXT_LIMIT);
            self.mark_truncated(name);
        }
        self.push(name, Value::Text(text));
    }

    /// Returns whether all of it fitted.
    pub(super) fn texts(&mut self, name: Name, texts: impl IntoIterator<Item = String>) -> bool {
        let mut room = TEXTS_LIMIT;
        let mut kept = Vec::new();
        let mut whole = true;
        for mut text in texts {
            whole &= !cut(&mut text, TEXT_LIMIT.min(room));
            // Empty strings take room too, else a million of them would fit.
            room = room.saturating_sub(text.len() + 1);
            kept.push(text);
            if room == 0 {
                whole = false;
                break;
            }
        }
        if !whole {
            self.mark_truncated(name);
        }
        self.push(name, Value::Texts(kept));
        whole
    }

    /// What the kernel side read; nothing where it read nothing.
    pub(super) fn captured(&mut self, name: Name, value: &Captured) {
        self.captured_as(name, value, String::from_utf8_lossy);
    }

    /// The same, written in another way.
    pub(super) fn captured_as(&mut self, name: Name, value: &Captured, words: impl FnOnce(&[u8]) -> Cow<'_, str>) {
        if !value.bytes.is_empty() {
            self.text(name, words(&value.bytes).into_owned());
        }
        if value.gap.is_some() {
            self.mark_truncated(name);
        }
    }

    pub(super) fn int(&mut self, name: Name, value: impl TryInto<i64>) {
        self.push(name, Value::Int(value.try_into().unwrap_or(i64::MAX)));
    }

    pub(super) fn double(&mut self, name: Name, value: f64) {
        self.push(name, Value::Double(value));
    }

    /// A fact that is said only where it holds.
    pub(super) fn flag(&mut self, name: Name, holds: bool) {
        if holds {
            self.push(name, Value::Bool(true));
        }
    }

    /// The value of `name` is not all there was.
    pub(super) fn mark_truncated(&mut self, name: Name) {
        if !self.truncated.contains(&name) {
            self.truncated.push(name);
        }
    }

    /// The attributes, the names of those that were cut among them.
    pub(super) fn finish(mut self) -> Vec<Attribute> {
        if !self.truncated.is_empty() {
            let names = self.truncated.iter().map(|name| name.as_str().to_owned()).collect();
            self.list.push(Attribute { name: AGENTSIGHT_TRUNCATED, value: Value::Texts(names) });
        }
        self.list
    }

    fn push(&mut self, name: Name, value: Value) {
        self.list.push(Attribute { name, value });
    }
}

/// Add attributes to a span as far as its limit allows.
pub(super) fn append(span: &mut Span, attributes: Vec<Attribute>) {
    span.attributes.extend(attributes);
    let dropped = span.attributes.len().saturating_sub(COUNT_LIMIT);
    span.attributes.truncate(COUNT_LIMIT);
    span.dropped_attributes += u32::try_from(dropped).unwrap_or(u32::MAX);
}

/// Cut at a boundary between characters; whether anything went.
fn cut(text: &mut String, limit: usize) -> bool {
    let fits = text.len() <= limit;
    text.truncate(text.floor_char_boundary(limit));
    !fits
}

#[cfg(test)]
mod tests {
    use agentsight_semconv::{PROCESS_COMMAND_ARGS, PROCESS_EXECUTABLE_PATH, PROCESS_PID};

    use super::*;
    use crate::graph::fixture::session;
    use crate::spans::fixture::spans_of;

    fn text_of(attributes: &[Attribute]) -> &str {
        let Value::Text(text) = &attributes[0].value else { panic!("{attributes:?}") };
        text
    }

    #[test]
    fn a_long_value_is_cut_between_characters_and_named() {
        let mut attributes = Attributes::default();
        attributes.text(PROCESS_EXECUTABLE_PATH, "a".to_owned() + &"ü".repeat(2000));
        let attributes = attributes.finish();
        assert_eq!(text_of(&attributes).len(), 2047);
        assert_eq!(attributes[1].value, Value::Texts(vec!["process.executable.path".to_owned()]));
    }

    #[test]
    fn a_value_that_just_fits_is_whole() {
        let mut attributes = Attributes::default();
        attributes.text(PROCESS_EXECUTABLE_PATH, "a".repeat(TEXT_LIMIT));
        assert_eq!(attributes.finish().len(), 1);
    }

    #[test]
    fn many_empty_arguments_are_bounded() {
        let mut attributes = Attributes::default();
        assert!(!attributes.texts(PROCESS_COMMAND_ARGS, std::iter::repeat_n(String::new(), 1_000_000)));
        let Value::Texts(texts) = &attributes.finish()[0].value else { panic!() };
        assert_eq!(texts.len(), TEXTS_LIMIT);
    }

    #[test]
    fn attributes_past_the_limit_are_dropped_and_counted() {
        let mut span = spans_of(&session(), "0 root 100\n1 exec 100 /bin/a a\n2 exit 100 0").remove(0);
        let room = COUNT_LIMIT - span.attributes.len();
        let mut attributes = Attributes::default();
        (0..room + 3).for_each(|number| attributes.int(PROCESS_PID, number));
        append(&mut span, attributes.finish());
        assert_eq!((span.attributes.len(), span.dropped_attributes), (COUNT_LIMIT, 3));
    }
}
