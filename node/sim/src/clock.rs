//! A node's clocks: the one that counts time since the machine was switched on, and the wall clock.

use std::time::Duration;

use machine::session::LogTime;
use raft::Timestamp;

use crate::time::Time;

/// What wall clocks show when a run begins, in milliseconds since the Unix epoch.
const BEGINNING: i64 = 1_800_000_000_000;

/// Both clocks of one node. The first goes on while the node is paused or down, never falls, and may run
/// at another rate than true time; the wall clock follows it, and may jump besides.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Since when the rate has been what it is, …
    since: Time,
    /// … and what the clock showed then, in nanoseconds.
    shown: u64,
    /// In thousandths of the true rate.
    rate: u64,
    /// How far the wall clock is off besides, in milliseconds.
    offset: i64,
}

impl Clock {
    /// Makes a clock that shows `shown` nanoseconds at the beginning.
    pub(crate) fn new(shown: u64) -> Self {
        Self { since: Time(0), shown, rate: 1000, offset: 0 }
    }

    pub(crate) fn now(&self, time: Time) -> Timestamp {
        Timestamp(self.shown + (time - self.since).as_nanos() as u64 * self.rate / 1000)
    }

    pub(crate) fn wall(&self, time: Time) -> LogTime {
        let millis = BEGINNING + self.offset + (self.now(time).0 / 1_000_000) as i64;
        LogTime::from_millis(millis.max(0) as u64)
    }

    /// Returns how much true time passes until the clock has gone on by `span`, at the least.
    pub(crate) fn true_span(&self, span: Duration) -> Duration {
        Duration::from_nanos((span.as_nanos() as u64 * 1000).div_ceil(self.rate))
    }

    pub(crate) fn set_rate(&mut self, time: Time, rate: u64) {
        self.shown = self.now(time).0;
        self.since = time;
        self.rate = rate;
    }

    pub(crate) fn jump(&mut self, millis: i64) {
        self.offset += millis;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_keeps_its_own_time_and_never_falls() {
        let mut clock = Clock::new(7);
        clock.set_rate(Time(1000), 500);
        clock.set_rate(Time(3000), 2000);
        assert_eq!(clock.now(Time(3000)), Timestamp(2007));
        assert_eq!(clock.now(Time(4000)), Timestamp(4007));
        let span = clock.true_span(Duration::from_nanos(15));
        assert_eq!(span, Duration::from_nanos(8), "not before it has passed");
    }

    #[test]
    fn only_the_wall_clock_jumps() {
        let mut clock = Clock::new(0);
        let (now, wall) = (clock.now(Time(9)), clock.wall(Time(9)));
        clock.jump(-5);
        assert_eq!(clock.now(Time(9)), now);
        assert!(clock.wall(Time(9)) < wall);
    }
}
