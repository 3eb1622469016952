//! `struct datagram_event` to [`Dns`].

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::Dns;
use super::parse::{Transport, parse};
use crate::connection::WireAddress;
use crate::wire::{DecodeError, Header};
use crate::{BurstId, Direction, KernelNanos, OpenId};

pub(crate) const DATAGRAM_OUT: u16 = 1;
pub(crate) const DATAGRAM_STREAM: u16 = 2;

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireDatagram {
    pub(crate) header: Header,
    pub(crate) open: u64,
    pub(crate) when: u64,
    pub(crate) server: WireAddress,
    pub(crate) burst: u32,
    pub(crate) captured: u32,
    pub(crate) total: u64,
}

pub(crate) fn decode_datagram(datagram: &WireDatagram, data: &[u8]) -> Result<Dns, DecodeError> {
    let captured = usize::try_from(datagram.captured).unwrap_or(usize::MAX);
    let payload = data.get(..captured).ok_or(DecodeError::Parts { parts: captured, left: data.len() })?;
    let flags = datagram.header.flags;
    let transport = if flags & DATAGRAM_STREAM == 0 { Transport::Datagram } else { Transport::Stream };
    let truncated = u64::from(datagram.captured) < datagram.total;
    let message = parse(payload, transport, truncated).ok_or(DecodeError::NotDns)?;
    Ok(Dns {
        at: KernelNanos(datagram.when),
        by: datagram.header.doer(),
        burst: BurstId { open: OpenId(datagram.open), number: datagram.burst },
        direction: if flags & DATAGRAM_OUT == 0 { Direction::In } else { Direction::Out },
        server: datagram.server.inet(),
        id: message.id,
        response_code: message.response_code,
        name: message.name,
        query_type: message.query_type,
        answers: message.answers,
        truncated,
    })
}
