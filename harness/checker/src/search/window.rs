//! The events of a partition in order, and the window of operations open at a position.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::history::ByProcess;
use crate::model::Model;

use super::mask::Mask;
use super::states::{KindId, States};
use super::{Entry, Found, Stop};

/// A point that is passed: an operation is called, or returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// A certain entry begins.
    Call(u32),
    /// A certain entry ends.
    Return(u32),
    /// An entry of unknown outcome begins: from here on it may take effect.
    Unknown(u32),
}

/// A slot without an entry.
pub(super) const VACANT: u32 = u32::MAX;

/// What happens when, computed once.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    pub(super) passages: Vec<Passage>,
    /// The slot of each certain entry while it is open.
    pub(super) slot: Vec<u32>,
    /// Where each entry returns among the passages.
    pub(super) returns_at: Vec<u32>,
    /// The entry of the same process that must come before, where instants tie.
    pub(super) after: Vec<u32>,
    /// Whether some entry has this one in `after`.
    pub(super) has_successor: Vec<bool>,
    /// How many slots there are.
    pub(super) slots: usize,
    /// The entries of unknown outcome in the order of their calls.
    pub(super) unknowns: Vec<u32>,
}

impl Timeline {
    pub(super) fn new<M: Model>(entries: &[&Entry<M>]) -> Self {
        let mut passages = sorted_passages(entries);
        let (after, has_successor) = tied_predecessors(entries);
        let mut slot = vec![VACANT; entries.len()];
        let mut returns_at = vec![u32::MAX; entries.len()];
        let (mut free, mut slots, mut unknowns) = (Vec::new(), 0, Vec::new());
        for (position, passage) in passages.iter_mut().enumerate() {
            match *passage {
                Passage::Call(entry) => {
                    slot[entry as usize] = free.pop().unwrap_or_else(|| {
                        slots += 1;
                        slots - 1
                    });
                }
                Passage::Return(entry) => {
                    free.push(slot[entry as usize]);
                    returns_at[entry as usize] = position as u32;
                }
                Passage::Unknown(entry) => unknowns.push(entry),
            }
        }
        Self { passages, slot, returns_at, after, has_successor, slots: slots as usize, unknowns }
    }

    /// For every position the earliest return, among the passages, of an operation that overwrites
    /// everything and is called there or later.
    pub(super) fn forced(&self, states: &States, kind_of: &[KindId]) -> Vec<u32> {
        let mut forced = vec![u32::MAX; self.passages.len() + 1];
        for (position, passage) in self.passages.iter().enumerate().rev() {
            let earliest = match *passage {
                Passage::Call(entry) if states.overwrite(kind_of[entry as usize]).is_some() => {
                    self.returns_at[entry as usize]
                }
                _ => u32::MAX,
            };
            forced[position] = earliest.min(forced[position + 1]);
        }
        forced
    }

    /// The certain entry whose return is the next at or after a position.
    pub(super) fn return_after(&self, position: u32) -> usize {
        let ahead = &self.passages[position as usize..];
        let next = ahead.iter().find_map(|passage| match passage {
            Passage::Return(entry) => Some(*entry as usize),
            _ => None,
        });
        next.unwrap_or(0)
    }

    /// What to say when a search was stopped that came to a position.
    pub(super) fn stopped(&self, why: Stop, position: u32) -> Found {
        let passed = &self.passages[..position as usize];
        let completions =
            passed.iter().filter(|passage| matches!(passage, Passage::Return(_))).count();
        Found::Stopped { why, entry: self.return_after(position), completions }
    }
}

/// Sorts by instant. Intervals are closed, so calls come before returns of the same instant.
///
/// Entries mostly come in the order of their calls, so that returns need only be sorted among those
/// that are open at once.
fn sorted_passages<M: Model>(entries: &[&Entry<M>]) -> Vec<Passage> {
    let count = u32::try_from(entries.len())
        .expect("a history of four billion operations does not fit in memory");
    let mut calls: Vec<u32> = (0..count).collect();
    calls.sort_by_key(|entry| entries[*entry as usize].invoked);
    let mut passages = Vec::with_capacity(entries.len() * 2);
    let mut open = BinaryHeap::<Reverse<(u64, u64, u32)>>::new();
    for index in calls {
        let entry = &entries[index as usize];
        while let Some(first) = open.peek_mut().filter(|first| first.0.0 < entry.invoked) {
            passages.push(Passage::Return(PeekMut::pop(first).0.2));
        }
        match entry.completed {
            Some(completed) => {
                passages.push(Passage::Call(index));
                open.push(Reverse((completed, entry.tie, index)));
            }
            None => passages.push(Passage::Unknown(index)),
        }
    }
    let rest = open.into_sorted_vec().into_iter().rev();
    passages.extend(rest.map(|Reverse((_, _, index))| Passage::Return(index)));
    passages
}

