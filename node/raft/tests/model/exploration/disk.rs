//! A disk on its way to losing power.
//!
//! A write consists of parts, and they reach the disk in order. When exactly, only a crash can tell:
//! before it, nothing but the acknowledgement shows. So the model has no step for "this reached the
//! disk"; it lets a crash keep any number of the parts that are not acknowledged. That is every crash
//! within a write, between a write and its acknowledgement, and before the write, in fewer states.

use std::collections::VecDeque;

use raft::{Entry, HardState, LogIndex, Recovered, Snapshot, Write, WriteId};

use super::flaw::Flaw;

/// A snapshot with its data.
pub(crate) type Saved = (Snapshot, Vec<u8>);

#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Disk {
    hard_state: HardState,
    snapshot: Option<Saved>,
    entries: Vec<Entry>,
    /// What is on its way.
    pending: VecDeque<Step>,
}

/// What reaches the disk as one.
#[derive(Clone, Debug, Hash)]
enum Step {
    HardState(HardState),
    Truncate(LogIndex),
    Append(Entry),
    Compact(LogIndex),
    /// A write with a snapshot is there as a whole or not at all.
    Install(Box<Install>),
    /// A snapshot that was taken counts from now on.
    Save(Saved),
    /// The write is durable.
    Done(WriteId),
}

/// What a disk acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Write(WriteId),
    Snapshot(LogIndex),
}

#[derive(Clone, Debug, Hash)]
struct Install {
    hard_state: Option<HardState>,
    saved: Saved,
    entries: Vec<Entry>,
}

impl Disk {
    /// Takes a write on its way; `gathered` are the data of its snapshot, if it has one.
    pub(crate) fn begin(&mut self, write: Write, gathered: Vec<u8>, flaw: Option<Flaw>) {
        let Write { id, hard_state, snapshot, truncate_from, entries, compact_upto } = write;
        if let Some(snapshot) = snapshot {
            let install = Install { hard_state, saved: (snapshot, gathered), entries };
            self.pending.push_back(Step::Install(Box::new(install)));
        } else {
            let hard_state = hard_state.map(Step::HardState);
            let log = truncate_from.map(Step::Truncate).into_iter();
            let log = log.chain(entries.into_iter().map(Step::Append));
            if flaw == Some(Flaw::EntriesBeforeTerm) {
                self.pending.extend(log.chain(hard_state));
            } else {
                self.pending.extend(hard_state.into_iter().chain(log));
            }
        }
        self.pending.extend(compact_upto.map(Step::Compact));
        self.pending.push_back(Step::Done(id));
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns how many parts of writes a crash may keep or lose.
    pub(crate) fn parts_pending(&self) -> usize {
        self.pending.iter().filter(|step| !matches!(step, Step::Done(_))).count()
    }

    /// Returns the last entry of the log that is certainly on the disk.
    pub(crate) fn last_index(&self) -> LogIndex {
        let snapshot = self.snapshot.as_ref().map(|(snapshot, _)| snapshot.index);
        let last = self.entries.last().map(|entry| entry.index);
        last.or(snapshot).unwrap_or_default()
    }

    /// Returns whether an entry is certainly on the disk, in the log or in the snapshot.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        let is_in_snapshot = self.snapshot.as_ref().is_some_and(|(it, _)| it.index >= entry.index);
        is_in_snapshot || self.entries.iter().rev().any(|held| held == entry)
    }

    /// Lets what is oldest become durable, and acknowledges it.
    pub(crate) fn complete_one(&mut self, flaw: Option<Flaw>) -> Option<Durable> {
        while let Some(step) = self.pending.pop_front() {
            let done = match &step {
                Step::Done(id) => Some(Durable::Write(*id)),
                Step::Save((snapshot, _)) => Some(Durable::Snapshot(snapshot.index)),
                _ => None,
            };
            self.reach(step, flaw);
            if done.is_some() {
                return done;
            }
        }
        None
    }

    /// Keeps the first `kept` parts of what is on its way, and loses the rest.
    pub(crate) fn crash(&mut self, kept: usize, flaw: Option<Flaw>) {
        let pending = std::mem::take(&mut self.pending);
        let parts = pending.into_iter().filter(|step| !matches!(step, Step::Done(_)));
        for step in parts.take(kept) {
            self.reach(step, flaw);
        }
    }

    /// Takes a snapshot on its way that the state machine was saved in. It counts only behind every
    /// earlier write, or it might meet an older log.
    pub(crate) fn save(&mut self, saved: Saved, flaw: Option<Flaw>) {
        if flaw == Some(Flaw::SnapshotBeforeLog) {
            self.reach(Step::Save(saved.clone()), None);
        }
        self.pending.push_back(Step::Save(saved));
    }

    pub(crate) fn snapshot(&self) -> Option<&Saved> {
        self.snapshot.as_ref()
    }

    /// Returns what a replica is made of after a start.
    pub(crate) fn recover(&self, flaw: Option<Flaw>) -> Recovered {
        let mut hard_state = self.hard_state;
        if flaw == Some(Flaw::ForgetsVote) {
            hard_state.vote = None;
        }
        let snapshot = self.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone());
        let base = snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.index);
        let entries = self.entries.iter().filter(|entry| entry.index > base).cloned().collect();
        Recovered { hard_state, snapshot, entries }
    }

    fn reach(&mut self, step: Step, flaw: Option<Flaw>) {
        match step {
            Step::HardState(hard_state) => self.hard_state = hard_state,
            Step::Truncate(_) if flaw == Some(Flaw::LosesTruncation) => {}
            Step::Truncate(from) => self.entries.retain(|entry| entry.index < from),
            Step::Append(entry) => self.append(entry),
            Step::Compact(upto) => self.entries.retain(|entry| entry.index > upto),
            Step::Install(install) => {
                let Install { hard_state, saved, entries } = *install;
                self.hard_state = hard_state.unwrap_or(self.hard_state);
                if flaw != Some(Flaw::SnapshotKeepsLog) {
                    self.entries.clear();
                }
                self.snapshot = Some(saved);
                entries.into_iter().for_each(|entry| self.append(entry));
            }
            Step::Save(saved) => {
                let held = self.snapshot.as_ref().map_or(LogIndex(0), |(held, _)| held.index);
                if saved.0.index > held {
                    self.snapshot = Some(saved);
                }
            }
            Step::Done(_) => {}
        }
    }

    /// Puts an entry into its place. Without a flaw that is the end of the log.
    fn append(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|held| held.index == entry.index) {
            Some(held) => *held = entry,
            None => self.entries.push(entry),
        }
    }
}
