//! How long to wait between tries: doubling, with jitter, so that many senders do not knock in step.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waiting times; the defaults suit a backend that is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// The longest wait that we choose ourselves.
    pub longest: Duration,
    /// After an answer that says that this kind of signal is not taken here; also the longest wait that a backend can ask for.
    pub not_taken: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            not_taken: Duration::from_secs(600),
        }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row, at least 1: between half and all of the doubled time.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.longest);
        full / 2 + (full / 2).mul_f64(random_fraction())
    }
}

/// In 0..1. The standard library seeds each hasher at random; that is random enough for jitter.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::default();
        for (failures, full) in [(1, 500), (2, 1_000), (4, 4_000), (7, 30_000), (1_000, 30_000)] {
            let wait = backoff.wait(failures);
            let full = Duration::from_millis(full);
            assert!(wait >= full / 2 && wait <= full, "{failures} failures: {wait:?}");
        }
    }

    #[test]
    fn two_senders_do_not_wait_alike() {
        let waits: Vec<_> = (0..8).map(|_| Backoff::default().wait(6)).collect();
        assert!(waits.iter().any(|wait| *wait != waits[0]));
    }
}
