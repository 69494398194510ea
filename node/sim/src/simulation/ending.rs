//! The end of a run: everything is mended, and the cluster must come back.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{NodeId, Replica};

use super::{Broken, Event, Simulation, place};
use crate::node::Node;
use crate::oracle::Violation;
use crate::plan::Placement;
use crate::time::Time;

/// How often to look whether all is well again.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Election timeouts within which it must be, …
const PATIENCE: u32 = 60;
/// … and what clients need besides, to give up what they had begun and to read everything back.
const CLIENTS_PATIENCE: Duration = Duration::from_secs(30);

/// Where all is well, links and disks are so many times quicker than nodes are patient.
const QUICK: u32 = 20;

/// What is known of the end.
#[derive(Debug)]
pub(super) struct Ending {
    deadline: Time,
}

/// The cluster did not come back though nothing was wrong any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Liveness: nothing is wrong any more, and yet {what}\n{standing}")]
pub struct Stalled {
    /// What is still missing.
    what: String,
    /// How each node stands.
    standing: String,
}

impl Simulation {
    /// Mends everything, and asks for one more write and read of everything.
    pub(super) fn calm(&mut self) -> Result<(), Violation> {
        self.tell(|| "the storm is over".to_owned());
        let active: Vec<_> = self.active.keys().copied().collect();
        for id in active {
            self.end_fault(id)?;
        }
        let patience = self.plan.timings.election_timeout();
        self.network.calm(patience / QUICK);
        self.plan.storage.sync = self.plan.storage.sync.min(patience / QUICK);
        self.plan.storage.jitter = self.plan.storage.jitter.min(patience / QUICK);
        self.errands.clear();
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        for id in ids {
            self.revive(id)?;
        }
        let deadline = self.time + patience * PATIENCE + CLIENTS_PATIENCE;
        self.ending = Some(Ending { deadline });
        // Now clients only ask what can be answered where they ask it.
        self.plan.clients.loss = 0;
        self.plan.clients.patience = self.plan.clients.patience.max(patience * 3);
        self.plan.clients.placement = Placement::Leader;
        self.plan.clients.wandering = 0;
        self.urgent.extend(self.generator.ending());
        self.queue.push(self.time, Event::Begin { client: 0 });
        self.queue.push(self.time + LOOK_EVERY, Event::Look);
        Ok(())
    }

    /// Looks whether all is well again; then the run is over.
    pub(super) fn look(&mut self) -> Result<bool, Broken> {
        self.tend()?;
        let Some(what) = self.missing()? else { return Ok(true) };
        let deadline = self.ending.as_ref().map(|ending| ending.deadline);
        if deadline.is_some_and(|deadline| self.time >= deadline) {
            let standing = self.nodes.iter().map(describe_node).collect();
            return Err(Stalled { what, standing }.into());
        }
        self.queue.push(self.time + LOOK_EVERY, Event::Look);
        Ok(false)
    }

    /// Says what is not well yet.
    fn missing(&self) -> Result<Option<String>, Violation> {
        let Some(leader) = self.leader() else { return Ok(Some("nobody leads".to_owned())) };
        let committed = self.oracle.commit_index();
        let is_settled = leader.commit_index() == leader.last_log_index()
            && leader.commit_index() == committed
            && !leader.membership().is_joint();
        if !is_settled {
            return Ok(Some(format!("{} has not committed its whole log", leader.id())));
        }
        for id in leader.membership().everybody() {
            let running = self.nodes[place(id)].running.as_ref();
            if running.is_none_or(|running| running.applied != committed) {
                return Ok(Some(format!("{id} has not applied all that is committed")));
            }
        }
        if !self.urgent.is_empty() {
            return Ok(Some("clients were not answered".to_owned()));
        }
        if let Some(busy) = self.clients.iter().find(|client| !client.is_idle()) {
            return Ok(Some(format!("client {} was not answered", busy.id)));
        }
        self.check_states(leader.membership().everybody())?;
        Ok(None)
    }

    fn check_states(&self, members: BTreeSet<NodeId>) -> Result<(), Violation> {
        let state = |id: &NodeId| self.nodes[place(*id)].running.as_ref().map(|it| &it.state);
        let mut ids = members.iter();
        let first = ids.next().and_then(state);
        let Some(node) = ids.find(|id| state(id) != first).copied() else { return Ok(()) };
        Err(Violation::StatesDiffer { node, index: self.oracle.commit_index() })
    }

    /// The operator runs the members and nobody who was removed: such a one does not know it, and may
    /// disturb the others for ever.
    fn tend(&mut self) -> Result<(), Violation> {
        let is_settled = |leader: &&Replica| {
            leader.commit_index() == leader.last_log_index() && !leader.membership().is_joint()
        };
        let Some(leader) = self.leader().filter(is_settled) else { return Ok(()) };
        let members = leader.membership().everybody();
        let removed = |node: &&Node| {
            let votes = |replica: &Replica| replica.membership().is_voter(replica.id());
            !members.contains(&node.id) && node.replica().is_some_and(votes)
        };
        let removed: Vec<NodeId> = self.nodes.iter().filter(removed).map(|node| node.id).collect();
        for id in removed {
            self.crash(id);
        }
        for id in members {
            self.revive(id)?;
        }
        Ok(())
    }
}

fn describe_node(node: &Node) -> String {
    let id = node.id;
    let Some(replica) = node.replica() else {
        return format!("  {id} is {}\n", if node.is_retired { "gone" } else { "down" });
    };
    format!(
        "  {id} {:?} term {} leader {:?} log {}..{} commit {} applied {} {:?}\n",
        replica.role(),
        replica.term(),
        replica.leader().map(|leader| leader.0),
        replica.first_log_index(),
        replica.last_log_index(),
        replica.commit_index(),
        replica.last_applied(),
        replica.membership(),
    )
}
