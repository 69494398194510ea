//! Shrinking: taking faults out of a schedule while a run of it still fails as it did.
//!
//! It is delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002): parts of the schedule are tried alone, then left out, first halves, then ever smaller parts
//! down to single faults. What is left is minimal in this sense: with any single one of its faults
//! taken out, the failure was not seen again.
//!
//! Storms are not deterministic, so "not seen" means in so many tries. A plan that is returned has
//! failed at least once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::plan::Plan;
use crate::replay::Ending;

/// How far to go.
#[derive(Clone, Copy, Debug)]
pub struct ShrinkOptions {
    /// How often a smaller schedule is tried before it is taken not to fail.
    pub tries: usize,
    /// After how long no run is begun any more.
    pub time_limit: Duration,
}

/// Runs plans, and knows how long that has taken.
pub trait Trial {
    /// Runs a plan; none if it was interrupted, or could not be run.
    fn run(&mut self, plan: &Plan) -> Option<Ending>;

    /// Returns the time since the shrinking began.
    fn elapsed(&self) -> Duration;

    /// Learns that the plan that ran last fails, and is the smallest so far.
    fn keep(&mut self, faults: usize);
}

/// Why the shrinking ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShrinkEnd {
    /// No single fault can be taken out.
    Minimal,
    /// The recorded schedule itself did not fail again.
    NotReproduced,
    /// The time was over.
    TimeLimit,
    /// A run was interrupted, or could not be run.
    Stopped,
}

/// What is left of a plan.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan that failed, if any did.
    pub plan: Option<Plan>,
    /// Which faults of the recorded schedule are left in it, by place.
    pub kept: Vec<usize>,
    /// How many runs it took.
    pub runs: usize,
    /// Why it ended.
    pub end: ShrinkEnd,
}

/// Takes faults out of a settled plan while runs of it end as `original` did.
pub fn shrink(
    plan: &Plan,
    original: &Ending,
    options: &ShrinkOptions,
    trial: &mut impl Trial,
) -> Shrunk {
    let count = plan.schedule.as_ref().map_or(0, Vec::len);
    let mut search = Search::new(count, options.tries);
    let mut runs = 0;
    let end = loop {
        let Some(candidate) = search.candidate() else {
            let is_reproduced = search.smallest().is_some();
            break if is_reproduced { ShrinkEnd::Minimal } else { ShrinkEnd::NotReproduced };
        };
        if trial.elapsed() >= options.time_limit {
            break ShrinkEnd::TimeLimit;
        }
        let Some(ending) = trial.run(&with_only(plan, candidate)) else {
            let is_late = trial.elapsed() >= options.time_limit;
            break if is_late { ShrinkEnd::TimeLimit } else { ShrinkEnd::Stopped };
        };
        runs += 1;
        let is_same = original.is_same(&ending);
        if is_same {
            trial.keep(candidate.len());
        }
        search.observe(is_same);
    };
    let kept = search.smallest().map(<[usize]>::to_vec);
    let plan = kept.as_ref().map(|kept| with_only(plan, kept));
    Shrunk { plan, kept: kept.unwrap_or_default(), runs, end }
}

/// Returns the plan with only these faults of its schedule. Each has its own draw, so that it does
/// the same whatever else is taken out.
fn with_only(plan: &Plan, kept: &[usize]) -> Plan {
    let schedule = plan.schedule.as_deref().unwrap_or_default();
    let schedule = kept.iter().map(|&place| schedule[place].clone()).collect();
    Plan { schedule: Some(schedule), ..plan.clone() }
}

/// The search for a minimal schedule: says what to try next, and is told what came of it.
#[derive(Clone, Debug)]
struct Search {
    tries_max: usize,
    /// What is tried, and how often it has been tried in vain.
    candidate: Option<(Vec<usize>, usize)>,
    /// The smallest that failed.
    smallest: Option<Vec<usize>>,
    /// What was tried in vain as often as it may be.
    in_vain: BTreeSet<Vec<usize>>,
    /// Into how many parts the smallest is cut.
    parts: usize,
    step: Step,
}

/// What is tried after the present candidate.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// No faults at all.
    Nothing,
    /// This part alone.
    Part(usize),
    /// All but this part.
    Rest(usize),
}

impl Search {
    fn new(count: usize, tries_max: usize) -> Self {
        Self {
            tries_max,
            candidate: Some(((0..count).collect(), 0)),
            smallest: None,
            in_vain: BTreeSet::new(),
            parts: 2,
            step: Step::Nothing,
        }
    }

    /// Returns which faults to try next, by place; none when there is nothing left to try.
    fn candidate(&self) -> Option<&[usize]> {
        self.candidate.as_ref().map(|(faults, _)| faults.as_slice())
    }

    fn smallest(&self) -> Option<&[usize]> {
        self.smallest.as_deref()
    }

    /// Learns whether the candidate failed as it should.
    fn observe(&mut self, has_failed: bool) {
        let Some((faults, tries)) = self.candidate.take() else { return };
        if has_failed {
            self.accept(faults);
        } else if tries + 1 < self.tries_max {
            self.candidate = Some((faults, tries + 1));
            return;
        } else {
            self.in_vain.insert(faults);
        }
        self.candidate = self.advance().map(|faults| (faults, 0));
    }

    fn accept(&mut self, faults: Vec<usize>) {
        self.parts = match self.step {
            // The candidate was a rest: its parts are those of before, without one.
            Step::Rest(_) => self.parts.saturating_sub(1).max(2),
            Step::Nothing | Step::Part(_) => 2,
        };
        if self.smallest.is_some() {
            self.step = Step::Part(0);
        }
        self.smallest = Some(faults);
    }

    /// Returns the next candidate that was not tried in vain before.
    fn advance(&mut self) -> Option<Vec<usize>> {
        let smallest = self.smallest.clone()?;
        let count = smallest.len();
        loop {
            let candidate = match self.step {
                Step::Nothing => {
                    self.step = Step::Part(0);
                    Vec::new()
                }
                Step::Part(part) if part < self.parts => {
                    self.step = Step::Part(part + 1);
                    smallest[self.bounds(part, count)].to_vec()
                }
                Step::Part(_) => {
                    self.step = Step::Rest(0);
                    continue;
                }
                Step::Rest(part) if part < self.parts => {
                    self.step = Step::Rest(part + 1);
                    let out = self.bounds(part, count);
                    [&smallest[..out.start], &smallest[out.end..]].concat()
                }
                Step::Rest(_) if self.parts >= count => return None,
                Step::Rest(_) => {
                    self.parts = (self.parts * 2).min(count);
                    self.step = Step::Part(0);
                    continue;
                }
            };
            if candidate.len() < count && !self.in_vain.contains(&candidate) {
                return Some(candidate);
            }
        }
    }

    fn bounds(&self, part: usize, count: usize) -> std::ops::Range<usize> {
        part * count / self.parts..(part + 1) * count / self.parts
    }
}

#[cfg(test)]
mod tests;
