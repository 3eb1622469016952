//! What hosts' names stand for, asked once: further addresses are learned from the DNS answers that traced processes get.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use agentsight_ebpf::CapturePolicy;

/// Whoever waits for a command to begin does not wait longer for a name.
const LIMIT: Duration = Duration::from_secs(2);

/// The addresses of all names of a policy that are known in time. Names without any are left out, and said.
pub(crate) fn resolve(policy: &CapturePolicy) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let names: BTreeSet<&str> = policy.names().collect();
    let (to, answers) = mpsc::channel();
    for name in &names {
        let (name, to) = ((*name).to_owned(), to.clone());
        // One that is answered too late ends by itself.
        let asked = thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            let addresses = found.into_iter().flatten().map(|address| address.ip()).collect();
            let _ = to.send((name, addresses));
        });
        if let Err(error) = asked {
            tracing::warn!(%error, "a host's name is not looked up");
        }
    }
    drop(to);
    let until = Instant::now() + LIMIT;
    let next = || answers.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
    let mut known: BTreeMap<String, BTreeSet<IpAddr>> = std::iter::from_fn(next).collect();
    known.retain(|_, addresses| !addresses.is_empty());
    for name in names.into_iter().filter(|name| !known.contains_key(*name)) {
        tracing::warn!(name, "no address of this host is known: what goes there is captured once a DNS answer says it");
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_own_name_has_an_address_and_one_that_nobody_has_has_none() {
        let networks = ["localhost:80", "nobody-has-this-name.invalid", "10.0.0.0/8"];
        let networks = networks.map(|network| network.parse().expect("it is a network")).to_vec();
        let known = resolve(&CapturePolicy { networks, ..CapturePolicy::default() });
        assert!(known["localhost"].iter().any(IpAddr::is_loopback), "{known:?}");
        assert!(!known.contains_key("nobody-has-this-name.invalid"), "{known:?}");
    }
}
