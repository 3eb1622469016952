//! Addresses of sockets as attributes and as text.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use agentsight_ebpf::Address;
use agentsight_semconv as semconv;
use agentsight_semconv::Name;

use super::attributes::Attributes;

/// The attributes that one end of a connection has: address and port.
pub(super) type End = (Name, Name);

pub(super) const LOCAL: End = (semconv::NETWORK_LOCAL_ADDRESS, semconv::NETWORK_LOCAL_PORT);
pub(super) const PEER: End = (semconv::NETWORK_PEER_ADDRESS, semconv::NETWORK_PEER_PORT);
pub(super) const SERVER: End = (semconv::SERVER_ADDRESS, semconv::SERVER_PORT);
pub(super) const CLIENT: End = (semconv::CLIENT_ADDRESS, semconv::CLIENT_PORT);

pub(super) fn describe((address, port): End, of: SocketAddr, attributes: &mut Attributes) {
    attributes.text(address, of.ip().to_string());
    attributes.int(port, of.port());
}

pub(super) fn network_type(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// An abstract name begins with NUL, which tools show as `@`; the kernel's may have NULs behind.
pub(super) fn unix_name(bytes: &[u8]) -> Cow<'_, str> {
    match bytes.strip_prefix(b"\0") {
        Some(name) => Cow::Owned(format!("@{}", String::from_utf8_lossy(name).trim_end_matches('\0'))),
        None => String::from_utf8_lossy(bytes),
    }
}

/// As people write it: `127.0.0.1:8080`, `docker.sock`, `@name`.
pub(super) fn in_words(address: &Address) -> Option<String> {
    match address {
        Address::Inet(address) => Some(address.to_string()),
        Address::Unix(name) => {
            let name = unix_name(&name.bytes);
            let base = name.rsplit('/').next().filter(|base| !base.is_empty() && !name.starts_with('@'));
            Some(base.unwrap_or(&name).to_owned()).filter(|name| !name.is_empty())
        }
        Address::Family(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use agentsight_ebpf::Captured;

    use super::*;

    #[test]
    fn addresses_are_written_as_other_tools_write_them() {
        let unix = |bytes: &[u8]| in_words(&Address::Unix(Captured::whole(bytes)));
        assert_eq!(unix(b"/run/docker.sock").as_deref(), Some("docker.sock"));
        assert_eq!(unix(b"\0/tmp/.X11-unix/X0\0\0").as_deref(), Some("@/tmp/.X11-unix/X0"));
        assert_eq!(unix(b"/"), Some("/".to_owned()));
        assert_eq!(unix(b""), None);
        let inet = |text: &str| in_words(&Address::Inet(text.parse().unwrap()));
        assert_eq!(inet("[::1]:443").as_deref(), Some("[::1]:443"));
        assert_eq!(in_words(&Address::Family(16)), None);
    }
}
