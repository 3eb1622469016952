//! Rule: a read links back to the writes whose bytes it saw: those of the same file and epoch that began before it
//! ended, where they were not written over before it began.
//!
//! Each file has its writing bursts in order, at most 64: the later one hides what it replaced of an earlier one. A
//! reading burst is held against them when it leaves, so that a write that is said late is not missed. What was cut off
//! or punched out after a write is nobody's: zeros, if it is there at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use agentsight_ebpf::{Captured, Change, ChangeKind, FileId, KernelNanos};

use super::edges::{Edge, Edges};
use super::moved::{Moved, Range};
use super::{CauseKind, Confidence, Graph};

/// Writing bursts of one file that are told apart.
const WRITES_MAX: usize = 64;
/// Clearings of one file that are told apart.
const CLEARINGS_MAX: usize = 64;
/// Written files that nobody has open and that may still be read: the longest unused give way.
const CLOSED_MAX: usize = 16_384;

#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) epoch: u32,
    /// When the epoch began.
    since: KernelNanos,
    /// The bursts that wrote to it, in order of their beginning.
    writes: Vec<Arc<Moved>>,
    /// What was cleared, in order of time.
    clearings: Vec<Clearing>,
    /// There were more than are kept.
    forgot: bool,
    /// It was written by a traced process at some time.
    pub(super) written: bool,
    pub(super) opens: u32,
    /// Reading bursts that have not left.
    readers: u32,
    used: u64,
    /// The last name that it was seen under, as its opener saw it; empty where there was none.
    name: Box<[u8]>,
}

/// Bytes that were cut off, or became zeros.
#[derive(Clone, Copy, Debug)]
struct Clearing {
    at: KernelNanos,
    range: Range,
}

#[derive(Default)]
pub(super) struct Files {
    by_id: BTreeMap<FileId, File>,
    /// For calls that have a path alone.
    by_name: HashMap<Box<[u8]>, FileId>,
    /// Those that nobody has open, by last use.
    closed: BTreeSet<(u64, FileId)>,
    uses: u64,
}

