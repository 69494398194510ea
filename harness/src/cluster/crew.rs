//! Who is in the cluster: nodes leave, join, and are taken out of the game.
//!
//! A storm must never take a majority away for good. What a kill takes comes back with its data; what
//! leaves the cluster does not. So, whatever else is in force:
//!
//! - One change is under way at a time, and none while it is not clear what became of an earlier one.
//! - Nobody leaves unless those who stay, and run just now, are a majority of those who stay, and those
//!   who stay are at least a majority of those who began. Nobody joins unless those who run are a
//!   majority with the newcomer counted among the votes.
//! - A node's data are thrown away after the cluster has decided that it is out, and not before. What is
//!   unclear is made clear by ordering it again: to remove who is out already is `Ok`, and decided.
//! - Who comes is empty and has a name that nobody in the cluster has. A name is used again when its
//!   earlier bearer is dead, its connections are cut off and no stopped node may still hold words of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, ClusterError};
use crate::process::ProcessState;
use crate::system::{Entry, Joining, Leaving, NodeId, OrderError};

/// How long a newcomer that ended because somebody did not know it waits before it is started again: what
/// kept the others from hearing of it takes longer than that to pass.
const START_AGAIN: Duration = Duration::from_millis(200);

/// What stays when a node's data are thrown away: what it printed.
const LOGS: [&str; 2] = ["stdout.log", "stderr.log"];

/// A change of who is in the cluster did not come about, as far as anybody can tell.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It was not tried, or the cluster refused it: nothing has changed.
    #[error("{why}")]
    Refused {
        /// Why.
        why: Box<str>,
    },
    /// The cluster refused to let a node go that had been stopped for it, and was started again: nothing
    /// has changed, but that one was down meanwhile.
    #[error(transparent)]
    TakenBack(OrderError),
    /// Nobody knows what became of it. It will be settled by the next change, or when all is healed.
    #[error(transparent)]
    Unclear(OrderError),
    /// A node could not be started, or its data not be thrown away.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// Who is in the cluster, and who may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Crew {
    /// Who votes.
    pub(super) members: BTreeSet<NodeId>,
    /// Who is to be out, but may be in.
    pub(super) doubtful: BTreeSet<NodeId>,
    /// Who of those was to be started meanwhile, and is if it turns out to stay.
    pub(super) awaited: BTreeSet<NodeId>,
    /// Who was in once.
    pub(super) former: BTreeSet<NodeId>,
    /// Who starts on the program that the plan upgrades to.
    pub(super) upgraded: BTreeSet<NodeId>,
}

impl Crew {
    /// Tells whether a node is in the cluster, and is to be.
    pub(super) fn stays(&self, node: NodeId) -> bool {
        self.members.contains(&node) && !self.doubtful.contains(&node)
    }
}

fn refused<T>(why: impl Into<Box<str>>) -> Result<T, ChangeError> {
    Err(ChangeError::Refused { why: why.into() })
}

impl From<OrderError> for ChangeError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Refused { .. } => Self::Refused { why: error.to_string().into() },
            OrderError::Unclear { .. } => Self::Unclear(error),
        }
    }
}

impl Cluster {
    /// Returns who is in the cluster, in order.
    pub fn members(&self) -> Vec<NodeId> {
        self.crew.borrow().members.iter().copied().collect()
    }

    /// Returns of whom nobody knows whether they are in it, in order; some of them are among the members.
    pub fn doubtful(&self) -> Vec<NodeId> {
        self.crew.borrow().doubtful.iter().copied().collect()
    }

    /// Starts an empty node under a name that nobody has, and has the cluster give it a vote; returns
    /// who it is when that is decided.
    pub async fn admit(&self, patience: Duration) -> Result<NodeId, ChangeError> {
        let _alone = self.changing.lock().await;
        self.settle(patience).await?;
        self.bring_in(patience).await
    }

