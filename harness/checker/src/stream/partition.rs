//! One partition of a stream: what is not judged yet, and how far the explanations of the rest came.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::history::Moment;
use crate::model::{Model, Step};
use crate::search::piece::{Advanced, Front, Unknowns};
use crate::search::{Budget, Entry, Stop};

use super::{Limits, Undecided};

/// An operation of which nobody knows yet how it ends.
pub(super) struct Pending<M: Model> {
    pub(super) process: u64,
    pub(super) op: M::Op,
    pub(super) invoked: Moment,
}

impl<M: Model> Pending<M> {
    /// The operation with its answer.
    pub(super) fn answered(
        self,
        seen: Option<M::Ret>,
        completed: Moment,
        position: Option<u64>,
    ) -> Entry<M> {
        Entry {
            step: Step { op: self.op, seen, is_certain: true },
            process: self.process,
            invoked: self.invoked.instant,
            completed: Some(completed.instant),
            tie: completed.event as u64,
            position,
        }
    }

    /// The operation as one that may take effect at any time.
    pub(super) fn unknown(self) -> Entry<M> {
        Entry {
            step: Step { op: self.op, seen: None, is_certain: false },
            process: self.process,
            invoked: self.invoked.instant,
            completed: None,
            tie: 0,
            position: None,
        }
    }
}

pub(super) struct Partition<M: Model> {
    front: Front<M>,
    /// Everything before this instant has been passed.
    passed: u64,
    /// What is open, by the number of its invocation's event.
    open: BTreeMap<usize, Pending<M>>,
    /// What has ended and is not passed; those of one process in the order of its invocations.
    ended: Vec<Entry<M>>,
    /// How many had ended when it was last tried to pass them.
    tried: usize,
    unknowns: Unknowns,
    /// Why it cannot be said any more that there is an order.
    pub(super) undecided: Option<Undecided>,
    /// Whether nothing more can be said of it.
    is_over: bool,
}

impl<M: Model> Partition<M> {
    pub(super) fn new(initial: M) -> Self {
        Self {
            front: Front::new(initial),
            passed: 0,
            open: BTreeMap::new(),
            ended: Vec::new(),
            tried: 0,
            unknowns: Unknowns::Once,
            undecided: None,
            is_over: false,
        }
    }

    pub(super) fn operations(&self) -> usize {
        self.open.len() + self.ended.len() + self.front.carried.len()
    }

    pub(super) fn configurations(&self) -> usize {
        self.front.waypoints.len()
    }

    pub(super) fn begin(&mut self, pending: Pending<M>) {
        if !self.is_over {
            self.open.insert(pending.invoked.event, pending);
        }
    }

    /// Takes out what was begun with an event; none if it was open for too long, and is taken for
    /// unknown already.
    pub(super) fn end(&mut self, event: usize) -> Option<Pending<M>> {
        self.open.remove(&event)
    }

    /// Notes that an operation which was taken for unknown has ended after all.
    pub(super) fn end_late(&mut self) {
        self.undecided.get_or_insert(Undecided::Waited);
    }

    /// Takes an operation that has ended. What is pure and says nothing can stand anywhere.
    pub(super) fn add(&mut self, entry: Entry<M>) {
        let says_nothing = entry.step.seen.is_none() && M::is_pure(&entry.step.op, None);
        if !self.is_over && !says_nothing {
            self.ended.push(entry);
        }
    }

    /// Whether nothing more can be said of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether something has ended that is not passed: what ended at the very instant up to which all
    /// was passed is among what is carried over.
    pub(super) fn is_waiting(&self) -> bool {
        !self.ended.is_empty() || self.front.carried.iter().any(|entry| entry.completed.is_some())
    }

    /// Whether so much has ended since the last try that another one pays: it costs what there is
    /// to carry over.
    pub(super) fn is_due(&self, limits: &Limits) -> bool {
        let since = self.ended.len() - self.tried.min(self.ended.len());
        since >= limits.piece.max(self.front.waypoints.len()).max(self.front.carried.len())
    }

