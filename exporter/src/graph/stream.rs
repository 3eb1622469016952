//! Rule: what is taken out of a stream links back to what was put in, by offsets: a pipe's, a socket's.
//!
//! The writer of a byte may be said after its reader, because its call ends later: so a reading burst waits until all
//! of its bytes are accounted for, or until that has become unlikely.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use agentsight_ebpf::{BurstId, KernelNanos, Object, Protocol};

use super::edges::{Edge, Edges};
use super::leave::HOLD;
use super::moved::{Moved, Range};
use super::object::{StreamKey, is_datagram, may_be_one_way, unix_address};
use super::{CauseKind, Confidence, Graph};

/// How long a reading burst waits for a writer that may be blocked in its call until the reader goes on, nanoseconds.
const HOLD_FOR_BLOCKED: u64 = 10_000_000_000;
/// Streams that hold something and have no end that is known.
const LEFT_MAX: usize = 1024;
/// Streams that go by two keys.
const ALIASES_MAX: usize = 4096;
/// Writing bursts of one stream that are kept: of those that nobody reads the oldest are forgotten.
const WRITES_MAX: usize = 256;

#[derive(Debug, Default)]
struct Stream {
    /// The bursts that wrote to it, in order of their beginning.
    writes: VecDeque<Arc<Moved>>,
    /// Open files that are an end of it: a pipe's count twice.
    ends: u32,
    /// When its offsets began anew, because a FIFO was opened or a port used again: what comes after that.
    since: KernelNanos,
    /// Something was written since.
    is_used: bool,
    /// Everything before this offset was read, by bursts that have left.
    consumed: u64,
    /// Of datagrams, instead: how much of each writing burst was read, by bursts that have left.
    taken: BTreeMap<BurstId, u64>,
    /// Reading bursts that have not left.
    readers: u32,
    /// Its number among those without an end.
    left: u64,
}

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
        // Each sender of messages counts for itself.
        let has_offsets = !(matches!(*write.object, Object::Unix(_)) && is_datagram(&write.object));
        if let Some(stream) = self.by_key.get_mut(&key) {
            // One write alone is the first. Who has it open does not tell: an end is said when it is first used.
            if write.offset == 0 && stream.is_used && has_offsets {
                stream.since = KernelNanos(write.first.0.saturating_sub(1));
                stream.consumed = 0;
            }
            stream.is_used = true;
            stream.writes.push_back(Arc::clone(write));
            if stream.writes.len() > WRITES_MAX
                && let Some(oldest) = stream.writes.pop_front()
            {
                stream.taken.remove(&oldest.id);
            }
        }
    }

    pub(super) fn begin_reading(&mut self, key: StreamKey) {
        if let Some(stream) = self.by_key.get_mut(&key) {
            stream.readers += 1;
        }
    }

    /// A reading burst has left.
    pub(super) fn end_reading(&mut self, key: StreamKey, read: &Moved) {
        let Some(stream) = self.by_key.get_mut(&key) else { return };
        stream.readers = stream.readers.saturating_sub(1);
        if is_datagram(&read.object) {
            stream.take(read);
            return;
        }
        if read.first > stream.since && read.is_dense() && read.range().start <= stream.consumed {
            stream.consumed = stream.consumed.max(read.range().end);
        }
        if stream.readers == 0 {
            let (consumed, since) = (stream.consumed, stream.since);
            stream.writes.retain(|it| it.first > since && (it.end.get().is_none() || it.range().end > consumed));
        }
    }

    /// Whether all that a reading burst took is known to come from bursts that are known.
    pub(super) fn accounts_for(&self, key: StreamKey, read: &Moved) -> bool {
        let Some(stream) = self.by_key.get(&key) else { return true };
        if is_datagram(&read.object) {
            let known: u64 = stream.messages_for(read).iter().map(|(_, bytes)| *bytes).sum();
            return known >= read.bytes_at_most();
        }
        let mut covered = read.range().start;
        let mut ranges: Vec<Range> = stream.candidates(read).map(|write| stream.range_of(write)).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        for range in ranges {
            if range.start <= covered {
                covered = covered.max(range.end);
            }
        }
        covered >= read.range().end
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

impl Stream {
    /// The writes that are of the same age of the stream as a reading burst.
    fn candidates<'a>(&'a self, read: &'a Moved) -> impl Iterator<Item = &'a Arc<Moved>> {
        let is_of_today = |moved: &Moved| moved.first > self.since;
        self.writes.iter().filter(move |write| is_of_today(write) == is_of_today(read))
    }

    /// A burst that goes on reaches as far as to where the next one began.
    fn range_of(&self, write: &Moved) -> Range {
        let range = write.range();
        if write.end.get().is_some() {
            return range;
        }
        let next = self.writes.iter().map(|it| it.range().start).filter(|start| *start > range.start).min();
        Range { end: next.unwrap_or(u64::MAX), ..range }
    }

    /// Messages are taken in the order in which they were sent: from whom, and how many bytes.
    fn messages_for<'a>(&'a self, read: &'a Moved) -> Vec<(&'a Arc<Moved>, u64)> {
        let end = read.last().unwrap_or(KernelNanos(u64::MAX));
        let mut wanted = read.bytes_at_most();
        let mut found = Vec::new();
        for write in self.candidates(read) {
            if write.first >= end || !may_be_one_way(&write.object, &read.object) {
                continue;
            }
            let taken = self.taken.get(&write.id).copied().unwrap_or(0);
            let bytes = write.bytes_at_most().saturating_sub(taken).min(wanted);
            if bytes > 0 {
                wanted -= bytes;
                found.push((write, bytes));
            }
        }
        found
    }

    /// A burst that read messages has left.
    fn take(&mut self, read: &Moved) {
        if read.end.get().is_none() {
            return;
        }
        let taken: Vec<_> = self.messages_for(read).into_iter().map(|(write, bytes)| (write.id, bytes)).collect();
        for (write, bytes) in taken {
            *self.taken.entry(write).or_default() += bytes;
        }
        let (taken, readers) = (&self.taken, self.readers);
        let is_left =
            |it: &Arc<Moved>| it.end.get().is_none_or(|end| taken.get(&it.id).is_none_or(|of| *of < end.bytes));
        self.writes.retain(|it| readers > 0 || is_left(it));
        let writes = &self.writes;
        self.taken.retain(|id, _| writes.iter().any(|it| it.id == *id));
    }

    fn given_to(&self, read: &Moved, kind: CauseKind, edges: &mut Edges) {
        if is_datagram(&read.object) {
            for (write, bytes) in self.messages_for(read) {
                let sure = if write.found || read.found { Confidence::UNORDERED } else { Confidence::BY_VERSION };
                edges.push(Edge { kind, confidence: sure, cause: Arc::clone(write), bytes: Some(bytes) });
            }
            return;
        }
        for write in self.candidates(read) {
            let bytes = read.range().overlap(self.range_of(write)).min(read.bytes_at_most()).min(write.bytes_at_most());
            if bytes == 0 {
                continue;
            }
            let sure = if write.found || read.found {
                Confidence::UNORDERED
            } else if write.end.get().is_some_and(|end| end.sparse) || !read.is_dense() {
                Confidence::BY_VERSION
            } else {
                Confidence::CERTAIN
            };
            edges.push(Edge { kind, confidence: sure, cause: Arc::clone(write), bytes: Some(bytes) });
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn what_a_pipe_carries_is_linked_by_offsets() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 fork 100 101
                3 fork 100 102
                4 exec 101 /bin/cat cat
                5 exec 102 /bin/sort sort
                6 out 101 #2.1 0..3000
                7 out 101 #2.2 3000..3500
                8 close 101 #2
                9 in 102 #1.1 0..3200
                10 in 102 #1.2 3200..3500
                11 tick
                12 exit 101 0
                13 exit 102 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#1 Exec bash/cat under 100#1
                began    102#1 Exec bash/sort under 100#1
                write    #2.1 101#1 pipe 0..3000 at 6..6 under 101#1
                write    #2.2 101#1 pipe 3000..3500 at 7..7 under 101#1
                read     #1.1 102#1 pipe 0..3200 at 9..9 under 102#1 <-Pipe #2.1 3000 <-Pipe #2.2 200
                read     #1.2 102#1 pipe 3200..3500 at 10..10 under 102#1 <-Pipe #2.2 300
                ended    101#1 3..12 exit 0
                ended    102#1 3..13 exit 0
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_writer_that_was_blocked_in_its_call_is_said_after_its_reader() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 fork 100 101
                4 in 100 #1.1 0..65536
                5 tick
                9s tick
                9s in 100 #1.2 65536..131072
                9s out 101 #2.1 0..131072 first 3
                10s tick
                11s in 100 #1.3 131072..131073
                12s tick
                14s exit 101 0
                15s close 100 #2
                22s tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                promised #2.1
                read     #1.1 100#1 pipe 0..65536 at 4..4 under 100#1 <-Pipe #2.1 65536
                read     #1.2 100#1 pipe 65536..131072 at 9000..9000 under 100#1 <-Pipe #2.1 65536
                write    #2.1 101#0 pipe 0..131072 at 3..9000 under 101#0
                promoted 100#1 0..12000
                promoted 101#0 3..12000
                exited   101#0 3..14000 exit 0
                read     #1.3 100#1 pipe 131072..131073 at 11000..11000 under 100#1
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_writer_that_goes_on_gives_what_it_has_begun_with() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 fork 100 101
                4 out 101 #2.1 0..
                5 in 100 #1.1 0..100
                6 tick
                7 in 100 #1.2 100..300
                8 tick
                9 end #2.1 300
                10 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                promised #2.1
                read     #1.1 100#1 pipe 0..100 at 5..5 under 100#1 <-Pipe #2.1 100
                read     #1.2 100#1 pipe 100..300 at 7..7 under 100#1 <-Pipe #2.1 200
                write    #2.1 101#0 pipe 0..300 at 4..9 under 101#0
                ended    100#1 0..20000 incomplete
                ended    101#0 3..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn interleaved_writers_are_linked_with_what_each_may_have_given() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 fork 100 101
                3 fork 100 102
                4 out 101 #2.1 0..
                4 out 102 #2.2 10..
                5 end #2.1 90 bytes 50 sparse
                5 end #2.2 100 bytes 50 sparse
                6 in 100 #1.1 0..100
                7 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                began    102#0 Forked bash/bash under 100#1
                write    #2.1 101#0 pipe 0..90 at 4..5 under 101#0
                write    #2.2 102#0 pipe 10..100 at 4..5 under 102#0
                read     #1.1 100#1 pipe 0..100 at 6..6 under 100#1 <-Pipe #2.1 50 (0.95) <-Pipe #2.2 50 (0.95)
                ended    100#1 0..20000 incomplete
                ended    101#0 3..20000 incomplete
                ended    102#0 3..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_pipe_from_outside_is_less_than_certain_and_not_waited_for() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 found pipe 7
                3 in 100 #1.1 0..10
                4 tick
                5 open 100 #2 found pipe 7
                6 fork 100 101
                7 out 101 #2.1 0..20
                8 in 100 #1.2 10..20
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                read     #1.1 100#1 pipe 0..10 at 3..3 under 100#1
                began    101#0 Forked bash/bash under 100#1
                write    #2.1 101#0 pipe 0..20 at 7..7 under 101#0
                read     #1.2 100#1 pipe 10..20 at 8..8 under 100#1 <-Pipe #2.1 10 (0.8)
                ended    100#1 0..20000 incomplete
                ended    101#0 6..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_socket_pair_carries_both_ways_and_its_streams_are_not_mixed_up() {
        check(
            "
                0 root 100
                1 exec 100 /bin/python3 python3
                2 open 100 #1 unix 11 peer 12
                2 open 100 #2 unix 12 peer 11
                3 fork 100 101
                4 out 101 #2.1 0..32
                5 in 100 #1.1 0..32
                6 out 100 #1.2 0..5
                7 in 101 #2.2 0..5
                8 tick
            ",
            &expect![[r#"
                began    100#1 Root python3 under -
                began    101#0 Forked python3/python3 under 100#1
                write    #2.1 101#0 unix 0..32 at 4..4 under 101#0
                read     #1.1 100#1 unix 0..32 at 5..5 under 100#1 <-Unix #2.1 32
                write    #1.2 100#1 unix 0..5 at 6..6 under 100#1
                read     #2.2 101#0 unix 0..5 at 7..7 under 101#0 <-Unix #1.2 5
                ended    100#1 0..20000 incomplete
                ended    101#0 3..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn two_clients_of_one_server_are_told_apart() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                2 fork 100 102
                2 fork 100 103
                3 open 101 #1 tcp 127.0.0.1:5001 127.0.0.1:80
                3 open 102 #2 tcp 127.0.0.1:5002 127.0.0.1:80
                4 open 103 #3 tcp 127.0.0.1:80 127.0.0.1:5001
                4 open 103 #4 tcp 127.0.0.1:80 127.0.0.1:5002
                5 out 101 #1.1 0..107
                5 out 102 #2.1 0..100
                6 in 103 #3.1 0..107
                6 in 103 #4.1 0..100
                7 out 103 #3.2 0..107
                7 out 103 #4.2 0..100
                8 in 101 #1.2 0..107
                8 in 102 #2.2 0..100
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                began    102#0 Forked bash/bash under 100#1
                began    103#0 Forked bash/bash under 100#1
                write    #1.1 101#0 tcp 0..107 at 5..5 under 101#0
                write    #2.1 102#0 tcp 0..100 at 5..5 under 102#0
                read     #3.1 103#0 tcp 0..107 at 6..6 under 103#0 <-Tcp #1.1 107
                read     #4.1 103#0 tcp 0..100 at 6..6 under 103#0 <-Tcp #2.1 100
                write    #3.2 103#0 tcp 0..107 at 7..7 under 103#0
                write    #4.2 103#0 tcp 0..100 at 7..7 under 103#0
                read     #1.2 101#0 tcp 0..107 at 8..8 under 101#0 <-Tcp #3.2 107
                read     #2.2 102#0 tcp 0..100 at 8..8 under 102#0 <-Tcp #4.2 100
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
                ended    102#0 2..20000 incomplete
                ended    103#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn datagrams_are_linked_by_their_addresses() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 open 101 #1 udp 127.0.0.1:5001 127.0.0.1:53
                3 open 100 #2 udp 127.0.0.1:53 127.0.0.1:5001
                5 out 101 #1.1 0..107
                6 in 100 #2.1 0..107
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                write    #1.1 101#0 udp 0..107 at 5..5 under 101#0
                read     #2.1 100#1 udp 0..107 at 6..6 under 100#1 <-Udp #1.1 107 (0.95)
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_socket_that_is_bound_to_all_addresses_is_met_by_its_ports_and_no_other_address() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                2 fork 100 102
                3 open 101 #1 udp 0.0.0.0:5001 127.0.0.1:53
                3 open 102 #2 udp 127.0.0.9:5001 127.0.0.1:53
                4 out 102 #2.1 0..9
                5 out 101 #1.1 0..107
                6 open 100 #3 udp 127.0.0.1:53 127.0.0.1:5001
                6 in 100 #3.1 0..107
                7 out 100 #3.2 0..5
                8 in 101 #1.2 0..5
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    102#0 Forked bash/bash under 100#1
                began    101#0 Forked bash/bash under 100#1
                write    #2.1 102#0 udp 0..9 at 4..4 under 102#0
                write    #1.1 101#0 udp 0..107 at 5..5 under 101#0
                read     #3.1 100#1 udp 0..107 at 6..6 under 100#1 <-Udp #1.1 107 (0.95)
                write    #3.2 100#1 udp 0..5 at 7..7 under 100#1
                read     #1.2 101#0 udp 0..5 at 8..8 under 101#0 <-Udp #3.2 5 (0.95)
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
                ended    102#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn messages_are_taken_in_the_order_in_which_they_were_sent_whoever_sent_them() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                2 fork 100 102
                3 open 101 #1 datagrams 11 /run/r
                3 out 101 #1.1 0..7
                4 open 102 #2 datagrams 12 /run/r
                4 out 102 #2.1 0..9
                5 open 100 #3 datagrams 13 /run/r
                5 in 100 #3.1 0..7
                6 in 100 #3.2 7..16
                7 out 101 #1.2 7..10
                8 in 100 #3.3 16..19
                9 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                began    102#0 Forked bash/bash under 100#1
                write    #1.1 101#0 r 0..7 at 3..3 under 101#0
                write    #2.1 102#0 r 0..9 at 4..4 under 102#0
                read     #3.1 100#1 r 0..7 at 5..5 under 100#1 <-Unix #1.1 7 (0.95)
                read     #3.2 100#1 r 7..16 at 6..6 under 100#1 <-Unix #2.1 9 (0.95)
                write    #1.2 101#0 r 7..10 at 7..7 under 101#0
                read     #3.3 100#1 r 16..19 at 8..8 under 100#1 <-Unix #1.2 3 (0.95)
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
                ended    102#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_was_sent_before_the_connection_was_accepted_is_the_accepted_sockets() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 open 101 #1 unix 11
                4 out 101 #1.1 0..11
                5 open 100 #2 accepted #9 unix 12 peer 11
                6 in 100 #2.1 0..11
                7 out 100 #2.2 0..4
                8 open 101 #1 unix 11 peer 12
                8 in 101 #1.2 0..4
                9 out 101 #1.3 11..15
                10 in 100 #2.3 11..15
                11 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                write    #1.1 101#0 unix 0..11 at 4..4 under 101#0
                read     #2.1 100#1 unix 0..11 at 6..6 under 100#1 <-Unix #1.1 11
                write    #2.2 100#1 unix 0..4 at 7..7 under 100#1
                read     #1.2 101#0 unix 0..4 at 8..8 under 101#0 <-Unix #2.2 4
                write    #1.3 101#0 unix 11..15 at 9..9 under 101#0
                read     #2.3 100#1 unix 11..15 at 10..10 under 100#1 <-Unix #1.3 4
                ended    100#1 0..20000 incomplete
                ended    101#0 2..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_port_or_fifo_that_is_used_again_carries_nothing_over() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 fifo f
                2 open 100 #2 fifo f
                3 out 100 #1.1 0..10
                4 in 100 #2.1 0..10
                5 out 100 #1.2 10..20
                6 close 100 #1
                6 close 100 #2
                7 open 100 #3 fifo f
                7 open 100 #4 fifo f
                8 out 100 #3.1 0..30
                9 in 100 #4.1 0..30
                10 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..10 at 3..3 under 100#1
                read     #2.1 100#1 f 0..10 at 4..4 under 100#1 <-Pipe #1.1 10
                write    #1.2 100#1 f 10..20 at 5..5 under 100#1
                write    #3.1 100#1 f 0..30 at 8..8 under 100#1
                read     #4.1 100#1 f 0..30 at 9..9 under 100#1 <-Pipe #3.1 30
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_reader_may_turn_up_long_after_the_writer_has_gone() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 fork 100 101
                3 open 101 #1 pipe 7
                3 out 101 #1.1 0..10
                4 close 101 #1
                5 exit 101 0
                12s tick
                14s open 100 #2 pipe 7
                14s in 100 #2.1 0..10
                15s tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 2..5 exit 0
                write    #1.1 101#0 pipe 0..10 at 3..3 under 101#0
                promoted 100#1 0..12000
                read     #2.1 100#1 pipe 0..10 at 14000..14000 under 100#1 <-Pipe #1.1 10
                exited   100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_one_image_wrote_the_next_of_its_process_may_read() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 out 100 #2.1 0..10
                4 exec 100 /bin/cat cat
                5 in 100 #1.1 0..10
                6 tick
                7 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                ended    100#1 0..4 into 100#2
                began    100#2 Exec bash/cat under 100#1 <-Exec 100#1
                write    #2.1 100#1 pipe 0..10 at 3..3 under 100#1
                read     #1.1 100#2 pipe 0..10 at 5..5 under 100#2 <-Pipe #2.1 10
                ended    100#2 4..7 exit 0
            "#]],
        );
    }
}
