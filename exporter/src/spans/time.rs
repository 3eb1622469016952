//! Kernel time to wall time, and wall time as text.

use agentsight_ebpf::{KernelNanos, WallNanos};

use crate::graph::Trace;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// The wall-clock time of a moment, by the one reading of both clocks that holds for its whole trace.
pub(super) fn wall(trace: &Trace, at: KernelNanos) -> WallNanos {
    let clock = trace.clock();
    let since_epoch = i128::from(clock.wall.0) + i128::from(at.0) - i128::from(clock.at.0);
    WallNanos(u64::try_from(since_epoch.max(0)).unwrap_or(u64::MAX))
}

/// ISO 8601 in UTC with milliseconds: `2026-11-21T09:25:34.853Z`.
pub(super) fn iso_8601(at: WallNanos) -> String {
    let seconds = at.0 / NANOS_PER_SECOND;
    let millis = at.0 % NANOS_PER_SECOND / 1_000_000;
    let (year, month, day) = civil(seconds / SECONDS_PER_DAY);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day since 1970-01-01, after Howard Hinnant's `civil_from_days`: the year begins in
/// March, so that the leap day is its last, and 400 of them have 146,097 days.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_date_would_write_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso_8601(WallNanos(seconds * NANOS_PER_SECOND)), text);
        }
        assert_eq!(iso_8601(WallNanos(1_853_999_999)), "1970-01-01T00:00:01.853Z");
        assert_eq!(iso_8601(WallNanos(u64::MAX)), "2554-07-21T23:34:33.709Z");
    }
}
