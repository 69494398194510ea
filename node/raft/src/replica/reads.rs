//! Linearizable reads without a log entry: ReadIndex (dissertation §6.4).
//!
//! A read sees every write that ended before it began if the state machine has applied the read
//! index, the commit index at a moment when the leader certainly still led. That it did is proven by
//! a round: a majority answers heartbeats that were sent after the read had arrived. A follower asks
//! its leader for the read index, and answers the read itself.

use std::collections::VecDeque;

use super::{Replica, State, lease};
use crate::draft::Draft;
use crate::effect::{Output, Refusal};
use crate::message::{Message, ReadIndex, ReadIndexResponse};
use crate::types::{LogIndex, NodeId, ReadId, RequestId, Round, Timestamp};

/// A leader's reads, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// Reads that wait for a round to be answered. Neither `round` nor `index` ever falls along it.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Reads of this node that wait for their read index to be applied.
    confirmed: VecDeque<(RequestId, LogIndex)>,
    /// Followers' questions that wait for their read index to be committed.
    asked: VecDeque<(NodeId, ReadId, LogIndex)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Unconfirmed {
    reader: Reader,
    index: LogIndex,
    /// The first round begun after the read had arrived.
    round: Round,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    Own(RequestId),
    Follower(NodeId, ReadId),
}

/// The reads for which a node that does not lead asks its leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Forwarded {
    /// The last question asked.
    last: ReadId,
    /// Reads for which it was asked, each with the first question that was: the answer to that one or
    /// to any later one serves it, however many were asked because answers took long.
    open: VecDeque<(RequestId, u64)>,
    /// Reads that have arrived since.
    gathered: Vec<RequestId>,
    /// Ticks since it was asked.
    elapsed: u32,
    /// Reads that wait for their read index to be applied.
    confirmed: VecDeque<(RequestId, LogIndex)>,
}

impl Reads {
    pub(super) fn into_requests(self) -> impl Iterator<Item = RequestId> {
        let unconfirmed = self.unconfirmed.into_iter().filter_map(|read| match read.reader {
            Reader::Own(request) => Some(request),
            // It asks its next leader.
            Reader::Follower(..) => None,
        });
        self.confirmed.into_iter().map(|(request, _)| request).chain(unconfirmed)
    }

    fn len(&self) -> usize {
        self.unconfirmed.len() + self.confirmed.len() + self.asked.len()
    }

    fn confirm(&mut self, reader: Reader, index: LogIndex) {
        match reader {
            Reader::Own(request) => self.confirmed.push_back((request, index)),
            Reader::Follower(from, id) => self.asked.push_back((from, id, index)),
        }
    }
}

impl Forwarded {
    pub(super) fn new(incarnation: u64) -> Self {
        Self {
            last: ReadId { incarnation, number: 0 },
            open: VecDeque::new(),
            gathered: vec![],
            elapsed: 0,
            confirmed: VecDeque::new(),
        }
    }

    fn len(&self) -> usize {
        self.open.len() + self.gathered.len() + self.confirmed.len()
    }
}

/// The leader's side.
impl Replica {
    pub(super) fn handle_read(&mut self, request: RequestId, now: Timestamp, draft: &mut Draft) {
        self.note_time(now);
        match &self.state {
            State::Leader(leadership)
                if leadership.reads.len() >= self.config.limits.reads_pending =>
            {
                draft.push(Output::Refused { request, refusal: Refusal::Overloaded });
            }
            State::Leader(_) => self.begin_read(Reader::Own(request), draft),
            State::Follower { leader: Some(_) } => self.forward_read(request, draft),
            State::Follower { leader: None }
            | State::PreCandidate { .. }
            | State::Candidate { .. } => self.refuse_not_leader(request, draft),
        }
    }

    pub(super) fn handle_read_index(
        &mut self,
        from: NodeId,
        question: &ReadIndex,
        draft: &mut Draft,
    ) {
        // A question of an earlier term was for another leader. Who does not lead cannot answer; the
        // follower finds out when it hears from its leader.
        let State::Leader(leadership) = &self.state else { return };
        if question.term < self.term() {
            return;
        }
        if leadership.reads.len() >= self.config.limits.reads_pending {
            return self.send_read_index(from, question.id, None, draft);
        }
        self.begin_read(Reader::Follower(from, question.id), draft);
    }

    fn begin_read(&mut self, reader: Reader, draft: &mut Draft) {
        // Only an own read tells the time: a message may have waited while the node was suspended.
        let holds_lease = matches!(reader, Reader::Own(_)) && self.holds_lease();
        let State::Leader(leadership) = &mut self.state else { return };
        // Until an entry of the own term is committed, the commit index may lag behind what earlier
        // leaders had committed. All of that lies before this term's first entry, so the read waits
        // at least for that one (dissertation §6.4, step 1).
        let index = self.commit_index.max(leadership.first_index);
        let reads = &mut leadership.reads;
        if holds_lease {
            reads.confirm(reader, index);
            return self.answer_reads(draft);
        }
        let is_idle = reads.unconfirmed.is_empty();
        reads.unconfirmed.push_back(Unconfirmed { reader, index, round: leadership.round.next() });
        // While a round is under way, reads gather for the next one.
        if is_idle {
            self.begin_round(draft);
        }
    }

