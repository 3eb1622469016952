//! What of a session's payload is wanted, as a person says it: files, ends of connections, kinds of streams, budgets.
//!
//! Pure: what of it the kernel side is told, and how, is the loader's (`live`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::automaton::{Automaton, AutomatonError};
use super::glob::Glob;
use super::network::{Host, Network, Subnet};

/// What is captured. By default nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapturePolicy {
    /// Files by their paths.
    pub files: Vec<Glob>,
    /// Only those among them that one of these matches as well; `None`: all.
    pub allowed_files: Option<Vec<Glob>>,
    /// None of these, whatever else is said.
    pub denied_files: Vec<Glob>,
    /// Sockets by either end.
    pub networks: Vec<Network>,
    /// What the names among them stand for, as far as it is known.
    pub addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    /// Streams that have no name.
    pub streams: BTreeSet<StreamKind>,
    /// How much.
    pub budgets: Budgets,
}

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Pipes, with a name or without.
    Pipe,
    /// Unix sockets.
    Unix,
    /// Terminals.
    Tty,
}

/// How many bytes of payload are taken; what is beyond is said to be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// Of one burst.
    pub burst_bytes: u32,
    /// Of the session.
    pub session_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { burst_bytes: 64 << 10, session_bytes: 16 << 20 }
    }
}

/// Why a policy cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The patterns of files are too much.
    #[error("the patterns of files to capture: {0}")]
    Files(#[from] AutomatonError),
    /// A pattern is wider than what is allowed.
    #[error("{0} is not allowed to be captured: ask for less, or let the configuration allow it (capture: allow:)")]
    FileNotAllowed(Glob),
    /// Likewise, an end of a connection.
    #[error("{0} is not allowed to be captured: ask for less, or let the configuration allow it (capture: net:)")]
    NetworkNotAllowed(Network),
    /// Likewise, a kind of stream.
    #[error(
        "{0:?} streams are not allowed to be captured: leave them out, or let the configuration allow them (capture: streams:)"
    )]
    StreamNotAllowed(StreamKind),
}

impl CapturePolicy {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.networks.is_empty() && self.streams.is_empty()
    }

    /// Which files are, as the kernel side walks it.
    ///
    /// # Errors
    /// The patterns are too much.
    pub fn automaton(&self) -> Result<Automaton, PolicyError> {
        Ok(Automaton::build(&self.files, self.allowed_files.as_deref(), &self.denied_files)?)
    }

    /// Which ends of connections are, by address, as far as the addresses are known.
    pub fn subnets(&self) -> impl Iterator<Item = (Subnet, Option<u16>)> {
        self.networks.iter().flat_map(|network| {
            let of_name = match &network.host {
                Host::Subnet(subnet) => vec![*subnet],
                Host::Name(name) => self.addresses.get(name).into_iter().flatten().map(|ip| Subnet::of(*ip)).collect(),
            };
            of_name.into_iter().map(|subnet| (subnet, network.port))
        })
    }

    /// The names of hosts that are wanted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.networks.iter().filter_map(|network| match &network.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Subnet(_) => None,
        })
    }

    /// What another asks for, where all of it is among what this wants: without what this denies, with no greater
    /// budgets, and with what this knows of addresses.
    ///
    /// # Errors
    /// Something is not among it.
    pub fn grant(&self, asked: Self) -> Result<Self, PolicyError> {
        for file in &asked.files {
            let within = |allowed: Option<&[Glob]>| Automaton::build(std::slice::from_ref(file), allowed, &[]);
            if within(None)? != within(Some(&self.files))? {
                return Err(PolicyError::FileNotAllowed(file.clone()));
            }
        }
        for network in &asked.networks {
            if !self.networks.iter().any(|allowed| allowed.covers(network)) {
                return Err(PolicyError::NetworkNotAllowed(network.clone()));
            }
        }
        if let Some(kind) = asked.streams.iter().find(|kind| !self.streams.contains(kind)) {
            return Err(PolicyError::StreamNotAllowed(*kind));
        }
        let denied_files = [self.denied_files.as_slice(), &asked.denied_files].concat();
        let budgets = Budgets {
            burst_bytes: asked.budgets.burst_bytes.min(self.budgets.burst_bytes),
            session_bytes: asked.budgets.session_bytes.min(self.budgets.session_bytes),
        };
        // What a name stands for is not the asker's to say.
        Ok(Self { denied_files, budgets, addresses: self.addresses.clone(), ..asked })
    }
}

