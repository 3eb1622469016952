//! Moments as people write them: RFC 3339, in the local zone, or so long ago. Pure: the present is given.

use std::time::Duration;

use agentsight_ebpf::WallNanos;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// What was written is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time: write 10:30, 2026-11-22, \"2026-11-22 10:30:05\", 2026-11-22T10:30:05Z, today, yesterday, or 5m, 2h, 1d for so long ago"
)]
pub struct MomentError(pub String);

/// The present, and the zone that times without one are in.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Now.
    pub now: WallNanos,
    /// The local zone.
    pub zone: TimeZone,
}

impl Clock {
    /// A moment as people write it; a time of day is today's.
    ///
    /// # Errors
    /// When it is none.
    pub fn moment(&self, text: &str) -> Result<WallNanos, MomentError> {
        let text = text.trim();
        let failed = || MomentError(text.to_owned());
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return nanos(timestamp).ok_or_else(failed);
        }
        if let Some(ago) = so_long(text) {
            let ago = u64::try_from(ago.as_nanos()).map_err(|_| failed())?;
            return Ok(WallNanos(self.now.0.saturating_sub(ago)));
        }
        let today = self.today().ok_or_else(failed)?;
        let civil = match text {
            "now" => return Ok(self.now),
            "today" => today.to_datetime(Time::midnight()),
            "yesterday" => today.checked_sub(1.day()).map_err(|_| failed())?.to_datetime(Time::midnight()),
            text => civil(text, today).ok_or_else(failed)?,
        };
        let zoned = civil.to_zoned(self.zone.clone()).map_err(|_| failed())?;
        nanos(zoned.timestamp()).ok_or_else(failed)
    }

    /// For people: in the local zone, to the millisecond.
    #[must_use]
    pub fn local(&self, moment: WallNanos) -> String {
        self.format(moment, "%Y-%m-%d %H:%M:%S%.3f")
    }

    /// The same without the day.
    #[must_use]
    pub fn time_of_day(&self, moment: WallNanos) -> String {
        self.format(moment, "%H:%M:%S%.3f")
    }

    /// Whether it is today's.
    #[must_use]
    pub fn is_today(&self, moment: WallNanos) -> bool {
        timestamp(moment).map(|found| found.to_zoned(self.zone.clone()).date()) == self.today()
    }

    fn today(&self) -> Option<Date> {
        Some(timestamp(self.now)?.to_zoned(self.zone.clone()).date())
    }

    fn format(&self, moment: WallNanos, form: &str) -> String {
        match timestamp(moment) {
            Some(found) => found.to_zoned(self.zone.clone()).strftime(form).to_string(),
            None => moment.0.to_string(),
        }
    }
}

/// RFC 3339 in UTC, to the nanosecond.
#[must_use]
pub fn rfc3339(moment: WallNanos) -> String {
    timestamp(moment).map_or_else(|| moment.0.to_string(), |found| format!("{found:.9}"))
}

/// So long ago: `5m`, `1h 30m`, `2d`.
fn so_long(text: &str) -> Option<Duration> {
    let text = text.strip_suffix(" ago").unwrap_or(text);
    text.ends_with(|c: char| c.is_ascii_alphabetic()).then(|| humantime::parse_duration(text).ok()).flatten()
}

fn civil(text: &str, today: Date) -> Option<DateTime> {
    // The parser of dates and times reads a bare date as midnight, and would read a bare time of day as nothing.
    let time = || text.contains(':').then(|| text.parse::<Time>().ok()).flatten();
    text.parse::<DateTime>().ok().or_else(|| time().map(|time| today.to_datetime(time)))
}

fn timestamp(moment: WallNanos) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(moment.0)).ok()
}

fn nanos(timestamp: Timestamp) -> Option<WallNanos> {
    u64::try_from(timestamp.as_nanosecond()).ok().map(WallNanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 22 November 2026, 19:27 in UTC, 20:27 where the clock is an hour ahead.
    const NOW: &str = "2026-11-22T19:27:03Z";

    fn clock() -> Clock {
        Clock { now: nanos(NOW.parse().unwrap()).unwrap(), zone: TimeZone::fixed(jiff::tz::offset(1)) }
    }

    #[test]
    fn moments_are_read_in_every_form() {
        for (text, meant) in [
            ("2026-11-22T10:30:05Z", "2026-11-22T10:30:05.000000000Z"),
            ("2026-11-22T10:30:05.25+02:00", "2026-11-22T08:30:05.250000000Z"),
            ("10:30", "2026-11-22T09:30:00.000000000Z"),
            ("10:30:05", "2026-11-22T09:30:05.000000000Z"),
            ("2026-11-21", "2026-11-20T23:00:00.000000000Z"),
            ("2026-11-21 08:00", "2026-11-21T07:00:00.000000000Z"),
            ("yesterday", "2026-11-20T23:00:00.000000000Z"),
            ("5m", "2026-11-22T19:22:03.000000000Z"),
            ("1h 30m ago", "2026-11-22T17:57:03.000000000Z"),
            ("now", "2026-11-22T19:27:03.000000000Z"),
        ] {
            assert_eq!(clock().moment(text).map(rfc3339), Ok(meant.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_examples() {
        for text in ["", "soon", "25:00", "2026-13-01", "5", "-5m", "99999999999999y", "1600-01-01", "1\0"] {
            let refused = clock().moment(text);
            assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("10:30")), "{text:?} {refused:?}");
        }
    }

    #[test]
    fn people_read_their_own_zone() {
        let clock = clock();
        let moment = clock.moment("2026-11-22T23:30:00Z").unwrap();
        assert_eq!(clock.local(moment), "2026-11-23 00:30:00.000");
        assert!(!clock.is_today(moment));
    }
}
