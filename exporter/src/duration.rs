//! Durations for people.

use std::time::Duration;

/// Two or three digits and a unit: `850 µs`, `12 ms`, `1.23 s`, `2 min 3 s`, `26 h 1 min`.
#[must_use]
pub fn duration(time: Duration) -> String {
    const MICROSECOND: u128 = 1_000;
    const MILLISECOND: u128 = 1_000 * MICROSECOND;
    const SECOND: u128 = 1_000 * MILLISECOND;
    let seconds = time.as_secs();
    match time.as_nanos() {
        nanos @ ..MICROSECOND => format!("{nanos} ns"),
        nanos @ ..MILLISECOND => format!("{} µs", nanos / MICROSECOND),
        nanos @ ..SECOND => format!("{} ms", nanos / MILLISECOND),
        // Cut, not rounded, so that nothing under a minute reads "60.0 s".
        nanos if seconds < 10 => format!("{}.{:02} s", seconds, nanos % SECOND / (10 * MILLISECOND)),
        nanos if seconds < 60 => format!("{}.{} s", seconds, nanos % SECOND / (100 * MILLISECOND)),
        _ if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_durations() {
        for (nanos, text) in [
            (0, "0 ns"),
            (850_999, "850 µs"),
            (12_345_678, "12 ms"),
            (999_999_999, "999 ms"),
            (1_239_000_000, "1.23 s"),
            (59_990_000_000, "59.9 s"),
            (123_000_000_000, "2 min 3 s"),
            (93_660_000_000_000, "26 h 1 min"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