/// Finds, for every entry, the one of its process that returned at the instant of its call.
///
/// Entries of one process come in the order in which the process made them.
fn tied_predecessors<M: Model>(entries: &[&Entry<M>]) -> (Vec<u32>, Vec<bool>) {
    let mut after = vec![VACANT; entries.len()];
    let mut has_successor = vec![false; entries.len()];
    let mut last: ByProcess<Option<usize>> = ByProcess::asked(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let last = last.of(entry.process);
        if let Some(previous) = *last
            && entries[previous].completed == Some(entry.invoked)
        {
            after[index] = previous as u32;
            has_successor[previous] = true;
        }
        if entry.completed.is_some() {
            *last = Some(index);
        }
    }
    (after, has_successor)
}

/// An open entry of certain outcome, with all that is asked of it again and again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) entry: u32,
    pub(super) kind: KindId,
    /// See [`Timeline::returns_at`].
    pub(super) returns_at: u32,
    /// See [`Timeline::after`].
    pub(super) after: u32,
    /// See [`Timeline::has_successor`].
    pub(super) has_successor: bool,
}

/// The window at a position; it moves along the passages and back.
#[derive(Debug)]
pub(super) struct Window<'a, K: Mask> {
    timeline: &'a Timeline,
    kind_of: &'a [KindId],
    /// By kind.
    is_pure: Vec<bool>,
    pub(super) position: usize,
    /// By slot; of those slots where nothing is open it says nothing.
    seats: Vec<Seat>,
    /// The slots where something is open.
    open: K,
    /// Those where it is pure.
    pure: K,
    /// How many entries of unknown outcome were called.
    pub(super) unknowns_called: usize,
}

impl<'a, K: Mask> Window<'a, K> {
    pub(super) fn new(timeline: &'a Timeline, kind_of: &'a [KindId], states: &States) -> Self {
        let nobody = Seat {
            entry: VACANT,
            kind: 0,
            returns_at: u32::MAX,
            after: VACANT,
            has_successor: false,
        };
        Self {
            timeline,
            kind_of,
            is_pure: (0..states.kinds()).map(|kind| states.is_pure(kind as KindId)).collect(),
            position: 0,
            seats: vec![nobody; timeline.slots],
            open: K::empty(timeline.slots),
            pure: K::empty(timeline.slots),
            unknowns_called: 0,
        }
    }

    /// What is open in a slot where something is.
    pub(super) fn seat(&self, slot: usize) -> &Seat {
        debug_assert!(self.open.has(slot), "somebody sits there");
        &self.seats[slot]
    }

    /// The slots of what is open and not linearized.
    pub(super) fn waiting(&self, linearized: &K) -> K {
        self.open.minus(linearized)
    }

    /// The slots of what is open and pure.
    pub(super) fn pure(&self) -> &K {
        &self.pure
    }

    /// Moves to a position: as far as it is away, so that jumps far back cost, steps do not.
    pub(super) fn seek(&mut self, position: usize) {
        while self.position < position {
            self.advance();
        }
        while self.position > position {
            self.position -= 1;
            match self.timeline.passages[self.position] {
                Passage::Call(entry) => self.rise(entry),
                Passage::Return(entry) => self.sit(entry),
                Passage::Unknown(_) => self.unknowns_called -= 1,
            }
        }
    }

    /// Passes the next passage.
    pub(super) fn advance(&mut self) {
        self.pass(self.timeline.passages[self.position]);
    }

    /// The same for who knows which it is.
    #[inline]
    pub(super) fn pass(&mut self, next: Passage) {
        match next {
            Passage::Call(entry) => self.sit(entry),
            Passage::Return(entry) => self.rise(entry),
            Passage::Unknown(_) => self.unknowns_called += 1,
        }
        self.position += 1;
    }

    fn sit(&mut self, entry: u32) {
        let Timeline { slot, returns_at, after, has_successor, .. } = self.timeline;
        let index = entry as usize;
        let slot = slot[index] as usize;
        let kind = self.kind_of[index];
        self.seats[slot] = Seat {
            entry,
            kind,
            returns_at: returns_at[index],
            after: after[index],
            has_successor: has_successor[index],
        };
        self.open.set(slot);
        if self.is_pure[kind as usize] {
            self.pure.set(slot);
        }
    }

    fn rise(&mut self, entry: u32) {
        let slot = self.timeline.slot[entry as usize] as usize;
        self.open.clear(slot);
        self.pure.clear(slot);
    }
}
