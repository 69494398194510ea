//! Shrinking: from the schedule of a failing seed, all faults are taken out without which it fails still.
//!
//! The algorithm is delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing
//! Input", 2002): halves, quarters and so on are left out as long as that works. A run without some faults
//! is another run, so what is left need not fail for the same reason; it fails in the same way, though.

use std::collections::BTreeSet;

use crate::fault::FaultId;
use crate::plan::Plan;
use crate::run::{RunOptions, RunReport, run};

/// Runs that a shrink may take.
const RUNS_MAX: usize = 2000;

/// A schedule by which a seed still fails; at the end, one that can lose nothing more.
#[derive(Debug)]
pub struct Shrunk {
    /// The report of the run with the smallest schedule.
    pub report: RunReport,
    /// How many faults there were at first.
    pub before: usize,
    /// How many runs it took.
    pub runs: usize,
}

/// Shrinks the schedule of a plan that fails; `None` if it does not. `watch` is shown the whole schedule,
/// and then what is left whenever some faults were taken out.
pub fn shrink(plan: &Plan, options: RunOptions, mut watch: impl FnMut(&Shrunk)) -> Option<Shrunk> {
    let report = run(plan, options);
    let kind = report.verdict.failure()?.kind();
    let mut left: Vec<FaultId> = plan.faults.iter().map(|fault| fault.id).collect();
    let mut shrunk = Shrunk { report, before: left.len(), runs: 1 };
    let mut parts = 1;
    watch(&shrunk);
    while !left.is_empty() && shrunk.runs < RUNS_MAX {
        let length = left.len().div_ceil(parts);
        let smaller = (0..left.len()).step_by(length).find_map(|start| {
            let end = (start + length).min(left.len());
            let kept: BTreeSet<FaultId> =
                left[..start].iter().chain(&left[end..]).copied().collect();
            shrunk.runs += 1;
            let report = run(&plan.with_only(&kept), options);
            let is_same = report.verdict.failure().is_some_and(|failure| failure.kind() == kind);
            is_same.then_some((kept, report))
        });
        match smaller {
            Some((kept, smaller)) => {
                left = kept.into_iter().collect();
                shrunk.report = smaller;
                parts = parts.saturating_sub(1).max(1);
                watch(&shrunk);
            }
            None if length == 1 => break,
            None => parts = (parts * 2).min(left.len()),
        }
    }
    Some(shrunk)
}
