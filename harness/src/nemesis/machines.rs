//! What faults do to machines, their disks and clocks, and how that is undone.

use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::{Cluster, Return};
use crate::describe_error;
use crate::disk::Loss;
use crate::fault::{Family, Fault, FaultResult};
use crate::nemesis::errand::{Order, Outcome};
use crate::nemesis::force::{Hold, Installed, Trace, Wounds};
use crate::nemesis::inflict::{Obstacle, act_on_all};
use crate::nemesis::{Nemesis, describe_nodes};
use crate::seed::Seed;
use crate::system::NodeId;

/// How long a node that a disk has refused something may take to end because of it. Ours gives its storage
/// and its connections two seconds each, and its runtime one: who is cut off says no goodbye.
const END_PATIENCE: Duration = Duration::from_secs(6);

/// Says whether a fault is brought and undone here.
pub(super) const fn is_of_machines(fault: Fault) -> bool {
    matches!(fault.family(), Family::Power | Family::Damage | Family::Disk | Family::Clock)
}

impl Nemesis {
    /// Does what a fault does to the nodes that it wounds, and notes what it came to.
    pub(super) async fn hurt(
        &self,
        fault: Fault,
        wounds: &mut Wounds,
        draw: Seed,
        cluster: &Cluster,
    ) -> Vec<(NodeId, Result<(), Obstacle>)> {
        let Wounds { nodes, notes, trace, .. } = wounds;
        match fault {
            Fault::PowerLoss { torn, .. } => {
                let mut results = Vec::new();
                let mut has_lost = false;
                for (node, lost) in cluster.lose_power(nodes, torn.then_some(draw)).await {
                    if let Ok(loss) = &lost {
                        has_lost |= *loss != Loss::default();
                        notes.push(format!("{node} lost {loss}"));
                    }
                    results.push((node, lost.map(drop).map_err(Obstacle::from)));
                }
                *trace = Trace::Loss(has_lost);
                results
            }
            Fault::Damage { damage, .. } => {
                let mut results = Vec::new();
                for &node in nodes.iter() {
                    let seed = draw.derive(&node.to_string());
                    let damaged = cluster.damage(node, damage, seed).await;
                    if let Ok(file) = &damaged {
                        notes.push(format!("{node}: {file}"));
                    }
                    results.push((node, damaged.map(drop).map_err(Obstacle::from)));
                }
                results
            }
            _ => match (fault.ailment(), fault.clock()) {
                (Some(ailment), _) => {
                    let felt = nodes.iter().map(|&node| (node, cluster.felt(node, ailment)));
                    *trace = Trace::Disks(felt.collect());
                    act_on_all(nodes, |node| {
                        cluster.set_disk(node, self.force.ailment(node).and(ailment))
                    })
                    .await
                }
                (None, Some(clock)) => {
                    let mut results = Vec::new();
                    for &node in nodes.iter() {
                        let set = cluster.set_clock(node, clock).await;
                        results.push((node, set.map_err(Obstacle::from)));
                    }
                    results
                }
                (None, None) => Vec::new(),
            },
        }
    }

    /// Undoes what a fault did to machines and no other in force wants to stay; returns what went wrong.
    pub(super) async fn mend(&self, ending: &mut Installed, cluster: &Cluster) -> Vec<String> {
        let mut troubles = Vec::new();
        let nodes = self.force.not_held(ending);
        ending.wounds.notes.clear();
        match ending.fault {
            Fault::PowerLoss { .. } => {
                let restarted = cluster.restart(&nodes).await;
                troubles.extend(restarted.err().map(|error| describe_error(&error)));
            }
            Fault::Damage { replaced, .. } => {
                for node in ending.wounds.nodes.clone() {
                    // Who stays dead is not asked what it makes of it.
                    let back = match nodes.contains(&node) {
                        true => cluster.bring_back(node).await.map(Some),
                        false => cluster.restore(node).map(|()| None),
                    };
                    let notes = &mut ending.wounds.notes;
                    match back {
                        Ok(None | Some(Return::StaysOut)) => {}
                        Ok(Some(Return::WithDamage)) => {
                            notes.push(format!("{node} started with it"));
                        }
                        Ok(Some(Return::Refused(words))) if replaced => {
                            notes.push(format!("{node} refused to start: {words}"));
                            ending.refused.push(node);
                        }
                        Ok(Some(Return::Refused(words))) => {
                            let note = format!("{node} refused to start and was restored: {words}");
                            notes.push(note);
                            troubles.extend(give_back(node, cluster).await);
                        }
                        Err(error) => troubles.push(describe_error(&error)),
                    }
                }
            }
            fault if fault.ailment().is_some() => {
                troubles.extend(self.cure(&ending.wounds.nodes, cluster).await);
            }
            _ => {
                for &node in &nodes {
                    let set = cluster.set_clock_right(node).await;
                    troubles.extend(set.err().map(|error| describe_error(&error)));
                }
                return troubles;
            }
        }
        if let Err(Obstacle::Indeterminate(why)) =
            self.stop_again(&ending.wounds.nodes, cluster).await
        {
            troubles.push(why);
        }
        troubles
    }

