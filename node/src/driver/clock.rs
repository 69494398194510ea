//! The clock that a node goes by: its ticks, its leases, and the times that it puts on log entries.
//!
//! A sound clock is the machine's. Under a configuration that allows it, for tests, a node's clock can be
//! set wrong: it jumps, or goes at another rate. Then everything that the node does by time goes by that
//! clock:
//!
//! - A jump forward is time that has passed: its ticks come at once.
//! - After a jump back time stands still until the clock has made up for it, whatever else is done to it
//!   meanwhile: no tick comes. That is what becomes of a program that goes by a clock which somebody sets
//!   back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use raft::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The most ticks that a jump brings at once. Long before that, every timeout there is has passed.
const TICKS_OWED_MAX: u128 = 2048;

/// How slow and how fast a clock may be made to go: beyond that a node would not go wrong but stop.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// How far a clock may jump: a month.
const JUMP_MAX: u64 = 30 * 24 * 60 * 60 * 1_000_000_000;

/// A clock. Clones are of the same clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// None if it cannot be set wrong.
    setting: Option<Arc<Mutex<Setting>>>,
}

/// How a clock differs from the machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    /// When it was last changed, by the machine's clock.
    since: Timestamp,
    /// What it showed just after.
    shown: Timestamp,
    /// How fast it goes.
    rate: f64,
    /// The latest that it has shown before it was set back.
    latest: Timestamp,
}

/// How a clock is to be set wrong, or right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Adjustment {
    /// By how many nanoseconds it jumps.
    pub(crate) jump: i64,
    /// How fast it goes from now on, if that changes.
    pub(crate) rate: Option<f64>,
    /// Whether before that it goes right again: at the machine's rate, on from the latest that it ever
    /// showed. It does not go back to the machine's time, which would be one more jump.
    pub(crate) is_settled: bool,
}

/// How a clock stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reading {
    /// By how many nanoseconds it is ahead of the machine's.
    pub(crate) ahead: i64,
    /// How fast it goes.
    pub(crate) rate: f64,
}

/// How far a clock is from the latest that it has ever shown, just after it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    /// What it has to make up for before time goes on.
    behind: Duration,
    /// What has passed all at once.
    beyond: Duration,
}

/// An adjustment, and where who asked for it waits.
pub(crate) type Adjusting = (Adjustment, oneshot::Sender<Reading>);

/// Where adjustments arrive; from a clock that cannot be set wrong none ever does.
pub(crate) type Adjustments = mpsc::Receiver<Adjusting>;

impl Adjustment {
    /// Returns whether a clock can be set like that.
    pub(crate) fn is_possible(&self) -> bool {
        self.rate.is_none_or(|rate| RATES.contains(&rate)) && self.jump.unsigned_abs() <= JUMP_MAX
    }
}

impl Clock {
    /// Returns the machine's clock.
    pub(crate) fn sound() -> Self {
        Self { setting: None }
    }

    /// Returns a clock that can be set wrong, and is right so far.
    pub(crate) fn adjustable() -> Self {
        let now = machine();
        let setting = Setting { since: now, shown: now, rate: 1.0, latest: now };
        Self { setting: Some(Arc::new(Mutex::new(setting))) }
    }

    /// Returns the time since the machine was booted. It goes on while the node, or the whole machine,
    /// is suspended: a leader that slept must not believe that its lease did, too.
    pub(crate) fn now(&self) -> Timestamp {
        self.lock().map_or_else(machine, |setting| setting.at(machine()))
    }

    /// Returns the time of day.
    pub(crate) fn time_of_day(&self) -> SystemTime {
        let ahead = self.lock().map_or(0, |setting| setting.ahead(machine()));
        let span = Duration::from_nanos(ahead.unsigned_abs());
        let now = SystemTime::now();
        let shifted = if ahead < 0 { now.checked_sub(span) } else { now.checked_add(span) };
        shifted.unwrap_or(now)
    }

