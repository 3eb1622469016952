//! Rule: an open file is what the kernel says it is, whoever uses it, until it is closed.
//!
//! Closed ones are kept for a while, for events that come late. Files that are closed by the end of their last process
//! make no call, nor do those whose last use was a mapping: so what only its maker was seen to have is closed when that
//! process ends and leaves no descendant, and of the rest what was not used for the longest time gives way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agentsight_ebpf::{Close, Direction, KernelNanos, Object, Open, OpenHow, OpenId, ProcessKey};

use super::object::{self, StreamKey};
use super::{Activity, GRACE, Graph};

/// Open files that are remembered: more than what the kernel has entries for.
const OPENS_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) object: Arc<Object>,
    pub(super) how: OpenHow,
    /// Its bursts that have not left.
    pub(super) bursts: u32,
    numbers: Numbers,
    closed: Option<KernelNanos>,
    used: u64,
    /// The process that made it, while nobody else was seen to have it.
    holder: Option<ProcessKey>,
}

#[derive(Default)]
pub(super) struct Opens {
    by_id: BTreeMap<OpenId, OpenFile>,
    held: BTreeMap<ProcessKey, BTreeSet<OpenId>>,
    closed: BTreeSet<(KernelNanos, OpenId)>,
    by_use: BTreeSet<(u64, OpenId)>,
    uses: u64,
}

/// Which numbers of bursts were given, so that none is taken twice.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    greatest: u32,
    /// Bit n: `greatest - n` was given.
    recent: u64,
}

