//! The last words on the terminal: the tree, and one line each for cost, loss and delivery.

use std::collections::BTreeMap;
use std::fmt;

use agentsight_ebpf::live::Cost;
use agentsight_ebpf::{Loss, LossKind};

use super::deliver::Delivered;
use super::work::Work;
use crate::spans::model::Span;
use crate::telemetry::name_of_lost;
use crate::terminal::{self, Format};
use crate::usage::{ProcessorTime, most_resident_bytes};

/// What a session lost, by kind.
#[derive(Debug, Default)]
pub(crate) struct Lost(BTreeMap<LossKind, u64>);

impl Lost {
    pub(crate) fn add(&mut self, loss: &Loss) {
        let count = self.0.entry(loss.kind).or_default();
        *count = count.saturating_add(loss.count);
    }
}

/// All of them, and how many of each kind: `5 events (2 exec, 3 missed)`.
impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let kinds: Vec<_> = self.0.iter().map(|(&kind, count)| format!("{count} {}", name_of_lost(kind))).collect();
        write!(f, "{all} events ({})", kinds.join(", "))
    }
}

/// What is known when a session is over.
#[derive(Debug)]
pub(crate) struct Seen {
    spans: Vec<Span>,
    hidden: usize,
    lost: Lost,
    alive: usize,
    stored: u64,
    /// Of a collector that has no other session.
    cost: Option<Cost>,
    pub(super) started: bool,
}

impl Seen {
    pub(crate) fn of(work: &mut Work, cost: Option<Cost>) -> Self {
        Self {
            spans: std::mem::take(&mut work.shown),
            hidden: work.hidden,
            lost: std::mem::take(&mut work.lost),
            alive: work.lifetime.alive(),
            stored: work.shelf.stored(),
            cost,
            started: work.started,
        }
    }
}

impl Seen {
    /// What the user must know even where no tree is drawn.
    pub(crate) fn complaint(&self) -> Option<String> {
        let Self { lost, .. } = self;
        let complaint = || format!("{lost} were lost: the trace has holes (see agentsight.loss.* on its spans)");
        (!lost.0.is_empty()).then(complaint)
    }
}

/// The whole text, ended by a newline.
pub(crate) fn text(seen: &Seen, delivered: &Delivered, format: Format) -> String {
    terminal::summary(&seen.spans, format, &footer(seen, delivered))
}

fn footer(seen: &Seen, delivered: &Delivered) -> Vec<String> {
    let mut lines = Vec::new();
    if seen.hidden > 0 {
        lines.push(format!("{} more spans are not shown", seen.hidden));
    }
    if seen.alive > 0 {
        lines.push(format!("{} processes were still running when --linger was over", seen.alive));
    }
    lines.push(match &seen.lost {
        Lost(kinds) if kinds.is_empty() => "nothing lost".to_owned(),
        lost => format!("LOST {lost}: this tree has holes{}", remedy(lost)),
    });
    lines.extend(seen.cost.as_ref().map(cost));
    lines.push(match delivered.spans_sent() {
        Some((sent, url)) => format!("{sent} spans sent to {url}"),
        None => format!("{} spans kept in the store, none sent (no endpoint is set)", seen.stored),
    });
    lines
}

/// What the kernel skipped, or nobody could read, no ring would have held.
fn remedy(lost: &Lost) -> &'static str {
    let wants_no_room = |kind| matches!(kind, LossKind::Missed | LossKind::Undecodable);
    if lost.0.keys().copied().all(wants_no_room) { "" } else { " (a larger ring loses less)" }
}

/// Kernel time is the programs' own, on all CPUs; the collector's includes loading them.
fn cost(cost: &Cost) -> String {
    format!(
        "cost: {} in the kernel over {} probe runs, {} CPU and {} MiB in the collector",
        terminal::duration(cost.run_time),
        cost.run_count,
        terminal::duration(ProcessorTime::so_far().unwrap_or_default().sum()),
        most_resident_bytes() >> 20,
    )
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::KernelNanos;

    use super::*;

    fn lost(losses: &[(LossKind, u64)]) -> Lost {
        let mut lost = Lost::default();
        losses.iter().for_each(|&(kind, count)| lost.add(&Loss { at: KernelNanos(1), kind, count }));
        lost
    }

    #[test]
    fn what_was_lost_is_said_by_kind_and_a_larger_ring_is_advised_where_it_would_help() {
        let skipped = lost(&[(LossKind::Missed, 2), (LossKind::Missed, 1)]);
        assert_eq!((skipped.to_string().as_str(), remedy(&skipped)), ("3 events (3 missed)", ""));
        let crowded = lost(&[(LossKind::Missed, 2), (LossKind::Exec, 40)]);
        assert_eq!(crowded.to_string(), "42 events (40 exec, 2 missed)");
        assert_eq!(remedy(&crowded), " (a larger ring loses less)");
    }
}
