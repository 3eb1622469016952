//! Chunks by the object that they went over, each byte at its place.

use std::collections::BTreeMap;
use std::ops::Range;

use agentsight_ebpf::live::{CaptureRoom, Carrier};
use agentsight_ebpf::{BurstId, CapturePolicy, Chunk, Direction, Event, LossKind, Missing, Object, OpenId, StreamKind};

use crate::observe::observe_contents;

/// What was said of a program's payload.
pub(crate) struct Payload {
    names: BTreeMap<OpenId, String>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) events: Vec<Event>,
    pub(crate) lost: Vec<(LossKind, u64)>,
}

/// What is known of the bytes that went over some objects one way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) bytes: Vec<u8>,
    pub(crate) holes: Vec<(Range<u64>, Missing)>,
}

/// A Python program over both carriers; nothing may be lost.
pub(crate) fn python(program: &str, policy: &CapturePolicy, claim: impl Fn(&Payload)) {
    for carrier in [Carrier::RingBuffer, Carrier::PerfBuffers] {
        python_over(carrier, program, policy, &claim);
    }
}

/// Likewise over one carrier, where it is no matter which.
pub(crate) fn python_over(carrier: Carrier, program: &str, policy: &CapturePolicy, claim: impl Fn(&Payload)) {
    println!("{carrier:?}");
    let payload = Payload::of(carrier, program, room(), policy);
    assert_eq!(payload.lost, [], "{carrier:?}");
    claim(&payload);
}

/// Room for one session.
pub(crate) fn room() -> CaptureRoom {
    CaptureRoom { ring_bytes: 16 << 20, states: 64, networks: 8, bytes_per_minute: 1 << 40 }
}

/// A policy with these patterns of files, of whatever size.
pub(crate) fn files(patterns: &[&str]) -> CapturePolicy {
    let mut policy = CapturePolicy {
        files: patterns.iter().map(|pattern| pattern.parse().expect("it is a pattern")).collect(),
        ..CapturePolicy::default()
    };
    policy.budgets.burst_bytes = u32::MAX;
    policy.budgets.session_bytes = u64::MAX;
    policy
}

/// Every stream without a name, and these networks.
pub(crate) fn streams(networks: &[&str]) -> CapturePolicy {
    CapturePolicy {
        streams: [StreamKind::Pipe, StreamKind::Unix, StreamKind::Tty].into(),
        networks: networks.iter().map(|network| network.parse().expect("it is a network")).collect(),
        ..files(&[])
    }
}

impl Payload {
    pub(crate) fn of(carrier: Carrier, program: &str, room: CaptureRoom, policy: &CapturePolicy) -> Self {
        let (events, lost) = observe_contents(carrier, program, room, policy);
        let mut names = BTreeMap::new();
        let mut chunks = Vec::new();
        let mut begun: Vec<BurstId> = Vec::new();
        let mut numbers: BTreeMap<(OpenId, bool), u64> = BTreeMap::new();
        for event in &events {
            match event {
                Event::Open(open) => {
                    names.insert(open.open, name_of(&open.object));
                }
                Event::BurstBegin(begin) => begun.push(begin.burst),
                Event::BurstEnd(end) => begun.retain(|burst| *burst != end.burst),
                Event::Chunk(chunk) => {
                    assert!(begun.contains(&chunk.burst), "its burst is under way: {chunk:?}");
                    let way = (chunk.burst.open, chunk.direction == Direction::Out);
                    let number = numbers.entry(way).or_default();
                    assert!(chunk.sequence > *number, "numbers count up: {chunk:?}");
                    *number = chunk.sequence;
                    chunks.push((**chunk).clone());
                }
                _ => {}
            }
        }
        Self { names, chunks, events, lost }
    }

    /// The chunks over objects whose name has this in it.
    pub(crate) fn over(&self, name: &str, direction: Direction) -> Vec<&Chunk> {
        let is_over = |chunk: &&Chunk| chunk.direction == direction && self.names[&chunk.burst.open].contains(name);
        self.chunks.iter().filter(is_over).collect()
    }

    /// What they say together; a later byte at the same place counts.
    pub(crate) fn known(&self, name: &str, direction: Direction) -> Known {
        let chunks = self.over(name, direction);
        let mut places: BTreeMap<u64, u8> = BTreeMap::new();
        let mut holes = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            places.extend((chunk.offset..).zip(chunk.bytes.iter().copied()));
            if let Some(missing) = chunk.missing {
                let start = chunk.offset + chunk.bytes.len() as u64;
                let next = chunks.get(index + 1).filter(|next| next.call == chunk.call);
                holes.push((start..next.map_or(chunk.call.end, |next| next.offset), missing));
            }
        }
        Known { bytes: places.into_values().collect(), holes }
    }

    /// All of it is known.
    pub(crate) fn whole(&self, name: &str, direction: Direction) -> Vec<u8> {
        let known = self.known(name, direction);
        assert_eq!(known.holes, [], "{name} {direction:?}");
        known.bytes
    }
}

fn name_of(object: &Object) -> String {
    match object {
        Object::File(file) => String::from_utf8_lossy(&file.path.bytes).into_owned(),
        Object::Pipe { .. } => "pipe".to_owned(),
        Object::Tty { .. } => "tty".to_owned(),
        Object::Unix(_) => "unix".to_owned(),
        Object::Inet(inet) => format!("{:?}", inet.protocol),
    }
}
