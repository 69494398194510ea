//! Terms, votes and who leads (Raft §5.2 and §5.4.1).

use std::collections::BTreeSet;

use super::lease::LeaseHeld;
use super::reads::Reads;
use super::{Leadership, Replica, State};
use crate::draft::Draft;
use crate::effect::{ChangeEnd, TransferEnd};
use crate::membership::Membership;
use crate::message::{Message, RequestVote, RequestVoteResponse};
use crate::progress::Progress;
use crate::types::{HardState, NodeId, Payload, Round, Term};

/// Why a node campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Campaign {
    /// It misses a leader.
    Own,
    /// Its leader hands over to it.
    Transfer,
}

impl Replica {
    /// Follows in `term`. A vote given in that term is kept: it must not be given twice.
    pub(super) fn become_follower(
        &mut self,
        term: Term,
        leader: Option<NodeId>,
        draft: &mut Draft,
    ) {
        assert!(term >= self.term(), "I1 Election Safety: a term never falls");
        if term > self.term() {
            self.set_hard_state(HardState { term, vote: None }, draft);
        }
        self.end_change(ChangeEnd::LeftOffice, draft);
        let former = std::mem::replace(&mut self.state, State::Follower { leader });
        match former {
            State::Leader(leadership) => {
                // A leader had no election timer; a follower does.
                self.reset_election_timer();
                self.end_transfer(leadership.transfer.as_ref(), TransferEnd::LeftOffice, draft);
                for request in leadership.reads.into_requests() {
                    self.refuse_not_leader(request, draft);
                }
            }
            State::Follower { leader: Some(asked) } if leader != Some(asked) => {
                self.refuse_forwarded(draft);
            }
            State::Follower { .. } | State::PreCandidate { .. } | State::Candidate { .. } => {}
        }
    }

    /// Misses a leader, and wants to lead itself if it may: asks for pre-votes first, if the cluster
    /// does that. A learner, or a node that was removed, only forgets the leader.
    pub(super) fn campaign(&mut self, draft: &mut Draft) {
        if let State::Follower { leader } = &mut self.state {
            *leader = None;
        }
        self.refuse_all_forwarded(draft);
        if !self.may_campaign() {
            self.reset_election_timer();
        } else if self.config.pre_vote {
            self.become_pre_candidate(draft);
        } else {
            self.become_candidate(Campaign::Own, draft);
        }
    }

    /// Returns whether the node is a voter, or was one before an entry that is not known to be committed.
    /// If nobody else has that entry, nobody else can be elected where this node's vote is needed. In a
    /// membership that does not count it, it leads without counting itself (dissertation §4.2.2).
    fn may_campaign(&self) -> bool {
        let is_voter = |membership: &Membership| membership.is_voter(self.config.id);
        let since = self.memberships.latest_index();
        let is_open = since > self.commit_index;
        is_voter(self.memberships.latest())
            || is_open && is_voter(self.memberships.as_of(since.previous()))
    }

    /// Asks whether it would get votes in the next term, without beginning it (dissertation §9.6).
    fn become_pre_candidate(&mut self, draft: &mut Draft) {
        self.reset_election_timer();
        self.state = State::PreCandidate { votes: BTreeSet::from([self.config.id]) };
        let request = self.request_vote(self.term().next(), Campaign::Own);
        for peer in self.other_voters() {
            draft.send_when_durable(peer, Message::PreVote(request.clone()));
        }
        self.run_if_welcome(draft);
    }

    /// Begins a new term and asks for votes in it.
    pub(super) fn become_candidate(&mut self, campaign: Campaign, draft: &mut Draft) {
        let vote = HardState { term: self.term().next(), vote: Some(self.config.id) };
        self.set_hard_state(vote, draft);
        self.reset_election_timer();
        self.state = State::Candidate { votes: BTreeSet::from([self.config.id]) };
        let request = self.request_vote(self.term(), campaign);
        for peer in self.other_voters() {
            draft.send_when_durable(peer, Message::RequestVote(request.clone()));
        }
        self.lead_if_elected(draft);
    }

    fn request_vote(&self, term: Term, campaign: Campaign) -> RequestVote {
        RequestVote {
            term,
            last_log_index: self.log.last_index(),
            last_log_term: self.log.last_term(),
            is_transfer: campaign == Campaign::Transfer,
        }
    }

    fn run_if_welcome(&mut self, draft: &mut Draft) {
        let State::PreCandidate { votes } = &self.state else { return };
        if self.memberships.latest().is_quorum(|id| votes.contains(&id)) {
            self.become_candidate(Campaign::Own, draft);
        }
    }

    /// Leads if a quorum wants it, once the candidate's own vote is durable too.
    pub(super) fn lead_if_elected(&mut self, draft: &mut Draft) {
        let State::Candidate { votes } = &self.state else { return };
        let is_elected = self.memberships.latest().is_quorum(|id| votes.contains(&id));
        if is_elected && self.disk.gate().is_none() && !draft.has_write() {
            self.become_leader(draft);
        }
    }

    /// Leads: announces itself and appends the no-op by which entries of earlier terms become
    /// committed (Raft §5.4.2 and §8).
    fn become_leader(&mut self, draft: &mut Draft) {
        assert!(
            self.disk.gate().is_none(),
            "I2 Durable Candidacy: elected before term, vote and log were durable"
        );
        let last = self.log.last_index();
        let mut others = self.memberships.latest().everybody();
        others.remove(&self.config.id);
        let followers = others.into_iter().map(|id| (id, Progress::new(last))).collect();
        self.state = State::Leader(Leadership {
            followers,
            first_index: last.next(),
            bytes_uncommitted: self.log.bytes(self.commit_index.next(), last),
            round: Round(1),
            reads: Reads::default(),
            lease: LeaseHeld::default(),
            since_count: 0,
            transfer: None,
            change: None,
        });
        self.note_round();
        self.elapsed = 0;
        // It promised nothing to itself.
        self.since_leader = self.config.election_timeout;
        self.append_own(Payload::Noop, draft);
        self.send_entries_to_all(draft);
    }

