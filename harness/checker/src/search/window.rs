//! The events of a partition in order, and the window of operations open at a position.

use crate::model::Model;

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
    pub(super) fn new<M: Model>(entries: &[Entry<M>]) -> Self {
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
fn sorted_passages<M: Model>(entries: &[Entry<M>]) -> Vec<Passage> {
    let mut points = Vec::with_capacity(entries.len() * 2);
    for (index, entry) in entries.iter().enumerate() {
        let index = u32::try_from(index)
            .expect("a history of four billion operations does not fit in memory");
        match entry.completed {
            Some(completed) => {
                points.push((entry.invoked, false, 0, Passage::Call(index)));
                points.push((completed, true, entry.tie, Passage::Return(index)));
            }
            None => points.push((entry.invoked, false, 0, Passage::Unknown(index))),
        }
    }
    points.sort_by_key(|(instant, is_return, tie, _)| (*instant, *is_return, *tie));
    points.into_iter().map(|(_, _, _, passage)| passage).collect()
}

/// Finds, for every entry, the one of its process that returned at the instant of its call.
///
/// Entries of one process come in the order in which the process made them.
fn tied_predecessors<M: Model>(entries: &[Entry<M>]) -> (Vec<u32>, Vec<bool>) {
    let mut after = vec![VACANT; entries.len()];
    let mut has_successor = vec![false; entries.len()];
    let mut last: std::collections::HashMap<u64, usize> = std::collections::HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(previous) = last.get(&entry.process)
            && entries[*previous].completed == Some(entry.invoked)
        {
            after[index] = *previous as u32;
            has_successor[*previous] = true;
        }
        if entry.completed.is_some() {
            last.insert(entry.process, index);
        }
    }
    (after, has_successor)
}

/// The window at a position; it moves along the passages and back.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) position: usize,
    /// The open certain entry of each slot, or [`VACANT`].
    pub(super) open: Vec<u32>,
    /// How many entries of unknown outcome were called.
    pub(super) unknowns_called: usize,
}

impl Window {
    pub(super) fn new(timeline: &Timeline) -> Self {
        Self { position: 0, open: vec![VACANT; timeline.slots], unknowns_called: 0 }
    }

    /// Moves to a position: as far as it is away, so that jumps far back cost, steps do not.
    pub(super) fn seek(&mut self, timeline: &Timeline, position: usize) {
        while self.position < position {
            self.advance(timeline);
        }
        while self.position > position {
            self.position -= 1;
            match timeline.passages[self.position] {
                Passage::Call(entry) => self.open[timeline.slot[entry as usize] as usize] = VACANT,
                Passage::Return(entry) => self.open[timeline.slot[entry as usize] as usize] = entry,
                Passage::Unknown(_) => self.unknowns_called -= 1,
            }
        }
    }

    /// Passes the next passage.
    pub(super) fn advance(&mut self, timeline: &Timeline) {
        match timeline.passages[self.position] {
            Passage::Call(entry) => self.open[timeline.slot[entry as usize] as usize] = entry,
            Passage::Return(entry) => self.open[timeline.slot[entry as usize] as usize] = VACANT,
            Passage::Unknown(_) => self.unknowns_called += 1,
        }
        self.position += 1;
    }
}
