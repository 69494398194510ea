//! The oracle: tries every order. It knows intervals and models, and nothing of the search.

use std::any::Any;

use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use crate::history::{Moment, Operation};
use crate::model::ledger::{LedgerAnswer, LedgerOp};
use crate::model::{End, Model, Reading};

pub(super) struct Oracle<M: Model> {
    initial: M,
    operations: Vec<(Operation, Reading<M>)>,
}

/// What must be placed.
struct Candidate<'a, M: Model> {
    operation: &'a Operation,
    op: &'a M::Op,
    /// None if it may or may not have happened.
    answered: Option<(Moment, &'a Option<M::Ret>)>,
}

/// What stateright's tester is told: a call, or a return with what was seen.
struct Feed<'a, M: Model> {
    moment: Moment,
    process: u64,
    op: &'a M::Op,
    seen: Option<&'a M::Ret>,
}

impl<M: Model> Oracle<M> {
    pub(super) fn new(initial: M, operations: Vec<(Operation, Reading<M>)>) -> Self {
        Self { initial, operations }
    }

    pub(super) fn is_linearizable(&self) -> bool {
        self.is_prefix_linearizable((u64::MAX, usize::MAX))
    }

    /// Whether any answer says anything.
    pub(super) fn is_answered(&self) -> bool {
        self.operations.iter().any(|(_, reading)| match &reading.end {
            End::Answered(None) => !M::is_pure(&reading.op, None),
            End::Answered(Some(_)) => true,
            End::Refused | End::Open => false,
        })
    }

    /// Returns the line of the completion with which the shortest bad prefix ends.
    pub(super) fn shortest_bad_prefix(&self) -> Option<usize> {
        let mut completions: Vec<Moment> = self
            .operations
            .iter()
            .filter(|(_, reading)| reading.end != End::Open)
            .filter_map(|(operation, _)| operation.completed)
            .collect();
        completions.sort_unstable_by_key(|moment| (moment.instant, moment.event));
        let bad = completions
            .iter()
            .find(|moment| !self.is_prefix_linearizable((moment.instant, moment.event)));
        bad.map(|moment| moment.line)
    }

    fn is_prefix_linearizable(&self, end: (u64, usize)) -> bool {
        let mut candidates = Vec::new();
        for (operation, reading) in &self.operations {
            let completed =
                operation.completed.filter(|moment| (moment.instant, moment.event) <= end);
            let answered = match (&reading.end, completed) {
                _ if operation.invoked.instant > end.0 => continue,
                (End::Refused, Some(_)) => continue,
                (End::Answered(seen), Some(completed)) => Some((completed, seen)),
                _ => None,
            };
            candidates.push(Candidate { operation, op: &reading.op, answered });
        }
        can_finish(&self.initial, &mut candidates)
    }

    /// Asks stateright's tester, which wants every answer whole and knows no ties.
    pub(super) fn ask_stateright(&self) -> Option<bool> {
        let mut fed: Vec<Feed<'_, M>> = Vec::new();
        for (operation, reading) in &self.operations {
            let feed =
                |moment, seen| Feed { moment, process: operation.process, op: &reading.op, seen };
            match (&reading.end, operation.completed) {
                (End::Refused, _) => continue,
                (End::Answered(Some(seen)), Some(completed)) => {
                    fed.push(feed(completed, Some(seen)))
                }
                (End::Answered(_), _) => return None,
                (End::Open, _) => {}
            }
            fed.push(feed(operation.invoked, None));
        }
        fed.sort_unstable_by_key(|feed| (feed.moment.instant, feed.moment.event));
        if fed.windows(2).any(|pair| pair[0].moment.instant == pair[1].moment.instant) {
            return None;
        }
        let mut tester = LinearizabilityTester::new(self.initial.clone());
        for Feed { process, op, seen, .. } in fed {
            let fed = match seen {
                // To it a process that goes on after an unknown outcome is an error.
                None => match tester.on_invoke(process, op.clone()) {
                    Ok(_) => Ok(()),
                    Err(_) => return None,
                },
                // It compares answers for equality; one that leaves something open is not for it.
                Some(seen) if is_partial::<M>(op, seen) => return None,
                Some(seen) => tester.on_return(process, seen.clone()).map(|_| ()),
            };
            fed.expect("the generator pairs its events");
        }
        Some(tester.is_consistent())
    }
}

/// Whether an observation leaves something of the answer open; its description says so, or a list of
/// trades stops early, as it may where not all fit in.
fn is_partial<M: Model>(op: &M::Op, seen: &M::Ret) -> bool {
    let stops_early = match ((op as &dyn Any).downcast_ref(), (seen as &dyn Any).downcast_ref()) {
        (
            Some(LedgerOp::History { from, limit }),
            Some(LedgerAnswer::History { trades, total }),
        ) => {
            let left = (total + 1).saturating_sub(*from.max(&1));
            let whole = if *limit == 0 { left } else { left.min(*limit) };
            (trades.len() as u64) < whole
        }
        _ => false,
    };
    stops_early || format!("{seen:?}").contains("None")
}

/// Whether the rest can be put in an order: everything answered must be, the others may be.
fn can_finish<M: Model>(state: &M, rest: &mut Vec<Candidate<'_, M>>) -> bool {
    if rest.iter().all(|candidate| candidate.answered.is_none()) {
        return true;
    }
    for index in 0..rest.len() {
        if rest.iter().any(|other| precedes(other, &rest[index])) {
            continue;
        }
        let candidate = rest.remove(index);
        let seen = candidate.answered.and_then(|(_, seen)| seen.as_ref());
        let next = state.step(candidate.op, seen);
        let finishes = next.is_some_and(|next| can_finish(&next, rest));
        rest.insert(index, candidate);
        if finishes {
            return true;
        }
    }
    false
}

/// Closed intervals: before means returned before the call; within one process also at its instant.
fn precedes<M: Model>(a: &Candidate<'_, M>, b: &Candidate<'_, M>) -> bool {
    let Some((completed, _)) = a.answered else {
        return false;
    };
    let is_same_process = a.operation.process == b.operation.process;
    completed.instant < b.operation.invoked.instant
        || (is_same_process && completed.event < b.operation.invoked.event)
}
