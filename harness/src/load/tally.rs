//! How many operations ended how.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::client::Outcome;
use crate::workload::is_refusal;

/// How many operations of one function ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// They happened, refusals included.
    pub ok: u64,
    /// Of those, the ones that the system refused: rejections and mismatches.
    pub refused: u64,
    /// They did not happen.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

impl Tally {
    /// Returns how many operations there were.
    pub fn total(&self) -> u64 {
        self.ok + self.fail + self.info
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.fail += other.fail;
        self.info += other.info;
    }
}

/// The counts of a run by function; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    by_function: Arc<Mutex<BTreeMap<&'static str, Tally>>>,
}

impl Tallies {
    /// Returns the counts as they are now.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Tally> {
        let tallies = self.by_function.lock();
        tallies.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the counts of all functions together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in self.snapshot().into_values() {
            total += tally;
        }
        total
    }

    pub(super) fn count(&self, f: &'static str, outcome: &Outcome) {
        let mut tallies = self.by_function.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(f).or_default();
        match outcome {
            Outcome::Ok { value, .. } => {
                tally.ok += 1;
                tally.refused += u64::from(is_refusal(value));
            }
            Outcome::Fail { .. } => tally.fail += 1,
            Outcome::Info { .. } => tally.info += 1,
        }
    }
}
