//! Rule: what is inferred over a time in which something of the data was lost is less than certain.
//!
//! A loss is told once a second, so it lies in the time before that. An edge that left before the loss was told stays
//! as it was said; the session's root tells of the loss in any case.

use std::collections::VecDeque;

use agentsight_ebpf::{KernelNanos, Loss, LossKind};

use super::edges::Edge;
use super::{CauseKind, Confidence};

/// How long before it is told a loss may have happened, nanoseconds: losses are counted once a second, and a machine
/// that loses events is late with that.
const TOLD_WITHIN: u64 = 2_000_000_000;
/// Gaps that are told apart: of more, the oldest two are taken for one.
const GAPS_MAX: usize = 64;

/// From when to when something was lost, in order.
#[derive(Debug, Default)]
pub(super) struct Gaps(VecDeque<(KernelNanos, KernelNanos)>);

impl Gaps {
    pub(super) fn add(&mut self, loss: Loss) {
        if loss.count == 0 || !concerns_data(loss.kind) {
            return;
        }
        let from = KernelNanos(loss.at.0.saturating_sub(TOLD_WITHIN));
        match self.0.back_mut() {
            Some((_, end)) if *end >= from => *end = loss.at.max(*end),
            _ => self.0.push_back((from, loss.at)),
        }
        if self.0.len() > GAPS_MAX
            && let Some((from, _)) = self.0.pop_front()
            && let Some(next) = self.0.front_mut()
        {
            next.0 = from;
        }
    }

    /// Make an edge to an effect that ended then as sure as it is.
    pub(super) fn doubt(&self, edge: &mut Edge, end: KernelNanos) {
        let is_crossed = |(from, to): &(KernelNanos, KernelNanos)| *from <= end && edge.cause.first <= *to;
        if is_inferred(edge.kind) && self.0.iter().any(is_crossed) {
            edge.confidence = edge.confidence.min(Confidence::UNORDERED);
        }
    }
}

/// Whether bytes may have gone another way because this was not seen.
fn concerns_data(kind: LossKind) -> bool {
    match kind {
        LossKind::Open
        | LossKind::Burst
        | LossKind::Change
        | LossKind::Process
        | LossKind::Missed
        | LossKind::Undecodable => true,
        LossKind::Fork
        | LossKind::Exec
        | LossKind::Exit
        | LossKind::Snapshot
        | LossKind::Connect
        | LossKind::Dns
        | LossKind::Call
        | LossKind::Content => false,
    }
}

/// Whether an edge follows from versions, offsets and order, and not from one event that says it.
fn is_inferred(kind: CauseKind) -> bool {
    matches!(kind, CauseKind::File | CauseKind::Pipe | CauseKind::Unix | CauseKind::Tcp | CauseKind::Udp)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::graph::fixture::check;

    #[test]
    fn an_edge_over_a_gap_is_less_than_certain_and_one_before_or_after_it_is_certain() {
        check(
            "
                0 root 100
                1 exec 100 /bin/bash bash
                2 open 100 #1 pipe 7
                2 open 100 #2 pipe 7
                3 out 100 #2.1 0..10
                4 in 100 #1.1 0..10
                5 tick
                6 out 100 #2.2 10..20
                5s lost burst 3
                5s in 100 #1.2 10..20
                6s tick
                7s out 100 #2.3 20..30
                7s lost exec 1
                8s in 100 #1.3 20..30
                9s tick
            ",
            &expect![[r#"
                began    100#1 Root bash under -
                write    #2.1 100#1 pipe 0..10 at 3..3 under 100#1
                read     #1.1 100#1 pipe 0..10 at 4..4 under 100#1 <-Pipe #2.1 10
                lost     Burst 3
                write    #2.2 100#1 pipe 10..20 at 6..6 under 100#1
                read     #1.2 100#1 pipe 10..20 at 5000..5000 under 100#1 <-Pipe #2.2 10 (0.8)
                lost     Exec 1
                write    #2.3 100#1 pipe 20..30 at 7000..7000 under 100#1
                read     #1.3 100#1 pipe 20..30 at 8000..8000 under 100#1 <-Pipe #2.3 10
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }

    #[test]
    fn a_copy_was_said_whatever_else_was_lost() {
        check(
            "
                0 root 100
                1 exec 100 /bin/cp cp
                2 open 100 #1 file a
                2 open 100 #2 created file b
                3 in 100 #1.1 0..10
                3 out 100 #2.1 0..10
                3 copied #1.1 #2.1 10
                4 lost open 3
                5 tick
            ",
            &expect![[r#"
                began    100#1 Root cp under -
                lost     Open 3
                read     #1.1 100#1 a 0..10 at 3..3 under 100#1
                write    #2.1 100#1 b 0..10 at 3..3 under 100#1 <-Copy #1.1 10
                ended    100#1 0..20000 incomplete
            "#]],
        );
    }
}
