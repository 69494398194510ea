//! What faults do to a cluster, and how that is undone.

use std::time::Duration;

use futures_util::future::join_all;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::cluster::{Cluster, ClusterError};
use crate::describe_error;
use crate::fault::{Census, Fault, FaultResult, Restart, ScheduledFault};
use crate::nemesis::Nemesis;
use crate::nemesis::errand::Order;
use crate::nemesis::force::{Hold, Installed, Trace, Wounds, hold};
use crate::nemesis::machines::is_of_machines;
use crate::process::ProcessError;
use crate::proxy::Mode;
use crate::seed::Seed;
use crate::system::NodeId;

/// How often a log is compacted under pressure: often enough that who was away finds the entries gone.
const COMPACTION_RHYTHM: Duration = Duration::from_millis(250);

/// How long a compaction is waited for. A node that runs does it in milliseconds.
const COMPACTION_PATIENCE: Duration = Duration::from_secs(1);

/// Why a fault, or a step of one, was not brought.
#[derive(Debug)]
pub(super) enum Obstacle {
    Skipped(String),
    Indeterminate(String),
}

/// Settles what a fault leaves open: who is hit, which links become what, and who is hit one after the
/// other.
pub(super) fn settle(
    fault: Fault,
    census: &Census<'_>,
    generator: &mut impl Rng,
) -> Result<(Wounds, Vec<NodeId>), &'static str> {
    let mut wounds = Wounds::default();
    let mut queue = Vec::new();
    if let Some((links, mode)) = fault.shape() {
        let (nodes, wires) = links.resolve(census, generator)?;
        wounds.nodes = nodes;
        wounds.wires = wires.into_iter().map(|wire| (wire, mode)).collect();
        return Ok((wounds, queue));
    }
    match fault {
        Fault::Partition(topology) | Fault::Flap { topology, .. } => {
            let cut = topology.cut(census, generator)?;
            wounds.wires = cut.wires().map(|wire| (wire, Mode::Blackhole)).collect();
            wounds.nodes = cut.nodes;
        }
        Fault::Messages { links, rule } => {
            let (nodes, wires) = links.resolve(census, generator)?;
            wounds.nodes = nodes;
            let between = wires.iter().filter_map(|wire| wire.link());
            wounds.rules = between.map(|link| (link, rule)).collect();
        }
        Fault::Restart(Restart::Rolling(target)) | Fault::Upgrade(target) => {
            wounds.nodes = target.resolve(census, generator)?;
            queue.clone_from(&wounds.nodes);
            queue.shuffle(generator);
        }
        Fault::Grow => {}
        Fault::Transfer(target) => {
            let leader = census.leader.ok_or("no node leads")?;
            wounds.nodes = target.resolve(census, generator)?;
            if wounds.nodes == [leader] {
                return Err("it leads already");
            }
        }
        _ => {
            let target = fault.target().ok_or("it has no target")?;
            wounds.nodes = target.resolve(census, generator)?;
        }
    }
    Ok((wounds, queue))
}

/// Says how long it is from one step of a fault to the next, if it has steps.
pub(super) fn rhythm(scheduled: &ScheduledFault, nodes: usize) -> Option<Duration> {
    match scheduled.fault {
        Fault::Flap { period, .. } => Some(period / 2),
        Fault::Snapshot(_) => Some(COMPACTION_RHYTHM),
        Fault::Restart(Restart::Rolling(_)) | Fault::Upgrade(_) => {
            Some(scheduled.duration / u32::try_from(nodes).unwrap_or(u32::MAX).max(1))
        }
        _ => None,
    }
}

/// Says what an operator has to do to bring a fault, if it takes one.
pub(super) fn order(fault: Fault, nodes: &[NodeId]) -> Option<Order> {
    match fault {
        Fault::Shrink(_) => Some(Order::Dismiss(nodes.to_vec())),
        Fault::Grow => Some(Order::Admit(1)),
        Fault::Replace(_) => Some(Order::Replace(nodes.to_vec())),
        Fault::Transfer(_) => nodes.first().map(|&node| Order::Transfer(node)),
        _ => None,
    }
}

