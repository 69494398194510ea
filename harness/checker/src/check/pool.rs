//! Partitions side by side: a bounded number of threads, and what came of them in their order.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::search::Budget;

#[cfg(test)]
mod tests;

/// Histories with fewer operations are judged before a thread would have begun.
const OPERATIONS_PER_WORKER: usize = 2_000;

/// How many partitions to judge at once: as many as were asked for, or as there are processors.
pub(super) fn workers(jobs: Option<NonZeroUsize>, partitions: usize, operations: usize) -> usize {
    let jobs = jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    jobs.min(partitions).min(operations / OPERATIONS_PER_WORKER).max(1)
}

/// Judges so many partitions, some at a time, each with its share of the time and the memory;
/// what came of them stands in their order.
pub(super) fn side_by_side<T: Send>(
    count: usize,
    workers: usize,
    budget: Budget,
    judge_one: impl Fn(usize, Budget) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let budget_of = |index: usize| {
        let now = Instant::now();
        let left = budget.deadline.saturating_duration_since(now);
        // So many others are judged meanwhile that their shares do not add up.
        let rounds = u32::try_from((count - index).div_ceil(workers)).unwrap_or(u32::MAX);
        Budget { deadline: now + left / rounds, memory: budget.memory / workers as u64 }
    };
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, judge_one(index, budget_of(index))));
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}
