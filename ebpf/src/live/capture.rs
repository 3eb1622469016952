//! What of payload each session wants, told to the programs: the user side of `include/contents.h`.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use aya::{Ebpf, EbpfLoader};

use super::LiveError;
use super::counts::SESSION_SLOTS;
use super::probes::{Sessions, map_failed, take};
use crate::{CapturePolicy, Host, Network, SessionNumber, StreamKind, Subnet};

const POLICIES: &str = "capture_policies";
const SPENT: &str = "capture_spent";
const STATES: &str = "capture_states";
const NETWORKS: &str = "capture_networks";
/// Two threads race for a number within microseconds; so many numbers are given meanwhile on no machine.
const CLAIMS: u32 = 8192;
/// One for each hook (`is_of_request`, contents.h).
const SCRATCHES: u32 = 2;
/// The slot of the host's own budget: of no session.
const HOST: u32 = 0;
/// The first two states are the same for all sessions.
const SHARED_STATES: usize = 2;

// CAPTURE_ of contents.h.
const NETWORKS_WANTED: u32 = 8;
const NAMES_WANTED: u32 = 16;
/// Bits of a network's key before its address: slot and port.
const KEY_BITS_BEFORE: u32 = 64;

/// How much room there is for payload, and for saying which is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureRoom {
    /// Size of the ring of payload in bytes; as those of the other rings.
    pub ring_bytes: u32,
    /// States of all sessions' patterns of files together, half a KiB each.
    pub states: u32,
    /// Ends of connections of all sessions together.
    pub networks: u32,
    /// What all sessions together may take in a minute.
    pub bytes_per_minute: u64,
}

impl Default for CaptureRoom {
    fn default() -> Self {
        Self {
            // What one session may have in all, by default.
            ring_bytes: 16 << 20,
            // Two hundred sessions with a handful of patterns each.
            states: 8192,
            networks: 4096,
            bytes_per_minute: 1 << 30,
        }
    }
}

/// A name's further addresses, by far more than any has.
const ADDRESSES_OF_NAMES: u32 = 1024;

impl CaptureRoom {
    /// As much as one session needs. It is alone, so what it may take is bounded by its own budget.
    ///
    /// # Errors
    /// The patterns are too much.
    pub fn of(policy: &CapturePolicy) -> Result<Self, LiveError> {
        let states = policy.automaton()?.states().len();
        let networks = policy.networks.len();
        Ok(Self {
            states: u32::try_from(states).unwrap_or(u32::MAX),
            networks: u32::try_from(networks).unwrap_or(u32::MAX).saturating_add(ADDRESSES_OF_NAMES),
            bytes_per_minute: u64::MAX,
            ..Self::default()
        })
    }

    /// Gives the maps their sizes.
    pub(super) fn make(&self, loader: &mut EbpfLoader<'_>, sessions: Sessions) {
        let slots = match sessions {
            Sessions::One => 2,
            Sessions::Many => SESSION_SLOTS,
        };
        for (map, entries) in [
            (POLICIES, slots),
            (SPENT, slots),
            (STATES, self.states),
            (NETWORKS, self.networks),
            ("content_scratch", SCRATCHES),
            ("chunk_claims", CLAIMS),
        ] {
            loader.map_max_entries(map, entries);
        }
    }
}

/// `struct capture_policy`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Policy {
    bytes: u64,
    burst_bytes: u32,
    kinds: u32,
    start: u32,
    reserved: u32,
}
// SAFETY: a u64 and four u32, no padding, every bit pattern is valid.
unsafe impl aya::Pod for Policy {}

/// `struct capture_state`.
#[derive(Clone, Copy)]
#[repr(C)]
struct State {
    next: [u16; 256],
    accepts: u32,
}
// SAFETY: 512 bytes of u16 and a u32 behind them, no padding, every bit pattern is valid.
unsafe impl aya::Pod for State {}

/// What `struct capture_network` has behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct End {
    slot: u32,
    port: u32,
    ip: [u8; 16],
}
// SAFETY: two u32 and sixteen bytes, no padding, every bit pattern is valid.
unsafe impl aya::Pod for End {}

/// The maps, and what of them each session has.
pub(super) struct Capture {
    policies: Array<MapData, Policy>,
    spent: Array<MapData, [u64; 2]>,
    states: Array<MapData, State>,
    networks: LpmTrie<MapData, End, u32>,
    sessions: HashMap<SessionNumber, Captured>,
}

/// What a session has.
struct Captured {
    states: Range<usize>,
    ends: Vec<Key<End>>,
    /// Names that may still become known by further addresses.
    names: Vec<Network>,
}

impl Capture {
    pub(super) fn open(ebpf: &mut Ebpf, room: &CaptureRoom) -> Result<Self, LiveError> {
        let mut policies: Array<MapData, Policy> = take(ebpf, POLICIES)?;
        let host = Policy { bytes: room.bytes_per_minute, ..Policy::default() };
        policies.set(HOST, host, 0).map_err(|error| map_failed(POLICIES, &error))?;
        Ok(Self {
            policies,
            spent: take(ebpf, SPENT)?,
            states: take(ebpf, STATES)?,
            networks: take(ebpf, NETWORKS)?,
            sessions: HashMap::new(),
        })
    }