    async fn bring_in(&self, patience: Duration) -> Result<NodeId, ChangeError> {
        let crew = self.crew.borrow().clone();
        let Some(node) = self.find_spare(&crew) else {
            return refused("no name is left for another node");
        };
        let states = self.processes().borrow().states.clone();
        let is_stopped = |member| states.get(member) == Some(&ProcessState::Paused);
        if crew.former.contains(&node) && crew.members.iter().any(is_stopped) {
            return refused(format!("a stopped node may hold words of an earlier {node}"));
        }
        check_majority(&crew.members, &states, crew.members.len() + 1, 1)?;

        let everybody = crew.members.iter().copied().chain([node]).collect();
        self.throw_away(node)?;
        self.prepare(node, Entry::Joins(everybody), self.is_mostly_upgraded())?;
        let joining = self.operator().joining();
        let added = match joining {
            Joining::StartFirst => match self.start_newcomer(node).await {
                Ok(()) => self.operator().add(node, deadline(patience)).await,
                Err(error) => {
                    self.discard(node).await?;
                    return Err(error.into());
                }
            },
            Joining::AddFirst => self.operator().add(node, deadline(patience)).await,
        };
        match added {
            Ok(()) => {
                self.crew.send_modify(|crew| {
                    crew.members.insert(node);
                });
                tracing::info!(%node, "node joined");
                self.ease();
            }
            Err(error) => {
                // It may have been left without a vote, or be given one yet.
                self.crew.send_modify(|crew| {
                    crew.doubtful.insert(node);
                });
                let refused = matches!(error, OrderError::Refused { .. });
                if refused {
                    self.settle(patience).await?;
                }
                return Err(error.into());
            }
        }
        if joining == Joining::AddFirst
            && let Err(error) = self.start_added(node, patience).await
        {
            // It has a vote and cannot use it.
            self.crew.send_modify(|crew| {
                crew.doubtful.insert(node);
            });
            return Err(error.into());
        }
        Ok(node)
    }

    /// Has the cluster take a node's vote, and takes the node out of the game with everything that it
    /// knew; returns when that is decided and done.
    pub async fn dismiss(&self, node: NodeId, patience: Duration) -> Result<(), ChangeError> {
        let _alone = self.changing.lock().await;
        self.settle(patience).await?;
        self.send_off(node, patience).await
    }

    /// Admits a node and then dismisses another, with no change in between; returns who joined, if anybody
    /// did, and whether the other left. Nobody joins in the place of one who is not in the cluster.
    pub async fn replace(
        &self,
        node: NodeId,
        patience: Duration,
    ) -> (Option<NodeId>, Result<(), ChangeError>) {
        let _alone = self.changing.lock().await;
        if let Err(error) = self.settle(patience).await {
            return (None, Err(error));
        }
        if !self.crew.borrow().members.contains(&node) {
            return (None, refused(format!("{node} is not in the cluster")));
        }
        match self.bring_in(patience).await {
            Ok(newcomer) => (Some(newcomer), self.send_off(node, patience).await),
            Err(error) => (None, Err(error)),
        }
    }