    /// Notes whom others have replaced of those that refused to start, and gives the rest back what was
    /// damaged; returns what went wrong.
    pub(super) async fn conclude_replacement(
        &self,
        ending: &mut Installed,
        outcome: &Outcome,
        cluster: &Cluster,
    ) -> Vec<String> {
        let mut troubles = Vec::new();
        let doubtful = cluster.doubtful();
        if let Some(Order::Replace(_)) = ending.undo {
            let gone = outcome.gone.iter().map(|node| format!("{node} was replaced"));
            ending.wounds.notes.extend(gone);
        }
        // Who has gone, here or by somebody else's order, is not among them any more.
        let refused = std::mem::take(&mut ending.refused);
        for &node in &refused {
            let fate = match doubtful.contains(&node) {
                true => "stays out until it is clear whether it was replaced",
                false => "was restored, not replaced",
            };
            let note = match &outcome.result {
                FaultResult::Skipped(why) | FaultResult::Indeterminate(why) => {
                    format!("{node} {fate}: {why}")
                }
                FaultResult::Installed => format!("{node} {fate}"),
            };
            ending.wounds.notes.push(note);
            troubles.extend(give_back(node, cluster).await);
        }
        if !outcome.come.is_empty() {
            ending.wounds.notes.push(format!("{} joined", describe_nodes(&outcome.come)));
        }
        if let Err(Obstacle::Indeterminate(why)) = self.stop_again(&refused, cluster).await {
            troubles.push(why);
        }
        troubles
    }

    /// Makes disks as well as the other faults in force allow, and starts again who ended because of
    /// them, unless somebody else wants it dead.
    async fn cure(&self, nodes: &[NodeId], cluster: &Cluster) -> Vec<String> {
        let mut troubles = Vec::new();
        for &node in nodes {
            if let Err(error) = cluster.set_disk(node, self.force.ailment(node)).await {
                troubles.push(describe_error(&error));
            }
        }
        troubles.extend(self.start_again(nodes, cluster).await);
        troubles
    }

    /// Starts those of the nodes again that have ended because of their disks, if these are well and nobody
    /// wants the nodes dead; returns what went wrong.
    pub(super) async fn start_again(&self, nodes: &[NodeId], cluster: &Cluster) -> Vec<String> {
        let dead = self.force.held(Hold::Dead);
        let may_start =
            |node: NodeId| !self.force.ailment(node).is_hopeless() && !dead.contains(&node);
        let asked = nodes.iter().filter(|&&node| may_start(node)).map(|&node| async move {
            cluster.has_given_up(node, END_PATIENCE).await.then_some(node)
        });
        let ended: Vec<NodeId> = join_all(asked).await.into_iter().flatten().collect();
        // Until now somebody might have been about to give up.
        cluster.ease();
        let restarted = cluster.restart(&ended).await;
        restarted.err().map(|error| describe_error(&error)).into_iter().collect()
    }
}

/// Starts a node with the file that was damaged as it had been; returns what went wrong.
async fn give_back(node: NodeId, cluster: &Cluster) -> Option<String> {
    if let Err(error) = cluster.restore(node) {
        return Some(describe_error(&error));
    }
    cluster.restart(&[node]).await.err().map(|error| describe_error(&error))
}
