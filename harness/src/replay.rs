//! Replays: running a recorded plan again, and telling whether it ended as it did before.
//!
//! A plan's seed and schedule decide what is asked and when who is hit; they do not decide what the
//! machine's own timing makes of it. So a replay is asked of several runs, and its answer is a rate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use checker::check::Options;
use serde::{Deserialize, Serialize};

use crate::facts::{Facts, FactsError};
use crate::judgement::{Evidence, Judgement, RunVerdict, judge};
use crate::plan::{Plan, PlanError};
use crate::run::RunFolder;
use crate::workload::{self, Workload};

/// How a run ended, as far as another run can end in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ending {
    /// The verdict.
    pub verdict: RunVerdict,
    /// The checks that it is by.
    pub judges: BTreeSet<String>,
}

/// A recorded run could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// Its plan is missing or no good.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nothing says how it ended.
    #[error("nothing in the folder says how the run ended")]
    Facts(#[from] FactsError),
    /// Its workload is not known.
    #[error("there is no workload {name:?}")]
    Workload {
        /// The workload's name.
        name: String,
    },
}

impl From<&Judgement> for Ending {
    fn from(judgement: &Judgement) -> Self {
        let judges = judgement.judges().into_iter().map(str::to_owned).collect();
        Self { verdict: judgement.verdict, judges }
    }
}

impl Ending {
    /// Tells whether another run ended in the same way: with the same verdict, and by a judge of
    /// this one's. A second judge may find its own in one run and not in the next.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.verdict == other.verdict && !self.judges.is_disjoint(&other.judges)
    }

    /// Reads how a recorded run ended, and its settled plan: from its verdict, or if it was killed
    /// before it had one, by judging it now.
    ///
    /// # Errors
    /// When the folder is not that of a run.
    pub fn of_run(folder: &Path) -> Result<(Self, Plan), RecordedError> {
        let plan = Plan::read(&RunFolder::plan_in(folder))?;
        let settled = plan.clone().settled();
        if let Some(ending) = Self::of_verdict(folder) {
            return Ok((ending, settled));
        }
        let facts = Facts::read(&RunFolder::facts_in(folder))?;
        let workload: Arc<dyn Workload> = workload::by_name(&plan.workload)
            .ok_or_else(|| RecordedError::Workload { name: plan.workload.name.clone() })?
            .into();
        let evidence = Evidence { plan, workload, facts };
        let history = RunFolder::history_in(folder);
        let (judgement, _) = judge(&evidence, history, Options::default());
        Ok((Self::from(&judgement), settled))
    }

    fn of_verdict(folder: &Path) -> Option<Self> {
        #[derive(Deserialize)]
        struct Recorded {
            verdict: RunVerdict,
            checks: Vec<Check>,
        }
        #[derive(Deserialize)]
        struct Check {
            name: String,
            verdict: RunVerdict,
        }
        let text = fs::read(RunFolder::verdict_in(folder)).ok()?;
        let Recorded { verdict, checks } = serde_json::from_slice(&text).ok()?;
        let worst = checks.into_iter().filter(|check| check.verdict == verdict);
        Some(Self { verdict, judges: worst.map(|check| check.name).collect() })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if self.verdict == RunVerdict::Pass {
            return Ok(());
        }
        let judges: Vec<&str> = self.judges.iter().map(String::as_str).collect();
        write!(f, " by {}", judges.join(", "))
    }
}

/// What came of replays.
#[derive(Clone, Debug, Serialize)]
pub struct Replays {
    /// How the recorded run ended.
    pub original: Ending,
    /// How the others ended, in their order.
    pub endings: Vec<Ending>,
}

impl Replays {
    /// Begins to count replays of a run that ended so.
    #[must_use]
    pub fn new(original: Ending) -> Self {
        Self { original, endings: Vec::new() }
    }

    /// Adds a replay, and tells whether it ended as the recorded run did.
    pub fn note(&mut self, ending: Ending) -> bool {
        let is_same = self.original.is_same(&ending);
        self.endings.push(ending);
        is_same
    }

    /// Returns how many ended as the recorded run did.
    #[must_use]
    pub fn reproduced(&self) -> usize {
        self.endings.iter().filter(|ending| self.original.is_same(ending)).count()
    }

    /// Renders the rate, and how the others ended.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { original, endings } = self;
        let mut text =
            format!("reproduced {} of {}: {original}\n", self.reproduced(), endings.len());
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for other in endings.iter().filter(|ending| !original.is_same(ending)) {
            *others.entry(other.to_string()).or_default() += 1;
        }
        for (other, count) in others {
            let _ = writeln!(text, "  otherwise {count} of {}: {other}", endings.len());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(verdict: RunVerdict, judges: &[&str]) -> Ending {
        Ending { verdict, judges: judges.iter().map(|&it| it.into()).collect() }
    }

    #[test]
    fn the_same_ending_is_the_same_verdict_by_one_of_its_judges() {
        use RunVerdict::{Pass, Unknown, Violation};
        let original = ending(Violation, &["linearizability", "conservation"]);
        for (other, expected) in [
            (ending(Violation, &["conservation"]), true),
            (ending(Violation, &["recovery", "linearizability"]), true),
            (ending(Violation, &["recovery"]), false),
            (ending(Unknown, &["linearizability"]), false),
            (ending(Pass, &["linearizability", "conservation"]), false),
        ] {
            assert_eq!(original.is_same(&other), expected, "{other}");
        }
    }

    #[test]
    fn replays_are_counted_and_the_others_named() {
        use RunVerdict::{Pass, Violation};
        let mut replays = Replays::new(ending(Violation, &["linearizability"]));
        assert!(replays.note(ending(Violation, &["linearizability", "nodes"])));
        assert!(!replays.note(ending(Pass, &["linearizability", "nodes"])));
        assert!(!replays.note(ending(Violation, &["recovery"])));
        assert!(!replays.note(ending(Pass, &["linearizability"])));
        let expected = "reproduced 1 of 4: VIOLATION by linearizability\n  \
                        otherwise 2 of 4: PASS\n  otherwise 1 of 4: VIOLATION by recovery\n";
        assert_eq!(replays.describe(), expected);
    }

    #[test]
    fn a_recorded_ending_is_read_or_else_judged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(matches!(Ending::of_run(path), Err(RecordedError::Plan(_))));
        Plan::default().settled().write(&RunFolder::plan_in(path)).unwrap();
        assert!(matches!(Ending::of_run(path), Err(RecordedError::Facts(_))));
        // It was killed at its very beginning.
        Facts::default().write(&RunFolder::facts_in(path)).unwrap();
        assert_eq!(Ending::of_run(path).unwrap().0.verdict, RunVerdict::HarnessFailure);
        let verdict = r#"{"verdict": "violation", "seed": 7, "checks": [
            {"name": "linearizability", "verdict": "violation", "summary": ""},
            {"name": "recovery", "verdict": "unknown", "summary": ""},
            {"name": "nodes", "verdict": "violation", "summary": ""}]}"#;
        fs::write(RunFolder::verdict_in(path), verdict).unwrap();
        let expected = ending(RunVerdict::Violation, &["linearizability", "nodes"]);
        assert_eq!(Ending::of_run(path).unwrap().0, expected);
    }
}