impl Network {
    /// Whether each end that the other means is one of this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let same_host = match (&self.host, &other.host) {
            (Host::Subnet(all), Host::Name(_)) => *all == Subnet::ALL,
            (Host::Subnet(all), Host::Subnet(some)) => all.contains(*some),
            (Host::Name(one), Host::Name(other)) => one == other,
            (Host::Name(_), Host::Subnet(_)) => false,
        };
        same_host && (self.port.is_none() || self.port == other.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(files: &[&str], denied: &[&str], networks: &[&str], streams: &[StreamKind]) -> CapturePolicy {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect();
        CapturePolicy {
            files: globs(files),
            denied_files: globs(denied),
            networks: networks.iter().map(|text| text.parse().expect(text)).collect(),
            streams: streams.iter().copied().collect(),
            ..CapturePolicy::default()
        }
    }

    #[test]
    fn what_is_asked_for_is_granted_where_it_is_among_what_is_allowed() {
        let allowed =
            policy(&["/srv/", "*.yaml"], &["*.key"], &["10.0.0.0/8", "api.internal:8080"], &[StreamKind::Pipe]);
        let asked = policy(&["/srv/*.key", "/srv/a/**"], &["a.txt"], &["10.1.0.0/16:80", "api.internal:8080"], &[]);
        let granted = allowed.grant(asked).expect("all of it is allowed");
        let table = granted.automaton().expect("they are few");
        assert!(table.matches(b"/srv/a/b"));
        assert!(!table.matches(b"/srv/x.key"), "what the configuration denies is denied");
        assert!(!table.matches(b"/srv/a/a.txt"), "what the caller denies is as well");
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_its_name() {
        let allowed = policy(&["/srv/*.yaml"], &[], &["10.0.0.0/8:443", "api.internal:8080"], &[StreamKind::Pipe]);
        let refusal = |asked| allowed.grant(asked).expect_err("it is not allowed").to_string();
        assert!(refusal(policy(&["*.yaml"], &[], &[], &[])).starts_with("*.yaml is not allowed"));
        assert!(refusal(policy(&[], &[], &["10.0.0.0/8"], &[])).contains("not allowed"));
        assert!(refusal(policy(&[], &[], &["api.internal"], &[])).starts_with("api.internal is not"));
        assert!(refusal(policy(&[], &[], &["other:8080"], &[])).starts_with("other:8080 is not"));
        assert!(refusal(policy(&[], &[], &[], &[StreamKind::Tty])).contains("Tty"));
    }

    #[test]
    fn no_more_is_granted_than_there_is() {
        let allowed = policy(&["**"], &[], &[], &[]);
        let mut asked = policy(&["a"], &[], &[], &[]);
        asked.budgets = Budgets { burst_bytes: u32::MAX, session_bytes: 7 };
        let granted = allowed.grant(asked).expect("it is allowed").budgets;
        assert_eq!(granted, Budgets { burst_bytes: 64 << 10, session_bytes: 7 });
    }

    #[test]
    fn a_hosts_name_is_its_addresses() {
        let mut policy = policy(&[], &[], &["api.internal:8080", "::1"], &[]);
        assert_eq!(policy.names().collect::<Vec<_>>(), ["api.internal"]);
        assert_eq!(policy.subnets().count(), 1);
        let ip: IpAddr = "10.1.2.3".parse().expect("an address");
        policy.addresses.insert("api.internal".to_owned(), BTreeSet::from([ip]));
        assert!(policy.subnets().any(|end| end == (Subnet::of(ip), Some(8080))));
    }
}
