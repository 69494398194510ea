//! How the cluster's membership changes (Raft §6): nodes that are to vote first catch up as learners,
//! then the outgoing and the incoming voters decide jointly, then the incoming ones alone.
//!
//! A membership counts from the moment its entry is in a node's log. Whoever leads when a joint one is
//! committed ends it, so no cluster stays in it because a leader fell.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Replica, State};
use crate::draft::Draft;
use crate::effect::{ChangeEnd, Output, Refusal};
use crate::membership::Membership;
use crate::message::{Message, TimeoutNow};
use crate::progress::Progress;
use crate::types::{LogIndex, NodeId, Payload, RequestId};

/// Rounds in which newcomers may catch up. Each replicates what was in the log when it began; a cluster
/// that fills the log as fast as the newcomers read it is never caught up with (dissertation §4.2.1).
const CATCH_UP_ROUNDS: u32 = 10;
/// Election timeouts without any progress after which newcomers are given up.
const CATCH_UP_PATIENCE: u32 = 10;

/// A change that was asked of this leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Change {
    request: RequestId,
    /// The membership to reach.
    target: Membership,
    /// The newcomers' way; `None` once they are voters or about to be.
    catch_up: Option<CatchUp>,
}

/// How far those who are to vote have caught up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CatchUp {
    /// Rounds begun.
    rounds: u32,
    /// The last entry of the log when the round began.
    round_end: LogIndex,
    /// Ticks since then.
    elapsed: u32,
    /// What those who have not come so far had at the last tick.
    seen: Vec<(LogIndex, u64)>,
    /// Ticks since that changed.
    silence: u32,
}

impl Replica {
    pub(super) fn handle_change(
        &mut self,
        request: RequestId,
        target: Membership,
        draft: &mut Draft,
    ) {
        let State::Leader(leadership) = &self.state else {
            return self.refuse_not_leader(request, draft);
        };
        let current = self.memberships.latest();
        let is_open = self.memberships.latest_index() > self.commit_index || current.is_joint();
        let refusal = if let Some(transfer) = &leadership.transfer {
            Some(Refusal::Transferring { to: transfer.to })
        } else if !target.is_sound() {
            Some(Refusal::InvalidMembership)
        } else if self.commit_index < leadership.first_index {
            // A change of an earlier term may be in the log of others, and come back.
            Some(Refusal::NotSettled)
        } else if is_open || leadership.change.is_some() {
            Some(Refusal::ChangeInProgress)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return draft.push(Output::Refused { request, refusal });
        }
        if target == *current {
            return draft.push(Output::ChangeEnded { request, end: ChangeEnd::Done });
        }
        self.begin_change(request, target, draft);
    }

    fn begin_change(&mut self, request: RequestId, target: Membership, draft: &mut Draft) {
        let current = self.memberships.latest();
        let newcomers: BTreeSet<NodeId> =
            target.voters.difference(&current.voters).copied().collect();
        let mut waiting = current.clone();
        waiting.learners.extend(&newcomers);
        let must_invite = waiting != *current;
        let catch_up = (!newcomers.is_empty()).then(|| CatchUp::begin(self.log.last_index()));
        let State::Leader(leadership) = &mut self.state else { return };
        leadership.change = Some(Change { request, target, catch_up });
        if must_invite {
            self.append_membership(waiting, draft);
        } else {
            self.advance_change(draft);
        }
    }

    /// Appends a membership of the leader's own term.
    fn append_membership(&mut self, membership: Membership, draft: &mut Draft) {
        assert!(
            self.memberships.latest_index() <= self.commit_index,
            "I10 One Change: a membership follows one that is not committed"
        );
        self.append_own(Payload::Membership(membership), draft);
        self.send_entries_to_all(draft);
    }

    /// Takes the next step of a change, if it is due: the joint membership once the newcomers have
    /// caught up, the final one once the joint one is committed, and the end once that is.
    pub(super) fn advance_change(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else { return };
        let is_settled = self.commit_index >= leadership.first_index
            && self.commit_index >= self.memberships.latest_index();
        if !is_settled {
            return;
        }
        let current = self.memberships.latest();
        if current.is_joint() {
            return self.append_membership(current.settled(), draft);
        }
        if !current.is_voter(self.config.id) {
            self.end_change(ChangeEnd::Done, draft);
            return self.retire(draft);
        }
        let Some(change) = &mut leadership.change else { return };
        if change.target == *current {
            return self.end_change(ChangeEnd::Done, draft);
        }
        let newcomers = change.target.voters.difference(&current.voters);
        let matches = newcomers.filter_map(|id| leadership.followers.get(id));
        let slowest = matches.map(|progress| progress.match_index).min();
        if let (Some(catch_up), Some(slowest)) = (&mut change.catch_up, slowest)
            && !catch_up.is_done(slowest, self.log.last_index(), self.config.election_timeout)
        {
            return;
        }
        change.catch_up = None;
        let next = change.target.joined_from(current);
        self.append_membership(next, draft);
    }

