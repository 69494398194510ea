//! How the cluster is: what each node says, who leads, how often that changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cluster::crew::Crew;
use crate::process::{ProcessState, Processes, UnexpectedExit};
use crate::system::{Listening, NodeId, NodeStatus, Probe, Role, System, Terms};

/// How long a node has to answer. On the same machine it takes a millisecond; a node that takes
/// longer than this is too busy to be waited for while others have news.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(300);

/// How often the watcher asks. Often enough not to miss the leader of a short term, seldom enough
/// that nodes do not notice.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// One node as it is seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// What its process does.
    pub process: ProcessState,
    /// What it says; nothing if it does not answer, or is in no state to.
    pub status: Option<NodeStatus>,
}

/// Who leads, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// Its leader.
    pub node: NodeId,
}

/// Nodes that were seen to lead in the same term: what no consensus system may ever show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rivals {
    /// The term.
    pub term: u64,
    /// Its leaders.
    pub nodes: BTreeSet<NodeId>,
}

/// The cluster as it is seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterStatus {
    /// Every node that was started.
    pub nodes: BTreeMap<NodeId, NodeHealth>,
    /// Who is in the cluster, as far as it was us who changed that.
    pub members: BTreeSet<NodeId>,
    /// Who has ended by itself so far without a reason to, in order.
    pub exits: Vec<UnexpectedExit>,
    /// In how many terms a leader was seen, so far. Only the watcher counts; 0 in a single poll.
    pub elections: usize,
    /// How many snapshots nodes have installed that others had sent them, so far: at least so many, for of
    /// a node that ends the last may not have been seen. None if nobody says. Only the watcher counts.
    pub snapshots: Option<u64>,
    /// Terms with more than one leader so far. Only the watcher compares terms over time; a single
    /// poll knows of those that lead at once.
    pub rivals: Vec<Rivals>,
}

impl ClusterStatus {
    /// Returns who leads in the highest term of all who say that they do. A leader that was cut off
    /// may not know that it has been replaced, and one that is new may not be known to others.
    pub fn leader(&self) -> Option<Leadership> {
        self.leaders().max()
    }

    /// Returns the leader if a majority of the members is in its term and says that it leads.
    pub fn agreed(&self) -> Option<Leadership> {
        let leader = self.leader()?;
        let followers = self.nodes.iter().filter(|(node, health)| {
            let says = health.status.as_ref().filter(|_| self.members.contains(node));
            says.is_some_and(|says| says.term == leader.term && says.leader == Some(leader.node))
        });
        (followers.count() > self.members.len() / 2).then_some(leader)
    }

    fn leaders(&self) -> impl Iterator<Item = Leadership> + '_ {
        self.nodes.iter().filter_map(|(&node, health)| {
            let status = health.status.as_ref()?;
            (status.role == Role::Leader).then_some(Leadership { term: status.term, node })
        })
    }
}

/// Leaders by term, as seen over time.
#[derive(Debug)]
struct Reigns {
    leaders: BTreeMap<u64, BTreeSet<NodeId>>,
    terms: Terms,
}

impl Reigns {
    fn new(terms: Terms) -> Self {
        Self { leaders: BTreeMap::new(), terms }
    }

    /// Notes who leads now, writes what is known by now into the status, and returns who is new.
    fn handle(&mut self, status: &mut ClusterStatus) -> Vec<Leadership> {
        let is_new = |it: &Leadership| self.leaders.entry(it.term).or_default().insert(it.node);
        let new = status.leaders().filter(is_new).collect();
        status.elections = self.leaders.len();
        if self.terms == Terms::Applied {
            return new;
        }
        let rivals = self.leaders.iter().filter(|(_, nodes)| nodes.len() > 1);
        let rivals = rivals.map(|(&term, nodes)| Rivals { term, nodes: nodes.clone() });
        status.rivals = rivals.collect();
        new
    }
}

/// Snapshots that were installed, as seen over time.
#[derive(Debug, Default)]
struct Snapshots {
    /// What each process said last.
    said: BTreeMap<NodeId, u64>,
    total: Option<u64>,
}

