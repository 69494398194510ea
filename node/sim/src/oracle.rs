//! What must hold across the cluster at every moment (Raft Figure 3), checked as the run goes.
//!
//! The oracle sees everything and tells nobody. Each check looks only at what has just changed: that logs
//! match follows by induction if every entry that is appended anywhere is the one that was appended
//! elsewhere under the same index and term, behind an entry of the same term.

use std::collections::{BTreeMap, HashMap};

use machine::session::{Outcome, Position, Request, Sequence, SessionId};
use raft::{
    Entry, LogIndex, Membership, Message, NodeId, Payload, Replica, Role, Snapshot, Term, Write,
};

use crate::proposals::{Proposals, number_of};
use crate::trace::digest;

mod violation;

pub use violation::Violation;

/// What the machine of every node comes to.
type Came = Outcome<machine::Outcome>;

/// All that is known of the cluster as a whole.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Every command that was ever proposed.
    pub(crate) proposals: Proposals,
    leaders: BTreeMap<Term, NodeId>,
    votes: HashMap<(NodeId, Term), NodeId>,
    /// For each index, every entry that some node ever had there.
    appended: Vec<Vec<Appended>>,
    /// Every entry that some node knows to be committed.
    committed: Vec<Committed>,
    /// What the committed commands came to.
    outcomes: Vec<Option<Came>>,
    /// Where each command of a session was carried out.
    once: HashMap<(SessionId, Sequence), Position>,
    /// Saved states, by what they stand for.
    saved: HashMap<LogIndex, u64>,
    /// The membership as of the last committed entry that brought one.
    membership: Option<Membership>,
    /// How many did.
    memberships: u64,
}

#[derive(Clone, Copy, Debug)]
struct Appended {
    term: Term,
    content: Content,
    /// Of the entry before it, where the node still has that.
    previous: Option<Term>,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    term: Term,
    content: Content,
    /// The term of whoever was first to know, or an earlier one.
    known_in: Term,
}

/// What an entry holds, told apart from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Noop,
    Command(u64),
    Membership(u64),
}

impl Content {
    fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Noop => Self::Noop,
            Payload::Command(command) => Self::Command(number_of(command)),
            Payload::Membership(membership) => Self::Membership(digest(membership)),
        }
    }
}

impl Oracle {
    /// Returns the last entry that anybody knows to be committed.
    pub(crate) fn commit_index(&self) -> LogIndex {
        LogIndex(self.committed.len() as u64)
    }

    /// Returns how many memberships were committed since the beginning.
    pub(crate) fn memberships(&self) -> u64 {
        self.memberships
    }

