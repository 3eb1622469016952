//! Span ids: a keyed hash of what the span is about, so that an id is known before its span is
//! sent, is the same on replay, and can be neither foretold nor forged without the session's key.

use std::hash::Hasher;

use agentsight_ebpf::{BurstId, ExecNumber, KernelNanos, OpenId, ProcessKey};
use agentsight_semconv::value::action;
use opentelemetry::trace::SpanId;
use siphasher::sip::SipHasher24;

use crate::graph::{ImageId, Part, Segment};
use crate::session::{Session, SpanRef};

/// The ids of one session's spans.
pub(super) struct SpanIds {
    /// Keyed, and fed with what all ids of the session have in common.
    session: SipHasher24,
}

/// What a span is about, beside its image. Fields that a kind of span has no use for stay as in `Default`.
#[derive(Clone, Copy, Debug, Default)]
struct Subject<'a> {
    action: &'a str,
    /// Identity of the file, pipe, socket, …
    object: &'a [u8],
    open_sequence: u64,
    burst: u64,
    segment: u32,
}

/// The span of the session's root image, known before the process `root` has exec'd: it is what `TRACEPARENT` is set to.
#[must_use]
pub fn root_span(session: &Session, root: ProcessKey) -> SpanRef {
    let image = ImageId { process: root, exec: ExecNumber(1), noticed: KernelNanos(0) };
    SpanRef { trace_id: session.trace_id, span_id: SpanIds::new(session).image(image, Part::Original, Segment::FIRST) }
}

impl SpanIds {
    pub(super) fn new(session: &Session) -> Self {
        let mut hasher = SipHasher24::new_with_key(&session.id_key);
        hasher.write(&session.id.0);
        write_bytes(&mut hasher, session.boot_id.as_bytes());
        Self { session: hasher }
    }

    /// The span of an image that stands in `segment`: its own, or the one that continues it there.
    pub(super) fn image(&self, image: ImageId, part: Part, segment: Segment) -> SpanId {
        let action = match part {
            Part::Original => action::EXEC,
            Part::Continuation => action::CONTINUE,
        };
        self.id(image, Subject { action, segment: segment.0, ..Subject::default() })
    }

    /// The span in `segment` that says how a promoted image ended.
    pub(super) fn exit(&self, image: ImageId, segment: Segment) -> SpanId {
        self.id(image, Subject { action: action::EXIT, segment: segment.0, ..Subject::default() })
    }

    /// The span of a burst.
    pub(super) fn burst(&self, image: ImageId, burst: BurstId, segment: Segment) -> SpanId {
        let (open_sequence, burst) = (burst.open.0, u64::from(burst.number));
        let subject = Subject { action: "burst", open_sequence, burst, segment: segment.0, ..Subject::default() };
        self.id(image, subject)
    }

    /// The span of a connection that stands in `segment`: its own, or the one that continues it there.
    pub(super) fn connection(&self, image: ImageId, open: OpenId, part: Part, segment: Segment) -> SpanId {
        let action = match part {
            Part::Original => "connection",
            Part::Continuation => "connection continued",
        };
        let subject = Subject { action, open_sequence: open.0, segment: segment.0, ..Subject::default() };
        self.id(image, subject)
    }

    /// The span in `segment` that says how a promoted connection ended.
    pub(super) fn close(&self, image: ImageId, open: OpenId, segment: Segment) -> SpanId {
        let (action, open_sequence) = (action::CLOSE, open.0);
        self.id(image, Subject { action, open_sequence, segment: segment.0, ..Subject::default() })
    }

    /// The span of a look-up, by the number of its query in the burst that carried it.
    pub(super) fn resolution(&self, image: ImageId, query: BurstId, number: u32, segment: Segment) -> SpanId {
        let subject = Subject {
            action: "resolve",
            object: &number.to_le_bytes(),
            open_sequence: query.open.0,
            burst: u64::from(query.number),
            segment: segment.0,
        };
        self.id(image, subject)
    }

    fn id(&self, image: ImageId, subject: Subject) -> SpanId {
        let mut hasher = self.session;
        hasher.write(&image.process.tgid.0.to_le_bytes());
        hasher.write(&image.process.start.0.to_le_bytes());
        hasher.write(&image.exec.0.to_le_bytes());
        hasher.write(&image.noticed.0.to_le_bytes());
        write_bytes(&mut hasher, subject.action.as_bytes());
        write_bytes(&mut hasher, subject.object);
        hasher.write(&subject.open_sequence.to_le_bytes());
        hasher.write(&subject.burst.to_le_bytes());
        hasher.write(&subject.segment.to_le_bytes());
        // Zero is how W3C and OpenTelemetry write "no span".
        SpanId::from_bytes(hasher.finish().max(1).to_be_bytes())
    }
}

/// With its length, so that two neighbours cannot be read as two others.
fn write_bytes(hasher: &mut SipHasher24, bytes: &[u8]) {
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Tgid;

    use super::*;
    use crate::graph::fixture::session;

    const ROOT: ProcessKey = ProcessKey { tgid: Tgid(100), start: KernelNanos(1_000_000_000) };
    const IMAGE: ImageId = ImageId { process: ROOT, exec: ExecNumber(1), noticed: KernelNanos(0) };

    #[test]
    fn ids_are_fixed_for_good_so_that_old_recordings_keep_theirs() {
        assert_eq!(root_span(&session(), ROOT).span_id.to_string(), "6fb6096f42eddb81");
    }

    #[test]
    fn whatever_makes_a_span_another_makes_its_id_another() {
        let mut ids = std::collections::HashSet::new();
        let ours = SpanIds::new(&session());
        let mut sessions = [session(), session(), session()];
        sessions[0].id_key[0] ^= 1;
        sessions[1].id.0[0] ^= 1;
        sessions[2].boot_id.push('x');
        let images = [
            IMAGE,
            ImageId { exec: ExecNumber(2), ..IMAGE },
            ImageId { noticed: KernelNanos(1), ..IMAGE },
            ImageId { process: ProcessKey { tgid: Tgid(101), ..ROOT }, ..IMAGE },
            ImageId { process: ProcessKey { start: KernelNanos(1), ..ROOT }, ..IMAGE },
        ];
        for segment in [Segment::FIRST, Segment(1)] {
            for part in [Part::Original, Part::Continuation] {
                assert!(images.iter().all(|image| ids.insert(ours.image(*image, part, segment))));
            }
            assert!(images.iter().all(|image| ids.insert(ours.exit(*image, segment))));
            for open in [OpenId(1), OpenId(2)] {
                assert!(images.iter().all(|image| ids.insert(ours.connection(*image, open, Part::Original, segment))));
                assert!(images.iter().all(|image| ids.insert(ours.close(*image, open, segment))));
                for burst in [BurstId { open, number: 1 }, BurstId { open, number: 2 }] {
                    assert!(images.iter().all(|image| ids.insert(ours.burst(*image, burst, segment))));
                    assert!(images.iter().all(|image| ids.insert(ours.resolution(*image, burst, 0, segment))));
                    assert!(images.iter().all(|image| ids.insert(ours.resolution(*image, burst, 1, segment))));
                }
            }
        }
        let of_session = |session: &_| SpanIds::new(session).image(IMAGE, Part::Original, Segment::FIRST);
        assert!(sessions.iter().all(|session| ids.insert(of_session(session))));
    }
}
