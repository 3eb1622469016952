//! The trace ids of a session's segments: a keyed hash of the session and the segment's number, which whoever has the
//! key can take back to the number. So an id of long ago is recognised without a list of all.

use std::hash::Hasher;

use opentelemetry::trace::TraceId;
use siphasher::sip::SipHasher24;

use super::Segment;
use crate::session::Session;

pub(super) struct SegmentIds {
    /// Keyed, and fed with the session's id.
    session: SipHasher24,
    /// The trace that the session began with, which has an id of its own.
    first: TraceId,
}

impl SegmentIds {
    pub(super) fn new(session: &Session) -> Self {
        let mut hasher = SipHasher24::new_with_key(&session.id_key);
        hasher.write(&session.id.0);
        Self { session: hasher, first: session.trace_id }
    }

    pub(super) fn id(&self, segment: Segment) -> TraceId {
        if segment == Segment::FIRST {
            return self.first;
        }
        // W3C and OpenTelemetry call an id of zeros none.
        let front = self.hash("segment", &segment.0.to_be_bytes()).max(1);
        let back = self.hash("number", &front.to_be_bytes()) ^ u64::from(segment.0);
        TraceId::from_bytes(((u128::from(front) << 64) | u128::from(back)).to_be_bytes())
    }

    /// Which segment of this session has this id, had it come to that many.
    pub(super) fn segment(&self, id: TraceId) -> Option<Segment> {
        if id == self.first {
            return Some(Segment::FIRST);
        }
        let [front, back] = [0, 8].map(|half| {
            let bytes = id.to_bytes();
            u64::from_be_bytes(std::array::from_fn(|index| bytes[half + index]))
        });
        let number = back ^ self.hash("number", &front.to_be_bytes());
        u32::try_from(number).ok().map(Segment).filter(|segment| self.id(*segment) == id)
    }

    fn hash(&self, what: &str, of: &[u8]) -> u64 {
        let mut hasher = self.session;
        hasher.write(what.as_bytes());
        hasher.write(of);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::session;

    #[test]
    fn ids_are_fixed_for_good_so_that_old_recordings_keep_theirs() {
        let ids = SegmentIds::new(&session());
        assert_eq!(ids.id(Segment(0)), session().trace_id);
        assert_eq!(ids.id(Segment(1)).to_string(), "6473d1c3dcab92089dfade1d7fcba54f");
    }

    #[test]
    fn a_number_is_read_back_with_the_sessions_key_only() {
        let ids = SegmentIds::new(&session());
        let mut other = session();
        other.id_key[0] ^= 1;
        let mut seen = std::collections::HashSet::new();
        for number in (0..1000).chain([u32::MAX]) {
            let id = ids.id(Segment(number));
            assert!(seen.insert(id));
            assert_eq!(ids.segment(id), Some(Segment(number)));
            assert!(number == 0 || SegmentIds::new(&other).segment(id).is_none());
        }
    }
}
