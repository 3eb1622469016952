//! What AgentSight counts of its own work; metrics read it when they are collected.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use agentsight_ebpf::{Event, LossKind};
use tokio::sync::watch;

use super::event_kind::{COUNTED, counter_of};
use crate::otlp::sender::Progress;

/// Shared between the pipeline, which counts, and the metrics, which read. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Account {
    numbers: Arc<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    events: [AtomicU64; COUNTED.len()],
    lost: [AtomicU64; LossKind::ALL.len()],
    spans_stored: AtomicU64,
    spans_dropped: AtomicU64,
    store_bytes: AtomicU64,
    bpf_run_nanos: AtomicU64,
    bpf_runs: AtomicU64,
    senders: Mutex<Senders>,
}

impl Account {
    /// One event arrived.
    pub fn count_event(&self, event: &Event) {
        if let Some(counter) = counter_of(event) {
            self.numbers.events[counter].fetch_add(1, Ordering::Relaxed);
        }
        if let Event::Loss(loss) = event
            && let Some(index) = LossKind::ALL.iter().position(|kind| *kind == loss.kind)
        {
            self.numbers.lost[index].fetch_add(loss.count, Ordering::Relaxed);
        }
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

    /// A sender whose progress counts too, past its end.
    pub fn watch_sender(&self, progress: watch::Receiver<Progress>) {
        let mut senders = self.numbers.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retire();
        senders.living.push(progress);
    }

    /// What arrived, by the name of its kind.
    pub(super) fn events(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COUNTED.into_iter().zip(self.numbers.events.iter().map(|count| count.load(Ordering::Relaxed)))
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
        let past = senders.past.iter().map(&number).sum::<u64>();
        past + senders.living.iter().map(|progress| number(&progress.borrow())).sum::<u64>()
    }
}

/// A daemon has more of them in its life than it could remember one by one.
#[derive(Debug, Default)]
struct Senders {
    living: Vec<watch::Receiver<Progress>>,
    /// What those who are gone came to, summed up for each kind of signal.
    past: Vec<Progress>,
}

impl Senders {
    fn retire(&mut self) {
        let past = &mut self.past;
        self.living.retain_mut(|progress| {
            let last = progress.borrow_and_update().clone();
            let lives = progress.has_changed().is_ok();
            if !lives {
                match past.iter_mut().find(|sum| sum.kind == last.kind) {
                    Some(sum) => sum.add(&last),
                    None => past.push(last),
                }
            }
            lives
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sender::{Requests, SenderState};
    use crate::store::{Counts, Kind};

    #[test]
    fn senders_that_are_gone_still_count_and_take_no_room() {
        let account = Account::default();
        for _ in 0..100 {
            let (sender, progress) = watch::channel(Progress::of(
                Kind::Span,
                Counts { sent: 3, ..Counts::default() },
                Requests { success: 2, ..Requests::default() },
                SenderState::Idle,
            ));
            account.watch_sender(progress);
            drop(sender);
        }
        assert_eq!(account.over_senders(|progress| progress.counts.sent), 300);
        assert_eq!(account.over_senders(|progress| progress.requests.success), 200);
        let senders = account.numbers.senders.lock().unwrap();
        assert_eq!((senders.living.len(), senders.past.len()), (1, 1));
    }
}
