//! What the programs cost, from moments in which the kernel keeps account of it.
//!
//! The first twentieth of a second is measured, and then as much of every two seconds; what lies between two such moments
//! is taken to have been as the later one, what follows the last as that one. So a total is an estimate.

use std::time::Duration;

use super::{Cost, Statistics};
use crate::KernelNanos;

const MOMENT: Duration = Duration::from_millis(50);
const PERIOD: Duration = Duration::from_secs(2);

/// Measures now and then.
#[derive(Debug)]
pub struct Meter {
    statistics: Option<Statistics>,
    state: State,
    sum: Sum,
}

#[derive(Debug)]
enum State {
    Off,
    Asked,
    On { since: KernelNanos, then: Cost },
}

impl Meter {
    /// `None` where there is nobody who could switch the account on: all stays 0.
    #[must_use]
    pub fn start(statistics: Option<Statistics>, now: KernelNanos) -> Self {
        let mut meter = Self { statistics, state: State::Off, sum: Sum::new(now) };
        meter.begin();
        meter
    }

    /// To be called often. `read` says what the kernel's account is.
    pub fn look(&mut self, now: KernelNanos, read: impl FnOnce() -> Cost) {
        match &self.state {
            State::Off if since(self.sum.measured, now) >= PERIOD => self.begin(),
            State::Off => {}
            State::Asked => match self.statistics.as_mut().map(Statistics::is_on) {
                Some(Ok(true)) => self.state = State::On { since: now, then: read() },
                Some(Ok(false)) => {}
                // It is an old kernel, or the process was ended.
                Some(Err(_)) | None => self.statistics = None,
            },
            State::On { since: begun, then } => {
                if since(*begun, now) >= MOMENT {
                    self.sum.add(*begun, now, &difference(&read(), then));
                    self.end();
                }
            }
        }
    }

    /// The whole, up to now: no moment is open afterwards.
    pub fn total(&mut self, now: KernelNanos, read: impl FnOnce() -> Cost) -> Cost {
        let mut last = None;
        if let State::On { since, then } = &self.state {
            last = Some((*since, *then));
        }
        let read = read();
        if let Some((since, then)) = last {
            self.sum.add(since, now, &difference(&read, &then));
            self.end();
        }
        Cost { missed: read.missed, ..self.sum.total(now) }
    }

    /// As far as it was measured; it only grows.
    #[must_use]
    pub fn so_far(&self) -> Cost {
        self.sum.total(self.sum.measured)
    }

    /// The whole up to now, as far as it is known without a look; `None` before the first moment was measured.
    #[must_use]
    pub fn estimate(&self, now: KernelNanos) -> Option<Cost> {
        self.sum.rate.is_some().then(|| self.sum.total(now))
    }

    fn begin(&mut self) {
        if let Some(statistics) = &mut self.statistics {
            statistics.switch_on();
            self.state = State::Asked;
        }
    }

    fn end(&mut self) {
        if let Some(statistics) = &mut self.statistics {
            statistics.switch_off();
        }
        self.state = State::Off;
    }
}

fn since(then: KernelNanos, now: KernelNanos) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(then.0))
}

fn difference(now: &Cost, then: &Cost) -> Cost {
    Cost {
        run_time: now.run_time.saturating_sub(then.run_time),
        run_count: now.run_count.saturating_sub(then.run_count),
        missed: now.missed.saturating_sub(then.missed),
    }
}

/// The estimate, apart from clocks and kernels.
#[derive(Debug)]
struct Sum {
    /// Up to where it goes.
    measured: KernelNanos,
    run_nanos: f64,
    runs: f64,
    /// Of the last moment, per nanosecond.
    rate: Option<[f64; 2]>,
}

impl Sum {
    fn new(begin: KernelNanos) -> Self {
        Self { measured: begin, run_nanos: 0.0, runs: 0.0, rate: None }
    }

    fn add(&mut self, begun: KernelNanos, now: KernelNanos, cost: &Cost) {
        let moment = since(begun, now).as_nanos().max(1) as f64;
        let rate = [cost.run_time.as_nanos() as f64 / moment, cost.run_count as f64 / moment];
        let stretch = since(self.measured, now).as_nanos() as f64;
        self.run_nanos += rate[0] * stretch;
        self.runs += rate[1] * stretch;
        self.measured = now;
        self.rate = Some(rate);
    }

    fn total(&self, now: KernelNanos) -> Cost {
        let rest = since(self.measured, now).as_nanos() as f64;
        let [time, count] = self.rate.unwrap_or_default();
        Cost {
            run_time: Duration::from_nanos(whole(self.run_nanos + time * rest)),
            run_count: whole(self.runs + count * rest),
            missed: 0,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is no less than 0, and saturates")]
fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(micros: u64, runs: u64) -> Cost {
        Cost { run_time: Duration::from_micros(micros), run_count: runs, missed: 0 }
    }

    #[test]
    fn a_moment_stands_for_all_since_the_last_one_and_the_last_one_for_the_rest() {
        let second = |number: f64| KernelNanos(whole(number * 1e9));
        let mut sum = Sum::new(second(10.0));
        assert_eq!(sum.total(second(11.0)), cost(0, 0));
        sum.add(second(10.0), second(10.2), &cost(200, 20));
        assert_eq!(sum.total(second(10.2)), cost(200, 20));
        assert_eq!(sum.total(second(11.2)), cost(1_200, 120));
        // Half as much a second: it was so all the time.
        sum.add(second(11.15), second(11.2), &cost(25, 3));
        assert_eq!(sum.total(second(11.2)), cost(700, 80));
    }

    #[test]
    fn without_anybody_who_switches_nothing_is_known() {
        let mut meter = Meter::start(None, KernelNanos(0));
        meter.look(KernelNanos(5_000_000_000), || cost(1, 1));
        assert_eq!(
            meter.total(KernelNanos(6_000_000_000), || Cost { missed: 3, ..cost(9, 9) }),
            Cost { missed: 3, ..cost(0, 0) }
        );
    }
}