    pub(super) fn begin(&mut self, session: SessionNumber, policy: &CapturePolicy) -> Result<(), LiveError> {
        self.end(session)?;
        let automaton = policy.automaton()?;
        let own = automaton.states().get(SHARED_STATES..).unwrap_or_default();
        let states = self.find_room(own.len())?;
        let first = states.start;
        let place = |number: u16| match usize::from(number).checked_sub(SHARED_STATES) {
            None => number,
            // There are fewer than STATES_MAX of them, and `find_room` has found place for all.
            Some(index) => u16::try_from(first + index).unwrap_or(0),
        };
        for (index, state) in states.clone().zip(own) {
            let state = State { next: state.next.map(place), accepts: u32::from(state.accepts) };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.states.set(index, state, 0).map_err(|error| map_failed(STATES, &error))?;
        }
        let names = policy.networks.iter().filter(|network| matches!(network.host, Host::Name(_)));
        let captured = Captured { states, ends: Vec::new(), names: names.cloned().collect() };
        let has_names = !captured.names.is_empty();
        self.sessions.insert(session, captured);
        for (subnet, port) in policy.subnets() {
            self.add_end(session, subnet, port)?;
        }
        let mut kinds = policy.streams.iter().fold(0, |kinds, kind| kinds | bit_of(*kind));
        if !policy.networks.is_empty() {
            kinds |= NETWORKS_WANTED;
        }
        if has_names {
            kinds |= NAMES_WANTED;
        }
        let policy = Policy {
            bytes: policy.budgets.session_bytes,
            burst_bytes: policy.budgets.burst_bytes,
            kinds,
            start: u32::from(place(automaton.start())),
            reserved: 0,
        };
        self.spent.set(slot(session), [0, 0], 0).map_err(|error| map_failed(SPENT, &error))?;
        self.policies.set(slot(session), policy, 0).map_err(|error| map_failed(POLICIES, &error))
    }

    pub(super) fn learn(&mut self, session: SessionNumber, name: &str, address: IpAddr) -> Result<(), LiveError> {
        let Some(captured) = self.sessions.get(&session) else { return Ok(()) };
        let is_it =
            |network: &&Network| matches!(&network.host, Host::Name(wanted) if wanted.eq_ignore_ascii_case(name));
        let ports: Vec<_> = captured.names.iter().filter(is_it).map(|network| network.port).collect();
        for port in ports {
            self.add_end(session, Subnet::of(address), port)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, session: SessionNumber) -> Result<(), LiveError> {
        let Some(captured) = self.sessions.remove(&session) else { return Ok(()) };
        // The policy first: what it refers to may be another session's soon.
        self.policies.set(slot(session), Policy::default(), 0).map_err(|error| map_failed(POLICIES, &error))?;
        for end in captured.ends {
            self.networks.remove(&end).map_err(|error| map_failed(NETWORKS, &error))?;
        }
        Ok(())
    }

    fn add_end(&mut self, session: SessionNumber, subnet: Subnet, port: Option<u16>) -> Result<(), LiveError> {
        let (ip, bits) = subnet.prefix();
        let end = End { slot: slot(session), port: port.map_or(0, u32::from), ip: ip.octets() };
        let key = Key::new(KEY_BITS_BEFORE + u32::from(bits), end);
        let Some(captured) = self.sessions.get_mut(&session) else { return Ok(()) };
        if captured.ends.iter().any(|known| known.prefix_len() == key.prefix_len() && known.data() == end) {
            return Ok(());
        }
        self.networks.insert(&key, 1, 0).map_err(|error| map_failed(NETWORKS, &error))?;
        captured.ends.push(key);
        Ok(())
    }

    /// The first gap between what the sessions have that is long enough.
    fn find_room(&self, needed: usize) -> Result<Range<usize>, LiveError> {
        let mut taken: Vec<_> = self.sessions.values().map(|captured| captured.states.clone()).collect();
        taken.sort_unstable_by_key(|states| (states.start, states.end));
        let all = usize::try_from(self.states.len()).unwrap_or(usize::MAX);
        let mut start = SHARED_STATES;
        let mut left = 0;
        for next in taken.into_iter().chain(std::iter::once(all..all)) {
            let gap = next.start.saturating_sub(start);
            if gap >= needed {
                return Ok(start..start + needed);
            }
            left = left.max(gap);
            start = next.end.max(start);
        }
        Err(LiveError::CaptureRoom { needed, left })
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

fn slot(session: SessionNumber) -> u32 {
    session.0 % SESSION_SLOTS
}

fn bit_of(kind: StreamKind) -> u32 {
    match kind {
        StreamKind::Pipe => 1,
        StreamKind::Unix => 2,
        StreamKind::Tty => 4,
    }
}
