//! How many operations ended how.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::client::{Cause, Outcome};
use crate::workload::is_in_vain;

/// How many operations of one function ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// They happened, refusals included.
    pub ok: u64,
    /// Of those, the ones that did not do what they are for: rejections, mismatches, locks that
    /// another holds, queues that are empty.
    pub refused: u64,
    /// They did not happen.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
    /// Of those that failed or of which nobody knows, the ones whose answer made no sense: each is
    /// evidence against the system, though not of what became of the operation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nonsense: u64,
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
        self.nonsense += other.nonsense;
    }
}

impl std::ops::SubAssign for Tally {
    /// Takes away what was counted earlier; nothing is ever uncounted, so it is never more.
    fn sub_assign(&mut self, earlier: Self) {
        self.ok -= earlier.ok;
        self.refused -= earlier.refused;
        self.fail -= earlier.fail;
        self.info -= earlier.info;
        self.nonsense -= earlier.nonsense;
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
                tally.refused += u64::from(is_in_vain(f, value));
            }
            Outcome::Fail { .. } => tally.fail += 1,
            Outcome::Info { .. } => tally.info += 1,
        }
        if let Outcome::Fail { error } | Outcome::Info { error } = outcome {
            tally.nonsense += u64::from(matches!(error, Cause::Nonsense(_)));
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nonsense_is_counted_besides_the_end_that_it_stands_for() {
        let tallies = Tallies::default();
        let error = Cause::Nonsense("a trade without a result");
        tallies.count("trade", &Outcome::Info { error: error.clone() });
        tallies.count("book", &Outcome::Fail { error });
        tallies.count("book", &Outcome::Fail { error: "timeout".into() });
        let total = tallies.total();
        assert_eq!((total.fail, total.info, total.nonsense), (2, 1, 2));
        assert_eq!(total.total(), 3);
        let book = tallies.snapshot()["book"];
        let expected = json!({"ok": 0, "refused": 0, "fail": 2, "info": 0, "nonsense": 1});
        assert_eq!(json!(book), expected);
        assert!(json!(Tally::default()).get("nonsense").is_none());
    }
}
