//! When a replica snapshots, and what of its log it then forgets (Raft §7).

use super::{Replica, State};
use crate::draft::Draft;
use crate::effect::Output;
use crate::progress::Mode;
use crate::types::{Entry, LogIndex, Snapshot};

/// What calls for the next snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Compaction {
    /// The last snapshot, or the last attempt at one; 0 before the first.
    since: LogIndex,
    /// Bytes of the commands handed out behind it.
    bytes: usize,
    /// The snapshot that is being taken.
    taking: Option<Snapshot>,
}

impl Compaction {
    /// Counts from a snapshot, or from 0.
    pub(super) fn new(since: LogIndex) -> Self {
        Self { since, bytes: 0, taking: None }
    }

    pub(super) fn note_handed_out(&mut self, entries: &[Entry]) {
        self.bytes += entries.iter().map(|entry| entry.payload.bytes()).sum::<usize>();
    }
}

impl Replica {
    pub(super) fn take_snapshot_if_due(&mut self, draft: &mut Draft) {
        let limits = &self.config.limits;
        let entries = self.last_applied.0.saturating_sub(self.compaction.since.0);
        let is_due = entries >= limits.entries_per_snapshot
            || self.compaction.bytes >= limits.bytes_per_snapshot;
        // A new snapshot would make a follower that is receiving the present one begin anew. One that
        // does not answer holds nothing up.
        if is_due && !self.is_snapshot_on_its_way() {
            self.take_snapshot(draft);
        }
    }

    /// Asks for a snapshot of what is applied, unless it would say nothing new.
    pub(super) fn take_snapshot(&mut self, draft: &mut Draft) {
        let index = self.last_applied;
        let is_new = index > self.snapshot_index();
        if !is_new || self.compaction.taking.is_some() {
            return;
        }
        let term = self.log.term_at(index).expect("what is behind the snapshot is in the log");
        let membership = self.memberships.as_of(index).clone();
        // A node that joins learns who founded the cluster when it hears of the first change, or never.
        if membership.voters.is_empty() {
            return;
        }
        let snapshot = Snapshot { index, term, membership };
        self.compaction = Compaction {
            since: index,
            bytes: self.log.bytes(index.next(), self.handed_out),
            taking: Some(snapshot.clone()),
        };
        draft.push(Output::TakeSnapshot { snapshot });
    }

    /// Forgets what a snapshot stands for that is durable now, but for a tail by which followers that
    /// are not far behind catch up.
    pub(super) fn handle_snapshot_taken(&mut self, index: LogIndex, draft: &mut Draft) {
        let Some(snapshot) = self.compaction.taking.take_if(|it| it.index == index) else { return };
        // Meanwhile a newer one may have been installed.
        if index <= self.snapshot_index() {
            return;
        }
        assert!(index <= self.last_applied, "I9 Compaction: a snapshot of what was not applied");
        let limits = &self.config.limits;
        let upto = self.log.before_tail(index, limits.entries_kept, limits.bytes_kept);
        self.log.compact(upto);
        self.memberships.compact(index);
        self.snapshot = Some(snapshot);
        draft.persist_compaction(index);
        if let State::Leader(leadership) = &mut self.state {
            let receiving = leadership.followers.values_mut().filter(|it| it.mode.is_snapshot());
            receiving.for_each(|progress| progress.mode = Mode::SNAPSHOT);
        }
        self.send_entries_to_all(draft);
    }

    pub(super) fn handle_snapshot_failed(&mut self, index: LogIndex) {
        self.compaction.taking.take_if(|it| it.index == index);
    }

    /// Returns the last entry that the newest snapshot includes; 0 without one.
    pub(super) fn snapshot_index(&self) -> LogIndex {
        self.snapshot.as_ref().map_or(LogIndex(0), |it| it.index)
    }
}
