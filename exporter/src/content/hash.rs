//! What contents are called by.

use std::fmt;

use super::stream::{Hole, Run};

/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Of bytes without a hole, as `sha256sum` says it.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::digest([bytes].into_iter())
    }

    /// Of parts, as if they were one.
    pub fn of_parts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::digest(parts)
    }

    /// Without holes that of the bytes, as `sha256sum` says it; else of the bytes and their places.
    pub(super) fn of_runs(runs: &[Run], holes: &[Hole]) -> Self {
        if holes.is_empty() && runs.len() <= 1 {
            return Self::of(runs.first().map_or(b"", |run| &run.bytes));
        }
        let places: Vec<[u8; 16]> = runs.iter().map(place).collect();
        Self::digest(runs.iter().zip(&places).flat_map(|(run, place)| [&place[..], &run.bytes]))
    }

    fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        parts.for_each(|part| context.update(part));
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

fn place(run: &Run) -> [u8; 16] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&run.offset.to_le_bytes());
    place[8..].copy_from_slice(&(run.bytes.len() as u64).to_le_bytes());
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_a_hole_have_the_hash_that_sha256sum_prints() {
        let run = Run { offset: 0, bytes: b"abc".to_vec() };
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ContentHash::of_runs(&[run], &[]).to_string(), hash);
    }

    #[test]
    fn the_same_bytes_at_other_places_have_another_hash() {
        let at = |offset| [Run { offset: 0, bytes: b"ab".to_vec() }, Run { offset, bytes: b"c".to_vec() }];
        assert_ne!(ContentHash::of_runs(&at(5), &[]), ContentHash::of_runs(&at(6), &[]));
    }
}
