//! A length, a checksum and a compressed payload: how items stand in the file.

use std::io::{self, Read};

/// Length and checksum.
pub(super) const HEAD_BYTES: usize = 8;
/// No frame of ours comes near: the writer closes one at 64 KiB. It bounds what a hostile file can make us hold.
const PAYLOAD_BYTES_MAX: u32 = 16 << 20;
/// Of one frame, decompressed.
pub(super) const ITEMS_BYTES_MAX: usize = 32 << 20;
/// zstd's window, 2^24 bytes: the level that we write with needs 2^21.
const WINDOW_LOG_MAX: u32 = 24;
/// zstd's default: recordings shrink tenfold, at hundreds of megabytes a second.
const COMPRESSION_LEVEL: i32 = 3;

/// A frame around these items, as it goes into the file.
pub(super) fn encode(items: &[u8]) -> io::Result<Vec<u8>> {
    let payload = zstd::bulk::compress(items, COMPRESSION_LEVEL)?;
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= PAYLOAD_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a frame of a recording is larger than a reader accepts"))?;
    let length = length.to_le_bytes();
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&checksum(length, &payload).to_le_bytes());
    frame.extend_from_slice(&payload);
    Ok(frame)
}

/// What the next bytes of a file are.
#[derive(Debug)]
pub(super) enum Frame {
    /// Its items, and its length in the file in bytes.
    Whole { items: Vec<u8>, length: u64 },
    /// The file ends before it.
    None,
    /// The file ends within it, this many bytes after its beginning.
    Truncated { length: u64 },
    /// Its bytes are not those that were written.
    Corrupt { reason: &'static str },
}

/// Reads the next frame.
pub(super) fn decode(source: &mut impl Read) -> io::Result<Frame> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    source.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Ok([l0, l1, l2, l3, c0, c1, c2, c3]) = <[u8; HEAD_BYTES]>::try_from(head.as_slice()) else {
        return Ok(if head.is_empty() { Frame::None } else { Frame::Truncated { length: head.len() as u64 } });
    };
    let length = [l0, l1, l2, l3];
    let payload_bytes = u32::from_le_bytes(length);
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Ok(Frame::Corrupt { reason: "its length is impossible" });
    }
    // Grows with what is there, not with what the length claims.
    let mut payload = Vec::new();
    source.by_ref().take(u64::from(payload_bytes)).read_to_end(&mut payload)?;
    let total = (HEAD_BYTES + payload.len()) as u64;
    if payload.len() as u64 != u64::from(payload_bytes) {
        return Ok(Frame::Truncated { length: total });
    }
    if checksum(length, &payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Ok(Frame::Corrupt { reason: "its checksum does not match" });
    }
    Ok(match decompress(&payload) {
        Ok(items) if items.len() <= ITEMS_BYTES_MAX => Frame::Whole { items, length: total },
        Ok(_) => Frame::Corrupt { reason: "it is larger than any that is written" },
        Err(_) => Frame::Corrupt { reason: "it cannot be decompressed" },
    })
}

/// Of the length too: a wrong length must not look like a right payload.
fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// At most one byte more than is allowed.
fn decompress(payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_buffer(payload)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut items = Vec::new();
    decoder.take(ITEMS_BYTES_MAX as u64 + 1).read_to_end(&mut items)?;
    Ok(items)
}
