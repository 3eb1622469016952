//! What AgentSight counts of its own work; metrics read it when they are collected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agentsight_ebpf::{Event, LossKind};
use tokio::sync::watch;

use crate::otlp::sender::Progress;

/// Shared between the pipeline, which counts, and the metrics, which read. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Account {
    numbers: Arc<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    events: [AtomicU64; 4],
    lost: [AtomicU64; LossKind::ALL.len()],
    spans_stored: AtomicU64,
    spans_dropped: AtomicU64,
    store_bytes: AtomicU64,
    bpf_run_nanos: AtomicU64,
    bpf_runs: AtomicU64,
    senders: Mutex<Vec<watch::Receiver<Progress>>>,
}

impl Account {
    /// One event arrived.
    pub fn count_event(&self, event: &Event) {
        let index = match event {
            Event::Fork(_) => 0,
            Event::Exec(_) => 1,
            Event::Exit(_) => 2,
            Event::Snapshot(_) => 3,
            Event::Loss(loss) => {
                if let Some(index) = LossKind::ALL.iter().position(|kind| *kind == loss.kind) {
                    self.numbers.lost[index].fetch_add(loss.count, Ordering::Relaxed);
                }
                return;
            }
            _ => return,
        };
        self.numbers.events[index].fetch_add(1, Ordering::Relaxed);
    }

    /// So many more spans are in the store.
    pub fn count_stored(&self, spans: u64) {
        self.numbers.spans_stored.fetch_add(spans, Ordering::Relaxed);
    }

    /// So many more spans found no place in the store, nor in memory.
    pub fn count_dropped(&self, spans: u64) {
        self.numbers.spans_dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// How large the store is.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.numbers.store_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What the programs cost, in totals.
    pub fn set_bpf_cost(&self, run_nanos: u64, runs: u64) {
        self.numbers.bpf_run_nanos.store(run_nanos, Ordering::Relaxed);
        self.numbers.bpf_runs.store(runs, Ordering::Relaxed);
    }

    /// A sender whose progress counts too.
    pub fn watch_sender(&self, progress: watch::Receiver<Progress>) {
        self.numbers.senders.lock().unwrap_or_else(PoisonError::into_inner).push(progress);
    }

    /// Forks, execs, exits and snapshots that arrived.
    pub(super) fn events(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|index| self.numbers.events[index].load(Ordering::Relaxed))
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = (LossKind, u64)> {
        LossKind::ALL.into_iter().zip(self.numbers.lost.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    pub(super) fn spans_stored(&self) -> u64 {
        self.numbers.spans_stored.load(Ordering::Relaxed)
    }

    pub(super) fn spans_dropped(&self) -> u64 {
        self.numbers.spans_dropped.load(Ordering::Relaxed)
    }

    pub(super) fn store_bytes(&self) -> u64 {
        self.numbers.store_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn bpf_run_nanos(&self) -> u64 {
        self.numbers.bpf_run_nanos.load(Ordering::Relaxed)
    }

    pub(super) fn bpf_runs(&self) -> u64 {
        self.numbers.bpf_runs.load(Ordering::Relaxed)
    }

    /// A sum over the senders.
    pub(super) fn over_senders(&self, number: impl Fn(&Progress) -> u64) -> u64 {
        let senders = self.numbers.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.iter().map(|progress| number(&progress.borrow())).sum()
    }
}