impl Files {
    pub(super) fn get(&self, id: FileId) -> Option<&File> {
        self.by_id.get(&id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn open(&mut self, id: FileId, name: &Captured, anew: bool, at: KernelNanos) {
        self.call_it(id, name);
        let file = self.by_id.entry(id).or_default();
        self.closed.remove(&(file.used, id));
        file.opens += 1;
        if anew {
            file.begin_epoch(at);
        }
    }

    /// An open file of it is gone.
    pub(super) fn release(&mut self, id: FileId) {
        let Some(file) = self.by_id.get_mut(&id) else { return };
        file.opens = file.opens.saturating_sub(1);
        if file.opens > 0 {
            return;
        }
        if file.writes.is_empty() {
            self.forget(id);
            return;
        }
        self.uses += 1;
        file.used = self.uses;
        self.closed.insert((file.used, id));
        while self.closed.len() > CLOSED_MAX
            && let Some((_, oldest)) = self.closed.pop_first()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, id: FileId) {
        let Some(file) = self.by_id.remove(&id) else { return };
        if self.by_name.get(&file.name) == Some(&id) {
            self.by_name.remove(&file.name);
        }
    }

    /// The name is this file's from now on, whosever it was.
    fn call_it(&mut self, id: FileId, name: &Captured) {
        let file = self.by_id.entry(id).or_default();
        if name.gap.is_some() || *file.name == *name.bytes {
            return;
        }
        if self.by_name.get(&file.name) == Some(&id) {
            self.by_name.remove(&file.name);
        }
        file.name = name.bytes.clone().into();
        if !file.name.is_empty() {
            self.by_name.insert(file.name.clone(), id);
        }
    }

    /// Keeps up with the names of files, as far as paths without symbolic links say them.
    fn rename(&mut self, change: &Change) {
        match change.kind {
            ChangeKind::Rename if change.path.gap.is_none() => {
                let moved = self.by_name.remove(&*change.path.bytes);
                self.by_name.remove(&*change.new_path.bytes);
                if let Some(id) = moved {
                    self.call_it(id, &change.new_path);
                }
            }
            ChangeKind::Unlink => {
                self.by_name.remove(&*change.path.bytes);
            }
            _ => {}
        }
    }

    fn begin_reading(&mut self, id: FileId) {
        if let Some(file) = self.by_id.get_mut(&id) {
            file.readers += 1;
        }
    }

    /// A reading burst has left.
    pub(super) fn end_reading(&mut self, id: FileId) {
        if let Some(file) = self.by_id.get_mut(&id) {
            file.readers = file.readers.saturating_sub(1);
            file.forget_hidden();
        }
    }

    fn begin_writing(&mut self, id: FileId, write: &Arc<Moved>) {
        if let Some(file) = self.by_id.get_mut(&id) {
            file.written = true;
            file.writes.push(Arc::clone(write));
            if file.writes.len() > WRITES_MAX {
                file.writes.remove(0);
                file.forgot = true;
            }
        }
    }

    /// A writing burst has its sums.
    pub(super) fn end_writing(&mut self, id: FileId) {
        if let Some(file) = self.by_id.get_mut(&id) {
            file.forget_hidden();
        }
    }
}

impl File {
    fn begin_epoch(&mut self, at: KernelNanos) {
        self.epoch = self.epoch.saturating_add(1);
        self.since = at;
        self.forgot = false;
        self.clearings.clear();
        self.forget_hidden();
    }

    /// Whether somebody else may be writing to it at this moment.
    pub(super) fn may_be_written(&self) -> bool {
        self.opens > 1 || self.writes.iter().any(|write| write.end.get().is_none())
    }

    /// Forget what no later read can see.
    fn forget_hidden(&mut self) {
        if self.readers > 0 {
            return;
        }
        let (epoch, since) = (self.epoch, self.since);
        self.writes.retain(|write| write.epoch == epoch || write.end.get().is_none() || write.went_on_after(since));
        for index in (0..self.writes.len()).rev() {
            let write = &self.writes[index];
            let mut left = self.left_of(write, KernelNanos(u64::MAX));
            for later in &self.writes[index + 1..] {
                if later.is_dense() && write.end.get().is_some() {
                    subtract(&mut left, later.range());
                }
            }
            if left.iter().all(|range| range.start >= range.end) && write.end.get().is_some() {
                self.writes.remove(index);
            }
        }
    }

    fn clear(&mut self, at: KernelNanos, range: Range) {
        self.clearings.push(Clearing { at, range });
        if self.clearings.len() > CLEARINGS_MAX {
            let oldest = self.clearings.remove(0);
            let before = self.writes.len();
            // Rather no edge than one to what may be gone.
            self.writes.retain(|write| !oldest.is_after(write) || write.range().overlap(oldest.range) == 0);
            self.forgot |= self.writes.len() < before;
        }
        self.forget_hidden();
    }

    /// What of a write had not been cleared again before a moment.
    fn left_of(&self, write: &Moved, before: KernelNanos) -> Vec<Range> {
        let mut left = vec![write.range()];
        for clearing in self.clearings.iter().filter(|clearing| clearing.at < before && clearing.is_after(write)) {
            subtract(&mut left, clearing.range);
        }
        left
    }

    /// The writes that a reading burst saw something of, and how much.
    fn seen_by(&self, read: &Moved, edges: &mut Edges) {
        let Some(last) = read.last() else { return };
        let latest = if last > self.since { self.epoch } else { read.epoch };
        let mut left = vec![read.range()];
        for write in self.writes.iter().rev() {
            let of_its_epoch = (read.epoch..=latest).contains(&write.epoch)
                || (latest == self.epoch && write.went_on_after(self.since));
            let there = self.left_of(write, read.first);
            let bytes: u64 = left.iter().flat_map(|range| there.iter().map(|part| range.overlap(*part))).sum();
            if write.first >= last || !of_its_epoch || bytes == 0 {
                continue;
            }
            let bytes = bytes.min(read.bytes_at_most()).min(write.bytes_at_most());
            edges.push(Edge {
                kind: if write.mapped { CauseKind::Shm } else { CauseKind::File },
                confidence: confidence(write, read),
                cause: Arc::clone(write),
                bytes: (!write.mapped).then_some(bytes),
                matched: None,
            });
            if write.is_dense() && write.last().is_some_and(|end| end < read.first) {
                subtract(&mut left, write.range());
            }
        }
        if self.forgot && left.iter().any(|range| range.start < range.end) {
            edges.over = edges.over.saturating_add(1);
        }
    }
}

impl Clearing {
    fn is_after(&self, write: &Moved) -> bool {
        write.last().is_some_and(|last| last < self.at)
    }
}

impl Moved {
    fn went_on_after(&self, at: KernelNanos) -> bool {
        self.last().is_some_and(|last| last > at)
    }
}

fn confidence(write: &Moved, read: &Moved) -> Confidence {
    if write.mapped {
        return Confidence::SHARED_MEMORY;
    }
    let in_order = write.last().is_some_and(|last| last < read.first);
    if !in_order || read.mapped {
        Confidence::UNORDERED
    } else if write.is_dense() && read.is_dense() {
        Confidence::CERTAIN
    } else {
        Confidence::BY_VERSION
    }
}

fn subtract(from: &mut Vec<Range>, hidden: Range) {
    let mut rest = Vec::with_capacity(from.len() + 1);
    for range in from.iter() {
        if range.overlap(hidden) == 0 {
            rest.push(*range);
            continue;
        }
        if range.start < hidden.start {
            rest.push(Range { start: range.start, end: hidden.start });
        }
        if hidden.end < range.end {
            rest.push(Range { start: hidden.end, end: range.end });
        }
    }
    *from = rest;
}

impl Graph {
    pub(super) fn begin_on_file(&mut self, id: FileId, moved: &Arc<Moved>) {
        match moved.direction {
            agentsight_ebpf::Direction::In => self.files.begin_reading(id),
            agentsight_ebpf::Direction::Out => self.files.begin_writing(id, moved),
        }
    }

    /// What a reading burst that leaves has seen.
    pub(super) fn file_causes(&self, id: FileId, read: &Moved, edges: &mut Edges) {
        if let Some(file) = self.files.get(id) {
            file.seen_by(read, edges);
        }
    }

    /// What calls without data do to a file's bytes: `truncate`, `ftruncate`, `fallocate`; and to its name.
    pub(super) fn change_file(&mut self, change: &Change) {
        if change.error != 0 {
            return;
        }
        let id = change.file.or_else(|| self.files.by_name.get(&*change.path.bytes).copied());
        self.files.rename(change);
        let Some(file) = id.and_then(|id| self.files.by_id.get_mut(&id)) else { return };
        let from = |start| Range { start, end: u64::MAX };
        match (change.kind, change.space) {
            (ChangeKind::Truncate, _) if change.value == 0 => file.begin_epoch(change.at),
            (ChangeKind::Truncate, _) => file.clear(change.at, from(change.value)),
            (ChangeKind::Fallocate, Some(space)) if space.shifts() => {
                file.clear(change.at, from(space.offset));
                file.forgot = true;
            }
            (ChangeKind::Fallocate, Some(space)) if space.zeroes() => {
                file.clear(change.at, Range { start: space.offset, end: change.value });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn a_read_is_linked_to_the_writes_that_it_sees() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file log
                3 out 100 #1.1 0..2
                4 close 100 #1
                5 open 100 #2 file log
                6 out 100 #2.1 2..4
                7 close 100 #2
                8 exec 100 /bin/cat cat
                9 open 100 #3 file log
                10 in 100 #3.1 0..4
                11 tick
                12 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                ended    100#1 0..8 into 100#2
                began    100#2 Exec bash/cat under 100#1 <-Exec 100#1
                write    #1.1 100#1 log 0..2 at 3..3 under 100#1
                write    #2.1 100#1 log 2..4 at 6..6 under 100#1
                ended    100#2 8..12 exit 0
                read     #3.1 100#2 log 0..4 at 10..10 under 100#2 <-File #2.1 2 <-File #1.1 2
            "#]],
        );
    }

    #[test]
    fn what_was_written_over_is_not_linked_and_what_was_left_is() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file a
                3 out 100 #1.1 0..100
                4 open 100 #2 file a
                5 out 100 #2.1 0..100
                6 out 100 #2.2 30..40
                7 open 100 #3 file a
                8 in 100 #3.1 0..50
                9 in 100 #3.2 50..100
                10 in 100 #3.3 30..40
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 a 0..100 at 3..3 under 100#1
                write    #2.1 100#1 a 0..100 at 5..5 under 100#1
                write    #2.2 100#1 a 30..40 at 6..6 under 100#1
                read     #3.1 100#1 a 0..50 at 8..8 under 100#1 <-File #2.2 10 <-File #2.1 40
                read     #3.2 100#1 a 50..100 at 9..9 under 100#1 <-File #2.1 50
                read     #3.3 100#1 a 30..40 at 10..10 under 100#1 <-File #2.2 10
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn no_edge_crosses_a_creation_or_a_truncation() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file f=7
                3 out 100 #1.1 0..2
                4 close 100 #1
                5 open 100 #2 created file f=7
                6 out 100 #2.1 0..2
                7 open 100 #3 file f=7
                8 in 100 #3.1 0..2
                9 open 100 #4 truncated file f=7
                10 in 100 #3.2 0..2
                11 out 100 #4.1 0..3
                12 in 100 #3.3 0..2
                13 truncate 100 f=7 0
                14 in 100 #3.4 0..2
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..2 at 3..3 under 100#1
                write    #2.1 100#1 f 0..2 at 6..6 under 100#1
                read     #3.1 100#1 f 0..2 at 8..8 under 100#1 <-File #2.1 2
                read     #3.2 100#1 f 0..2 at 10..10 under 100#1
                write    #4.1 100#1 f 0..3 at 11..11 under 100#1
                read     #3.3 100#1 f 0..2 at 12..12 under 100#1 <-File #4.1 2
                read     #3.4 100#1 f 0..2 at 14..14 under 100#1
                ended    100#1 0..20000 incomplete !Truncate
            "#]],
        );
    }

    #[test]
    fn what_was_cut_off_or_punched_out_is_nobodys_also_when_there_are_bytes_again() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file /f=7
                3 out 100 #1.1 0..10
                4 close 100 #1
                5 cut 100 /f 2
                6 cut 100 /f 10
                7 open 100 #2 file /f=7
                8 in 100 #2.1 8..10
                9 in 100 #2.2 0..10
                10 punch 100 f=7 3 0 1
                11 in 100 #2.3 0..1
                12 in 100 #2.4 0..2
                13 out 100 #2.5 0..1
                14 in 100 #2.6 0..1
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..10 at 3..3 under 100#1
                read     #2.1 100#1 f 8..10 at 8..8 under 100#1
                read     #2.2 100#1 f 0..10 at 9..9 under 100#1 <-File #1.1 2
                read     #2.3 100#1 f 0..1 at 11..11 under 100#1
                read     #2.4 100#1 f 0..2 at 12..12 under 100#1 <-File #1.1 1
                write    #2.5 100#1 f 0..1 at 13..13 under 100#1
                read     #2.6 100#1 f 0..1 at 14..14 under 100#1 <-File #2.5 1
                ended    100#1 0..20000 incomplete !Truncate !Truncate !Fallocate
            "#]],
        );
    }

    #[test]
    fn of_bytes_that_were_shifted_nobody_says_where_they_are_now() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file /f=7
                3 out 100 #1.1 0..8192
                4 punch 100 f=7 8 0 4096
                5 in 100 #1.2 0..4096
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..8192 at 3..3 under 100#1
                read     #1.2 100#1 f 0..4096 at 5..5 under 100#1 dropped 1
                ended    100#1 0..20000 incomplete !Fallocate
            "#]],
        );
    }

    #[test]
    fn a_path_means_the_file_that_has_that_name_then() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file /a=7
                3 out 100 #1.1 0..10
                4 close 100 #1
                5 rename 100 /a /b
                6 cut 100 /a 0
                7 open 100 #2 file /b=7
                8 in 100 #2.1 0..10
                9 close 100 #2
                10 cut 100 /b 0
                11 open 100 #3 file /b=7
                12 in 100 #3.1 0..10
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 a 0..10 at 3..3 under 100#1
                read     #2.1 100#1 b 0..10 at 8..8 under 100#1 <-File #1.1 10
                read     #3.1 100#1 b 0..10 at 12..12 under 100#1
                ended    100#1 0..20000 incomplete !Rename !Truncate !Truncate
            "#]],
        );
    }

    #[test]
    fn a_name_may_change_and_the_file_is_the_same() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file a.tmp=7
                3 out 100 #1.1 0..2
                4 close 100 #1
                5 open 100 #2 file a.txt=7
                6 in 100 #2.1 0..2
                7 open 100 #3 file other
                8 in 100 #3.1 0..2
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 a.tmp 0..2 at 3..3 under 100#1
                read     #2.1 100#1 a.txt 0..2 at 6..6 under 100#1 <-File #1.1 2
                read     #3.1 100#1 other 0..2 at 8..8 under 100#1
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_is_written_after_a_read_is_no_cause_of_it() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 file in.txt
                3 in 100 #1.1 0..3000
                4 open 100 #2 truncated file in.txt
                5 out 100 #2.1 0..4
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                read     #1.1 100#1 in.txt 0..3000 at 3..3 under 100#1
                write    #2.1 100#1 in.txt 0..4 at 5..5 under 100#1
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn what_goes_on_at_the_same_time_is_less_than_certain() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file f
                3 open 100 #2 file f
                4 out 100 #1.1 0..
                5 in 100 #2.1 0..
                6 out 100 #3.1 0..
                20 end #1.1 500 coalesced
                21 end #2.1 400 coalesced
                22 open 100 #3 file f
                23 tick
                24 out 100 #3.2 10..20 first 20
                1100 tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..500 at 4..20 under 100#1 coalesced
                promised #3.2
                read     #2.1 100#1 f 0..400 at 5..21 under 100#1 coalesced <-File #3.2 10 (0.8) <-File #1.1 400 (0.8)
                write    #3.2 100#1 f 10..20 at 20..24 under 100#1
                ended    100#1 0..20000 incomplete
                odd      unseen_opens: 1
            "#]],
        );
    }

    #[test]
    fn a_sparse_burst_is_linked_by_version() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file f
                3 out 100 #1.1 0..
                4 end #1.1 4096 bytes 200 sparse
                5 out 100 #1.2 0..
                6 end #1.2 4096 bytes 100 sparse
                7 in 100 #1.3 0..4096
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #1.1 100#1 f 0..4096 at 3..4 under 100#1
                write    #1.2 100#1 f 0..4096 at 5..6 under 100#1
                read     #1.3 100#1 f 0..4096 at 7..7 under 100#1 <-File #1.2 100 (0.95) <-File #1.1 200 (0.95)
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn memory_that_is_written_is_linked_as_what_may_be() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file f
                3 out 100 #1.1 0.. mapped
                4 fork 100 101
                5 in 101 #1.2 0..4096 mapped
                6 end #1.1 4096 bytes 0
                7 exit 101 0
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                began    101#0 Forked bash/bash under 100#1
                ended    101#0 4..7 exit 0
                promised #1.1
                read     #1.2 101#0 f 0..4096 at 5..5 under 101#0 mapped <-Shm #1.1 (0.6)
                write    #1.1 100#1 f 0..4096 at 3..6 under 100#1 mapped
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn of_more_writes_than_are_kept_the_oldest_are_counted_as_missing() {
        let writes: String = (0..70).map(|n| format!("{} out 100 #1.{} {}..{}\n", n + 3, n + 1, n, n + 1)).collect();
        let text = format!(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 created file f
                {writes}
                100 in 100 #1.100 0..70
                101 in 100 #1.101 68..70
            "
        );
        let (activities, _) = crate::graph::fixture::activities(
            &crate::graph::fixture::session(),
            &crate::graph::fixture::events(&text),
            Some(agentsight_ebpf::KernelNanos(u64::MAX)),
        );
        let reads: Vec<_> = activities
            .iter()
            .filter_map(|it| if let crate::graph::Activity::Transferred(it) = it { Some(it) } else { None })
            .filter(|it| it.direction == agentsight_ebpf::Direction::In)
            .map(|it| (it.causes.len(), it.causes_dropped))
            .collect();
        assert_eq!(reads, [(32, 33), (2, 0)], "64 are kept, 32 shown; what the 6 oldest gave is one more");
    }
}
