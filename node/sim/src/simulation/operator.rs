//! The operator, who changes who is in the cluster: asks the leader of the moment, and asks again until it is
//! done or no longer wanted.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Input, Membership, NodeId, Replica, RequestId};

use super::{Event, Simulation, place};
use crate::fault::{Change, FaultId};
use crate::node::Scene;
use crate::oracle::Violation;
use crate::random::Random;
use crate::time::Time;

/// How long the operator waits before asking again.
const ASK_EVERY: Duration = Duration::from_millis(150);

/// A change of membership that is wanted.
#[derive(Debug)]
pub(super) struct Errand {
    change: Change,
    until: Time,
    random: Random,
    /// The membership to reach, and from which one: if another change came between, it is drawn anew.
    goal: Option<(Membership, Membership)>,
    request: Option<RequestId>,
}

impl Errand {
    pub(super) fn new(change: Change, until: Time, random: Random) -> Self {
        Self { change, until, random, goal: None, request: None }
    }

    /// Returns who is to be gone for good.
    fn replaced(&self) -> Vec<NodeId> {
        match (&self.goal, self.change) {
            (Some((from, to)), Change::Replace(_)) => {
                from.everybody().difference(&to.everybody()).copied().collect()
            }
            _ => vec![],
        }
    }

    /// Returns who is to come.
    pub(super) fn newcomers(&self) -> Vec<NodeId> {
        let Some((from, to)) = &self.goal else { return vec![] };
        to.everybody().difference(&from.everybody()).copied().collect()
    }
}

impl Simulation {
    /// Asks the leader for what an errand is about.
    pub(super) fn operate(&mut self, id: FaultId) -> Result<(), Violation> {
        let Some(mut errand) = self.errands.remove(&id) else { return Ok(()) };
        if self.time >= errand.until || self.ending.is_some() {
            return Ok(());
        }
        let awake = |leader: &&Replica| self.nodes[place(leader.id())].is_awake();
        let leader = self.leader().filter(awake).map(|it| (it.id(), it.membership().clone()));
        let Some((leader, now)) = leader else {
            self.queue.push(self.time + ASK_EVERY, Event::Operate(id));
            self.errands.insert(id, errand);
            return Ok(());
        };
        let is_stale = |(from, to): &(Membership, Membership)| {
            *from != now || to.everybody().iter().any(|&id| self.nodes[place(id)].is_retired)
        };
        if errand.goal.as_ref().is_none_or(is_stale) {
            // Who is being replaced will be gone as soon as the operator hears of it: whoever is taken
            // into the cluster meanwhile must be somebody else.
            let leaving: BTreeSet<NodeId> =
                self.errands.values().flat_map(Errand::replaced).collect();
            let nodes = self.nodes.iter().filter(|it| !it.is_retired).map(|it| it.id);
            let spare: Vec<NodeId> = nodes.filter(|id| !leaving.contains(id)).collect();
            let Some(to) = draw_goal(errand.change, &now, leader, &spare, &mut errand.random)
            else {
                return Ok(());
            };
            errand.goal = Some((now, to));
        }
        let Some((_, membership)) = errand.goal.clone() else { return Ok(()) };
        self.requests += 1;
        let request = RequestId(self.requests);
        errand.request = Some(request);
        self.errands.insert(id, errand);
        self.queue.push(self.time + ASK_EVERY * 4, Event::Operate(id));
        let input = Input::ChangeMembership { request, membership };
        self.tell(|| format!("operator → {leader} {input:?}"));
        self.ask_core(leader, input)
    }

    /// Asks a node's core something.
    pub(super) fn ask_core(&mut self, id: NodeId, input: Input) -> Result<(), Violation> {
        self.with_node(id, |node, scene: &mut Scene<'_>| node.operate(input, scene))
    }

    /// A request of the operator has ended.
    pub(super) fn end_request(&mut self, request: RequestId, is_done: bool) {
        let found = self.errands.iter().find(|(_, errand)| errand.request == Some(request));
        let Some((&id, errand)) = found else { return };
        if !is_done {
            return;
        }
        self.counts.changes += 1;
        let gone = errand.replaced();
        self.errands.remove(&id);
        for id in gone {
            self.nodes[place(id)].is_retired = true;
            self.crash(id);
            self.tell(|| format!("{id} is gone for good"));
            self.forget_node(id);
        }
    }
}

/// Draws a membership that the change leads to, if there is any.
fn draw_goal(
    change: Change,
    now: &Membership,
    leader: NodeId,
    nodes: &[NodeId],
    random: &mut Random,
) -> Option<Membership> {
    let mut goal = Membership { outgoing: BTreeSet::new(), ..now.clone() };
    let voters: Vec<NodeId> = now.voters.iter().copied().collect();
    let learners: Vec<NodeId> = now.learners.iter().copied().collect();
    let members = now.everybody();
    let others: Vec<NodeId> = nodes.iter().copied().filter(|id| !members.contains(id)).collect();
    let census = crate::topology::Census { nodes: &voters, leader: Some(leader) };
    let leaving = |target: crate::topology::Target, random: &mut Random| {
        target.resolve(census, random).first().copied()
    };
    match change {
        Change::Add => _ = goal.voters.insert(random.pick_any(&others)?),
        Change::AddLearner => _ = goal.learners.insert(random.pick_any(&others)?),
        Change::Remove(target) => _ = goal.voters.remove(&leaving(target, random)?),
        Change::Replace(target) => {
            let newcomer = random.pick_any(&others)?;
            goal.voters.remove(&leaving(target, random)?);
            goal.voters.insert(newcomer);
        }
        Change::Demote(target) => {
            let id = leaving(target, random)?;
            goal.voters.remove(&id);
            goal.learners.insert(id);
        }
        Change::Promote => {
            let id = random.pick_any(&learners)?;
            goal.learners.remove(&id);
            goal.voters.insert(id);
        }
        Change::Turnover => {
            for &id in nodes {
                goal.voters.remove(&id);
                goal.learners.remove(&id);
                match random.below(5) {
                    0..3 => _ = goal.voters.insert(id),
                    3 => _ = goal.learners.insert(id),
                    _ => {}
                }
            }
        }
    }
    // A cluster of fewer than two voters is none that can lose anybody.
    (goal.voters.len() >= 2 && goal != *now).then_some(goal)
}
