//! What follows what in the contents of a span: known bytes, redacted ones, holes, and leaps over what no call touched.

use std::ops::Range;

use agentsight_ebpf::Missing;

use crate::spans::model::SpanContent;

/// A part of the stream or file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'c> {
    /// These bytes stood here.
    Known { at: u64, bytes: &'c [u8] },
    /// A secret of so many bytes stood here.
    Redacted { at: u64, bytes: u64 },
    /// These were moved and are not known.
    Hole { range: Range<u64>, cause: Missing },
    /// What follows does not begin where the last ended, and nothing was moved in between.
    Leap { to: u64 },
}

/// In the order of their places. Whatever the layout says that the bytes do not bear out is passed over.
pub(super) fn pieces(content: &SpanContent) -> Vec<Piece<'_>> {
    let layout = &content.layout;
    let mut parts: Vec<(Range<u64>, Piece<'_>)> = Vec::new();
    let mut rest = content.bytes.as_slice();
    for &(offset, length) in &layout.runs {
        let (run, behind) = rest.split_at(usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len())));
        rest = behind;
        split(offset, run, &layout.redacted, &mut parts);
    }
    for hole in &layout.holes {
        parts.push((hole.range.clone(), Piece::Hole { range: hole.range.clone(), cause: hole.cause }));
    }
    parts.sort_by_key(|(range, _)| (range.start, range.end));
    let mut pieces = Vec::with_capacity(parts.len());
    let mut end = None;
    for (range, piece) in parts {
        if end.is_some_and(|end| end != range.start) {
            pieces.push(Piece::Leap { to: range.start });
        }
        end = Some(range.end);
        pieces.push(piece);
    }
    pieces
}

/// A run, cut where redactions begin and end.
fn split<'c>(offset: u64, run: &'c [u8], redacted: &[Range<u64>], parts: &mut Vec<(Range<u64>, Piece<'c>)>) {
    let end = offset.saturating_add(run.len() as u64);
    let within = |place: u64| usize::try_from(place.clamp(offset, end) - offset).unwrap_or(run.len());
    let known = |from: u64, to: u64| {
        let bytes = &run[within(from)..within(to).max(within(from))];
        (!bytes.is_empty()).then_some((from..to, Piece::Known { at: from, bytes }))
    };
    let first = redacted.partition_point(|range| range.end <= offset);
    let mut at = offset;
    for range in redacted[first..].iter().take_while(|range| range.start < end) {
        let range = range.start.max(at)..range.end.min(end);
        if range.is_empty() {
            continue;
        }
        parts.extend(known(at, range.start));
        parts.push((range.clone(), Piece::Redacted { at: range.start, bytes: range.end - range.start }));
        at = range.end;
    }
    parts.extend(known(at, end));
}

#[cfg(test)]
pub(super) mod tests {
    use agentsight_ebpf::ContentHole;
    use opentelemetry::trace::{SpanId, TraceId};

    use super::*;
    use crate::content::ContentHash;
    use crate::spans::model::ContentLayout;

    /// Runs at their offsets, redacted at these places, with these holes.
    pub(in super::super) fn content(
        runs: &[(u64, &[u8])],
        redacted: &[(u64, u64)],
        holes: &[(u64, u64, Missing)],
    ) -> SpanContent {
        SpanContent {
            trace_id: TraceId::from_bytes([1; 16]),
            span_id: SpanId::from_bytes([2; 8]),
            hash: ContentHash([3; 32]),
            bytes: runs.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect(),
            layout: ContentLayout {
                runs: runs.iter().map(|(offset, bytes)| (*offset, bytes.len() as u64)).collect(),
                holes: holes.iter().map(|&(start, end, cause)| ContentHole { range: start..end, cause }).collect(),
                redacted: redacted.iter().map(|&(start, end)| start..end).collect(),
                lost_chunks: 0,
                complete: true,
            },
        }
    }

    #[test]
    fn pieces_come_in_the_order_of_their_places() {
        let content = content(
            &[(4, b"ab**ef"), (20, b"*z")],
            &[(6, 8), (20, 21)],
            &[(0, 4, Missing::RingFull), (10, 15, Missing::Budget)],
        );
        assert_eq!(
            pieces(&content),
            [
                Piece::Hole { range: 0..4, cause: Missing::RingFull },
                Piece::Known { at: 4, bytes: b"ab" },
                Piece::Redacted { at: 6, bytes: 2 },
                Piece::Known { at: 8, bytes: b"ef" },
                Piece::Hole { range: 10..15, cause: Missing::Budget },
                Piece::Leap { to: 20 },
                Piece::Redacted { at: 20, bytes: 1 },
                Piece::Known { at: 21, bytes: b"z" },
            ]
        );
    }

    #[test]
    fn a_layout_that_cannot_be_is_no_harm() {
        for (runs, redacted) in [
            (vec![(0, u64::MAX)], vec![(0, u64::MAX)]),
            (vec![(u64::MAX, 3), (0, 9)], vec![(5, 2), (0, 1)]),
            (vec![], vec![(0, 9)]),
            (vec![(3, 1), (3, 1)], vec![(2, 4), (3, 9), (0, 5)]),
        ] {
            let mut odd = content(&[(0, b"bytes")], &redacted, &[(7, 3, Missing::Budget)]);
            odd.layout.runs = runs;
            assert!(pieces(&odd).len() < 20);
        }
    }
}
