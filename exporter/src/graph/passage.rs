//! Rule: what one image took in may be in what another puts out only where a way of exact edges leads from the one to the
//! other, in the order of time.

use std::collections::{BTreeMap, VecDeque};

use agentsight_ebpf::{Direction, KernelNanos};

use super::edges::Edge;
use super::moved::Moved;
use super::{CauseKind, ImageId};

/// Passages that are remembered: the newest.
const PASSAGES_MAX: usize = 16_384;
/// A passage that was noted is looked for among so many of the newest.
const SAME_AMONG: usize = 32;
/// Steps of a way. What went further is as good as unknown.
const HOPS_MAX: u32 = 16;

/// Something went from one image to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) from: ImageId,
    /// The last moment at which something left.
    pub(super) left: KernelNanos,
    pub(super) to: ImageId,
    /// The first moment at which something arrived.
    pub(super) arrived: KernelNanos,
}

/// The newest passages, from the first captured input on.
#[derive(Debug, Default)]
pub(super) struct Passages {
    into: BTreeMap<ImageId, VecDeque<Passage>>,
    order: VecDeque<ImageId>,
    is_wanted: bool,
}

/// Of each image from which something may have come, by the number of steps: what it took in before this moment.
#[derive(Debug)]
pub(super) struct Reach(BTreeMap<ImageId, Vec<(u32, KernelNanos)>>);

impl Passages {
    /// From here on they are remembered: what was before cannot matter, as there was nothing to pass.
    pub(super) fn begin(&mut self) {
        self.is_wanted = true;
    }

    pub(super) fn note(&mut self, passage: Passage) {
        if !self.is_wanted || passage.from == passage.to {
            return;
        }
        // An input is told of at its end and again when it leaves.
        let known = self.into.get(&passage.to).into_iter().flatten().rev().take(SAME_AMONG);
        if known.into_iter().any(|it| *it == passage) {
            return;
        }
        self.into.entry(passage.to).or_default().push_back(passage);
        self.order.push_back(passage.to);
        if self.order.len() > PASSAGES_MAX
            && let Some(oldest) = self.order.pop_front()
            && let Some(passages) = self.into.get_mut(&oldest)
        {
            passages.pop_front();
            if passages.is_empty() {
                self.into.remove(&oldest);
            }
        }
    }

    /// What an input that leaves was given by others.
    pub(super) fn note_edges(&mut self, read: &Moved, edges: &[Edge]) {
        if !self.is_wanted || read.direction == Direction::Out {
            return;
        }
        let end = read.last().unwrap_or(read.first);
        for edge in edges.iter().filter(|edge| is_exact(edge.kind)) {
            let left = edge.cause.last().map_or(end, |last| last.min(end));
            self.note(Passage { from: edge.cause.image.id, left, to: read.image.id, arrived: read.first });
        }
    }

    /// From where something may have come to an image before this moment.
    pub(super) fn reach(&self, image: ImageId, before: KernelNanos) -> Reach {
        let mut reach: BTreeMap<ImageId, Vec<(u32, KernelNanos)>> = BTreeMap::from([(image, vec![(0, before)])]);
        let mut frontier = vec![(image, before)];
        for hops in 1..=HOPS_MAX {
            let mut next: BTreeMap<ImageId, KernelNanos> = BTreeMap::new();
            for (image, before) in frontier {
                let passages = self.into.get(&image).into_iter().flatten();
                for passage in passages.filter(|passage| passage.arrived < before) {
                    let latest = next.entry(passage.from).or_insert(passage.left);
                    *latest = passage.left.max(*latest);
                }
            }
            // A longer way that allows for no later input says nothing new.
            next.retain(|image, left| {
                let known = reach.entry(*image).or_default();
                let is_new = known.last().is_none_or(|(_, before)| *before < *left);
                if is_new {
                    known.push((hops, *left));
                }
                is_new
            });
            if next.is_empty() {
                break;
            }
            frontier = next.into_iter().collect();
        }
        Reach(reach)
    }
}

impl Reach {
    /// Steps from what an image took in until then; `None` where no way is known.
    pub(super) fn hops(&self, image: ImageId, taken_at: KernelNanos) -> Option<u32> {
        self.0.get(&image)?.iter().find(|(_, before)| taken_at < *before).map(|(hops, _)| *hops)
    }
}

/// Bytes went along it, or a descriptor, and that was seen.
fn is_exact(kind: CauseKind) -> bool {
    match kind {
        CauseKind::File
        | CauseKind::Copy
        | CauseKind::Pipe
        | CauseKind::Unix
        | CauseKind::Tcp
        | CauseKind::Udp
        | CauseKind::Fd => true,
        CauseKind::Exec
        | CauseKind::Lineage
        | CauseKind::Explicit
        | CauseKind::Segment
        | CauseKind::Shm
        | CauseKind::Flow
        | CauseKind::Dns
        | CauseKind::Signal
        | CauseKind::Join => false,
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{ExecNumber, ProcessKey, Tgid};

    use super::*;

    fn image(tgid: u32) -> ImageId {
        let process = ProcessKey { tgid: Tgid(tgid), start: KernelNanos(1) };
        ImageId { process, exec: ExecNumber(1), noticed: KernelNanos(0) }
    }

    fn passages(all: &[(u32, u64, u32, u64)]) -> Passages {
        let mut passages = Passages::default();
        passages.begin();
        for &(from, left, to, arrived) in all {
            let (left, arrived) = (KernelNanos(left), KernelNanos(arrived));
            passages.note(Passage { from: image(from), left, to: image(to), arrived });
        }
        passages
    }

    fn hops(passages: &Passages, to: (u32, u64), from: (u32, u64)) -> Option<u32> {
        passages.reach(image(to.0), KernelNanos(to.1)).hops(image(from.0), KernelNanos(from.1))
    }

    #[test]
    fn a_way_is_followed_backward_in_time_alone() {
        let passages = passages(&[(1, 10, 2, 11), (2, 20, 3, 21)]);
        assert_eq!(hops(&passages, (3, 30), (1, 5)), Some(2));
        assert_eq!(hops(&passages, (3, 30), (3, 29)), Some(0));
        // Taken in after it had passed something on; given out before anything had arrived.
        assert_eq!(hops(&passages, (3, 30), (1, 10)), None);
        assert_eq!(hops(&passages, (3, 21), (1, 5)), None);
        assert_eq!(hops(&passages, (1, 30), (3, 5)), None);
    }

    #[test]
    fn two_that_answer_each_other_end_the_walk() {
        let passages = passages(&[(1, 10, 2, 11), (2, 12, 1, 13), (1, 14, 2, 15), (2, 16, 1, 17)]);
        assert_eq!(hops(&passages, (1, 20), (2, 15)), Some(1));
        assert_eq!(hops(&passages, (1, 20), (1, 19)), Some(0));
        assert_eq!(hops(&passages, (2, 16), (1, 12)), Some(1));
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut passages = passages(&[(1, 10, 2, 11)]);
        for at in 0..PASSAGES_MAX as u64 {
            passages.note(Passage {
                from: image(3),
                left: KernelNanos(20 + at),
                to: image(4),
                arrived: KernelNanos(20 + at),
            });
        }
        assert_eq!(passages.order.len(), PASSAGES_MAX);
        assert_eq!(hops(&passages, (2, 30), (1, 5)), None);
        assert_eq!(passages.into.len(), 1);
    }
}
