//! Ambushes: crashes at the moments that matter, which a crash at a drawn time seldom hits.

use std::time::Duration;

use raft::{AppendOutcome, Message, NodeId};

use super::{Event, Simulation, place};
use crate::disk::Job;
use crate::fault::{FaultId, FaultKind, Moment};
use crate::node::{Arrival, Effect};

/// The longest time for which a node that was ambushed stays down: often back before what it said has
/// arrived.
const DOWN_MAX: Duration = Duration::from_millis(40);

impl Simulation {
    /// Looks whether what a node is about to do is what an ambush waits for.
    pub(super) fn watch(&mut self, id: NodeId, effect: &Effect) {
        if self.active.is_empty() {
            return;
        }
        let Some(moment) = moment_of(effect) else { return };
        let lies_in_wait = |active: &super::Active| {
            active.nodes.is_empty() && active.kind == Some(FaultKind::Ambush(moment))
        };
        let found = self.active.iter_mut().find(|(_, active)| lies_in_wait(active));
        if let Some((&fault, active)) = found {
            active.nodes.push(id);
            self.sprung.push(fault);
        }
    }

    /// Lets the ambushes strike that have found somebody: when what was to be done is done.
    pub(super) fn spring(&mut self) {
        while let Some(fault) = self.sprung.pop() {
            let Some(&id) = self.active.get(&fault).and_then(|active| active.nodes.first()) else {
                continue;
            };
            self.tell(|| format!("{id} walks into ambush #{}", fault.0));
            self.nodes[place(id)].downed += 1;
            self.crash(id);
            self.schedule_release(fault);
        }
    }

    fn schedule_release(&mut self, fault: FaultId) {
        let down = self.random.duration(Duration::ZERO, DOWN_MAX);
        self.queue.push(self.time + down, Event::FaultEnds(fault));
    }
}

fn moment_of(effect: &Effect) -> Option<Moment> {
    match effect {
        Effect::Send { arrival, .. } => match &**arrival {
            Arrival::Message { message, .. } => moment_of_saying(message),
            Arrival::Persisted(_) | Arrival::Saved { .. } | Arrival::Request { .. } => None,
        },
        Effect::Write(Job::Write(write, _)) if write.snapshot.is_some() => {
            Some(Moment::Installation)
        }
        Effect::Write(Job::Write(..)) => Some(Moment::Write),
        Effect::Save => Some(Moment::Saving),
        Effect::Write(Job::Saved(_)) | Effect::Reply(..) | Effect::Ended { .. } => None,
    }
}

fn moment_of_saying(message: &Message) -> Option<Moment> {
    match message {
        Message::RequestVoteResponse(response) if response.vote_granted => Some(Moment::Vote),
        Message::RequestVote(_) => Some(Moment::Candidacy),
        Message::AppendEntriesResponse(response) => match response.outcome {
            AppendOutcome::Matched { .. } => Some(Moment::Acknowledgement),
            AppendOutcome::Conflict(_) | AppendOutcome::Stale => None,
        },
        _ => None,
    }
}