    /// Releases the reads whose round a quorum has answered, and begins the next round if others
    /// have gathered for it.
    pub(super) fn confirm_reads(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else { return };
        let lease = lease::duration(&self.config);
        if lease.is_none() && leadership.reads.unconfirmed.is_empty() {
            // Nobody waits for a proof.
            return self.answer_reads(draft);
        }
        let followers = &leadership.followers;
        let acked = self.memberships.latest().reached_by_quorum(|id| {
            if id == self.config.id {
                leadership.round
            } else {
                followers.get(&id).map_or(Round(0), |progress| progress.round_acked)
            }
        });
        let Some(proven) = acked else { return };
        if let Some(duration) = lease {
            leadership.lease.prove(proven, duration);
        }
        let reads = &mut leadership.reads;
        while let Some(read) = reads.unconfirmed.pop_front_if(|read| read.round <= proven) {
            reads.confirm(read.reader, read.index);
        }
        let is_next_due =
            reads.unconfirmed.front().is_some_and(|read| read.round > leadership.round);
        self.answer_reads(draft);
        if is_next_due {
            self.begin_round(draft);
        }
    }

    /// Answers the followers whose read index is committed. Before it is, nobody knows that it ever
    /// will be, and a follower might wait for it in vain under another leader.
    pub(super) fn answer_followers(&mut self, draft: &mut Draft) {
        let commit_index = self.commit_index;
        loop {
            let State::Leader(leadership) = &mut self.state else { return };
            let asked = &mut leadership.reads.asked;
            let Some((from, id, index)) = asked.pop_front_if(|(.., index)| *index <= commit_index)
            else {
                return;
            };
            self.send_read_index(from, id, Some(index), draft);
        }
    }

    fn send_read_index(&self, to: NodeId, id: ReadId, index: Option<LogIndex>, draft: &mut Draft) {
        let response = ReadIndexResponse { term: self.term(), id, index };
        draft.send(to, Message::ReadIndexResponse(response));
    }
}

/// The follower's side.
impl Replica {
    fn forward_read(&mut self, request: RequestId, draft: &mut Draft) {
        if self.forwarded.len() >= self.config.limits.reads_pending {
            return draft.push(Output::Refused { request, refusal: Refusal::Overloaded });
        }
        self.forwarded.gathered.push(request);
        if self.forwarded.open.is_empty() {
            self.ask_leader(draft);
        }
    }

    /// Asks for the sake of all reads that wait, under a number never used before: the answer to an
    /// earlier question says nothing of the reads that came after that one.
    fn ask_leader(&mut self, draft: &mut Draft) {
        let State::Follower { leader: Some(leader) } = self.state else { return };
        let forwarded = &mut self.forwarded;
        forwarded.last.number += 1;
        let number = forwarded.last.number;
        forwarded.open.extend(forwarded.gathered.drain(..).map(|request| (request, number)));
        forwarded.elapsed = 0;
        let question = ReadIndex { term: self.hard_state.term, id: forwarded.last };
        draft.send(leader, Message::ReadIndex(question));
    }

    /// Asks again when question or answer were lost.
    pub(super) fn tick_forwarded(&mut self, draft: &mut Draft) {
        if self.forwarded.open.is_empty() {
            return;
        }
        self.forwarded.elapsed += 1;
        if self.forwarded.elapsed >= self.config.heartbeat_interval {
            self.ask_leader(draft);
        }
    }

    pub(super) fn handle_read_index_response(
        &mut self,
        response: &ReadIndexResponse,
        draft: &mut Draft,
    ) {
        let forwarded = &mut self.forwarded;
        // An answer to an earlier incarnation's question was given before these reads arrived.
        if response.id.incarnation != forwarded.last.incarnation {
            return;
        }
        let answered = response.id.number;
        while let Some((request, _)) = forwarded.open.pop_front_if(|(_, first)| *first <= answered)
        {
            match response.index {
                Some(index) => forwarded.confirmed.push_back((request, index)),
                None => {
                    draft.push(Output::Refused { request, refusal: Refusal::Overloaded });
                }
            }
        }
        self.answer_reads(draft);
        if self.forwarded.open.is_empty() && !self.forwarded.gathered.is_empty() {
            self.ask_leader(draft);
        }
    }

    /// Refuses the reads for which no leader has answered; the one that was asked is gone.
    pub(super) fn refuse_forwarded(&mut self, draft: &mut Draft) {
        let open = std::mem::take(&mut self.forwarded.open);
        let gathered = std::mem::take(&mut self.forwarded.gathered);
        for request in open.into_iter().map(|(request, _)| request).chain(gathered) {
            self.refuse_not_leader(request, draft);
        }
    }

    /// Refuses also the reads that wait for entries: without a leader nobody sends them, and to a node
    /// that was removed nobody ever will.
    pub(super) fn refuse_all_forwarded(&mut self, draft: &mut Draft) {
        self.refuse_forwarded(draft);
        for (request, _) in std::mem::take(&mut self.forwarded.confirmed) {
            self.refuse_not_leader(request, draft);
        }
    }
}

impl Replica {
    /// Lets the state machine answer the confirmed reads whose read index it has applied.
    pub(super) fn answer_reads(&mut self, draft: &mut Draft) {
        self.answer_followers(draft);
        let applied = self.last_applied;
        let mut answer = |confirmed: &mut VecDeque<(RequestId, LogIndex)>| {
            while let Some((request, _)) = confirmed.pop_front_if(|(_, index)| *index <= applied) {
                draft.push(Output::ReadReady { request });
            }
        };
        answer(&mut self.forwarded.confirmed);
        if let State::Leader(leadership) = &mut self.state {
            answer(&mut leadership.reads.confirmed);
        }
    }
}
