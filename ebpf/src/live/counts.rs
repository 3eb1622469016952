//! What the programs counted, session by session: the user side of `counts` in `include/ring.h`.

use std::collections::HashMap;
use std::fmt;

use aya::maps::{MapData, PerCpuArray};

use super::LiveError;
use super::probes::{Sessions, map_failed};
use crate::{LossKind, SessionNumber};

/// `SESSION_SLOTS` of event.h, a power of two. Sessions whose numbers differ by a multiple of it share a slot, so no two
/// of those may be alive at once.
pub(crate) const SESSION_SLOTS: u32 = 1024;

/// The map of counters, and what of it was reported.
pub(super) struct Counts {
    map: PerCpuArray<MapData, EventCounts>,
    /// Losses that were reported, by slot.
    reported: HashMap<u32, [u64; LossKind::COUNTED_BY_PROGRAMS]>,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct EventCounts {
    made: u64,
    lost: u64,
}
// SAFETY: two u64, no padding, every bit pattern is valid.
unsafe impl aya::Pod for EventCounts {}

impl Counts {
    pub(super) fn new(map: PerCpuArray<MapData, EventCounts>) -> Self {
        Self { map, reported: HashMap::new() }
    }

    /// How large the map must be: slot 0 is always there.
    pub(super) fn entries(sessions: Sessions) -> u32 {
        let slots = match sessions {
            Sessions::One => 2,
            Sessions::Many => SESSION_SLOTS,
        };
        slots * kinds()
    }

    pub(super) fn read(&self, session: SessionNumber) -> Result<Vec<(LossKind, u64, u64)>, LiveError> {
        let first = slot(session) * kinds();
        (first..)
            .zip(LossKind::ALL.into_iter().take(LossKind::COUNTED_BY_PROGRAMS))
            .map(|(index, kind)| {
                let per_cpu = self.map.get(&index, 0).map_err(|error| map_failed("counts", &error))?;
                let made = per_cpu.iter().map(|count| count.made).sum();
                let lost = per_cpu.iter().map(|count| count.lost).sum();
                Ok((kind, made, lost))
            })
            .collect()
    }

    pub(super) fn take_losses(&mut self, session: SessionNumber) -> Result<Vec<(LossKind, u64)>, LiveError> {
        let totals = self.read(session)?;
        let reported = self.reported.entry(slot(session)).or_default();
        let mut losses = Vec::new();
        for ((kind, _, total), reported) in totals.into_iter().zip(reported) {
            let new = total.saturating_sub(*reported);
            *reported = total;
            if new > 0 {
                losses.push((kind, new));
            }
        }
        Ok(losses)
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").field("reported", &self.reported).finish_non_exhaustive()
    }
}

fn slot(session: SessionNumber) -> u32 {
    session.0 % SESSION_SLOTS
}

fn kinds() -> u32 {
    u32::try_from(LossKind::COUNTED_BY_PROGRAMS).expect("there are a dozen kinds")
}
