//! Records of several buffers, made one stream again: in the order of time, none before what led to it.
//!
//! A child's exec may be read from one buffer before its fork is read from another. One rule restores the order: the
//! clock is read *before* any buffer, then every buffer up to what is stamped after that reading, and only what is
//! stamped before it is handed over, by time; the rest waits for the next drain. Whatever led to such a record was in
//! its buffer before the record was stamped, so before any buffer was read: it is among them, and its stamp is the
//! earlier one. What waits is stamped before the clock of the next drain, so nothing waits twice.

use std::collections::HashMap;

use crate::{BurstId, DecodeError, Event, KernelNanos, SessionNumber, wire};

/// As much room as is kept from one drain to the next, records.
const KEPT_RECORDS: usize = 4096;

/// What was read and not yet handed over, with the time at which the programs made it.
#[derive(Default)]
pub(super) struct Merge {
    waiting: Vec<(KernelNanos, SessionNumber, Event)>,
}

impl Merge {
    /// Takes a record that was read; says when it was made.
    ///
    /// # Errors
    /// It is not one of ours.
    pub(super) fn take(&mut self, record: &[u8]) -> Result<KernelNanos, DecodeError> {
        let made = wire::made_at(record)?;
        match wire::decode(record) {
            Ok((session, event)) => self.waiting.push((made, session, event)),
            Err(DecodeError::NotDns) => {}
            Err(error) => return Err(error),
        }
        Ok(made)
    }

    /// Hands over what was made before `before`, by time; returns how many that were.
    pub(super) fn hand_over(&mut self, before: KernelNanos, mut each: impl FnMut((SessionNumber, Event))) -> usize {
        // Each buffer's records are nearly in order already, which is what this sort is quick on. It is stable: what one
        // program said with one stamp stays in the order in which it was said.
        self.waiting.sort_by_key(|(made, ..)| *made);
        let ready = self.waiting.partition_point(|(made, ..)| *made < before);
        put_payload_before_ends(&mut self.waiting[..ready]);
        self.waiting.drain(..ready).for_each(|(_, session, event)| each((session, event)));
        self.waiting.shrink_to(KEPT_RECORDS);
        ready
    }

    /// Whether something was read that the next drain will hand over.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Payload has a ring of its own, and may come behind the end of its burst: a copy's second half ends what its first was
/// counted in, and so does a call of another thread that is over a little earlier, while the copying is still under way.
fn put_payload_before_ends(events: &mut [(KernelNanos, SessionNumber, Event)]) {
    if !events.iter().any(|(.., event)| matches!(event, Event::Chunk(_))) {
        return;
    }
    let mut ends: HashMap<BurstId, usize> = HashMap::new();
    for at in 0..events.len() {
        match &events[at].2 {
            Event::BurstEnd(end) => {
                ends.insert(end.burst, at);
            }
            Event::Chunk(chunk) => {
                let Some(end) = ends.get(&chunk.burst).copied() else { continue };
                events[end..=at].rotate_right(1);
                ends.values_mut().filter(|other| **other >= end).for_each(|other| *other += 1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BurstEnd, BurstId, Chunk, Cut, Direction, Doer, ExecNumber, OpenId, ProcessKey, Tgid, Tick, Tid};

    fn hand_over(merge: &mut Merge, before: u64) -> Vec<u64> {
        let mut times = Vec::new();
        merge.hand_over(KernelNanos(before), |(_, event)| times.push(event.at().0));
        times
    }

    fn read(merge: &mut Merge, times: &[u64]) {
        let tick = |at: &u64| (KernelNanos(*at), SessionNumber::FIRST, Event::Tick(Tick { at: KernelNanos(*at) }));
        merge.waiting.extend(times.iter().map(tick));
    }

    #[test]
    fn records_of_several_buffers_come_out_by_time() {
        let mut merge = Merge::default();
        read(&mut merge, &[10, 40, 70]);
        read(&mut merge, &[20, 30, 80]);
        assert_eq!(hand_over(&mut merge, 100), [10, 20, 30, 40, 70, 80]);
    }

    #[test]
    fn what_was_written_while_the_buffers_were_read_waits_for_what_led_to_it() {
        let mut merge = Merge::default();
        // The clock was read at 50. CPU 0 was read first, then wrote 60, a fork; CPU 1 wrote 65, the exec.
        read(&mut merge, &[10]);
        read(&mut merge, &[20, 65]);
        assert_eq!(hand_over(&mut merge, 50), [10, 20]);
        assert!(merge.has_waiting());
        read(&mut merge, &[60]);
        assert_eq!(hand_over(&mut merge, 90), [60, 65]);
        assert!(!merge.has_waiting());
    }

    #[test]
    fn what_was_made_in_the_same_moment_keeps_its_order() {
        let mut merge = Merge::default();
        for at in [3_u64, 1, 2] {
            // The time of what it tells of is not the time at which it was made.
            merge.waiting.push((KernelNanos(10), SessionNumber::FIRST, Event::Tick(Tick { at: KernelNanos(at) })));
        }
        assert_eq!(hand_over(&mut merge, 11), [3, 1, 2]);
    }

    #[test]
    fn payload_comes_before_the_end_of_its_burst() {
        let process = ProcessKey { tgid: Tgid(1), start: KernelNanos(1) };
        let by = Doer { process, exec: ExecNumber(0), tid: Tid(1) };
        let burst = |number| BurstId { open: OpenId(3), number };
        let at = KernelNanos(10);
        let chunk = |sequence| {
            let (call, bytes) = (0..2, b"ab".to_vec());
            let (direction, burst) = (Direction::In, burst(1));
            Chunk { at, by, burst, direction, sequence, call, offset: 0, bytes, missing: None }
        };
        let end = |number| BurstEnd {
            at,
            by,
            burst: burst(number),
            direction: Direction::In,
            first: at,
            last: at,
            bytes: 2,
            operations: 1,
            wait_nanos: 0,
            offset: 0,
            end: 2,
            sparse: false,
            threads: false,
            coalesced: false,
            errors: 0,
            captured: false,
            cut: Cut::Flow,
        };
        let mut merge = Merge::default();
        let mut read = |event: Event| merge.waiting.push((event.at(), SessionNumber::FIRST, event));
        read(Event::BurstEnd(end(7)));
        read(Event::BurstEnd(end(1)));
        read(Event::BurstEnd(end(8)));
        (1..=2).for_each(|sequence| read(Event::Chunk(Box::new(chunk(sequence)))));
        read(Event::Chunk(Box::new(Chunk { at: KernelNanos(11), ..chunk(3) })));
        let mut order = Vec::new();
        merge.hand_over(KernelNanos(12), |(_, event)| {
            order.push(match event {
                Event::Chunk(chunk) => format!("chunk {}", chunk.sequence),
                Event::BurstEnd(end) => format!("end {}", end.burst.number),
                other => panic!("nobody said {other:?}"),
            });
        });
        assert_eq!(order, ["end 7", "chunk 1", "chunk 2", "chunk 3", "end 1", "end 8"]);
    }

    #[test]
    fn a_record_that_is_none_is_refused_and_does_not_wait() {
        let mut merge = Merge::default();
        assert_eq!(merge.take(&[0; 3]), Err(DecodeError::Short(3)));
        assert_eq!(merge.take(&[0; 64]), Err(DecodeError::Kind(0)));
        assert!(!merge.has_waiting());
    }
}
