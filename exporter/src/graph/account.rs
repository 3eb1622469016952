//! What an image did beside moving data: its notes, in order of time, and its numbers.
//!
//! A note announces nobody: what a forked child does before its exec is told of the image that follows.

use agentsight_ebpf::{Call, CallKind, Change, Doer, KernelNanos, ProcessKey};

use super::load::Load;
use super::process::Stage;
use super::{Account, Activity, Graph, Note};

impl Graph {
    pub(super) fn change(&mut self, change: &Change, out: &mut Vec<Activity>) {
        self.change_file(change);
        self.note(&change.by, change.at, Note::Change(Box::new(change.clone())), out);
    }

    pub(super) fn call(&mut self, call: &Call, out: &mut Vec<Activity>) {
        self.note(&call.by, call.at, Note::Call(Box::new(*call)), out);
        let Some(known) = self.processes.get_mut(call.by.process).filter(|_| call.error == 0) else { return };
        let blind = &mut known.deeds.blind;
        match call.kind {
            CallKind::MapShared => blind.shared_memory = true,
            CallKind::IoUringSetup | CallKind::IoUringUnseen => blind.io_uring = true,
            CallKind::CompatCall => blind.compat_calls = true,
            CallKind::Setuid
            | CallKind::Setgid
            | CallKind::Ptrace
            | CallKind::ProcessVmWritev
            | CallKind::ProcessVmReadv
            | CallKind::MemfdCreate
            | CallKind::Bind
            | CallKind::Listen
            | CallKind::Chroot
            | CallKind::Namespaces
            | CallKind::Mount
            | CallKind::Bpf
            | CallKind::LoadModule
            | CallKind::IoUringFollowed => {}
        }
    }

    /// Tell this of the image that did it.
    pub(super) fn note(&mut self, by: &Doer, at: KernelNanos, note: Note, out: &mut Vec<Activity>) {
        if self.is_too_late(by.process, at) {
            self.oddities.late_events += 1;
            return;
        }
        if self.processes.get(by.process).is_none_or(|known| known.image.id.exec < by.exec) {
            self.begin_numbered(by.process, by.exec, at, None, out);
        }
        let Some(known) = self.processes.get_mut(by.process) else { return };
        let load = Load::of_note(&note);
        let deeds = &mut known.deeds;
        // Room for those of an image that is announced is taken at once, of others when they are said.
        let has_room = known.stage != Stage::Begun || self.traces.holds(&known.image.trace, load);
        if deeds.notes.len() >= Account::NOTES_MAX || !has_room {
            deeds.notes_dropped = deeds.notes_dropped.saturating_add(1);
            return;
        }
        deeds.notes.push(note);
        if known.stage == Stage::Begun {
            self.traces.charge(&known.image.trace, load, at);
        }
    }

    /// What a process did since it was last asked; from here on it is counted anew.
    pub(super) fn take_account(&mut self, process: ProcessKey) -> Account {
        let Some(known) = self.processes.get_mut(process) else { return Account::default() };
        let deeds = &mut known.deeds;
        Account {
            notes: std::mem::take(&mut deeds.notes),
            notes_dropped: std::mem::take(&mut deeds.notes_dropped),
            folded: std::mem::take(&mut deeds.folding).counts,
            blind: std::mem::take(&mut deeds.blind),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn what_a_child_does_before_its_exec_is_told_of_the_image_that_follows() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                3 call 101 setuid 33
                4 exec 101 /bin/mv mv
                5 rename 101 a.tmp a.txt
                6 exit 101 0
                7 call 100 io_uring_setup 8
                8 exit 100 0
                9 unlink 100 late
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/mv under 100#1
                ended    101#1 2..6 exit 0 !Setuid 33 !Rename
                ended    100#1 0..8 exit 0 !IoUringSetup 8 blind
            "#]],
        );
    }

    #[test]
    fn a_ring_that_is_followed_blinds_only_by_a_request_that_is_not() {
        check(
            "
                0 root 100
                1 exec 100 /bin/sh sh
                2 fork 100 101
                3 exec 101 /bin/a a
                4 call 101 io_uring_followed 8
                5 exit 101 0
                6 call 100 io_uring_followed 8
                7 call 100 io_uring_unseen 35
                8 exit 100 0
            ",
            &expect![[r#"
                began    100#1 Root sh under -
                began    101#1 Exec sh/a under 100#1
                ended    101#1 2..5 exit 0 !IoUringFollowed 8
                ended    100#1 0..8 exit 0 !IoUringFollowed 8 !IoUringUnseen 35 blind
            "#]],
        );
    }

    #[test]
    fn notes_are_bounded_and_those_of_a_promoted_image_are_said_at_its_exit() {
        let notes: String = (0..200).map(|n| format!("{} unlink 100 f{n}\n", n + 2)).collect();
        let text = format!("0 root 100\n1 exec 100 /bin/rm rm\n{notes}\n11s tick\n12s unlink 100 last\n13s exit 100 0");
        let events = crate::graph::fixture::events(&text);
        let (activities, _) = crate::graph::fixture::activities(&crate::graph::fixture::session(), &events, None);
        let accounts: Vec<_> = activities
            .iter()
            .filter_map(|it| match it {
                crate::graph::Activity::ImagePromoted(it) => Some((it.account.notes.len(), it.account.notes_dropped)),
                crate::graph::Activity::ImageExited(it) => Some((it.account.notes.len(), it.account.notes_dropped)),
                _ => None,
            })
            .collect();
        assert_eq!(accounts, [(128, 72), (1, 0)]);
    }
}
