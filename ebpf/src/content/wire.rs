//! The record of a chunk of payload: kind 17.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::wire::Header;
use crate::{BurstId, Chunk, DecodeError, Direction, KernelNanos, Missing, OpenId};

pub(crate) const CHUNK_OUT: u16 = 1;

/// In the order of `enum chunk_missing`, from its second on.
const MISSING: [Missing; 3] = [Missing::Budget, Missing::RingFull, Missing::Unreadable];

#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct WireChunk {
    pub(crate) header: Header,
    pub(crate) open: u64,
    pub(crate) call_start: u64,
    pub(crate) call_end: u64,
    pub(crate) offset: u64,
    pub(crate) burst: u32,
    pub(crate) number: u32,
    pub(crate) missing: u32,
    pub(crate) captured: u32,
}

pub(crate) fn decode_chunk(chunk: &WireChunk, data: &[u8]) -> Result<Chunk, DecodeError> {
    let length = usize::try_from(chunk.captured).unwrap_or(usize::MAX);
    let bytes = data.get(..length).ok_or(DecodeError::Parts { parts: length, left: data.len() })?;
    let end = chunk.offset.checked_add(u64::from(chunk.captured));
    if chunk.offset < chunk.call_start || end.is_none_or(|end| chunk.call_end < end) {
        return Err(DecodeError::Outside { offset: chunk.offset, bytes: length });
    }
    Ok(Chunk {
        at: KernelNanos(chunk.header.at),
        by: chunk.header.doer(),
        burst: BurstId { open: OpenId(chunk.open), number: chunk.burst },
        direction: if chunk.header.flags & CHUNK_OUT != 0 { Direction::Out } else { Direction::In },
        sequence: u64::from(chunk.number),
        call: chunk.call_start..chunk.call_end,
        offset: chunk.offset,
        bytes: bytes.to_vec(),
        missing: decode_missing(chunk.missing)?,
    })
}

fn decode_missing(number: u32) -> Result<Option<Missing>, DecodeError> {
    let Some(index) = number.checked_sub(1) else { return Ok(None) };
    let missing = usize::try_from(index).ok().and_then(|index| MISSING.get(index));
    missing.copied().map(Some).ok_or(DecodeError::Missing(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExecNumber, ProcessKey, Tgid, Tid};

    fn chunk() -> WireChunk {
        let header =
            Header { size: 0, kind: 17, flags: CHUNK_OUT, at: 9, start: 5, tgid: 7, tid: 8, exec: 2, session: 1 };
        WireChunk {
            header,
            open: 3,
            call_start: 100,
            call_end: 200,
            offset: 110,
            burst: 4,
            number: 6,
            missing: 0,
            captured: 3,
        }
    }

    #[test]
    fn a_chunk_says_whose_it_is_and_where_it_stands() {
        let decoded = decode_chunk(&WireChunk { missing: 2, ..chunk() }, b"abc").expect("it is one");
        let process = ProcessKey { tgid: Tgid(7), start: KernelNanos(5) };
        assert_eq!(decoded.by, crate::Doer { process, exec: ExecNumber(2), tid: Tid(8) });
        assert_eq!(decoded.burst, BurstId { open: OpenId(3), number: 4 });
        assert_eq!((decoded.direction, decoded.sequence), (Direction::Out, 6));
        assert_eq!((decoded.call, decoded.offset, decoded.bytes.as_slice()), (100..200, 110, b"abc".as_slice()));
        assert_eq!(decoded.missing, Some(Missing::RingFull));
    }

    #[test]
    fn a_chunk_that_contradicts_itself_is_refused() {
        for (wire, data, refusal) in [
            (chunk(), b"ab".as_slice(), DecodeError::Parts { parts: 3, left: 2 }),
            (WireChunk { offset: 99, ..chunk() }, b"abc", DecodeError::Outside { offset: 99, bytes: 3 }),
            (WireChunk { offset: 198, ..chunk() }, b"abc", DecodeError::Outside { offset: 198, bytes: 3 }),
            (WireChunk { offset: u64::MAX, ..chunk() }, b"abc", DecodeError::Outside { offset: u64::MAX, bytes: 3 }),
            (WireChunk { missing: 4, ..chunk() }, b"abc", DecodeError::Missing(4)),
        ] {
            assert_eq!(decode_chunk(&wire, data), Err(refusal));
        }
    }
}