impl Nemesis {
    /// Does what a fault does at first. Nodes that could not be hit, because they are down already, are
    /// taken off the wounds; who is hit now is taken off the queue.
    pub(super) async fn inflict(
        &mut self,
        fault: Fault,
        wounds: &mut Wounds,
        queue: &mut Vec<NodeId>,
        draw: Seed,
        cluster: &Cluster,
    ) -> FaultResult {
        if !wounds.wires.is_empty() {
            let modes = self.force.modes_with(wounds);
            return match cluster.network().shape_exactly(modes).await {
                Ok(()) => FaultResult::Installed,
                Err(error) => FaultResult::Indeterminate(describe_error(&error)),
            };
        }
        if !wounds.rules.is_empty() {
            if !cluster.network().knows_messages() {
                return FaultResult::Skipped("the system's messages are not known".into());
            }
            wounds.trace = Trace::Messages(cluster.network().messages_hit(&wounds.rules));
            cluster.network().rule_exactly(&self.force.rules_with(wounds));
            return FaultResult::Installed;
        }
        let results = match hold(fault) {
            // All at once: who is left for a moment must not be able to do anything about it.
            _ if is_of_machines(fault) => self.hurt(fault, wounds, draw, cluster).await,
            Some(Hold::Dead) => act_on_all(&wounds.nodes, |node| cluster.kill(node)).await,
            Some(Hold::Stopped) => act_on_all(&wounds.nodes, |node| cluster.pause(node)).await,
            None if let Fault::Snapshot(_) = fault => compact(&wounds.nodes, cluster).await,
            _ => return self.inflict_on_next(fault, queue, cluster).await,
        };
        let mut hit = Vec::new();
        let mut obstacles = Vec::new();
        for (node, result) in results {
            match result {
                Ok(()) => hit.push(node),
                Err(obstacle) => {
                    // What is in doubt has to be undone as well.
                    if matches!(obstacle, Obstacle::Indeterminate(_)) {
                        hit.push(node);
                    }
                    obstacles.push(obstacle);
                }
            }
        }
        if let Fault::Snapshot(_) = fault
            && hit.len() > obstacles.len()
        {
            // Some did it for certain; of the others there is nothing to undo.
            obstacles.clear();
        }
        wounds.nodes = hit;
        conclude(&wounds.nodes, obstacles)
    }

    /// Hits the first of the queue that can be hit.
    async fn inflict_on_next(
        &self,
        fault: Fault,
        queue: &mut Vec<NodeId>,
        cluster: &Cluster,
    ) -> FaultResult {
        let mut obstacles = Vec::new();
        while let Some(node) = queue.pop() {
            match self.restart_one(fault, node, cluster).await {
                Ok(()) => return FaultResult::Installed,
                Err(obstacle @ Obstacle::Skipped(_)) => obstacles.push(obstacle),
                Err(obstacle) => return conclude(&[node], vec![obstacle]),
            }
        }
        conclude(&[], obstacles)
    }

    /// Takes the next step of a fault in force, and says how long it is to the one after.
    pub(super) async fn take_step(&mut self, place: usize, cluster: &Cluster) -> Option<Duration> {
        let installed = self.force.get_mut(place)?;
        let rhythm = installed.rhythm;
        if let Fault::Flap { .. } = installed.fault {
            installed.is_resting = !installed.is_resting;
            let modes = self.force.modes_with(&Wounds::default());
            let shaped = cluster.network().shape_exactly(modes).await;
            let trouble = shaped.err().map(|error| describe_error(&error));
            self.force.get_mut(place)?.troubles.extend(trouble);
            return rhythm;
        }
        let fault = installed.fault;
        if let Fault::Snapshot(_) = fault {
            // What a node refuses now it may do the next time; that it was asked is pressure enough.
            let nodes = installed.wounds.nodes.clone();
            compact(&nodes, cluster).await;
            return rhythm;
        }
        let node = installed.queue.pop_front()?;
        if let Err(Obstacle::Indeterminate(why)) = self.restart_one(fault, node, cluster).await {
            self.force.get_mut(place)?.troubles.push(why);
        }
        rhythm
    }

    /// Kills a node and starts it again, unless another fault wants it dead. An upgrade holds for that
    /// one's next start, too.
    async fn restart_one(
        &self,
        fault: Fault,
        node: NodeId,
        cluster: &Cluster,
    ) -> Result<(), Obstacle> {
        if let Fault::Upgrade(_) = fault {
            cluster.upgrade(node)?;
        }
        cluster.kill(node).await?;
        cluster.restart(&[node]).await?;
        self.stop_again(&[node], cluster).await
    }

