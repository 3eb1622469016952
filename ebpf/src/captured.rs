//! Bytes of the traced program as far as they could be read: what is missing is part of the value.

use serde::{Deserialize, Serialize};

/// Bytes that the kernel handed over, and what is missing from them.
///
/// The bytes are foreign: not UTF-8, not terminated, of any content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// What was read.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// Why this is not all, or `None` when it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// Why captured bytes are incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// Longer than what is kept. `total` is the full length in bytes where the kernel knew it, else 0.
    Truncated {
        /// Full length in bytes, 0 where unknown.
        total: u64,
    },
    /// The memory could not be read (not resident, or unmapped).
    Unreadable,
}

impl Captured {
    /// Bytes with nothing missing.
    #[must_use]
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), gap: None }
    }

    /// Nothing at all was there to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.gap.is_none()
    }
}
