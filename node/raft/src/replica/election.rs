//! Terms, votes and who leads (Raft §5.2 and §5.4.1).

use std::collections::BTreeSet;

use super::{Leadership, Replica, State};
use crate::draft::Draft;
use crate::message::{Message, RequestVote, RequestVoteResponse};
use crate::progress::Progress;
use crate::quorum::majority;
use crate::replica::reads::Reads;
use crate::types::{HardState, NodeId, Round, Term};

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
        let former = std::mem::replace(&mut self.state, State::Follower { leader });
        if let State::Leader(leadership) = former {
            // A leader had no election timer; a follower does.
            self.reset_election_timer();
            for request in leadership.reads.into_requests() {
                self.refuse_not_leader(request, draft);
            }
        }
    }

    /// Begins a new term and asks for votes in it.
    pub(super) fn become_candidate(&mut self, draft: &mut Draft) {
        let vote = HardState { term: self.term().next(), vote: Some(self.config.id) };
        self.set_hard_state(vote, draft);
        self.reset_election_timer();
        self.state = State::Candidate { votes: BTreeSet::from([self.config.id]) };
        let request = RequestVote {
            term: self.term(),
            last_log_index: self.log.last_index(),
            last_log_term: self.log.last_term(),
        };
        for peer in self.peers() {
            draft.send_when_durable(peer, Message::RequestVote(request.clone()));
        }
        self.lead_if_elected(draft);
    }

    fn lead_if_elected(&mut self, draft: &mut Draft) {
        let State::Candidate { votes } = &self.state else {
            return;
        };
        if votes.len() >= majority(self.config.members.len()) {
            self.become_leader(draft);
        }
    }

    /// Leads: announces itself and appends the no-op by which entries of earlier terms become
    /// committed (Raft §5.4.2 and §8).
    fn become_leader(&mut self, draft: &mut Draft) {
        let is_alone = self.config.members.len() == 1;
        assert!(
            is_alone || self.disk.gate().is_none(),
            "I2 Durable Candidacy: elected before term, vote and log were durable"
        );
        let last = self.log.last_index();
        let followers = self.peers().into_iter().map(|peer| (peer, Progress::new(last))).collect();
        self.state = State::Leader(Leadership {
            followers,
            first_index: last.next(),
            round: Round(1),
            reads: Reads::default(),
        });
        self.elapsed = 0;
        self.append_own([].into(), draft);
        self.send_entries_to_all(draft);
    }

    pub(super) fn handle_request_vote(
        &mut self,
        from: NodeId,
        request: &RequestVote,
        draft: &mut Draft,
    ) {
        let is_current = request.term == self.term();
        let is_free = self.hard_state.vote.is_none_or(|vote| vote == from);
        let vote_granted = is_current && is_free && self.is_up_to_date(request);
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

    /// Returns every other member.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.config.members.iter().copied().filter(|&member| member != self.config.id).collect()
    }
}
