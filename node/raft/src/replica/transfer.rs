//! How a leader hands over its leadership (dissertation §3.10): it takes no more proposals, brings its
//! successor's log up to its own, and asks it to campaign at once. If that has not worked within an
//! election timeout, it leads on.

use super::election::Campaign;
use super::{Replica, State};
use crate::draft::Draft;
use crate::effect::{Output, Refusal, TransferEnd};
use crate::message::{Message, TimeoutNow};
use crate::types::{NodeId, RequestId};

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Transfer {
    request: RequestId,
    pub(super) to: NodeId,
    /// Ticks since it began.
    elapsed: u32,
}

impl Replica {
    pub(super) fn handle_transfer(&mut self, request: RequestId, to: NodeId, draft: &mut Draft) {
        let State::Leader(leadership) = &mut self.state else {
            return self.refuse_not_leader(request, draft);
        };
        let refusal = match &leadership.transfer {
            Some(transfer) => Some(Refusal::Transferring { to: transfer.to }),
            None if to == self.config.id || !self.memberships.latest().voters.contains(&to) => {
                Some(Refusal::NoSuccessor)
            }
            None => None,
        };
        if let Some(refusal) = refusal {
            return draft.push(Output::Refused { request, refusal });
        }
        leadership.transfer = Some(Transfer { request, to, elapsed: 0 });
        self.hand_over(to, draft);
    }

    /// Asks the successor to campaign, once its log is as long as the leader's.
    pub(super) fn hand_over(&mut self, to: NodeId, draft: &mut Draft) {
        let term = self.term();
        let State::Leader(leadership) = &mut self.state else { return };
        let is_successor = leadership.transfer.as_ref().is_some_and(|transfer| transfer.to == to);
        let progress = leadership.followers.get(&to);
        let is_level = progress.is_some_and(|it| it.match_index == self.log.last_index());
        if is_successor && is_level {
            leadership.lease.void();
            draft.send(to, Message::TimeoutNow(TimeoutNow { term }));
        }
    }

    pub(super) fn tick_transfer(&mut self, draft: &mut Draft) {
        let election_timeout = self.config.election_timeout;
        let State::Leader(leadership) = &mut self.state else { return };
        let Some(transfer) = &mut leadership.transfer else { return };
        transfer.elapsed += 1;
        if transfer.elapsed >= election_timeout {
            let transfer = leadership.transfer.take();
            self.end_transfer(transfer.as_ref(), TransferEnd::TimedOut, draft);
        }
    }

    pub(super) fn end_transfer(
        &self,
        transfer: Option<&Transfer>,
        end: TransferEnd,
        draft: &mut Draft,
    ) {
        if let Some(transfer) = transfer {
            draft.push(Output::TransferEnded { request: transfer.request, end });
        }
    }

    pub(super) fn handle_timeout_now(&mut self, message: &TimeoutNow, draft: &mut Draft) {
        let is_current = message.term == self.term();
        let may_lead = self.memberships.latest().is_voter(self.config.id);
        if is_current && may_lead && matches!(self.state, State::Follower { .. }) {
            self.refuse_forwarded(draft);
            self.become_candidate(Campaign::Transfer, draft);
        }
    }
}