    /// Stops those of the nodes that a pause in force holds, and that have just been started.
    pub(super) async fn stop_again(
        &self,
        nodes: &[NodeId],
        cluster: &Cluster,
    ) -> Result<(), Obstacle> {
        for node in self.force.paused(nodes) {
            match cluster.pause(node).await.map_err(Obstacle::from) {
                // A kill still holds it, or it did not come back, which was said before.
                Ok(()) | Err(Obstacle::Skipped(_)) => {}
                Err(obstacle) => return Err(obstacle),
            }
        }
        Ok(())
    }

    /// Undoes what a fault did and no other in force wants to stay; returns what went wrong.
    pub(super) async fn undo(&self, ending: &mut Installed, cluster: &Cluster) -> Vec<String> {
        if is_of_machines(ending.fault) {
            return self.mend(ending, cluster).await;
        }
        let mut troubles = Vec::new();
        if !ending.wounds.wires.is_empty() {
            let modes = self.force.modes_with(&Wounds::default());
            let shaped = cluster.network().shape_exactly(modes).await;
            cluster.ease();
            troubles.extend(shaped.err().map(|error| describe_error(&error)));
        }
        if !ending.wounds.rules.is_empty() {
            cluster.network().rule_exactly(&self.force.rules_with(&Wounds::default()));
            cluster.ease();
        }
        match hold(ending.fault) {
            Some(Hold::Dead) => {
                let restarted = cluster.restart(&self.force.not_held(ending)).await;
                troubles.extend(restarted.err().map(|error| describe_error(&error)));
                if let Err(Obstacle::Indeterminate(why)) =
                    self.stop_again(&ending.wounds.nodes, cluster).await
                {
                    troubles.push(why);
                }
            }
            Some(Hold::Stopped) => {
                let nodes = self.force.not_held(ending);
                for &node in &nodes {
                    match cluster.resume(node).await.map_err(Obstacle::from) {
                        // It was killed in the meantime; nothing is left to undo.
                        Ok(()) | Err(Obstacle::Skipped(_)) => {}
                        Err(Obstacle::Indeterminate(why)) => troubles.push(why),
                    }
                }
                // Who could not end while it was stopped does so now.
                troubles.extend(self.start_again(&nodes, cluster).await);
            }
            _ => {}
        }
        troubles
    }
}

/// Has all of these nodes compact their logs.
async fn compact(nodes: &[NodeId], cluster: &Cluster) -> Vec<(NodeId, Result<(), Obstacle>)> {
    let deadline = std::time::Instant::now() + COMPACTION_PATIENCE;
    let orders = nodes.iter().map(|&node| async move {
        let ordered = cluster.operator().compact(node, deadline).await;
        (node, ordered.map_err(Obstacle::from))
    });
    join_all(orders).await
}

/// Acts on all nodes side by side.
pub(super) async fn act_on_all<A>(
    nodes: &[NodeId],
    act: impl Fn(NodeId) -> A,
) -> Vec<(NodeId, Result<(), Obstacle>)>
where
    A: Future<Output = Result<(), ClusterError>>,
{
    let acts = nodes.iter().map(|&node| {
        let acted = act(node);
        async move { (node, acted.await.map_err(Obstacle::from)) }
    });
    join_all(acts).await
}

/// Sums up what came of acting on several nodes.
pub(super) fn conclude(hit: &[NodeId], obstacles: Vec<Obstacle>) -> FaultResult {
    let mut skipped = Vec::new();
    let mut in_doubt = Vec::new();
    for obstacle in obstacles {
        match obstacle {
            Obstacle::Skipped(why) => skipped.push(why),
            Obstacle::Indeterminate(why) => in_doubt.push(why),
        }
    }
    if !in_doubt.is_empty() {
        FaultResult::Indeterminate(in_doubt.join("; "))
    } else if hit.is_empty() {
        FaultResult::Skipped(skipped.join("; "))
    } else {
        FaultResult::Installed
    }
}

impl From<ClusterError> for Obstacle {
    fn from(error: ClusterError) -> Self {
        let why = describe_error(&error);
        match error {
            ClusterError::Process(ProcessError::NotRunning { .. })
            | ClusterError::Diskless { .. }
            | ClusterError::Heedless
            | ClusterError::Unscathed { .. } => Self::Skipped(why),
            _ => Self::Indeterminate(why),
        }
    }
}
