//! The programs load on this kernel, over either carrier, and cost its verifier little.
//!
//! `--nocapture` shows what it cost. Needs root.

use std::fs;
use std::time::Instant;

use agentsight_ebpf::live::{CaptureRoom, Carrier, Options, Probes};

/// A kernel refuses a program when its verifier has walked 1,000,000 instructions. The largest of ours is a quarter of
/// that on no kernel, so that a kernel with a less patient verifier than those we know still takes it.
const VERIFIED_INSTRUCTIONS_MAX: u64 = 250_000;

#[test]
fn the_programs_load_and_the_verifier_has_room_to_spare() {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    println!("kernel {}, which would choose {:?}", kernel.trim(), Carrier::best());
    let ways = [(false, None), (true, None), (false, Some(CaptureRoom::default()))];
    for (carrier, (adopts, capture)) in
        [Carrier::RingBuffer, Carrier::PerfBuffers].into_iter().flat_map(|carrier| ways.map(|way| (carrier, way)))
    {
        let begun = Instant::now();
        let options = Options { carrier: Some(carrier), adopts, capture, ..Options::default() };
        let mut probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{carrier:?}: {error}"));
        let took = begun.elapsed();
        assert_eq!(probes.take_ring().expect("nobody has taken it").carrier(), carrier);
        let verified = verified_instructions();
        println!(
            "{carrier:?}, adopts {adopts}, {capture:?}: loaded and attached in {took:.1?}, instructions verified: {verified:?}"
        );
        assert!(verified.iter().all(|count| *count < VERIFIED_INSTRUCTIONS_MAX), "{verified:?}");
        drop(probes);
    }
}

/// What the verifier walked of each program that this process has loaded; Linux 5.16 and later say so.
fn verified_instructions() -> Vec<u64> {
    let descriptors = fs::read_dir("/proc/self/fdinfo").expect("/proc is mounted");
    descriptors
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("verified_insns:")?.trim().parse().ok()))
        .collect()
}
