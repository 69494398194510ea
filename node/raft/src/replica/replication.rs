//! How the leader's log becomes everybody's (Raft §5.3 and §5.4.2).

use super::{Leadership, Replica, State};
use crate::draft::Draft;
use crate::effect::{Output, Refusal};
use crate::message::{AppendEntries, AppendEntriesResponse, AppendOutcome, Conflict, Message};
use crate::progress::Mode;
use crate::types::{Command, Entry, LogIndex, NodeId, Payload, RequestId, Round, Term};

/// A probe carries one entry at the most: it is likely to be refused.
const ENTRIES_PER_PROBE: usize = 1;

/// The leader's side.
impl Replica {
    pub(super) fn handle_propose(
        &mut self,
        request: RequestId,
        command: Command,
        draft: &mut Draft,
    ) {
        let State::Leader(leadership) = &self.state else {
            return self.refuse_not_leader(request, draft);
        };
        if let Some(transfer) = &leadership.transfer {
            let refusal = Refusal::Transferring { to: transfer.to };
            return draft.push(Output::Refused { request, refusal });
        }
        let uncommitted = self.log.last_index().0 - self.commit_index.0;
        let limits = &self.config.limits;
        if command.len() > limits.bytes_per_command {
            return draft.push(Output::Refused { request, refusal: Refusal::TooLarge });
        }
        if uncommitted >= limits.entries_uncommitted
            || leadership.bytes_uncommitted >= limits.bytes_uncommitted
        {
            return draft.push(Output::Refused { request, refusal: Refusal::Overloaded });
        }
        let index = self.append_own(Payload::Command(command), draft);
        draft.push(Output::Appended { request, index, term: self.term() });
        self.send_entries_to_all(draft);
    }

    /// Appends an entry of the leader's own term and returns its index. The leader counts itself
    /// only once the entry is durable.
    pub(super) fn append_own(&mut self, payload: Payload, draft: &mut Draft) -> LogIndex {
        let index = self.log.last_index().next();
        if let State::Leader(leadership) = &mut self.state {
            leadership.bytes_uncommitted += payload.bytes();
        }
        self.append(Entry { term: self.term(), index, payload }, draft);
        index
    }

    pub(super) fn send_entries_to_all(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &self.state else { return };
        let followers: Vec<NodeId> = leadership.followers.keys().copied().collect();
        for follower in followers {
            self.send_entries(follower, draft);
        }
    }

    /// Begins a round: every follower hears from the leader under a number never used before in this
    /// term. The heartbeat carries no entries, but it names the last entry sent, so that its answer
    /// tells whether anything was lost on the way.
    pub(super) fn begin_round(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else {
            return;
        };
        leadership.round = leadership.round.next();
        let heartbeats: Vec<_> = leadership
            .followers
            .iter()
            .map(|(&peer, progress)| (peer, progress.next_index.previous()))
            .collect();
        self.note_round();
        for (peer, prev_log_index) in heartbeats {
            self.send_append(peer, prev_log_index, vec![], draft);
        }
        self.confirm_reads(draft);
    }

    /// Sends a follower what it lacks, as far as its mode and the bounds allow: entries, or the
    /// snapshot if they are gone.
    fn send_entries(&mut self, to: NodeId, draft: &mut Draft) {
        let bytes_max = self.config.limits.bytes_per_message;
        while let Some((next_index, entries_max)) = self.sendable(to) {
            let is_gone = next_index < self.first_log_index();
            let State::Leader(Leadership { followers, .. }) = &mut self.state else { return };
            let Some(progress) = followers.get_mut(&to) else { return };
            if is_gone {
                progress.begin_snapshot();
                break;
            }
            let entries = self.log.batch(next_index, entries_max, bytes_max).to_vec();
            let bytes = entries.iter().map(|entry| entry.payload.bytes()).sum();
            progress.sent(entries.len(), bytes);
            self.send_append(to, next_index.previous(), entries, draft);
        }
        self.send_chunk(to, draft);
    }

