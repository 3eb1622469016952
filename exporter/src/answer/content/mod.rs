//! Contents for people: as text or as hex digits, with every hole and every redaction marked where it is.
//!
//! What the bytes say cannot drive a terminal, nor look like a mark.

mod hex;
mod notes;
mod piece;
mod text;

pub use hex::hex;
pub use notes::notes;
pub use text::text;

use agentsight_ebpf::Missing;

/// Why bytes are missing, as the end of a sentence.
fn because(cause: Missing) -> &'static str {
    match cause {
        Missing::Budget => "a limit of the capture was reached",
        Missing::RingFull => "the kernel's ring was full",
        Missing::Unreadable => "they could not be read where they were",
    }
}

/// `1 byte`, `3 bytes`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
