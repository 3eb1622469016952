//! What the programs say of opens and transfers. Needs root.

use std::process::{self, Command};

use agentsight_ebpf::live::{Options, Probes};
use agentsight_ebpf::{Event, Tgid};

#[test]
fn look() {
    let mut probes =
        Probes::attach(&Options { verifier_log: std::env::var_os("VLOG").is_some(), ..Options::default() })
            .unwrap_or_else(|error| panic!("{error}"));
    probes.attach_syscalls().unwrap_or_else(|error| panic!("{error}"));
    let mut ring = probes.take_ring().expect("nobody has taken it");
    probes.trace_next_child(Tgid(process::id()), 1).expect("the map has room");
    let script =
        std::env::var("SCRIPT").unwrap_or("head -c 3000 /etc/services >/tmp/in; cat </tmp/in >/tmp/out".into());
    let status = Command::new("sh").args(["-c", &script]).status().expect("every Unix has sh");
    assert!(status.success(), "{status}");
    let mut events = Vec::new();
    while ring.drain(|event| events.push(event.expect("it is one of ours"))) > 0 {}
    events.sort_by_key(Event::at);
    for event in events {
        println!("{event:?}");
    }
}