    /// Returns the first entry to send to a follower now, and how many at the most.
    fn sendable(&self, to: NodeId) -> Option<(LogIndex, usize)> {
        let State::Leader(leadership) = &self.state else { return None };
        let progress = leadership.followers.get(&to)?;
        let limits = &self.config.limits;
        let entries_max = match progress.mode {
            Mode::Probe { awaiting: true } | Mode::Snapshot { .. } => return None,
            Mode::Probe { awaiting: false } => ENTRIES_PER_PROBE,
            Mode::Replicate => {
                let is_up_to_date = progress.next_index > self.log.last_index();
                // Heartbeats no longer find out whether what fills the window was lost, when that is gone.
                let is_gone = progress.next_index < self.first_log_index();
                if is_up_to_date || progress.is_full(limits) && !is_gone {
                    return None;
                }
                limits.entries_per_message
            }
        };
        Some((progress.next_index, entries_max))
    }

    fn send_append(
        &self,
        to: NodeId,
        prev_log_index: LogIndex,
        entries: Vec<Entry>,
        draft: &mut Draft,
    ) {
        let State::Leader(leadership) = &self.state else { return };
        // A heartbeat to a follower that needs the snapshot names what every log begins with.
        let (prev_log_index, prev_log_term) = match self.log.term_at(prev_log_index) {
            Some(term) => (prev_log_index, term),
            None => (LogIndex(0), Term(0)),
        };
        let message = Message::AppendEntries(AppendEntries {
            term: self.term(),
            prev_log_index,
            prev_log_term,
            entries,
            leader_commit: self.commit_index,
            round: leadership.round,
        });
        draft.send(to, message);
    }

    pub(super) fn handle_append_response(
        &mut self,
        from: NodeId,
        response: &AppendEntriesResponse,
        draft: &mut Draft,
    ) {
        // An answer from an earlier term speaks of another leadership.
        if response.term < self.term() {
            return;
        }
        let State::Leader(leadership) = &mut self.state else {
            return;
        };
        let Some(progress) = leadership.followers.get_mut(&from) else {
            return;
        };
        let (first_index, last_index) = (self.log.base().next(), self.log.last_index());
        assert!(
            response.round <= leadership.round && response.outcome.index() <= last_index,
            "I8 Own Answers: an answer to a question that this reign never asked"
        );
        progress.is_heard = true;
        progress.round_acked = progress.round_acked.max(response.round);
        match &response.outcome {
            AppendOutcome::Matched { match_index } => progress.matched(*match_index, first_index),
            AppendOutcome::Conflict(conflict) if progress.is_news(conflict.prev_log_index) => {
                let agreed = conflict
                    .conflict_term
                    .and_then(|term| self.log.last_of_term(term, conflict.prev_log_index));
                let next_index = agreed.map_or(conflict.conflict_index, LogIndex::next);
                progress.probe(next_index, conflict.prev_log_index);
            }
            AppendOutcome::Conflict(_) | AppendOutcome::Stale => {}
        }
        self.follow_up(from, draft);
    }

    /// Does what the answer of a follower may have made possible.
    pub(super) fn follow_up(&mut self, from: NodeId, draft: &mut Draft) {
        self.advance_commit(draft);
        self.advance_change(draft);
        self.send_entries(from, draft);
        self.hand_over(from, draft);
        self.confirm_reads(draft);
    }

    /// Commits what a quorum holds durably, but only by counting entries of the own term: an
    /// earlier one that a majority holds may still be overwritten (Raft §5.4.2, Figure 8).
    pub(super) fn advance_commit(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &self.state else { return };
        if self.commit_index == self.log.last_index() {
            return;
        }
        let reached = self.memberships.latest().reached_by_quorum(|id| {
            if id == self.config.id {
                self.disk.durable_index()
            } else {
                leadership.followers.get(&id).map_or(LogIndex(0), |it| it.match_index)
            }
        });
        let Some(reached) = reached else { return };
        if self.log.term_at(reached) == Some(self.term()) && reached > self.commit_index {
            self.commit(reached, draft);
            self.answer_followers(draft);
            self.advance_change(draft);
        }
    }
}

