//! Bytes from the ring to [`Event`].

use crate::Event;

/// Why a record could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than its kind's fixed part.
    #[error("record of {0} bytes is too short")]
    Short(usize),
}

/// Decode one record of the ring.
pub fn decode(record: &[u8]) -> Result<Event, DecodeError> {
    Err(DecodeError::Short(record.len()))
}
