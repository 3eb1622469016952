//! What each channel last sent: protocols without memory send again what they sent before.

use std::collections::HashMap;
use std::ops::Range;

use super::index::{Index, Moment, ObjectId, Origin, Source, SourceId};
use super::matcher::{ChannelId, Sink};
use super::normal::Normal;
use super::run::Spared;

/// The last output of every channel, within a budget.
#[derive(Debug)]
pub(super) struct Sent {
    index: Index,
    last: HashMap<ChannelId, (u32, Moment)>,
}

/// What of an output its channel sent before, and when.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) sent_at: Option<Moment>,
}

impl Sent {
    pub(super) fn new(budget: usize) -> Self {
        Self { index: Index::new(budget), last: HashMap::new() }
    }

    pub(super) fn repeated(&self, channel: ChannelId, text: &Normal, spared: &mut Spared) -> Repeated {
        let Some(&(number, sent_at)) = self.last.get(&channel) else { return Repeated::default() };
        let Some(held) = self.index.get(number) else { return Repeated::default() };
        let shared = self.index.shared(text, spared).into_iter().filter(|shared| shared.number == number);
        let mut ranges: Vec<Range<usize>> = shared.map(|shared| shared.text_at).collect();
        // What is too short for fingerprints is compared from both ends.
        let (new, old) = (text.bytes(), held.normal.bytes());
        let same = new.iter().zip(old).take_while(|(new, old)| new == old).count();
        let same_end = new.iter().rev().zip(old.iter().rev()).take_while(|(new, old)| new == old).count();
        // A value that only begins like the one before is new.
        let whole = |at: usize| new.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let start = (0..=same).rev().find(|&at| whole(at)).unwrap_or(0);
        let end = (new.len() - same_end..new.len()).find(|&at| whole(at)).unwrap_or(new.len());
        ranges.extend([0..start, end..new.len()]);
        ranges.retain(|range| !range.is_empty());
        Repeated { ranges, sent_at: Some(sent_at) }
    }

    pub(super) fn note(&mut self, sink: &Sink<'_>) {
        if let Some((number, _)) = self.last.remove(&sink.channel) {
            self.index.remove(number);
        }
        let source = Source {
            id: SourceId(0),
            object: ObjectId(sink.channel.0),
            taken_at: sink.given_at,
            origin: Origin::Relayed,
            content: sink.content,
        };
        if let Some((number, _)) = self.index.add(&source, sink.form) {
            self.last.insert(sink.channel, (number, sink.given_at));
        }
        // Those that had to go for this one.
        let index = &self.index;
        self.last.retain(|_, (number, _)| index.get(*number).is_some());
    }

    pub(super) fn cost(&self) -> usize {
        self.index.cost()
    }
}