    /// Sets the clock and returns how it stands, and what it makes up for or skips.
    fn adjust(&self, adjustment: Adjustment) -> Option<(Reading, Gap)> {
        let mut setting = self.lock()?;
        let now = machine();
        let gap = setting.adjust(adjustment, now);
        Some((Reading { ahead: setting.ahead(now), rate: setting.rate }, gap))
    }

    /// Returns how long the machine's clock takes for what is so long by this one.
    fn by_machine(&self, span: Duration) -> Duration {
        match self.lock().map_or(1.0, |setting| setting.rate) {
            // No tick is shorter than it should be: leases rely on it.
            1.0 => span,
            rate => span.div_f64(rate),
        }
    }

    /// Returns when ticks of this length come, if time stands still first.
    fn beat(&self, tick: Duration, pause: Duration) -> Beat {
        let period = self.by_machine(tick);
        Beat { first: self.by_machine(pause) + period, period }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Setting>> {
        let setting = self.setting.as_ref()?;
        Some(setting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Setting {
    fn at(&self, machine: Timestamp) -> Timestamp {
        let passed = Duration::from_nanos(machine.0.saturating_sub(self.since.0));
        let passed = match self.rate {
            // Not a nanosecond is lost to the arithmetic of a clock that is right.
            1.0 => passed,
            rate => passed.mul_f64(rate),
        };
        Timestamp(self.shown.0.saturating_add(nanoseconds(passed)))
    }

    fn ahead(&self, machine: Timestamp) -> i64 {
        let (shown, machine) = (i128::from(self.at(machine).0), i128::from(machine.0));
        i64::try_from(shown - machine).unwrap_or(i64::MAX)
    }

    fn adjust(&mut self, adjustment: Adjustment, machine: Timestamp) -> Gap {
        let Adjustment { jump, rate, is_settled } = adjustment;
        self.shown = self.at(machine);
        self.since = machine;
        self.latest = self.latest.max(self.shown);
        if is_settled {
            self.shown = self.latest;
            self.rate = 1.0;
        }
        self.shown = Timestamp(self.shown.0.saturating_add_signed(jump));
        self.rate = rate.unwrap_or(self.rate);
        // It may have been behind before, and jumped forward to where it is still behind.
        let span =
            |from: Timestamp, to: Timestamp| Duration::from_nanos(to.0.saturating_sub(from.0));
        Gap { behind: span(self.shown, self.latest), beyond: span(self.latest, self.shown) }
    }
}

/// The ticks of a node, which its clock makes.
#[derive(Debug)]
pub(crate) struct Ticks {
    clock: Clock,
    tick: Duration,
    interval: Interval,
}

impl Ticks {
    /// Begins to tick, once each `tick`.
    pub(crate) fn new(clock: Clock, tick: Duration) -> Self {
        let interval = begin(clock.beat(tick, Duration::ZERO));
        Self { clock, tick, interval }
    }

    /// Waits for the next tick. It can be given up and begun again.
    pub(crate) async fn next(&mut self) {
        self.interval.tick().await;
    }

    /// Sets the clock and returns how it stands, and how many ticks are due at once.
    pub(crate) fn adjust(&mut self, adjustment: Adjustment) -> Option<(Reading, u32)> {
        let (reading, gap) = self.clock.adjust(adjustment)?;
        let owed = gap.beyond.as_nanos() / self.tick.as_nanos().max(1);
        self.interval = begin(self.clock.beat(self.tick, gap.behind));
        let owed = u32::try_from(owed.min(TICKS_OWED_MAX)).expect("the bound is small");
        Some((reading, owed))
    }
}

/// When ticks come, by the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    /// How long it is to the first one.
    first: Duration,
    /// How long it is from one to the next.
    period: Duration,
}

fn begin(beat: Beat) -> Interval {
    // No tick is shorter than it should be, not even the first: leases rely on it.
    let mut interval = interval_at(Instant::now() + beat.first, beat.period);
    // A node that was stopped for a second must not believe that a second's worth of heartbeats
    // failed to come: whatever was missed counts as one tick.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn machine() -> Timestamp {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock since 2.6.39");
    let (seconds, nanoseconds) = (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs());
    Timestamp(seconds * 1_000_000_000 + nanoseconds)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