/// The follower's side.
impl Replica {
    pub(super) fn handle_append_entries(
        &mut self,
        from: NodeId,
        request: AppendEntries,
        draft: &mut Draft,
    ) {
        if !request.is_well_formed() {
            return;
        }
        let (round, outcome) = if request.term < self.term() {
            // The answer carries this node's term. A former leader that leads again in that term
            // must not take it for an answer to the round or the append of its present reign (I8).
            (Round(0), AppendOutcome::Stale)
        } else {
            self.follow(from, draft);
            (request.round, self.append_matching(request, draft))
        };
        let response = AppendEntriesResponse { term: self.term(), round, outcome };
        draft.send_when_durable(from, Message::AppendEntriesResponse(response));
    }

    /// Recognises the leader of the current term.
    pub(super) fn follow(&mut self, leader: NodeId, draft: &mut Draft) {
        assert!(
            !matches!(self.state, State::Leader(_)),
            "I1 Election Safety: two leaders in one term"
        );
        self.become_follower(self.term(), Some(leader), draft);
        self.reset_election_timer();
        self.since_leader = 0;
    }

    /// Makes the log agree with the leader's as far as the request goes, and commits what the
    /// request has both verified and declared committed.
    fn append_matching(&mut self, request: AppendEntries, draft: &mut Draft) -> AppendOutcome {
        let prev = request.prev_log_index;
        // What is gone was committed, and is in every leader's log (I4).
        let is_gone = prev < self.log.base();
        if !is_gone && self.log.term_at(prev) != Some(request.prev_log_term) {
            assert!(
                prev > self.commit_index,
                "I4 Leader Completeness: a committed entry is missing"
            );
            return self.describe_conflict(prev);
        }
        let match_index = LogIndex(prev.0 + request.entries.len() as u64);
        let base = self.log.base();
        for entry in request.entries.into_iter().filter(|entry| entry.index > base) {
            match self.log.term_at(entry.index) {
                // What is there already stays: the request may be a late or a doubled one, and
                // entries behind it may have been acknowledged since.
                Some(term) if term == entry.term => {}
                Some(_) => {
                    self.truncate(entry.index, draft);
                    self.append(entry, draft);
                }
                None => self.append(entry, draft),
            }
        }
        // Beyond `match_index` the log may hold another leader's entries.
        self.commit(request.leader_commit.min(match_index), draft);
        AppendOutcome::Matched { match_index }
    }

    fn append(&mut self, entry: Entry, draft: &mut Draft) {
        self.log.append(entry.clone());
        if let Payload::Membership(membership) = &entry.payload {
            self.memberships.push(entry.index, membership.clone());
            self.adopt_membership(draft);
        }
        draft.persist_entry(entry);
    }

    fn truncate(&mut self, from: LogIndex, draft: &mut Draft) {
        assert!(from > self.commit_index, "I4 Leader Completeness: a committed entry is removed");
        self.log.truncate(from);
        if self.memberships.latest_index() >= from {
            self.memberships.truncate(from);
            self.adopt_membership(draft);
        }
        draft.persist_truncation(from);
    }

    /// Says where the logs may next agree: before the whole term that conflicts, for one round trip
    /// a term instead of one an entry (Raft §5.3).
    fn describe_conflict(&self, prev_log_index: LogIndex) -> AppendOutcome {
        let conflict_term = self.log.term_at(prev_log_index);
        let conflict_index = match conflict_term {
            Some(term) => self.log.first_of_term(term, prev_log_index),
            None => self.log.last_index().next(),
        };
        AppendOutcome::Conflict(Conflict { prev_log_index, conflict_term, conflict_index })
    }
}