    /// Returns how many terms had a leader.
    pub(crate) fn elections(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// Returns the membership that was committed last, if one was since the beginning.
    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    /// Checks a node that has just changed its role.
    pub(crate) fn note_role(&mut self, replica: &Replica) -> Result<(), Violation> {
        if replica.role() != Role::Leader {
            return Ok(());
        }
        let (id, term) = (replica.id(), replica.term());
        let other = *self.leaders.entry(term).or_insert(id);
        if other != id {
            return Err(Violation::ElectionSafety { term, one: other, other: id });
        }
        let missing = |index: usize| {
            Err(Violation::LeaderCompleteness {
                leader: id,
                term,
                index: LogIndex(index as u64 + 1),
            })
        };
        let first = replica.first_log_index().0 as usize - 1;
        let log = replica.log();
        for (index, committed) in self.committed.iter().enumerate().skip(first) {
            if committed.known_in >= term {
                continue;
            }
            match log.get(index - first) {
                Some(entry) if entry.term == committed.term => {}
                _ => return missing(index),
            }
        }
        Ok(())
    }

    /// Checks the entries that a node has just appended.
    pub(crate) fn note_write(&mut self, replica: &Replica, write: &Write) -> Result<(), Violation> {
        let Some(first) = write.entries.first() else { return Ok(()) };
        let before = (first.index.0 - replica.first_log_index().0).checked_sub(1);
        let mut previous =
            before.and_then(|place| replica.log().get(place as usize)).map(|entry| entry.term);
        for entry in &write.entries {
            let here =
                Appended { term: entry.term, content: Content::of(&entry.payload), previous };
            self.note_appended(replica.id(), entry.index, here)?;
            previous = Some(entry.term);
        }
        Ok(())
    }

    fn note_appended(
        &mut self,
        node: NodeId,
        index: LogIndex,
        here: Appended,
    ) -> Result<(), Violation> {
        let place = index.0 as usize - 1;
        if self.appended.len() <= place {
            self.appended.resize_with(place + 1, Vec::new);
        }
        let known = &mut self.appended[place];
        let Some(there) = known.iter_mut().find(|it| it.term == here.term) else {
            known.push(here);
            return Ok(());
        };
        let agrees = match (there.previous, here.previous) {
            (Some(there), Some(here)) => there == here,
            _ => true,
        };
        if there.content != here.content || !agrees {
            return Err(Violation::LogMatching { node, index, term: here.term });
        }
        there.previous = there.previous.or(here.previous);
        Ok(())
    }

    /// Checks that a node knows more to be committed than before, or as much, and that it is what
    /// others know.
    pub(crate) fn note_commit(
        &mut self,
        replica: &Replica,
        before: LogIndex,
    ) -> Result<(), Violation> {
        let (node, now) = (replica.id(), replica.commit_index());
        if now < before || now > replica.last_log_index() {
            return Err(Violation::Commit { node, before, now });
        }
        let first = replica.first_log_index();
        let from = before.next().max(first);
        let skipped = (from.0 - first.0) as usize;
        let count = (now.0 + 1).saturating_sub(from.0) as usize;
        for entry in replica.log().iter().skip(skipped).take(count) {
            self.note_committed(node, replica.term(), entry)?;
        }
        Ok(())
    }

    fn note_committed(
        &mut self,
        node: NodeId,
        known_in: Term,
        entry: &Entry,
    ) -> Result<(), Violation> {
        let (term, index) = (entry.term, entry.index);
        let content = Content::of(&entry.payload);
        let next = self.commit_index().next();
        match self.committed.get_mut(index.0 as usize - 1) {
            Some(known) if known.term == term && known.content == content => {
                known.known_in = known.known_in.min(known_in);
                Ok(())
            }
            None if index == next => {
                self.committed.push(Committed { term, content, known_in });
                if let Payload::Membership(membership) = &entry.payload {
                    self.membership = Some(membership.clone());
                    self.memberships += 1;
                }
                Ok(())
            }
            _ => Err(Violation::StateMachineSafety { node, index }),
        }
    }

    /// Checks a snapshot that a node has taken or restored, with the state that it stands for.
    pub(crate) fn note_snapshot(
        &mut self,
        node: NodeId,
        snapshot: &Snapshot,
        data: &[u8],
    ) -> Result<(), Violation> {
        let index = snapshot.index;
        let known = self.committed.get(index.0 as usize - 1);
        if known.is_none_or(|known| known.term != snapshot.term) {
            return Err(Violation::StateMachineSafety { node, index });
        }
        let found = digest(data);
        if *self.saved.entry(index).or_insert(found) != found {
            return Err(Violation::StatesDiffer { node, index });
        }
        Ok(())
    }

    /// Checks what a command came to on a node.
    pub(crate) fn note_outcome(
        &mut self,
        node: NodeId,
        index: LogIndex,
        number: u64,
        came: &Came,
    ) -> Result<(), Violation> {
        let place = index.0 as usize - 1;
        if self.outcomes.len() <= place {
            self.outcomes.resize_with(place + 1, || None);
        }
        match &self.outcomes[place] {
            Some(known) if known == came => return Ok(()),
            Some(_) => return Err(Violation::OutcomesDiffer { node, index }),
            None => {}
        }
        if let Outcome::Applied { position, outcome } = came {
            let record = self.outcomes.get(position.0 as usize - 1).and_then(Option::as_ref);
            let repeats = match record {
                Some(Outcome::Applied { outcome: first, .. }) => first == outcome,
                Some(_) => false,
                None => position.0 == index.0,
            };
            let is_once = match &self.proposals.get(number).request {
                Request::InSession { ticket, .. } => {
                    let first = self.once.entry((ticket.session, ticket.sequence));
                    *first.or_insert(*position) == *position
                }
                _ => true,
            };
            if !repeats || !is_once {
                return Err(Violation::NotOnce { index, first: LogIndex(position.0) });
            }
        }
        self.outcomes[place] = Some(came.clone());
        Ok(())
    }

    /// Checks a message that leaves a node: it may promise its vote to one candidate a term.
    pub(crate) fn note_sent(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &Message,
    ) -> Result<(), Violation> {
        let (term, candidate) = match message {
            Message::RequestVote(request) => (request.term, from),
            Message::RequestVoteResponse(response) if response.vote_granted => (response.term, to),
            _ => return Ok(()),
        };
        let first = *self.votes.entry((from, term)).or_insert(candidate);
        if first != candidate {
            return Err(Violation::TwoVotes { node: from, term, one: first, other: candidate });
        }
        Ok(())
    }
}