    /// Returns whether the node has heard from a leader within the shortest election timeout, so
    /// that there is no reason for another.
    pub(super) fn stands_by_its_leader(&self) -> bool {
        match self.state {
            State::Leader(_) => self.config.check_quorum,
            State::Follower { .. } | State::PreCandidate { .. } | State::Candidate { .. } => {
                let heeds = self.config.check_quorum || self.config.pre_vote;
                heeds && self.since_leader < self.config.election_timeout
            }
        }
    }

    /// Returns whether the leader should step down: it has heard no majority for an election timeout,
    /// so nothing that it takes on will be committed soon, or its disk has been stuck for as long, so
    /// that it hinders a cluster whose other disks are well.
    pub(super) fn is_unfit_to_lead(&mut self) -> bool {
        let State::Leader(leadership) = &mut self.state else { return false };
        if self.config.check_quorum && self.disk.stalled() >= self.config.election_timeout {
            return true;
        }
        leadership.since_count += 1;
        if leadership.since_count < self.config.election_timeout {
            return false;
        }
        leadership.since_count = 0;
        let heard: BTreeSet<NodeId> = leadership
            .followers
            .iter_mut()
            .filter_map(|(&id, progress)| std::mem::take(&mut progress.is_heard).then_some(id))
            .collect();
        let is_heard = |id| id == self.config.id || heard.contains(&id);
        self.config.check_quorum && !self.memberships.latest().is_quorum(is_heard)
    }

    /// Says whether it would vote for the candidate in a term that has not begun; changes nothing.
    pub(super) fn handle_pre_vote(
        &mut self,
        from: NodeId,
        request: &RequestVote,
        draft: &mut Draft,
    ) {
        let is_ahead = request.term > self.term();
        let is_content = matches!(self.state, State::Leader(_)) || self.stands_by_its_leader();
        let vote_granted = is_ahead && !is_content && self.is_up_to_date(request);
        // A refusal tells the present term, by which a candidate that is behind catches up.
        let term = if vote_granted { request.term } else { self.term() };
        let response = RequestVoteResponse { term, vote_granted };
        draft.send_when_durable(from, Message::PreVoteResponse(response));
    }

    pub(super) fn handle_pre_vote_response(
        &mut self,
        from: NodeId,
        response: &RequestVoteResponse,
        draft: &mut Draft,
    ) {
        // An answer about an earlier term names that term. One to an earlier question about the same
        // term may count: a pre-vote promises nothing, and the votes that matter are still to come.
        if !response.vote_granted || response.term != self.term().next() {
            return;
        }
        if let State::PreCandidate { votes } = &mut self.state {
            votes.insert(from);
            self.run_if_welcome(draft);
        }
    }

    pub(super) fn handle_request_vote(
        &mut self,
        from: NodeId,
        request: &RequestVote,
        draft: &mut Draft,
    ) {
        let is_current = request.term == self.term();
        let is_free = self.hard_state.vote.is_none_or(|vote| vote == from);
        // It may have learned of the candidate's term elsewhere, and must stand by its leader all the same.
        let is_content = !request.is_transfer && self.stands_by_its_leader();
        let vote_granted = is_current && is_free && !is_content && self.is_up_to_date(request);
        if vote_granted {
            self.set_hard_state(HardState { term: self.term(), vote: Some(from) }, draft);
            self.reset_election_timer();
        }
        let response = RequestVoteResponse { term: self.term(), vote_granted };
        draft.send_when_durable(from, Message::RequestVoteResponse(response));
    }

    /// Returns whether the candidate's log holds at least as much as this one (Raft §5.4.1).
    fn is_up_to_date(&self, candidate: &RequestVote) -> bool {
        (candidate.last_log_term, candidate.last_log_index)
            >= (self.log.last_term(), self.log.last_index())
    }

    pub(super) fn handle_vote_response(
        &mut self,
        from: NodeId,
        response: &RequestVoteResponse,
        draft: &mut Draft,
    ) {
        // A granted vote names the term that was asked about, for a voter grants only in the present
        // term, and a node is a candidate once a term: the answer is to this candidacy (I8).
        if response.term < self.term() || !response.vote_granted {
            return;
        }
        if let State::Candidate { votes } = &mut self.state {
            votes.insert(from);
            self.lead_if_elected(draft);
        }
    }

    /// Changes term or vote, if they differ, and has them written.
    fn set_hard_state(&mut self, next: HardState, draft: &mut Draft) {
        let now = self.hard_state;
        if next == now {
            return;
        }
        assert!(next.term >= now.term, "I1 Election Safety: a term never falls");
        assert!(next.term > now.term || now.vote.is_none(), "I1 Election Safety: one vote a term");
        self.hard_state = next;
        draft.persist_hard_state(next);
    }

    /// Starts the election timer anew, with a new random deadline so that split votes are rare.
    pub(super) fn reset_election_timer(&mut self) {
        let spread = u64::from(self.config.election_timeout);
        let extra = self.next_random() % spread;
        self.elapsed = 0;
        self.election_deadline =
            self.config.election_timeout + u32::try_from(extra).expect("less than a u32's value");
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): small, seeded, good enough for timeouts.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns everybody else whose vote counts.
    fn other_voters(&self) -> Vec<NodeId> {
        let membership = self.memberships.latest();
        let voters = membership.voters.union(&membership.outgoing).copied();
        voters.filter(|&id| id != self.config.id).collect()
    }
}