impl Snapshots {
    /// Takes in what nodes say now, and writes what is known by now into the status. Every process counts
    /// from nothing.
    fn handle(&mut self, status: &mut ClusterStatus) {
        for (node, health) in &status.nodes {
            if !matches!(health.process, ProcessState::Running | ProcessState::Paused) {
                self.said.remove(node);
            }
            let says = health.status.as_ref().and_then(|status| status.snapshots_received);
            if let Some(says) = says {
                let before = self.said.insert(*node, says).filter(|&before| before <= says);
                *self.total.get_or_insert(0) += says - before.unwrap_or(0);
            }
        }
        status.snapshots = self.total;
    }
}

/// Asks all nodes at once.
pub(super) struct Poll {
    probes: BTreeMap<NodeId, Box<dyn Probe>>,
    processes: watch::Receiver<Processes>,
    terms: Terms,
    crew: watch::Receiver<Crew>,
}

impl Poll {
    pub(super) fn new(
        system: &Arc<dyn System>,
        nodes: &BTreeMap<NodeId, Listening>,
        processes: watch::Receiver<Processes>,
        crew: watch::Receiver<Crew>,
    ) -> Self {
        let probe = |(&node, listening): (&NodeId, &Listening)| (node, system.probe(*listening));
        let probes = nodes.iter().map(probe).collect();
        Self { probes, processes, crew, terms: system.terms() }
    }

    /// Asks every node whose process is running.
    pub(super) async fn ask(&mut self) -> ClusterStatus {
        let Processes { states: processes, exits, .. } = self.processes.borrow().clone();
        let members = self.crew.borrow().members.clone();
        let mut status = ClusterStatus { members, exits, ..ClusterStatus::default() };
        let mut asked = JoinSet::new();
        for (node, process) in processes {
            if process == ProcessState::Running
                && let Some(mut probe) = self.probes.remove(&node)
            {
                asked.spawn(async move {
                    let answer = timeout(PROBE_TIMEOUT, probe.status()).await;
                    (node, probe, answer)
                });
            }
            let health = NodeHealth { process, status: None };
            status.nodes.insert(node, health);
        }
        for (node, probe, answer) in asked.join_all().await {
            self.probes.insert(node, probe);
            if let Some(health) = status.nodes.get_mut(&node) {
                health.status = answer.ok().and_then(Result::ok);
            }
        }
        status
    }

    /// Asks once, and knows of rivals only if they lead at once.
    pub(super) async fn now(mut self) -> ClusterStatus {
        let mut status = self.ask().await;
        Reigns::new(self.terms).handle(&mut status);
        status.elections = 0;
        status
    }
}

/// The task that asks all nodes again and again. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    status: watch::Receiver<ClusterStatus>,
    end: DropGuard,
    task: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(poll: Poll) -> Self {
        let (publish, status) = watch::channel(ClusterStatus::default());
        let token = CancellationToken::new();
        let watch = watch_cluster(poll, publish);
        let end = token.clone();
        let task = tokio::spawn(async move {
            end.run_until_cancelled(watch).await;
        });
        Self { status, end: token.drop_guard(), task }
    }

    pub(super) fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.status.clone()
    }

    pub(super) async fn shutdown(self) {
        drop(self.end);
        // An error means that the task panicked, which the log tells of.
        let _ = self.task.await;
    }
}

