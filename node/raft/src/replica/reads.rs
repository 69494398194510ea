//! Linearizable reads without a log entry: ReadIndex (Raft §6.4 of Ongaro's dissertation).
//!
//! A read sees every write that ended before it began if the state machine has applied the read
//! index, the commit index at a moment when the leader certainly still led. That it did is proven by
//! a round: a majority answers heartbeats that were sent after the read had arrived.

use std::collections::VecDeque;
use std::iter;

use super::{Replica, State};
use crate::draft::Draft;
use crate::effect::{Output, Refusal};
use crate::quorum::reached_by_majority;
use crate::types::{LogIndex, RequestId, Round};

/// Reads under way, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reads {
    /// Reads that wait for a round to be answered. Neither `round` nor `index` ever falls along it.
    unconfirmed: VecDeque<Unconfirmed>,
    /// Reads that wait for their read index to be applied.
    confirmed: VecDeque<(RequestId, LogIndex)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Unconfirmed {
    request: RequestId,
    index: LogIndex,
    /// The first round begun after the read had arrived.
    round: Round,
}

impl Reads {
    pub(super) fn into_requests(self) -> impl Iterator<Item = RequestId> {
        let unconfirmed = self.unconfirmed.into_iter().map(|read| read.request);
        self.confirmed.into_iter().map(|(request, _)| request).chain(unconfirmed)
    }

    fn len(&self) -> usize {
        self.unconfirmed.len() + self.confirmed.len()
    }
}

impl Replica {
    pub(super) fn handle_read(&mut self, request: RequestId, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else {
            return self.refuse_not_leader(request, draft);
        };
        let reads = &mut leadership.reads;
        if reads.len() >= self.config.limits.reads_pending {
            return draft.push(Output::Refused { request, refusal: Refusal::Overloaded });
        }
        // Until an entry of the own term is committed, the commit index may lag behind what earlier
        // leaders had committed. All of that lies before this term's first entry, so the read waits
        // at least for that one (Raft §6.4, step 1).
        let index = self.commit_index.max(leadership.first_index);
        let is_idle = reads.unconfirmed.is_empty();
        reads.unconfirmed.push_back(Unconfirmed { request, index, round: leadership.round.next() });
        // While a round is under way, reads gather for the next one.
        if is_idle {
            self.begin_round(draft);
        }
    }

    /// Releases the reads whose round a majority has answered, and begins the next round if others
    /// have gathered for it.
    pub(super) fn confirm_reads(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else {
            return;
        };
        let acked = leadership.followers.values().map(|progress| progress.round_acked);
        let proven = reached_by_majority(acked.chain(iter::once(leadership.round)));
        let reads = &mut leadership.reads;
        while let Some(read) = reads.unconfirmed.pop_front_if(|read| read.round <= proven) {
            reads.confirmed.push_back((read.request, read.index));
        }
        let is_next_due =
            reads.unconfirmed.front().is_some_and(|read| read.round > leadership.round);
        self.answer_reads(draft);
        if is_next_due {
            self.begin_round(draft);
        }
    }

    /// Lets the state machine answer the confirmed reads whose read index it has applied.
    pub(super) fn answer_reads(&mut self, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else {
            return;
        };
        let confirmed = &mut leadership.reads.confirmed;
        let applied = self.last_applied;
        while let Some((request, _)) = confirmed.pop_front_if(|(_, index)| *index <= applied) {
            draft.push(Output::ReadReady { request });
        }
    }
}
