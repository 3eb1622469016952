//! Ends of connections: `10.0.0.0/8`, `api.internal:8080`, `[2001:db8::/32]:443`, `*:5432`.
//!
//! Every address is one of IPv6 here, as the kernel side compares them. What a host's name stands for is not known here:
//! who knows its addresses says so.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One end, of whichever side of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    /// Where.
    pub host: Host,
    /// At which port; `None` is any.
    pub port: Option<u16>,
}

/// Where an end is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// One of these addresses.
    Subnet(Subnet),
    /// A host by its name, in small letters.
    Name(String),
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    ip: Ipv6Addr,
    bits: u8,
}

/// Why a text is no end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor a name.
    #[error("{0:?} is no address and no host's name: write `10.0.0.0/8`, `api.internal:8080` or `[2001:db8::1]:443`")]
    Host(String),
    /// No port.
    #[error("{0:?}: a port is a number from 1 to 65535, or is left out for all ports")]
    Port(String),
    /// More bits than the address has.
    #[error("{0:?}: behind the `/` stands how many bits count: up to 32 of IPv4, up to 128 of IPv6")]
    Bits(String),
}

impl Subnet {
    /// Every address.
    pub const ALL: Self = Self { ip: Ipv6Addr::UNSPECIFIED, bits: 0 };

    /// One address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        Self { ip: mapped(ip), bits: 128 }
    }

    /// Whether each address of the other is one of this.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.bits <= other.bits && first_bits(other.ip, self.bits) == self.ip
    }

    /// How an address of it begins: so many bits count.
    #[must_use]
    pub fn prefix(self) -> (Ipv6Addr, u8) {
        (self.ip, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (host, port) = split_port(text)?;
        let port = match port {
            None | Some("*") => None,
            Some(port) => {
                let number = port.parse().ok().filter(|port| *port != 0);
                Some(number.ok_or_else(|| NetworkError::Port(text.to_owned()))?)
            }
        };
        Ok(Self { host: parse_host(host, text)?, port })
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Subnet(subnet) => write!(f, "[{}/{}]", subnet.ip, subnet.bits)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Brackets are round what has colons of its own.
fn split_port(text: &str) -> Result<(&str, Option<&str>), NetworkError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, behind) = rest.split_once(']').ok_or_else(|| NetworkError::Host(text.to_owned()))?;
        return match behind.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if behind.is_empty() => Ok((host, None)),
            None => Err(NetworkError::Host(text.to_owned())),
        };
    }
    Ok(match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    })
}

fn parse_host(host: &str, text: &str) -> Result<Host, NetworkError> {
    if host == "*" {
        return Ok(Host::Subnet(Subnet::ALL));
    }
    let (address, bits) = host.split_once('/').map_or((host, None), |(address, bits)| (address, Some(bits)));
    let Ok(ip) = address.parse::<IpAddr>() else {
        let is_name = bits.is_none() && !host.is_empty() && host.bytes().all(is_of_name) && !is_number(host);
        return if is_name {
            Ok(Host::Name(host.trim_end_matches('.').to_ascii_lowercase()))
        } else {
            Err(NetworkError::Host(text.to_owned()))
        };
    };
    let all = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => all,
        Some(bits) => {
            let bits = bits.parse().ok().filter(|bits| *bits <= all);
            bits.ok_or_else(|| NetworkError::Bits(text.to_owned()))?
        }
    };
    let bits = bits + (128 - all);
    Ok(Host::Subnet(Subnet { ip: first_bits(mapped(ip), bits), bits }))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// An address with a mistake in it is no name.
fn is_number(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn first_bits(ip: Ipv6Addr, bits: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    Ipv6Addr::from_bits(ip.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    fn subnet(text: &str) -> Subnet {
        let Host::Subnet(subnet) = network(text).host else { panic!("{text} is a name") };
        subnet
    }

    #[test]
    fn addresses_names_and_ports_are_told_apart() {
        for (text, shown) in [
            ("10.1.2.3/8", "[::ffff:10.0.0.0/104]"),
            ("127.0.0.1:8080", "[::ffff:127.0.0.1/128]:8080"),
            ("API.Internal:8080", "api.internal:8080"),
            ("api.internal.", "api.internal"),
            ("api.internal:*", "api.internal"),
            ("[2001:db8::1]:443", "[2001:db8::1/128]:443"),
            ("[2001:db8:1::/32]:443", "[2001:db8::/32]:443"),
            ("2001:db8::/32", "[2001:db8::/32]"),
            ("::1", "[::1/128]"),
            ("*:5432", "[::/0]:5432"),
            ("0.0.0.0/0", "[::ffff:0.0.0.0/96]"),
        ] {
            assert_eq!(network(text).to_string(), shown, "{text}");
            assert_eq!(network(shown), network(text), "what is shown is read again");
        }
    }

    #[test]
    fn what_is_neither_says_how_to_mend_it() {
        let refusal = |text: &str| text.parse::<Network>().expect_err(text);
        assert_eq!(refusal("api:0"), NetworkError::Port("api:0".to_owned()));
        assert_eq!(refusal("api:http"), NetworkError::Port("api:http".to_owned()));
        assert_eq!(refusal("10.0.0.0/33"), NetworkError::Bits("10.0.0.0/33".to_owned()));
        for text in ["", ":80", "10.0.0", "http://api", "api/8", "[::1", "[::1]80", "a b"] {
            assert!(matches!(refusal(text), NetworkError::Host(_) | NetworkError::Port(_)), "{text}");
        }
    }

    #[test]
    fn a_subnet_contains_those_that_begin_like_it() {
        assert!(subnet("10.0.0.0/8").contains(subnet("10.9.0.0/16")));
        assert!(!subnet("10.9.0.0/16").contains(subnet("10.0.0.0/8")));
        assert!(!subnet("10.0.0.0/8").contains(subnet("11.0.0.0/16")));
        assert!(Subnet::ALL.contains(subnet("::1")) && Subnet::ALL.contains(subnet("1.2.3.4")));
        assert!(!subnet("0.0.0.0/0").contains(subnet("::1")));
        assert!(subnet("::1").contains(Subnet::of(Ipv6Addr::LOCALHOST.into())));
    }
}
