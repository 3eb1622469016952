//! `struct connect_event` to [`Connect`].

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::Connect;
use super::address::WireAddress;
use crate::wire::Header;
use crate::{KernelNanos, OpenId};

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireConnect {
    pub(crate) header: Header,
    pub(crate) open: u64,
    pub(crate) began: u64,
    pub(crate) to: WireAddress,
    pub(crate) error: u32,
    pub(crate) reserved: u32,
}

pub(crate) fn decode_connect(connect: &WireConnect, data: &[u8]) -> Connect {
    Connect {
        at: KernelNanos(connect.header.at),
        by: connect.header.doer(),
        open: OpenId(connect.open),
        began: KernelNanos(connect.began),
        to: connect.to.address(data),
        error: connect.error,
    }
}
