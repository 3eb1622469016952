//! `struct socket_address` to [`Address`] and [`SocketAddr`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{Address, Captured};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// An address as the programs say it; the bytes of a unix socket's follow the record.
#[derive(FromBytes, Immutable, KnownLayout, Clone, Copy)]
#[repr(C)]
pub(crate) struct WireAddress {
    pub(crate) family: u16,
    pub(crate) port: u16,
    pub(crate) length: u32,
    pub(crate) ip: [u8; 16],
}

impl WireAddress {
    /// An internet address; one of IPv4 that is mapped into IPv6 is given as IPv4.
    pub(crate) fn inet(&self) -> Option<SocketAddr> {
        let ip = match self.family {
            AF_INET => IpAddr::V4(Ipv4Addr::from(*self.ip.first_chunk()?)),
            AF_INET6 => IpAddr::V6(Ipv6Addr::from(self.ip)).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// `data` is what follows the record.
    pub(crate) fn address(&self, data: &[u8]) -> Address {
        match self.inet() {
            Some(inet) => Address::Inet(inet),
            None if self.family == AF_UNIX => Address::Unix(Captured::whole(unix_name(self.length, data))),
            None => Address::Family(self.family),
        }
    }
}

/// A path ends at its NUL; a name that begins with NUL is as long as its length says.
fn unix_name(length: u32, data: &[u8]) -> &[u8] {
    let data = data.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(data);
    if data.first() == Some(&0) { data } else { data.split(|byte| *byte == 0).next().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(family: u16, ip: [u8; 16], data: &[u8]) -> Address {
        WireAddress { family, port: 80, length: 4, ip }.address(data)
    }

    #[test]
    fn internet_addresses_are_given_in_their_shortest_family() {
        let mut ip = [0; 16];
        ip[..4].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(address(AF_INET, ip, b""), Address::Inet("127.0.0.1:80".parse().unwrap()));
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
        assert_eq!(address(AF_INET6, mapped, b""), Address::Inet("127.0.0.1:80".parse().unwrap()));
        assert_eq!(address(AF_INET6, Ipv6Addr::LOCALHOST.octets(), b""), Address::Inet("[::1]:80".parse().unwrap()));
        assert_eq!(address(16, [0; 16], b"/a"), Address::Family(16));
    }

    #[test]
    fn a_unix_address_is_a_path_or_an_abstract_name() {
        let unix = |data: &[u8]| address(AF_UNIX, [0; 16], data);
        assert_eq!(unix(b"/a\0b"), Address::Unix(Captured::whole("/a")));
        assert_eq!(unix(b"\0a\0b"), Address::Unix(Captured::whole(*b"\0a\0b")));
        assert_eq!(unix(b"/abcdef"), Address::Unix(Captured::whole("/abc")));
        assert_eq!(unix(b""), Address::Unix(Captured::default()));
    }
}
