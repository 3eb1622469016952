//! Rule: what is taken out of a stream links back to what was put in, by offsets: a pipe's, a socket's.
//!
//! The writer of a byte may be said after its reader, because its call ends later: so a reading burst waits until all
//! of its bytes are accounted for, or until that has become unlikely.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agentsight_ebpf::{Object, Protocol};

use super::edges::Edges;
use super::leave::HOLD;
use super::moved::Moved;
use super::object::{StreamKey, is_datagram, unix_address};
use super::stream::Stream;
use super::{CauseKind, Graph};

/// How long a reading burst waits for a writer that may be blocked in its call until the reader goes on, nanoseconds.
const HOLD_FOR_BLOCKED: u64 = 10_000_000_000;
/// Streams that hold something and have no end that is known.
const LEFT_MAX: usize = 1024;
/// Streams that go by two keys.
const ALIASES_MAX: usize = 4096;

#[derive(Default)]
pub(super) struct Streams {
    by_key: BTreeMap<StreamKey, Stream>,
    /// Those without an end that still hold something, by when the last end was forgotten.
    left: BTreeSet<(u64, StreamKey)>,
    /// What a sender called a stream before it was known whose it is.
    aliases: BTreeMap<StreamKey, StreamKey>,
    leavings: u64,
}

impl Streams {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// An open file that is an end of it came into sight.
    pub(super) fn open(&mut self, key: StreamKey) {
        let key = self.resolve(key);
        let stream = self.by_key.entry(key).or_default();
        self.left.remove(&(stream.left, key));
        stream.ends += 1;
    }

    /// An open file that is an end of it is forgotten.
    pub(super) fn release(&mut self, key: StreamKey) {
        let key = self.resolve(key);
        let Some(stream) = self.by_key.get_mut(&key) else { return };
        stream.ends = stream.ends.saturating_sub(1);
        if stream.ends > 0 {
            return;
        }
        if stream.writes.is_empty() {
            self.by_key.remove(&key);
            return;
        }
        // The reader's end is said when it is first used, and that may be long after the writer's was closed.
        self.leavings += 1;
        stream.left = self.leavings;
        self.left.insert((stream.left, key));
        if self.left.len() > LEFT_MAX
            && let Some((_, oldest)) = self.left.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }

    /// Two names turn out to be one stream's.
    pub(super) fn identify(&mut self, alias: StreamKey, key: StreamKey) {
        if alias == key || self.aliases.insert(alias, key) == Some(key) {
            return;
        }
        if self.aliases.len() > ALIASES_MAX {
            self.aliases.pop_first();
        }
        let Some(before) = self.by_key.remove(&alias) else { return };
        self.left.remove(&(before.left, alias));
        let stream = self.by_key.entry(key).or_default();
        self.left.remove(&(stream.left, key));
        stream.ends += before.ends;
        stream.is_used |= before.is_used;
        stream.writes.extend(before.writes);
        stream.writes.make_contiguous().sort_by_key(|write| (write.first, write.id));
    }

    /// Who binds an address receives what was and will be sent to it.
    pub(super) fn bind(&mut self, key: StreamKey, object: &Object) {
        if let Object::Unix(socket) = object
            && is_datagram(object)
            && let Some(alias) = unix_address(&socket.address)
        {
            self.identify(alias, key);
        }
    }

    fn resolve(&self, key: StreamKey) -> StreamKey {
        self.aliases.get(&key).copied().unwrap_or(key)
    }

    pub(super) fn begin_writing(&mut self, key: StreamKey, write: &Arc<Moved>) {
        let key = self.resolve(key);
        if let Some(stream) = self.by_key.get_mut(&key) {
            stream.begin_writing(write);
        }
    }

    pub(super) fn begin_reading(&mut self, key: StreamKey) {
        if let Some(stream) = self.by_key.get_mut(&key) {
            stream.readers += 1;
        }
    }

    /// A reading burst has left.
    pub(super) fn end_reading(&mut self, key: StreamKey, read: &Moved) {
        if let Some(stream) = self.by_key.get_mut(&key) {
            stream.end_reading(read);
        }
    }

    /// Whether all that a reading burst took is known to come from bursts that are known.
    pub(super) fn accounts_for(&self, key: StreamKey, read: &Moved) -> bool {
        self.by_key.get(&key).is_none_or(|stream| stream.accounts_for(read))
    }

    /// How long a burst that took what nobody has put in may wait, nanoseconds.
    pub(super) fn patience(&self, key: StreamKey, read: &Moved) -> u64 {
        let of_the_reader = if matches!(key, StreamKey::Pipe(_)) { 2 } else { 1 };
        let is_known = |stream: &Stream| stream.ends > of_the_reader || !stream.writes.is_empty();
        let has_writer = self.by_key.get(&key).is_some_and(is_known);
        match key {
            // Whoever made a pipe can have given its other end to traced processes only.
            StreamKey::Pipe(_) if !read.found => HOLD_FOR_BLOCKED,
            StreamKey::Pipe(_) if !has_writer => 0,
            _ if has_writer && !read.found => HOLD_FOR_BLOCKED,
            StreamKey::Inet { from, to, .. } if !has_writer && from.ip() != to.ip() && !from.ip().is_loopback() => 0,
            StreamKey::Pipe(_)
            | StreamKey::Unix(_)
            | StreamKey::UnixFrom(_)
            | StreamKey::UnixAddress(_)
            | StreamKey::Inet { .. } => HOLD,
        }
    }
}

impl Graph {
    /// Who put in what a reading burst that leaves took out.
    pub(super) fn stream_causes(&self, key: StreamKey, read: &Moved, edges: &mut Edges) {
        let kind = match key {
            StreamKey::Pipe(_) => CauseKind::Pipe,
            StreamKey::Unix(_) | StreamKey::UnixFrom(_) | StreamKey::UnixAddress(_) => CauseKind::Unix,
            StreamKey::Inet { protocol: Protocol::Tcp, .. } => CauseKind::Tcp,
            StreamKey::Inet { .. } => CauseKind::Udp,
        };
        if let Some(stream) = self.streams.by_key.get(&key) {
            stream.given_to(read, kind, edges);
        }
    }
}