    /// Takes for unknown what has been open for so long that too much waits behind it.
    fn give_up_waiting(&mut self, limits: &Limits) {
        while self.ended.len() > limits.waiting {
            let Some((_, oldest)) = self.open.pop_first() else { return };
            self.add(oldest.unknown());
            // Behind it there may be enough to go on with; if not, the next one waits no longer.
            let blocked = self.open.first_key_value().map(|(_, open)| open.invoked.instant);
            let is_free = |entry: &Entry<M>| blocked.is_none_or(|at| entry.invoked < at);
            if self.ended.iter().filter(|entry| is_free(entry)).count() * 2 > self.ended.len() {
                return;
            }
        }
    }

    /// Takes for unknown all that is open.
    pub(super) fn end_all(&mut self) {
        for (_, open) in std::mem::take(&mut self.open) {
            self.add(open.unknown());
        }
    }

    /// Passes all that is known, before an instant from which on more may come. Returns the entry
    /// whose return no explanation passes, if there is one.
    pub(super) fn settle(&mut self, latest: Option<u64>, limits: &Limits) -> Option<Entry<M>> {
        if self.is_over {
            return None;
        }
        self.give_up_waiting(limits);
        let opened = self.open.first_key_value().map(|(_, open)| open.invoked.instant);
        let before = match (latest, opened) {
            (Some(latest), Some(opened)) => Some(latest.min(opened)),
            (latest, opened) => latest.or(opened),
        };
        self.tried = self.ended.len();
        if before.is_some_and(|before| before <= self.passed) {
            return None;
        }
        let is_called = |entry: &Entry<M>| before.is_none_or(|before| entry.invoked < before);
        let (called, ended) = std::mem::take(&mut self.ended).into_iter().partition(is_called);
        self.ended = ended;
        self.tried = self.ended.len();
        self.passed = before.unwrap_or(u64::MAX);
        self.pass(&called, before, limits)
    }

    fn pass(
        &mut self,
        called: &[Entry<M>],
        before: Option<u64>,
        limits: &Limits,
    ) -> Option<Entry<M>> {
        loop {
            if self.unknowns == Unknowns::Endless && !self.is_closed(called) {
                self.close();
                return None;
            }
            let budget =
                Budget { deadline: Instant::now() + limits.piece_time, memory: limits.memory };
            let why = match self.front.advance(called, before, self.unknowns, budget) {
                Advanced::Front(front) => {
                    self.front = front;
                    self.bound(limits);
                    return None;
                }
                Advanced::Nobody { entry } => {
                    self.close();
                    return Some(entry);
                }
                Advanced::Stopped(Stop::Time) => Undecided::Time,
                Advanced::Stopped(Stop::Memory) => Undecided::Memory,
            };
            let has_unknowns =
                self.front.unknowns() > 0 || called.iter().any(|entry| entry.completed.is_none());
            if self.unknowns == Unknowns::Endless || !has_unknowns {
                self.undecided.get_or_insert(why);
                self.close();
                return None;
            }
            self.free_unknowns();
        }
    }

    /// Whether unknowns, as often as they may take effect, lead to finitely many states.
    fn is_closed(&self, called: &[Entry<M>]) -> bool {
        let mut unknowns =
            self.front.carried.iter().chain(called).filter(|entry| entry.completed.is_none());
        unknowns.all(|entry| M::is_idempotent(&entry.step.op))
    }

    /// Keeps what is carried over small.
    fn bound(&mut self, limits: &Limits) {
        let unknowns = self.front.unknowns();
        let is_much = unknowns > limits.unknowns
            || (unknowns > 0 && self.front.waypoints.len() > limits.configurations);
        if is_much && self.unknowns == Unknowns::Once {
            self.free_unknowns();
        }
        if self.front.unknowns() > limits.unknowns {
            self.undecided.get_or_insert(Undecided::Unknowns);
            self.close();
        }
    }

    /// From now on unknowns take effect as often as one likes.
    fn free_unknowns(&mut self) {
        self.undecided.get_or_insert(Undecided::Unknowns);
        self.unknowns = Unknowns::Endless;
        let nothing = Front { carried: Vec::new(), waypoints: Vec::new() };
        self.front = std::mem::replace(&mut self.front, nothing).into_endless();
    }

    /// Lets go of everything: nothing more is said of this partition.
    fn close(&mut self) {
        self.is_over = true;
        self.open.clear();
        self.ended.clear();
        self.front = Front { carried: Vec::new(), waypoints: Vec::new() };
    }
}
