//! Directed sequences: faults that follow each other, and not the clock alone.
//!
//! A schedule cannot say "partition the leader, then pause the new one, then heal the first", for when
//! there is a new leader depends on the run. A sequence can: each step comes some time after the one
//! before, and when something has become so.
//!
//! ```
//! # use harness::plan::Plan;
//! let plan = Plan::parse(
//!     r#"
//!     schedule = []
//!     [[sequence]]
//!     at = "3s"
//!     steps = [
//!         { begin = { partition = { isolate = "leader" } }, name = "cut" },
//!         { until = "new-leader", begin = { pause = "leader" }, name = "stop" },
//!         { wait = "500ms", end = "cut" },
//!         { wait = "1s", end = "stop" },
//!     ]
//!     "#,
//! )?;
//! assert_eq!(plan.sequence[0].steps.len(), 4);
//! # Ok::<(), harness::plan::PlanError>(())
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::plan::span;

/// How long a step waits at most for what it waits for. Elections take a second or two; a cluster that
/// takes longer will not have what the step wants to hit.
pub const UNTIL_MAX: Duration = Duration::from_secs(10);

/// Faults that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// When its first step comes, from the start of the storm.
    #[serde(with = "span")]
    pub at: Duration,
    /// What is done, in order. What is in force after the last step ends then.
    pub steps: Vec<Step>,
}

/// One step of a sequence: something begins, or ends, or nothing but time goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// How long after the step before it comes.
    #[serde(with = "span", skip_serializing_if = "Duration::is_zero")]
    pub wait: Duration,
    /// What has to be so then; it is waited for up to [`UNTIL_MAX`]. If it does not come, the sequence
    /// is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Condition>,
    /// The fault that begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin: Option<Fault>,
    /// Over how long a fault that goes from node to node is spread.
    #[serde(with = "span", skip_serializing_if = "Duration::is_zero")]
    pub duration: Duration,
    /// The name by which a later step ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name of the fault that ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// What a step may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Somebody leads, and a majority says so.
    Leader,
    /// Somebody leads in a later term than who led when the last fault of the sequence began.
    NewLeader,
}

impl Sequence {
    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut open = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (place, step) in (1..).zip(&self.steps) {
            let wrong = |why: String| Err(format!("has a step {place} that {why}"));
            match (&step.begin, &step.end, &step.name) {
                (Some(_), Some(_), _) => return wrong("both begins and ends something".into()),
                (None, _, Some(name)) => {
                    return wrong(format!("names {name:?} but begins nothing"));
                }
                (Some(fault), None, name) => {
                    if let Err(why) = fault.check() {
                        return wrong(why.into());
                    }
                    if let Some(name) = name {
                        if !seen.insert(name.as_str()) {
                            return wrong(format!("names another fault {name:?}"));
                        }
                        open.insert(name.as_str());
                    }
                }
                (None, Some(name), None) => {
                    if !open.remove(name.as_str()) {
                        return wrong(format!("ends {name:?}, which is not in force"));
                    }
                }
                (None, None, None) if step.wait.is_zero() && step.until.is_none() => {
                    return wrong("does nothing".into());
                }
                (None, None, None) => {}
            }
        }
        match self.faults().next() {
            Some(_) => Ok(()),
            None => Err("begins no fault".into()),
        }
    }

    /// Returns the faults that it begins, in order.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        self.steps.iter().filter_map(|step| step.begin)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::NewLeader => "new leader",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Target;

    fn begin(name: &str) -> Step {
        let name = (!name.is_empty()).then(|| name.into());
        Step { begin: Some(Fault::Kill(Target::One)), name, ..Step::default() }
    }

    fn end(name: &str) -> Step {
        Step { end: Some(name.into()), ..Step::default() }
    }

    fn check(steps: Vec<Step>, expected: &str) {
        let found = Sequence { at: Duration::ZERO, steps }.check();
        match expected {
            "" => assert_eq!(found, Ok(())),
            expected => assert!(found.as_ref().unwrap_err().contains(expected), "{found:?}"),
        }
    }

    #[test]
    fn a_sequence_makes_sense() {
        let wait = Step { wait: Duration::from_secs(1), ..Step::default() };
        check(vec![begin("a"), wait.clone(), begin("b"), end("a"), end("b")], "");
        check(vec![begin(""), wait.clone()], "");
        check(
            vec![begin("a"), end("a"), end("a")],
            "step 3 that ends \"a\", which is not in force",
        );
        check(vec![end("a"), begin("a")], "step 1 that ends \"a\"");
        check(vec![begin("a"), begin("a")], "step 2 that names another fault \"a\"");
        check(vec![Step { end: Some("a".into()), ..begin("b") }], "both begins and ends");
        check(vec![Step { name: Some("a".into()), ..wait.clone() }], "begins nothing");
        check(vec![begin("a"), Step::default()], "step 2 that does nothing");
        check(vec![wait], "begins no fault");
    }
}
