//! Waits for a condition with a deadline, so that no test sleeps and hopes.

use std::thread;
use std::time::{Duration, Instant};

/// Polls `condition` until it gives a value.
///
/// # Panics
/// When `limit` has passed; the message names `what` was waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
