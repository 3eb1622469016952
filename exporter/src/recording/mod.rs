//! The file of `agentsight record`: one session and its events, from which `replay` makes the same spans again.
//!
//! ```text
//! file  := magic "AGSR" 0x0d 0x0a 0x1a 0x0a, format version u16, frame*
//! frame := length u32, crc32 of length and payload u32, payload     (integers little-endian)
//! payload := a zstd frame of CBOR items, each a map with one key: header, event or end
//! ```
//! The items name their fields, so an old reader skips fields that it does not know, and counts events of kinds that
//! it does not know. The first frame holds the header alone, the last one ends with `end`. What was written before a
//! crash stays readable to the last whole frame.
//!
//! A recording holds no secrets of arguments, for events are redacted before they come here, but it holds the key of
//! the session's span ids: whoever opens the file for the writer makes it readable to its owner alone (mode 0600).

mod frame;
mod item;
mod reader;
mod writer;

pub use item::{End, Header};
pub use reader::{ReadError, Reader};
pub use writer::{WriteError, Writer};

/// The first bytes of every recording; the line ends show a transfer that changed them.
const MAGIC: [u8; 8] = *b"AGSR\r\n\x1a\n";

/// Changes when an old reader could not read the file any more; not for a new field or kind of event.
pub const FORMAT_VERSION: u16 = 1;

#[cfg(test)]
pub(crate) mod every_kind;
#[cfg(test)]
mod tests;
