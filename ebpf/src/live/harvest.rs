//! The ends of bursts that no call will bring: of images that ended, of pauses, of the session.
//!
//! The kernel ends a burst when a call finds that it is over. What no call comes after is taken out of its map here, as an
//! event like the kernel's own. Whoever removes an entry speaks, so a burst never ends twice.

use std::collections::BTreeMap;

use aya::maps::{HashMap, MapData};
use zerocopy::{FromBytes, IntoBytes};

use crate::wire::{BURST_WORDS, Burst};
use crate::{BurstBegin, BurstId, Cut, Direction, Doer, Event, ExecNumber, KernelNanos, ProcessKey, SessionNumber};

/// As the programs have it (`SECOND`, include/bursts.h).
const IDLE_NANOS: u64 = 1_000_000_000;

/// `struct burst_key`: open file, then tgid and image in one word each.
type Key = [u32; 4];

/// The bursts under way.
#[derive(Debug)]
pub struct Harvest {
    map: HashMap<MapData, Key, [u64; BURST_WORDS]>,
    begun: BTreeMap<(ProcessKey, ExecNumber), BTreeMap<BurstId, Begun>>,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    session: SessionNumber,
    direction: Direction,
    mapped: bool,
}

impl Harvest {
    pub(super) fn new(map: HashMap<MapData, Key, [u64; BURST_WORDS]>) -> Self {
        Self { map, begun: BTreeMap::new() }
    }

    /// Hears an event of the kernel before it is passed on; what of its session must be passed on before it goes to `each`.
    pub fn hear(&mut self, session: SessionNumber, event: &Event, mut each: impl FnMut(Event)) {
        let mut each = |_, end| each(end);
        match event {
            Event::BurstBegin(begin) => self.note(session, begin),
            Event::BurstEnd(end) => self.forget((end.by.process, end.by.exec), end.burst),
            Event::Exec(exec) => {
                let until = (exec.process, exec.exec);
                self.take_images((exec.process, ExecNumber(0)), until, exec.at, &mut each);
            }
            Event::Exit(exit) => {
                let until = (exit.process, ExecNumber(u32::MAX));
                self.take_images((exit.process, ExecNumber(0)), until, exit.at, &mut each);
            }
            _ => {}
        }
    }

    /// Takes out what has been idle for a second.
    pub fn sweep(&mut self, now: KernelNanos, mut each: impl FnMut(SessionNumber, Event)) {
        let Self { map, begun } = self;
        begun.retain(|image, bursts| {
            bursts.retain(|id, begun| {
                let key = key_of(*image, *id, *begun);
                // Gone: the kernel has ended it, and says so.
                let Some(burst) = read(map, &key, *id) else { return false };
                // What is mapped is written to without a call.
                let lasts = begun.mapped && begun.direction == Direction::Out;
                if lasts || now.0 <= burst.noted.saturating_add(IDLE_NANOS) || now.0 < burst.may_end_at {
                    return true;
                }
                take(map, &key, *image, *begun, &burst, now, Cut::Idle, &mut each);
                false
            });
            !bursts.is_empty()
        });
    }

    /// Takes out all that is left: the session ends.
    pub fn finish(&mut self, now: KernelNanos, mut each: impl FnMut(SessionNumber, Event)) {
        for (image, bursts) in std::mem::take(&mut self.begun) {
            self.take_all(image, bursts, now, Cut::Session, &mut each);
        }
    }

    /// Takes out all that is left of one session, which ends while others go on.
    pub fn finish_session(
        &mut self,
        session: SessionNumber,
        now: KernelNanos,
        mut each: impl FnMut(SessionNumber, Event),
    ) {
        let of_session = self.begun.extract_if(.., |_, bursts| bursts.values().any(|begun| begun.session == session));
        for (image, bursts) in of_session.collect::<Vec<_>>() {
            self.take_all(image, bursts, now, Cut::Session, &mut each);
        }
    }

    fn note(&mut self, session: SessionNumber, begin: &BurstBegin) {
        let image = (begin.by.process, begin.by.exec);
        let begun = Begun { session, direction: begin.direction, mapped: begin.mapped };
        self.begun.entry(image).or_default().insert(begin.burst, begun);
    }

    fn forget(&mut self, image: (ProcessKey, ExecNumber), burst: BurstId) {
        let Some(bursts) = self.begun.get_mut(&image) else { return };
        bursts.remove(&burst);
        if bursts.is_empty() {
            self.begun.remove(&image);
        }
    }

    fn take_images(
        &mut self,
        from: (ProcessKey, ExecNumber),
        until: (ProcessKey, ExecNumber),
        at: KernelNanos,
        each: &mut impl FnMut(SessionNumber, Event),
    ) {
        while let Some(image) = self.begun.range(from..until).next().map(|(image, _)| *image) {
            let bursts = self.begun.remove(&image).unwrap_or_default();
            self.take_all(image, bursts, at, Cut::Exit, each);
        }
    }

    fn take_all(
        &mut self,
        image: (ProcessKey, ExecNumber),
        bursts: BTreeMap<BurstId, Begun>,
        at: KernelNanos,
        cut: Cut,
        each: &mut impl FnMut(SessionNumber, Event),
    ) {
        for (id, begun) in bursts {
            let key = key_of(image, id, begun);
            if let Some(burst) = read(&self.map, &key, id) {
                take(&mut self.map, &key, image, begun, &burst, at, cut, each);
            }
        }
    }
}

fn key_of((process, exec): (ProcessKey, ExecNumber), id: BurstId, begun: Begun) -> Key {
    let slot = u32::from(begun.direction == Direction::Out) | u32::from(begun.mapped) << 1;
    let mut key = [0; 4];
    key.as_mut_bytes()[..8].copy_from_slice(&id.open.0.to_ne_bytes());
    key[2] = process.tgid.0;
    key[3] = exec.0 << 2 | slot;
    key
}

/// The entry, if it still is this burst: a later one of the same image and open file has another number.
fn read(map: &HashMap<MapData, Key, [u64; BURST_WORDS]>, key: &Key, id: BurstId) -> Option<Burst> {
    let words = map.get(key, 0).ok()?;
    let burst = Burst::read_from_bytes(words.as_bytes()).ok()?;
    (burst.sums.number == id.number).then_some(burst)
}

#[expect(clippy::too_many_arguments, reason = "all of them make up the one event")]
fn take(
    map: &mut HashMap<MapData, Key, [u64; BURST_WORDS]>,
    key: &Key,
    (process, exec): (ProcessKey, ExecNumber),
    begun: Begun,
    burst: &Burst,
    at: KernelNanos,
    cut: Cut,
    each: &mut impl FnMut(SessionNumber, Event),
) {
    if map.remove(key).is_err() {
        return;
    }
    let by = Doer { process, exec, tid: crate::Tid(burst.sums.tid) };
    if let Some(copied) = burst.sums.copied(at, by) {
        each(begun.session, Event::Copied(copied));
    }
    each(begun.session, Event::BurstEnd(burst.sums.into_end(at, by, begun.direction, cut)));
}