    /// Gives up newcomers who make no progress, or never catch up.
    pub(super) fn tick_change(&mut self, draft: &mut Draft) {
        let patience = CATCH_UP_PATIENCE * self.config.election_timeout;
        let voters = &self.memberships.latest().voters;
        let State::Leader(leadership) = &mut self.state else { return };
        let Some(change) = &mut leadership.change else { return };
        let Some(catch_up) = &mut change.catch_up else { return };
        let newcomers = change.target.voters.difference(voters);
        let progress = newcomers.filter_map(|id| leadership.followers.get(id));
        catch_up.tick(progress);
        if catch_up.silence >= patience || catch_up.rounds > CATCH_UP_ROUNDS {
            self.end_change(ChangeEnd::NotCaughtUp, draft);
        }
    }

    pub(super) fn end_change(&mut self, end: ChangeEnd, draft: &mut Draft) {
        if let State::Leader(leadership) = &mut self.state
            && let Some(Change { request, .. }) = leadership.change.take()
        {
            draft.push(Output::ChangeEnded { request, end });
        }
    }

    /// Leaves office because the membership, now committed, does not count this node (Raft §6). It
    /// tells the others what is committed, and asks the one that has most of the log to succeed it: what
    /// is committed it has, since a quorum of voters does.
    fn retire(&mut self, draft: &mut Draft) {
        self.begin_round(draft);
        let term = self.term();
        let State::Leader(leadership) = &mut self.state else { return };
        let voters = &self.memberships.latest().voters;
        let followers = leadership.followers.iter().filter(|(id, _)| voters.contains(id));
        let successor =
            followers.max_by_key(|&(&id, progress)| (progress.match_index, Reverse(id)));
        if let Some((&successor, _)) = successor {
            draft.send(successor, Message::TimeoutNow(TimeoutNow { term }));
        }
        self.become_follower(self.term(), None, draft);
    }

    /// Acts by the latest membership of the log, which has just changed.
    pub(super) fn adopt_membership(&mut self, draft: &mut Draft) {
        let membership = self.memberships.latest();
        draft.push(Output::MembershipChanged { membership: membership.clone() });
        let State::Leader(leadership) = &mut self.state else { return };
        let mut others = membership.everybody();
        others.remove(&self.config.id);
        leadership.followers.retain(|id, _| others.contains(id));
        for id in others {
            let newcomer = || Progress::new(self.log.last_index());
            leadership.followers.entry(id).or_insert_with(newcomer);
        }
    }
}

impl CatchUp {
    fn begin(round_end: LogIndex) -> Self {
        Self { rounds: 1, round_end, elapsed: 0, seen: vec![], silence: 0 }
    }

    fn tick<'a>(&mut self, newcomers: impl Iterator<Item = &'a Progress>) {
        self.elapsed += 1;
        self.silence += 1;
        // One that is done, and goes on with the log, must not hide another that is silent.
        let lagging = newcomers.filter(|it| it.match_index < self.round_end);
        let seen: Vec<_> = lagging.map(|it| (it.match_index, it.mode.snapshot_offset())).collect();
        if seen != self.seen {
            self.seen = seen;
            self.silence = 0;
        }
    }

    /// Returns whether the newcomers, the slowest of whom has come as far as `slowest`, went through
    /// a whole round within an election timeout, so that they will not hold up the cluster for longer
    /// than an election would. If they took longer, they go through another.
    fn is_done(&mut self, slowest: LogIndex, last_index: LogIndex, election_timeout: u32) -> bool {
        if slowest < self.round_end {
            return false;
        }
        if self.elapsed < election_timeout {
            return true;
        }
        (self.rounds, self.round_end, self.elapsed) = (self.rounds + 1, last_index, 0);
        false
    }
}