async fn watch_cluster(mut poll: Poll, publish: watch::Sender<ClusterStatus>) {
    let mut reigns = Reigns::new(poll.terms);
    let mut snapshots = Snapshots::default();
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut status = poll.ask().await;
        snapshots.handle(&mut status);
        for Leadership { term, node } in reigns.handle(&mut status) {
            let is_rival = status.rivals.iter().any(|rivals| rivals.term == term);
            tracing::info!(%node, term, is_rival, "leader seen");
        }
        publish.send_replace(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that says that it is in a term, and who leads it; it leads if it names itself.
    fn health(node: u64, term: u64, leader: Option<u64>) -> (NodeId, NodeHealth) {
        let role = match leader {
            Some(leader) if leader == node => Role::Leader,
            Some(_) => Role::Follower,
            None => Role::Candidate,
        };
        let status = NodeStatus {
            role,
            term,
            leader: leader.map(NodeId::new),
            last_log_index: 0,
            commit_index: 0,
            last_applied: 0,
            recovered_entries: 0,
            snapshots_received: None,
            version: String::new(),
        };
        let health = NodeHealth { process: ProcessState::Running, status: Some(status) };
        (NodeId::new(node), health)
    }

    fn silent(node: u64) -> (NodeId, NodeHealth) {
        let health = NodeHealth { process: ProcessState::Paused, status: None };
        (NodeId::new(node), health)
    }

    fn status(nodes: impl IntoIterator<Item = (NodeId, NodeHealth)>) -> ClusterStatus {
        let nodes: BTreeMap<_, _> = nodes.into_iter().collect();
        let members = nodes.keys().copied().collect();
        ClusterStatus { nodes, members, ..ClusterStatus::default() }
    }

    #[test]
    fn the_leader_of_the_highest_term_leads() {
        let old = [health(1, 3, Some(1)), health(2, 4, Some(2)), silent(3)];
        let leader = status(old).leader().unwrap();
        assert_eq!((leader.term, leader.node), (4, NodeId::new(2)));
        assert_eq!(status([health(1, 9, None), silent(2)]).leader(), None);
    }

    #[test]
    fn a_majority_has_to_agree() {
        let two = [health(1, 3, Some(1)), health(2, 3, Some(1))];
        let agreed = |third| status(two.clone().into_iter().chain([third])).agreed();
        assert!(agreed(silent(3)).is_some());
        let alone = [health(1, 3, Some(1)), health(2, 2, Some(1)), silent(3)];
        assert_eq!(status(alone).agreed(), None);
        let replaced = [health(1, 3, Some(1)), health(2, 3, Some(1)), health(3, 4, Some(3))];
        assert_eq!(status(replaced).agreed(), None);
        let half = [health(1, 1, Some(1)), health(2, 1, Some(1)), silent(3), silent(4)];
        assert_eq!(status(half).agreed(), None);
    }

    #[test]
    fn reigns_are_counted_and_rivals_are_seen_however_far_apart() {
        let mut reigns = Reigns::new(Terms::Own);
        let mut see = |nodes: Vec<_>| {
            let mut status = status(nodes);
            reigns.handle(&mut status);
            (status.elections, status.rivals)
        };
        assert_eq!(see(vec![health(1, 1, None)]), (0, vec![]));
        assert_eq!(see(vec![health(1, 2, Some(1))]), (1, vec![]));
        assert_eq!(see(vec![health(1, 2, Some(1)), health(2, 3, Some(2))]), (2, vec![]));
        let rivals = Rivals { term: 2, nodes: [1, 3].map(NodeId::new).into() };
        assert_eq!(see(vec![health(3, 2, Some(3))]), (2, vec![rivals]));
    }

    #[test]
    fn snapshots_are_counted_over_the_lives_of_processes() {
        let mut snapshots = Snapshots::default();
        let mut see = |says: Option<u64>, process| {
            let (node, mut health) = health(1, 1, None);
            health.process = process;
            match (says, &mut health.status) {
                (Some(_), Some(status)) => status.snapshots_received = says,
                _ => health.status = None,
            }
            let mut status = status([(node, health)]);
            snapshots.handle(&mut status);
            status.snapshots
        };
        let (running, killed) = (ProcessState::Running, ProcessState::Killed);
        assert_eq!(see(None, running), None);
        assert_eq!(see(Some(0), running), Some(0));
        assert_eq!(see(Some(2), running), Some(2));
        assert_eq!(see(None, ProcessState::Paused), Some(2));
        assert_eq!(see(Some(2), running), Some(2));
        // It was killed and has started anew, which was seen or shows in the number.
        assert_eq!(see(None, killed), Some(2));
        assert_eq!(see(Some(2), running), Some(4));
        assert_eq!(see(Some(1), running), Some(5));
    }

    #[test]
    fn terms_that_lag_behind_make_no_rivals() {
        let mut reigns = Reigns::new(Terms::Applied);
        for leader in [1, 2] {
            let mut status = status([health(leader, 2, Some(leader))]);
            assert_eq!(reigns.handle(&mut status).len(), 1);
            assert_eq!((status.elections, status.rivals), (1, vec![]));
        }
    }
}
