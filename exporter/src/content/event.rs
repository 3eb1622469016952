//! Contents as events say them, and back.
//!
//! What comes back may be a recording's, which anybody may have written: it is checked, so that whoever has
//! [`Redacted`] has ranges in order and secrets within runs.

use std::ops::Range;

use agentsight_ebpf as ebpf;
use agentsight_ebpf::{BurstId, Captured, Direction, Doer, KernelNanos};

use super::redaction::Redacted;
use super::stream::{Ending, Run};

/// Whose contents they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Of {
    /// When they were complete.
    pub at: KernelNanos,
    /// Who moved them.
    pub by: Doer,
    /// The burst.
    pub burst: BurstId,
    /// Which way.
    pub direction: Direction,
}

/// Contents whose ranges contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedContent {
    /// A run is empty, or the next one begins before it ends.
    #[error("the run at {0} is empty, or overlaps the one before it")]
    Run(u64),
    /// A hole is empty, or the next one begins before it ends.
    #[error("the hole at {0} is empty, or overlaps the one before it")]
    Hole(u64),
    /// A secret is empty, out of order, or not within a run.
    #[error("what was redacted at {0} is within no run, or out of order")]
    Redaction(u64),
}

impl Redacted {
    /// As the event of a burst that ends thus.
    #[must_use]
    pub fn into_event(self, of: Of, ending: Ending) -> ebpf::Content {
        let Of { at, by, burst, direction } = of;
        let Self { runs, holes, redactions, lost_chunks, .. } = self;
        let complete = ending == Ending::Complete;
        ebpf::Content { at, by, burst, direction, runs, holes, redacted: redactions, lost_chunks, complete }
    }

    /// What an event says.
    ///
    /// # Errors
    /// When it contradicts itself.
    pub fn of_event(content: &ebpf::Content) -> Result<Self, MalformedContent> {
        let runs: Vec<Range<u64>> = content.runs.iter().map(Run::range).collect();
        check(runs.iter().cloned()).map_err(MalformedContent::Run)?;
        check(content.holes.iter().map(|hole| hole.range.clone())).map_err(MalformedContent::Hole)?;
        check(content.redacted.iter().cloned()).map_err(MalformedContent::Redaction)?;
        for secret in &content.redacted {
            let run = runs.partition_point(|run| run.end <= secret.start);
            if !runs.get(run).is_some_and(|run| run.start <= secret.start && secret.end <= run.end) {
                return Err(MalformedContent::Redaction(secret.start));
            }
        }
        Ok(Self {
            runs: content.runs.clone(),
            holes: content.holes.clone(),
            redactions: content.redacted.clone(),
            lost_chunks: content.lost_chunks,
            unplaced_bytes: 0,
        })
    }

    /// Arguments as events have them: a NUL byte after each, secrets replaced by a marker.
    #[must_use]
    pub fn of_arguments(arguments: &Captured) -> Self {
        Self::without_secrets(&arguments.bytes)
    }
}

/// Ascending, apart, none empty; else where it is not so.
fn check(ranges: impl Iterator<Item = Range<u64>>) -> Result<(), u64> {
    let mut end = 0;
    for range in ranges {
        if range.start >= range.end || range.start < end {
            return Err(range.start);
        }
        end = range.end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::{ContentHole, ContentRun, ExecNumber, Missing, OpenId, ProcessKey, Tgid, Tid};

    use super::*;

    fn content(runs: &[(u64, &str)]) -> ebpf::Content {
        let process = ProcessKey { tgid: Tgid(2), start: KernelNanos(1) };
        ebpf::Content {
            at: KernelNanos(5),
            by: Doer { process, exec: ExecNumber(1), tid: Tid(2) },
            burst: BurstId { open: OpenId(3), number: 1 },
            direction: Direction::In,
            runs: runs.iter().map(|&(offset, text)| ContentRun { offset, bytes: text.into() }).collect(),
            holes: Vec::new(),
            redacted: Vec::new(),
            lost_chunks: 0,
            complete: true,
        }
    }

    #[test]
    fn what_is_said_comes_back() {
        let mut said = content(&[(0, "password=*******"), (20, "x")]);
        said.redacted.push(9..16);
        said.holes.push(ContentHole { range: 16..20, cause: Missing::RingFull });
        let redacted = Redacted::of_event(&said).expect("well formed");
        let of = Of { at: said.at, by: said.by, burst: said.burst, direction: said.direction };
        assert_eq!(redacted.into_event(of, Ending::Complete), said);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert_eq!(Redacted::of_event(&content(&[(4, "")])), Err(MalformedContent::Run(4)));
        assert_eq!(Redacted::of_event(&content(&[(4, "abc"), (6, "d")])), Err(MalformedContent::Run(6)));
        assert_eq!(Redacted::of_event(&content(&[(u64::MAX, "ab")])), Err(MalformedContent::Run(u64::MAX)));
        for secret in [2..4, 5..9, 3..3] {
            let mut said = content(&[(3, "abc")]);
            said.redacted.push(secret.clone());
            assert_eq!(Redacted::of_event(&said), Err(MalformedContent::Redaction(secret.start)));
        }
        let mut said = content(&[]);
        said.holes.push(ContentHole { range: 7..7, cause: Missing::Budget });
        assert_eq!(Redacted::of_event(&said), Err(MalformedContent::Hole(7)));
    }
}
