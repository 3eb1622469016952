//! How long the programs are that every system call of the host runs through. Needs root.
//!
//! Time varies with the machine, the number of instructions with the code alone: so this is what a change must not make
//! worse unnoticed. Whoever makes a program longer on purpose raises its bound here, with `make bench-hooks` as witness.

use agentsight_ebpf::live::{Carrier, Options, Probes};

/// Instructions as the kernel runs them, and what they may be: what they were on 6.18 and a tenth more, as kernels inline
/// helpers differently.
const BOUNDS: [(&str, u32); 4] = [
    ("agentsight_sys_enter", 113),
    ("agentsight_sys_exit", 143),
    ("agentsight_transfer", 151),
    ("agentsight_count", 877),
];

#[test]
fn the_programs_on_the_way_of_every_call_are_no_longer_than_they_were() {
    let options = Options { carrier: Some(Carrier::RingBuffer), ..Options::default() };
    let probes = Probes::attach(&options).unwrap_or_else(|error| panic!("{error}"));
    let lengths = probes.lengths();
    let mut longer = Vec::new();
    for (name, bound) in BOUNDS {
        let length = lengths.iter().find(|(program, _)| *program == name).unwrap_or_else(|| panic!("{name} is gone")).1;
        println!("{name}: {length} of {bound}");
        if length > bound {
            longer.push((name, length));
        }
    }
    assert!(longer.is_empty(), "{longer:?} are longer than {BOUNDS:?}");
}
