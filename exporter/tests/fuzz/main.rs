//! Arbitrary and truncated bytes through decode → graph → spans: no panic, and no growth without end.
//!
//! Bounded and seeded, it is a test like any other. For as long as one likes: `make fuzz MINUTES=60`; a round that fails
//! says its seed, and `AGENTSIGHT_FUZZ_SEED` begins with it.

mod heap;
mod records;

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use agentsight::pipeline::Pipeline;
use agentsight::session::{CallerContext, SegmentLimits, Session, SessionId, SessionOptions};
use agentsight_ebpf::{Clock, DecodeError, Event, KernelNanos, Tick, WallNanos, decode};
use opentelemetry::trace::TraceId;

use heap::{Counting, live_bytes};
use records::Records;

#[global_allocator]
static HEAP: Counting = Counting;

/// Records of one round.
const RECORDS: u64 = 4_000;
/// Processes, open files and objects are made of few numbers, so what is known of them all has an end: a round's state
/// took 3 MiB at most in 10,000 rounds.
const HEAP_BYTES_MAX: usize = 64 << 20;
const SECOND: u64 = 1_000_000_000;

#[test]
fn no_record_makes_the_pipeline_panic_or_grow() {
    for seed in 0..60 {
        assert_round(seed);
    }
}

#[test]
#[ignore = "runs for AGENTSIGHT_FUZZ_MINUTES: make fuzz"]
fn no_record_makes_the_pipeline_panic_or_grow_for_long() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let minutes = number("AGENTSIGHT_FUZZ_MINUTES").unwrap_or(1);
    let first = number("AGENTSIGHT_FUZZ_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs() << 20)
    });
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut seed = first;
    while Instant::now() < end {
        assert_round(seed);
        seed += 1;
    }
    println!("{} rounds of {RECORDS} records, from seed {first} on", seed - first);
}

#[test]
fn what_was_known_is_forgotten_when_the_session_ends() {
    let before = live_bytes();
    let mut pipeline = Pipeline::new(&session(1));
    run(&mut pipeline, &mut Records::new(1), RECORDS);
    pipeline.finish(KernelNanos(u64::MAX), &mut Vec::new());
    drop(pipeline);
    // What libraries keep for ever; other tests of this binary run meanwhile.
    assert!(live_bytes().saturating_sub(before) < HEAP_BYTES_MAX);
}

fn assert_round(seed: u64) {
    let round = AssertUnwindSafe(|| {
        let mut records = Records::new(seed);
        let mut pipeline = Pipeline::new(&session(seed));
        let before = live_bytes();
        let told = run(&mut pipeline, &mut records, RECORDS);
        let grown = live_bytes().saturating_sub(before);
        assert!(grown < HEAP_BYTES_MAX, "{grown} bytes are held after {told:?}");
        // Most records must be more than noise, or nothing is tried but the refusal.
        assert!(3 * told.decoded > told.refused, "{told:?}");
        pipeline.finish(KernelNanos(u64::MAX), &mut Vec::new());
    });
    if let Err(reason) = panic::catch_unwind(round) {
        eprintln!("AGENTSIGHT_FUZZ_SEED={seed}");
        panic::resume_unwind(reason);
    }
}

#[derive(Debug, Default)]
struct Told {
    decoded: u64,
    refused: u64,
    signals: u64,
}

fn run(pipeline: &mut Pipeline, records: &mut Records, count: u64) -> Told {
    let mut told = Told::default();
    let mut signals = Vec::new();
    pipeline.apply(&Event::Clock(Clock { at: records.now(), wall: WallNanos(SECOND) }), &mut signals);
    let mut next_tick = records.now().0;
    for _ in 0..count {
        match decode(&records.next()) {
            Ok((_, event)) => {
                told.decoded += 1;
                pipeline.apply(&event, &mut signals);
            }
            Err(DecodeError::Kind(0 | 17..)) => {}
            Err(_) => told.refused += 1,
        }
        while next_tick < records.now().0 {
            next_tick += SECOND;
            pipeline.apply(&Event::Tick(Tick { at: KernelNanos(next_tick) }), &mut signals);
        }
        told.signals += signals.len() as u64;
        signals.clear();
    }
    told
}

fn session(seed: u64) -> Session {
    let small = SegmentLimits { spans: 50, ..SegmentLimits::default() };
    let segment = if seed.is_multiple_of(3) { small } else { SegmentLimits::default() };
    Session {
        id: SessionId([7; 16]),
        trace_id: TraceId::from_bytes([1; 16]),
        id_key: [9; 16],
        boot_id: "b".to_owned(),
        host: BTreeMap::new(),
        caller: CallerContext::default(),
        options: SessionOptions { segment, ..SessionOptions::default() },
    }
}
