//! How a follower that lacks what the leader has compacted gets the leader's snapshot (Raft §7).
//!
//! One piece is on its way at a time. Each answer says where the follower wants the next to begin, so
//! a transfer that broke off goes on where it was, and a follower that lost what it had begins anew.

use super::compaction::Compaction;
use super::{Replica, State};
use crate::draft::Draft;
use crate::effect::Output;
use crate::membership::Memberships;
use crate::message::{ChunkOutcome, InstallSnapshot, InstallSnapshotResponse, Message};
use crate::progress::Mode;
use crate::types::{LogIndex, NodeId, Round, Snapshot, Term};

/// A snapshot that is being received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Incoming {
    /// Whose snapshot it is: another leader's at the same index may have other bytes.
    term: Term,
    snapshot: Snapshot,
    /// How much of it is here.
    offset: u64,
}

/// The leader's side.
impl Replica {
    /// Returns whether a follower is receiving the snapshot and was not long silent.
    pub(super) fn is_snapshot_on_its_way(&self) -> bool {
        let State::Leader(leadership) = &self.state else { return false };
        let mut modes = leadership.followers.values().map(|progress| progress.mode);
        modes.any(|mode| matches!(mode, Mode::Snapshot { is_answered: true, .. }))
    }

    /// Sends a piece of the snapshot to a follower that receives it and has none under way.
    pub(super) fn send_chunk(&mut self, to: NodeId, draft: &mut Draft) {
        let term = self.term();
        let State::Leader(leadership) = &mut self.state else { return };
        let round = leadership.round;
        let Some(progress) = leadership.followers.get_mut(&to) else { return };
        let Mode::Snapshot { offset, awaiting, .. } = &mut progress.mode else { return };
        if awaiting.is_some() {
            return;
        }
        *awaiting = Some(0);
        let chunk = InstallSnapshot {
            term,
            round,
            snapshot: self.snapshot.clone().expect("what is compacted is in a snapshot"),
            offset: *offset,
            data: [].into(),
            is_last: false,
        };
        let bytes_max = self.config.limits.bytes_per_chunk;
        draft.push(Output::SendChunk { to, chunk, bytes_max });
    }

    /// Sends again what was not answered for an election timeout.
    pub(super) fn tick_snapshots(&mut self, draft: &mut Draft) {
        let patience = self.config.election_timeout;
        let State::Leader(leadership) = &mut self.state else { return };
        let mut silent = vec![];
        for (&id, progress) in &mut leadership.followers {
            if let Mode::Snapshot { awaiting, is_answered, .. } = &mut progress.mode
                && let Some(ticks) = awaiting
            {
                *ticks += 1;
                if *ticks >= patience {
                    (*awaiting, *is_answered) = (None, false);
                    silent.push(id);
                }
            }
        }
        for id in silent {
            self.send_chunk(id, draft);
        }
    }

    pub(super) fn handle_install_response(
        &mut self,
        from: NodeId,
        response: &InstallSnapshotResponse,
        draft: &mut Draft,
    ) {
        if response.term < self.term() {
            return;
        }
        let (first_index, snapshot_index) = (self.first_log_index(), self.snapshot_index());
        let State::Leader(leadership) = &mut self.state else { return };
        let Some(progress) = leadership.followers.get_mut(&from) else { return };
        assert!(
            response.round <= leadership.round && response.index <= snapshot_index,
            "I8 Own Answers: an answer to a question that this reign never asked"
        );
        progress.is_heard = true;
        progress.round_acked = progress.round_acked.max(response.round);
        match response.outcome {
            ChunkOutcome::Installed => progress.matched(response.index, first_index),
            ChunkOutcome::Wanted { offset: wanted } if response.index == snapshot_index => {
                if let Mode::Snapshot { offset, awaiting, is_answered } = &mut progress.mode {
                    *is_answered = true;
                    // A doubled answer asks for what is on its way already.
                    if awaiting.is_none() || *offset != wanted {
                        (*offset, *awaiting) = (wanted, None);
                    }
                }
            }
            // Of an earlier snapshot, or of an earlier term.
            ChunkOutcome::Wanted { .. } | ChunkOutcome::Stale => {}
        }
        self.follow_up(from, draft);
    }
}

/// The follower's side.
impl Replica {
    pub(super) fn handle_install_snapshot(
        &mut self,
        from: NodeId,
        request: InstallSnapshot,
        draft: &mut Draft,
    ) {
        if !request.is_well_formed() {
            return;
        }
        let (round, index, outcome) = if request.term < self.term() {
            // As with appends, it must say nothing to a former leader that leads again (I8).
            (Round(0), LogIndex(0), ChunkOutcome::Stale)
        } else {
            self.follow(from, draft);
            (request.round, request.snapshot.index, self.take_in(request, draft))
        };
        let response = InstallSnapshotResponse { term: self.term(), round, index, outcome };
        draft.send_when_durable(from, Message::InstallSnapshotResponse(response));
    }

    /// Keeps a piece, and installs the snapshot with its last one, unless the log holds all that it
    /// stands for.
    fn take_in(&mut self, request: InstallSnapshot, draft: &mut Draft) -> ChunkOutcome {
        let InstallSnapshot { term, snapshot, offset, data, is_last, .. } = request;
        if snapshot.index <= self.commit_index {
            return ChunkOutcome::Installed;
        }
        if self.log.term_at(snapshot.index) == Some(snapshot.term) {
            // The logs agree up to there (I3), and what a snapshot holds is committed. Entries behind
            // it may have been acknowledged; they stay.
            self.incoming = None;
            self.commit(snapshot.index, draft);
            return ChunkOutcome::Installed;
        }
        let received = self
            .incoming
            .as_ref()
            .filter(|it| it.term == term && it.snapshot == snapshot)
            .map_or(0, |it| it.offset);
        let adds_nothing = data.is_empty() && !is_last;
        if offset != received || adds_nothing {
            return ChunkOutcome::Wanted { offset: received };
        }
        let received = offset + data.len() as u64;
        draft.store_chunk(offset, data);
        if is_last {
            self.install(snapshot, draft);
            return ChunkOutcome::Installed;
        }
        self.incoming = Some(Incoming { term, snapshot, offset: received });
        ChunkOutcome::Wanted { offset: received }
    }

    /// Puts the snapshot in the place of the whole log, which it contradicts or reaches beyond.
    fn install(&mut self, snapshot: Snapshot, draft: &mut Draft) {
        let Snapshot { index, term, membership } = snapshot.clone();
        assert!(index > self.commit_index, "I4 Leader Completeness: a committed entry is removed");
        self.log.reset(index, term);
        self.memberships = Memberships::new(index, membership.clone());
        self.commit_index = index;
        self.handed_out = index;
        self.last_applied = index;
        self.compaction = Compaction::new(index);
        self.incoming = None;
        self.snapshot = Some(snapshot.clone());
        draft.persist_snapshot(snapshot.clone());
        draft.push(Output::Restore { snapshot });
        draft.push(Output::MembershipChanged { membership });
        self.answer_reads(draft);
    }
}
