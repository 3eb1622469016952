//! The processes that have state, and when that state is due or can go.

use std::collections::{BTreeMap, BTreeSet};

use agentsight_ebpf::{KernelNanos, ProcessKey};

use super::{GRACE, Image};

/// A process and its current image; after its exit, its last.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) image: Image,
    pub(super) stage: Stage,
    pub(super) ended: Option<KernelNanos>,
}

/// What the world knows of a process's current image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing: if it execs now, it is folded into the image that follows.
    Unannounced,
    /// It will have a span, and others may refer to it.
    Begun,
    /// Its span was sent.
    Promoted,
}

/// Every process with state.
#[derive(Default)]
pub(super) struct Processes {
    by_key: BTreeMap<ProcessKey, Process>,
    /// Images that may be promoted, by start.
    unpromoted: BTreeSet<(KernelNanos, ProcessKey)>,
    /// Dead processes, by end.
    dead: BTreeSet<(KernelNanos, ProcessKey)>,
}

impl Processes {
    pub(super) fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ProcessKey) -> Option<&mut Process> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Set the current image of its process, which is alive.
    pub(super) fn set_image(&mut self, image: Image) {
        let key = image.id.process;
        self.unpromoted.insert((image.start, key));
        let process = Process { image, stage: Stage::Unannounced, ended: None };
        if let Some(before) = self.by_key.insert(key, process)
            && before.image.start != self.by_key[&key].image.start
        {
            self.unpromoted.remove(&(before.image.start, key));
        }
    }

    /// Take out the oldest image that began before `start` and was not promoted.
    pub(super) fn take_unpromoted_before(&mut self, start: KernelNanos) -> Option<ProcessKey> {
        let (began, key) = self.unpromoted.first().copied().filter(|(began, _)| *began < start)?;
        self.unpromoted.remove(&(began, key));
        Some(key)
    }

    /// The process ended; its state stays for a while.
    pub(super) fn bury(&mut self, key: ProcessKey, at: KernelNanos) {
        if let Some(process) = self.by_key.get_mut(&key) {
            process.ended = Some(at);
            self.unpromoted.remove(&(process.image.start, key));
            self.dead.insert((at, key));
        }
    }

    /// Forget the dead whose grace ended before `now`.
    pub(super) fn release_before(&mut self, now: KernelNanos) {
        while let Some((ended, key)) = self.dead.first().copied()
            && ended.0.saturating_add(GRACE.0) < now.0
        {
            self.dead.remove(&(ended, key));
            self.by_key.remove(&key);
        }
    }

    pub(super) fn in_order_of_start(&self) -> Vec<ProcessKey> {
        let mut keys: Vec<_> = self.by_key.values().map(|it| (it.image.start, it.image.id.process)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}
