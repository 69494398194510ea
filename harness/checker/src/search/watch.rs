//! Whether there is still time and memory, and whether somebody else was faster.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::{Budget, Stop};

/// What the two engines of a race share.
#[derive(Debug, Default)]
pub(super) struct Race {
    is_over: AtomicBool,
    /// What each runner takes, in bytes.
    bytes: [AtomicU64; 2],
}

impl Race {
    /// Tells the other runner to stop.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Gives back the memory of a runner that is done.
    pub(super) fn leave(&self, runner: usize) {
        self.bytes[runner].store(0, Ordering::Relaxed);
    }
}

/// A look at the budget, for one engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<'a> {
    budget: Budget,
    race: Option<(&'a Race, usize)>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, race: None }
    }

    pub(super) fn in_race(budget: Budget, race: &'a Race, runner: usize) -> Self {
        Self { budget, race: Some((race, runner)) }
    }

    /// Why to stop, if so, for an engine that takes so many bytes.
    ///
    /// Where two together take too much, the one that takes more stops.
    pub(super) fn look(&self, bytes: u64) -> Option<Stop> {
        let mut other = 0;
        if let Some((race, runner)) = self.race {
            if race.is_over.load(Ordering::Relaxed) {
                // Nobody hears what the slower one says.
                return Some(Stop::Time);
            }
            race.bytes[runner].store(bytes, Ordering::Relaxed);
            other = race.bytes[1 - runner].load(Ordering::Relaxed);
        }
        if Instant::now() >= self.budget.deadline {
            Some(Stop::Time)
        } else if bytes > self.budget.memory
            || (bytes + other > self.budget.memory && bytes > other)
        {
            Some(Stop::Memory)
        } else {
            None
        }
    }
}
