//! What the records of a log amount to, but for the entries themselves: all that a record must fit,
//! and all that a segment must say to be readable without those before it.

use std::collections::VecDeque;

use raft::{HardState, LogIndex, Snapshot, Term};

use super::record::Record;

/// Which snapshot is meant: the last entry that it includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotId {
    /// The entry's index.
    pub(super) index: LogIndex,
    /// Its term.
    pub(super) term: Term,
}

impl SnapshotId {
    /// Names a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self { index: snapshot.index, term: snapshot.term }
    }
}

/// What the records so far amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Term and vote.
    pub(super) hard_state: HardState,
    /// The snapshot that counts (S5).
    pub(super) snapshot: Option<SnapshotId>,
    /// The last entry of the log, or the last of the snapshot if none follows.
    pub(super) last: LogIndex,
}

impl Outline {
    /// Returns the last entry of the snapshot that counts; 0 without one.
    pub(super) fn snapshot_index(&self) -> LogIndex {
        self.snapshot.map_or(LogIndex(0), |snapshot| snapshot.index)
    }

    /// Adds a record, or returns `false` if it does not fit what is before it.
    #[must_use]
    pub(super) fn admit(&mut self, record: &Record) -> bool {
        let snapshotted = self.snapshot_index();
        match record {
            Record::HardState(hard_state) if hard_state.term >= self.hard_state.term => {
                self.hard_state = *hard_state;
            }
            // What is in a snapshot is committed, so it is never taken back.
            Record::Truncate(from) if *from > snapshotted && *from <= self.last.next() => {
                self.last = from.previous();
            }
            Record::Entry(entry) if entry.index == self.last.next() => self.last = entry.index,
            Record::Installed(snapshot) if snapshot.index > snapshotted => {
                self.snapshot = Some(*snapshot);
                self.last = snapshot.index;
            }
            Record::Saved(snapshot)
                if snapshot.index > snapshotted && snapshot.index <= self.last =>
            {
                self.snapshot = Some(*snapshot);
            }
            _ => return false,
        }
        true
    }
}

/// The segments of a log, the oldest first, and for each one the entry behind which it is complete:
/// whoever has every entry up to there needs no earlier segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments(VecDeque<(u64, LogIndex)>);

impl Segments {
    /// Notes a new segment, begun when the last entry was `last`.
    pub(super) fn begin(&mut self, number: u64, last: LogIndex) {
        self.0.push_back((number, last));
    }

    /// Notes that what follows `last` was taken back: later entries are written anew, behind all this.
    pub(super) fn lower(&mut self, last: LogIndex) {
        for (_, complete_behind) in &mut self.0 {
            *complete_behind = (*complete_behind).min(last);
        }
    }

    /// Takes out the oldest segment if nobody who has a snapshot with every entry up to `upto` needs
    /// it; 0 stands for no snapshot, without which all are needed.
    pub(super) fn pop_superseded(&mut self, upto: LogIndex) -> Option<u64> {
        let &(_, complete_behind) = self.0.get(1)?;
        if upto == LogIndex(0) || complete_behind > upto {
            return None;
        }
        self.0.pop_front().map(|(number, _)| number)
    }
}
