//! The last words on the terminal: the tree, and one line each for cost, loss and delivery.

use agentsight_ebpf::live::Cost;

use super::deliver::Delivered;
use super::work::Work;
use crate::spans::model::Span;
use crate::terminal::{self, Format};
use crate::usage::{ProcessorTime, most_resident_bytes};

/// What is known when a session is over.
#[derive(Debug)]
pub(crate) struct Seen {
    spans: Vec<Span>,
    hidden: usize,
    lost: u64,
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
            lost: work.lost,
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
        let lost = self.lost;
        (lost > 0).then(|| format!("{lost} events were lost: the trace has holes (see agentsight.loss.* on its spans)"))
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
    lines.push(match seen.lost {
        0 => "nothing lost".to_owned(),
        lost => format!("{lost} events LOST: this tree has holes (a larger ring loses less)"),
    });
    lines.extend(seen.cost.as_ref().map(cost));
    lines.push(match delivered.spans_sent() {
        Some((sent, url)) => format!("{sent} spans sent to {url}"),
        None => format!("{} spans kept in the store, none sent (no endpoint is set)", seen.stored),
    });
    lines
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