    async fn send_off(&self, node: NodeId, patience: Duration) -> Result<(), ChangeError> {
        let members = self.crew.borrow().members.clone();
        if !members.contains(&node) {
            return refused(format!("{node} is not in the cluster"));
        }
        let staying: BTreeSet<NodeId> = members.into_iter().filter(|&it| it != node).collect();
        let least = self.nodes.len() / 2 + 1;
        if staying.len() < least {
            return refused(format!("fewer than {least} would be left"));
        }
        let states = self.processes().borrow().states.clone();
        check_majority(&staying, &states, staying.len(), 0)?;

        // From here on it may be out, so nobody is to start it.
        self.crew.send_modify(|crew| {
            crew.doubtful.insert(node);
        });
        let was_alive =
            matches!(states.get(&node), Some(ProcessState::Running | ProcessState::Paused));
        let stops_first = self.operator().leaving() == Leaving::StopFirst;
        if stops_first && was_alive {
            self.stop_for_good(node).await?;
        }
        match self.operator().remove(node, deadline(patience)).await {
            Ok(()) => self.forget(node).await,
            Err(error @ OrderError::Refused { .. }) => {
                let mut is_awaited = false;
                self.crew.send_modify(|crew| {
                    crew.doubtful.remove(&node);
                    is_awaited = crew.awaited.remove(&node);
                });
                if is_awaited || (stops_first && was_alive) {
                    self.restart(&[node]).await?;
                    return Err(ChangeError::TakenBack(error));
                }
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes clear what became of earlier changes: who may be in and is to be out is removed.
    pub async fn settle_members(&self, patience: Duration) -> Result<(), ChangeError> {
        let _alone = self.changing.lock().await;
        self.settle(patience).await
    }

    async fn settle(&self, patience: Duration) -> Result<(), ChangeError> {
        let doubtful = self.crew.borrow().doubtful.clone();
        for node in doubtful {
            if self.operator().leaving() == Leaving::StopFirst {
                self.stop_for_good(node).await?;
            }
            self.operator().remove(node, deadline(patience)).await?;
            self.forget(node).await?;
        }
        Ok(())
    }

    /// Takes note that a node is out, and takes it out of the game.
    async fn forget(&self, node: NodeId) -> Result<(), ChangeError> {
        self.crew.send_modify(|crew| {
            crew.members.remove(&node);
            crew.doubtful.remove(&node);
            crew.awaited.remove(&node);
        });
        tracing::info!(%node, "node left");
        self.ease();
        Ok(self.discard(node).await?)
    }

    /// Takes a node that is in no membership out of the game, with its connections and its data.
    async fn discard(&self, node: NodeId) -> Result<(), ClusterError> {
        self.crew.send_modify(|crew| {
            crew.former.insert(node);
        });
        self.stop_for_good(node).await?;
        self.network.sever(node).await?;
        self.throw_away(node)
    }

    /// Kills a node that is not to be started again, if it is not down already.
    async fn stop_for_good(&self, node: NodeId) -> Result<(), ClusterError> {
        match self.kill(node).await {
            // Whatever the others have to do without it, they can from now on.
            Ok(()) => {
                self.ease();
                Ok(())
            }
            Err(ClusterError::Process(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells whether a node is in the cluster, and is to be. If nobody knows that just now, takes note
    /// that it is to be started if it turns out so.
    pub(super) fn may_start(&self, node: NodeId) -> bool {
        self.crew
            .send_if_modified(|crew| crew.doubtful.contains(&node) && crew.awaited.insert(node));
        self.crew.borrow().stays(node)
    }

    async fn start_newcomer(&self, node: NodeId) -> Result<(), ClusterError> {
        self.relaunch(node).await?;
        self.network.set_down(node, false).await?;
        self.wait_ready(node, self.restart_deadline).await
    }

    /// Starts a node that has its vote already. It asks somebody who is in the cluster, and ends if that
    /// one has not heard of it yet: so it may end until it has once been up.
    async fn start_added(&self, node: NodeId, patience: Duration) -> Result<(), ClusterError> {
        let start = Instant::now();
        self.supervisor.excuse(node, true).await?;
        loop {
            match self.restart_excused(node).await {
                Err(ClusterError::Ended { exit, .. })
                    if self.is_excused(node) && start.elapsed() < patience =>
                {
                    tracing::info!(%node, %exit, "newcomer tries again");
                    sleep(START_AGAIN).await;
                }
                ready => {
                    self.supervisor.excuse(node, self.disks.is_hopeless(node)).await?;
                    return ready;
                }
            }
        }
    }

    /// Finds a name for a newcomer: one that was never used, if there is one.
    fn find_spare(&self, crew: &Crew) -> Option<NodeId> {
        let is_free = |node: &NodeId| !crew.members.contains(node) && !crew.doubtful.contains(node);
        let mut free: Vec<NodeId> = self.slots.keys().copied().filter(is_free).collect();
        free.sort_by_key(|node| crew.former.contains(node));
        free.first().copied()
    }

    fn is_mostly_upgraded(&self) -> bool {
        let crew = self.crew.borrow();
        crew.upgraded.intersection(&crew.members).count() > crew.members.len() / 2
    }

    /// Throws away everything in a node's folder but what it printed.
    fn throw_away(&self, node: NodeId) -> Result<(), ClusterError> {
        let Some(slot) = self.slots.get(&node) else {
            return Ok(());
        };
        empty_folder(&slot.folder)
            .and_then(|()| self.disks.wipe(node))
            .map_err(|source| ClusterError::Folder { path: slot.folder.clone(), source })
    }
}

/// Checks that those of the members that run are a majority of so many votes, so many newcomers included.
fn check_majority(
    members: &BTreeSet<NodeId>,
    states: &BTreeMap<NodeId, ProcessState>,
    votes: usize,
    newcomers: usize,
) -> Result<(), ChangeError> {
    let is_running = |node: &&NodeId| states.get(node) == Some(&ProcessState::Running);
    let running = members.iter().filter(is_running).count() + newcomers;
    if running <= votes / 2 {
        return refused(format!("{running} running nodes would be no majority of {votes}"));
    }
    Ok(())
}

fn deadline(patience: Duration) -> std::time::Instant {
    std::time::Instant::now() + patience
}

fn empty_folder(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if LOGS.iter().any(|log| entry.file_name() == *log) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