impl Opens {
    pub(super) fn get(&self, id: OpenId) -> Option<&OpenFile> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: OpenId) -> Option<&mut OpenFile> {
        self.by_id.get_mut(&id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// A burst of the open file begins, by this process; false where its number was given before.
    pub(super) fn begin_burst(&mut self, id: OpenId, number: u32, by: ProcessKey) -> bool {
        self.touch(id, by);
        let Some(open) = self.by_id.get_mut(&id) else { return false };
        if !open.numbers.give(number) {
            return false;
        }
        self.uses += 1;
        self.by_use.remove(&(open.used, id));
        open.used = self.uses;
        self.by_use.insert((open.used, id));
        open.bursts += 1;
        true
    }

    fn insert(&mut self, id: OpenId, object: Arc<Object>, how: OpenHow, by: ProcessKey) {
        self.uses += 1;
        let used = self.uses;
        self.by_use.insert((used, id));
        let holder = Some(by).filter(|_| how != OpenHow::Found);
        if let Some(holder) = holder {
            self.held.entry(holder).or_default().insert(id);
        }
        let open = OpenFile { object, how, bursts: 0, numbers: Numbers::default(), closed: None, used, holder };
        self.by_id.insert(id, open);
    }

    /// A process has it.
    fn touch(&mut self, id: OpenId, by: ProcessKey) {
        if self.by_id.get(&id).is_some_and(|open| open.holder.is_some_and(|holder| holder != by)) {
            self.share(id);
        }
    }

    /// Others than its maker may have it.
    pub(super) fn share(&mut self, id: OpenId) {
        let Some(holder) = self.by_id.get_mut(&id).and_then(|open| open.holder.take()) else { return };
        if let Some(held) = self.held.get_mut(&holder) {
            held.remove(&id);
            if held.is_empty() {
                self.held.remove(&holder);
            }
        }
    }

    /// A process leaves descendants behind, which may have inherited what it has.
    pub(super) fn share_all_of(&mut self, process: ProcessKey) {
        for id in self.held.remove(&process).unwrap_or_default() {
            if let Some(open) = self.by_id.get_mut(&id) {
                open.holder = None;
            }
        }
    }

    /// A process ended, and with it all that nobody else has.
    pub(super) fn end_of_process(&mut self, process: ProcessKey, at: KernelNanos) {
        for id in self.held.remove(&process).unwrap_or_default() {
            self.close(id, at);
        }
    }

    fn close(&mut self, id: OpenId, at: KernelNanos) {
        if let Some(open) = self.by_id.get_mut(&id).filter(|it| it.closed.is_none()) {
            open.closed = Some(at);
            self.closed.insert((at, id));
        }
    }

    /// Take out one that was closed before then, or that there is no room for, and has no burst left.
    fn take_unused(&mut self, closed_before: KernelNanos) -> Option<(OpenId, OpenFile)> {
        let idle = |id: &OpenId| self.by_id.get(id).is_some_and(|open| open.bursts == 0);
        let due = self.closed.iter().take_while(|(at, _)| *at < closed_before).map(|(_, id)| *id).find(idle);
        let excess = || self.by_use.iter().map(|(_, id)| *id).find(idle).filter(|_| self.by_id.len() > OPENS_MAX);
        let id = due.or_else(excess)?;
        self.share(id);
        let open = self.by_id.remove(&id)?;
        self.by_use.remove(&(open.used, id));
        if let Some(at) = open.closed {
            self.closed.remove(&(at, id));
        }
        Some((id, open))
    }
}

impl Numbers {
    fn give(&mut self, number: u32) -> bool {
        if number > self.greatest {
            let step = number - self.greatest;
            self.recent = self.recent.checked_shl(step).unwrap_or(0) | 1;
            self.greatest = number;
            return true;
        }
        let bit = 1_u64.checked_shl(self.greatest - number).unwrap_or(0);
        // What is older than what is kept may have been given.
        let is_new = bit != 0 && self.recent & bit == 0;
        self.recent |= bit;
        is_new
    }
}

/// The streams that an object is an end of: a pipe's twice the same.
fn streams(object: &Object) -> impl Iterator<Item = StreamKey> {
    [Direction::In, Direction::Out].into_iter().filter_map(|direction| object::stream(object, direction))
}

impl Graph {
    pub(super) fn open(&mut self, open: &Open, out: &mut Vec<Activity>) {
        let object = Arc::new(open.object.clone());
        if let Some(known) = self.opens.get(open.open) {
            // A socket is said again when it has got its addresses.
            if known.object == object || known.closed.is_some() {
                self.oddities.repeated_opens += 1;
                return;
            }
            let before = Arc::clone(&known.object);
            self.opens.touch(open.open, open.by.process);
            self.leave_object(&before);
            if let Some(known) = self.opens.get_mut(open.open) {
                known.object = Arc::clone(&object);
            }
        } else {
            self.opens.insert(open.open, Arc::clone(&object), open.how, open.by.process);
        }
        if let (Object::File(file), Some(id)) = (&*object, object::stored_file(&object)) {
            self.files.open(id, &file.path, file.created || file.truncated, open.at);
        }
        if let Object::Unix(socket) = &*object
            && let Some(peer) = socket.peer.filter(|_| !object::is_datagram(&object))
        {
            self.streams.identify(StreamKey::UnixFrom(peer), StreamKey::Unix(socket.inode));
        }
        for stream in streams(&object) {
            self.streams.open(stream);
        }
        self.accepted(open, out);
    }

    pub(super) fn close(&mut self, close: &Close) {
        self.connections.close(close.open, close.at);
        self.opens.close(close.open, close.at);
    }

    /// Forget open files that are gone.
    pub(super) fn release_opens(&mut self, now: KernelNanos, out: &mut Vec<Activity>) {
        let closed_before = KernelNanos(now.0.saturating_sub(GRACE.0));
        while let Some((id, open)) = self.opens.take_unused(closed_before) {
            self.end_connection(id, now, out);
            self.connections.forget(id);
            self.sent.forget(id);
            self.leave_object(&open.object);
        }
    }

    fn leave_object(&mut self, object: &Object) {
        if let Some(id) = object::stored_file(object) {
            self.files.release(id);
        }
        for stream in streams(object) {
            self.streams.release(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_number_is_given_once_in_whatever_order() {
        let mut numbers = Numbers::default();
        assert!([2, 1, 3, 70, 60].map(|number| numbers.give(number)).iter().all(|given| *given));
        assert!([2, 1, 3, 70, 60, 5].map(|number| numbers.give(number)).iter().all(|given| !*given));
        assert!(numbers.give(69));
    }
}
