//! The pace of a load: when the next operation may begin.

use std::time::{Duration, Instant};

use rand::Rng;
use rand_chacha::ChaCha12Rng;

/// How far the load may lag behind its pace and still catch up. It makes up for the grain of timers;
/// time lost to a system that does not answer is lost, or a burst would follow every fault.
const SLACK: Duration = Duration::from_millis(20);

/// Hands out instants that are evenly spaced on the whole, each a little off.
pub(super) struct Pace {
    /// The time from one operation to the next; none if there is no limit.
    interval: Option<Duration>,
    next: Option<Instant>,
    random: ChaCha12Rng,
}

impl Pace {
    /// Makes a pace of `rate` operations a second; 0 is as fast as can be.
    pub(super) fn new(rate: f64, random: ChaCha12Rng) -> Self {
        let interval = (rate > 0.0).then(|| Duration::from_secs_f64((1.0 / rate).min(3600.0)));
        Self { interval, next: None, random }
    }

    /// Begins anew, after a time in which nothing was asked for.
    pub(super) fn restart(&mut self, now: Instant) {
        self.next = Some(now);
    }

    /// Returns when the next operation may begin.
    pub(super) fn due(&mut self, now: Instant) -> Instant {
        let Some(interval) = self.interval else {
            return now;
        };
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let slot = self.next.unwrap_or(now).max(earliest);
        self.next = Some(slot + interval);
        slot + interval.mul_f64(self.random.random_range(0.0..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn pace(rate: f64) -> (Pace, Instant) {
        let now = Instant::now();
        let mut pace = Pace::new(rate, Seed::new(1).generator());
        pace.restart(now);
        (pace, now)
    }

    #[test]
    fn operations_are_evenly_spaced() {
        let (mut pace, start) = pace(100.0);
        for slot in 0..50 {
            let due = pace.due(start) - start;
            let slot = Duration::from_millis(10 * slot);
            assert!(due >= slot && due < slot + Duration::from_millis(10), "{due:?} {slot:?}");
        }
    }

    #[test]
    fn time_lost_is_not_made_up_for() {
        let (mut pace, start) = pace(100.0);
        let late = start + Duration::from_secs(10);
        let due: Vec<Instant> = (0..5).map(|_| pace.due(late)).collect();
        assert!(due[0] >= late - SLACK);
        assert!(due[4] >= late, "at most the slack is caught up with");
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (mut pace, start) = pace(0.0);
        assert!((0..5).all(|_| pace.due(start) == start));
    }
}
