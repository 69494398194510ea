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
use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use serde::Serialize;

use crate::fault::{Fault, ScheduledFault, Step};
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
    /// Which of the plan's [parts] are left in it, by place.
    pub kept: Vec<usize>,
    /// How many runs it took.
    pub runs: usize,
    /// Why it ended.
    pub end: ShrinkEnd,
}

/// A fault that can be taken out of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// One of the schedule.
    Scheduled(ScheduledFault),
    /// One that a step of a sequence begins.
    Begun {
        /// The sequence's place in the plan.
        sequence: usize,
        /// The step's place in the sequence.
        step: usize,
        /// The fault.
        fault: Fault,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduled(ScheduledFault { at, duration, fault, .. }) => {
                let (at, duration) = (format_duration(*at), format_duration(*duration));
                write!(f, "{fault} at {at} for {duration}")
            }
            Self::Begun { sequence, step, fault } => {
                write!(f, "{fault}, step {} of sequence {}", step + 1, sequence + 1)
            }
        }
    }
}

/// Returns what can be taken out of a settled plan: its faults.
#[must_use]
pub fn parts(plan: &Plan) -> Vec<Part> {
    let scheduled = plan.schedule.iter().flatten().cloned().map(Part::Scheduled);
    let begun = plan.sequence.iter().enumerate().flat_map(|(sequence, it)| {
        let steps = it.steps.iter().enumerate();
        steps.filter_map(move |(step, it)| {
            it.begin.map(|fault| Part::Begun { sequence, step, fault })
        })
    });
    scheduled.chain(begun).collect()
}

/// Takes faults out of a settled plan while runs of it end as `original` did.
pub fn shrink(
    plan: &Plan,
    original: &Ending,
    options: &ShrinkOptions,
    trial: &mut impl Trial,
) -> Shrunk {
    let parts = parts(plan);
    let mut search = Search::new(parts.len(), options.tries);
    let mut runs = 0;
    let end = loop {
        let Some(candidate) = search.candidate() else {
            let is_reproduced = search.smallest().is_some();
            break if is_reproduced { ShrinkEnd::Minimal } else { ShrinkEnd::NotReproduced };
        };
        if trial.elapsed() >= options.time_limit {
            break ShrinkEnd::TimeLimit;
        }
        let Some(ending) = trial.run(&with_only(plan, &parts, candidate)) else {
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
    let plan = kept.as_ref().map(|kept| with_only(plan, &parts, kept));
    Shrunk { plan, kept: kept.unwrap_or_default(), runs, end }
}

/// Returns the plan with only these of its parts, which are sorted. Each fault of the schedule has its
/// own draw, so that it does the same whatever else is taken out; a step of a sequence whose fault is
/// taken out still waits for what it waited for.
fn with_only(plan: &Plan, parts: &[Part], kept: &[usize]) -> Plan {
    let mut plan = Plan { schedule: Some(Vec::new()), ..plan.clone() };
    for (place, part) in parts.iter().enumerate() {
        let is_kept = kept.binary_search(&place).is_ok();
        match part {
            Part::Scheduled(fault) if is_kept => {
                plan.schedule.get_or_insert_default().push(fault.clone())
            }
            Part::Begun { sequence, step, .. } if !is_kept => {
                take_out(&mut plan.sequence[*sequence].steps, *step);
            }
            Part::Scheduled(_) | Part::Begun { .. } => {}
        }
    }
    for sequence in &mut plan.sequence {
        sequence.steps.retain(|step| {
            let is_pause = !step.wait.is_zero() || step.until.is_some();
            is_pause || step.begin.is_some() || step.end.is_some()
        });
    }
    plan.sequence.retain(|sequence| sequence.steps.iter().any(|step| step.begin.is_some()));
    plan
}

/// Takes a fault out of a sequence, and its end with it.
fn take_out(steps: &mut [Step], place: usize) {
    steps[place].begin = None;
    steps[place].duration = Duration::ZERO;
    let Some(name) = steps[place].name.take() else { return };
    // A name is free again once what bore it has ended.
    let end = steps[place..].iter_mut().find(|step| step.end.as_ref() == Some(&name));
    if let Some(step) = end {
        step.end = None;
    }
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
    step: Next,
}

/// What is tried after the present candidate.
#[derive(Clone, Copy, Debug)]
enum Next {
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
            step: Next::Nothing,
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
            Next::Rest(_) => self.parts.saturating_sub(1).max(2),
            Next::Nothing | Next::Part(_) => 2,
        };
        if self.smallest.is_some() {
            self.step = Next::Part(0);
        }
        self.smallest = Some(faults);
    }

    /// Returns the next candidate that was not tried in vain before.
    fn advance(&mut self) -> Option<Vec<usize>> {
        let smallest = self.smallest.clone()?;
        let count = smallest.len();
        loop {
            let candidate = match self.step {
                Next::Nothing => {
                    self.step = Next::Part(0);
                    Vec::new()
                }
                Next::Part(part) if part < self.parts => {
                    self.step = Next::Part(part + 1);
                    smallest[self.bounds(part, count)].to_vec()
                }
                Next::Part(_) => {
                    self.step = Next::Rest(0);
                    continue;
                }
                Next::Rest(part) if part < self.parts => {
                    self.step = Next::Rest(part + 1);
                    let out = self.bounds(part, count);
                    [&smallest[..out.start], &smallest[out.end..]].concat()
                }
                Next::Rest(_) if self.parts >= count => return None,
                Next::Rest(_) => {
                    self.parts = (self.parts * 2).min(count);
                    self.step = Next::Part(0);
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
