//! The system under test as a whole: its nodes' processes, the network between them, and who leads.
//!
//! Every action returns when its effect was observed, or says that it was not (H2). Whatever an
//! action did, [`Cluster::heal_all`] undoes (H4), and dropping the cluster ends every process (H1).
//!
//! A run's folder gets one folder for each node, `nodes/n1` and so on, with its configuration, its
//! data and what it printed.

mod clocks;
mod crew;
mod disks;
mod status;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, Mapping, Placement};
use crate::fault::{Camp, Fault};
use crate::network::Network;
use crate::plan::Plan;
use crate::process::{
    Exit, Launch, ProcessError, ProcessState, Processes, Supervisor, UnexpectedExit,
};
use crate::proxy::{PortHold, ProxyError};
use crate::seed::Seed;
use crate::system::{
    self, ClientOrder, DATA, Entry, Listening, NodeId, NodeView, Operator, OrderError, System,
    SystemError,
};

pub use crew::ChangeError;
use crew::Crew;
use disks::Disks;
pub use disks::Return;
pub use status::{ClusterStatus, Leadership, NodeHealth, Rivals};
use status::{Poll, Watcher};

/// How long a signal may take to show its effect. The kernel takes microseconds; a machine that
/// takes this long is in no state to test anything.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);

/// How long a restarted node may take to answer before whoever started it goes on without it. It reads its
/// log first.
const RESTART_DEADLINE: Duration = Duration::from_secs(15);

/// How long to wait between two questions to a node that is starting, or to a cluster that elects.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The cluster could not be started, or an action on it had no visible effect.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The plan names a system that there is not.
    #[error("there is no system {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A folder of the run could not be made.
    #[error("failed to create folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No port could be had.
    #[error("failed to reserve a port")]
    Port(#[source] io::Error),
    /// A node could not be made ready to start.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A link failed.
    #[error(transparent)]
    Network(#[from] ProxyError),
    /// A process could not be acted on.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A node ended while it was to become ready.
    #[error("{node} ended instead of starting: {exit}: {last_words}")]
    Ended {
        /// The node.
        node: NodeId,
        /// How it ended.
        exit: Exit,
        /// What it printed last.
        last_words: Box<str>,
    },
    /// A node runs but does not answer.
    #[error("{node} does not answer {} after its start", humantime::format_duration(*deadline))]
    Mute {
        /// The node.
        node: NodeId,
        /// How long it had.
        deadline: Duration,
    },
    /// A signal showed no effect.
    #[error("{node} shows no effect of {action}")]
    NoEffect {
        /// The node.
        node: NodeId,
        /// What was done to it.
        action: &'static str,
    },
    /// A disk of ours was too small for what a node wrote.
    #[error("{node} wrote more than a disk of ours has room for")]
    Overfull {
        /// The node.
        node: NodeId,
    },
    /// An operator's order had no effect, as far as anybody can tell.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// Nobody knows who is in the cluster.
    #[error("failed to make clear who is in the cluster")]
    Unsettled(#[source] Box<ChangeError>),
    /// There is no disk of ours to be hurt.
    #[error("no disk of ours: {why}")]
    Diskless {
        /// Why not.
        why: Box<str>,
    },
    /// The system does not promise to notice such damage.
    #[error("the system promises nothing of nodes whose files are damaged like that")]
    Heedless,
    /// There is no file that could be damaged so that it matters.
    #[error("{node} has no file that holds enough to be damaged")]
    Unscathed {
        /// The node.
        node: NodeId,
    },
    /// A file could not be damaged, or not be restored.
    #[error("failed to change a file of {node}")]
    Damage {
        /// The node.
        node: NodeId,
        /// Why.
        source: io::Error,
    },
    /// No node leads with a majority behind it.
    #[error("no leader after {}", humantime::format_duration(*deadline))]
    Leaderless {
        /// How long the cluster had.
        deadline: Duration,
        /// What each node said last.
        last: Box<ClusterStatus>,
    },
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    system: Arc<dyn System>,
    /// What nodes are upgraded to.
    upgraded: Option<Arc<dyn System>>,
    /// The name that no other cluster has.
    name: String,
    /// Who began the cluster.
    nodes: Vec<NodeId>,
    /// Whoever may ever be in it.
    slots: BTreeMap<NodeId, Slot>,
    /// How each of those is started that ever were.
    launches: Mutex<BTreeMap<NodeId, (Launch, Entry)>>,
    /// How much each had printed when it was last started.
    printed: Mutex<BTreeMap<NodeId, u64>>,
    crew: watch::Sender<Crew>,
    /// Held while the crew is changed.
    changing: tokio::sync::Mutex<()>,
    watcher: Watcher,
    network: Network,
    disks: Disks,
    /// Whose clocks were set wrong since they were started.
    mistimed: Mutex<BTreeSet<NodeId>>,
    /// When something last ceased to hinder it.
    eased: Mutex<Instant>,
    restart_deadline: Duration,
    supervisor: Supervisor,
    /// How many clients were made.
    clients: AtomicUsize,
}

/// What is fixed about a node.
#[derive(Debug)]
struct Slot {
    folder: PathBuf,
    listening: Listening,
    /// Keeps the node's ports from others while it is down.
    _ports: [PortHold; 2],
}

impl Cluster {
    /// Starts the plan's system, with what it writes under `folder`, and returns when every node
    /// answers. A leader may be yet to come.
    pub async fn start(plan: &Plan, folder: &Path) -> Result<Self, ClusterError> {
        let system = system::by_name(plan)
            .ok_or_else(|| ClusterError::Unknown { name: plan.system.clone() })?;
        Self::start_system(system, plan, folder).await
    }

    /// Starts a system that need not have a name.
    pub async fn start_system(
        system: Arc<dyn System>,
        plan: &Plan,
        folder: &Path,
    ) -> Result<Self, ClusterError> {
        let nodes = NodeId::first(plan.nodes);
        let mut ports = BTreeMap::new();
        let mut listening = BTreeMap::new();
        for node in NodeId::first(plan.nodes + plan.spares()) {
            let reserve = || PortHold::reserve().map_err(ClusterError::Port);
            let held = [reserve()?, reserve()?];
            let [peers, clients] = [&held[0], &held[1]].map(PortHold::address);
            ports.insert(node, held);
            listening.insert(node, Listening { peers, clients });
        }
        let wiring = system.wiring();
        let classify = system.classify().filter(|_| plan.brings(Fault::is_of_messages));
        let seed = plan.seed.derive("network");
        let network = Network::open(listening.clone(), wiring, seed, classify)?;
        let mut slots = BTreeMap::new();
        for (node, ports) in ports {
            let folder = make_folder(folder, node)?;
            slots.insert(node, Slot { folder, listening: listening[&node], _ports: ports });
        }
        let folders =
            slots.iter().map(|(&node, slot): (&NodeId, &Slot)| (node, slot.folder.clone()));
        let disks = match plan.brings(Fault::needs_disk) {
            true => Disks::make(folders.collect()).await,
            false => Disks::default(),
        };
        let supervisor = Supervisor::start()?;
        let members = nodes.iter().copied().collect();
        let crew = watch::Sender::new(Crew { members, ..Crew::default() });
        let poll = Poll::new(&system, &listening, supervisor.processes(), crew.subscribe());
        let cluster = Self {
            watcher: Watcher::start(poll),
            upgraded: system.upgraded(),
            system,
            name: name_cluster(plan),
            nodes,
            slots,
            launches: Mutex::default(),
            printed: Mutex::default(),
            crew,
            changing: tokio::sync::Mutex::default(),
            network,
            disks,
            mistimed: Mutex::default(),
            eased: Mutex::new(Instant::now()),
            restart_deadline: RESTART_DEADLINE,
            supervisor,
            clients: AtomicUsize::default(),
        };
        for &node in &cluster.nodes {
            let entry = || Entry::Founds(cluster.nodes.clone());
            // What an upgrade cannot start is better known before the storm.
            if let Some(upgraded) = &cluster.upgraded {
                upgraded.prepare(&cluster.view(node, entry())?)?;
            }
            cluster.prepare(node, entry(), false)?;
        }
        for &node in &cluster.nodes {
            cluster.relaunch(node).await?;
        }
        for &node in &cluster.nodes {
            cluster.wait_ready(node, plan.recovery_deadline).await?;
        }
        Ok(cluster)
    }

    /// Returns who began the cluster, in order.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Returns where clients of the first camp find each node: through the links that faults act on.
    pub fn client_addresses(&self) -> BTreeMap<NodeId, SocketAddr> {
        self.network.client_addresses(Camp::First)
    }

    /// Makes a client, which reaches the nodes through the links that faults act on; its values take at
    /// least so many bytes.
    pub fn client(
        &self,
        mapping: Mapping,
        value_size: usize,
        placement: Placement,
        seed: Seed,
    ) -> Box<dyn Client> {
        // Every second client is of the other camp.
        let camp = Camp::BOTH[self.clients.fetch_add(1, Ordering::Relaxed) % Camp::BOTH.len()];
        let endpoints = self.network.client_addresses(camp);
        self.system.client(ClientOrder { mapping, value_size, endpoints, placement, seed })
    }

    /// Returns an operator, who reaches the nodes that are up now, past all proxies.
    pub fn operator(&self) -> Box<dyn Operator> {
        let is_up = |node: NodeId| self.supervisor.state(node) == Some(ProcessState::Running);
        let nodes = self.slots.iter().filter(|(node, _)| is_up(**node));
        self.system.operator(nodes.map(|(&node, slot)| (node, slot.listening)).collect())
    }

    /// Returns the links.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns a view of the cluster that is a fraction of a second old at most.
    pub fn status(&self) -> watch::Receiver<ClusterStatus> {
        self.watcher.status()
    }

    /// Asks every node that can answer how it is, now and past all proxies.
    pub async fn poll(&self) -> ClusterStatus {
        let listening = self.slots.iter().map(|(&node, slot)| (node, slot.listening));
        let processes = self.supervisor.processes();
        let crew = self.crew.subscribe();
        Poll::new(&self.system, &listening.collect(), processes, crew).now().await
    }

    /// Waits until a node leads and a majority says that it does.
    pub async fn wait_for_leader(&self, deadline: Duration) -> Result<Leadership, ClusterError> {
        let start = Instant::now();
        loop {
            let status = self.poll().await;
            if let Some(leadership) = status.agreed() {
                return Ok(leadership);
            }
            if start.elapsed() >= deadline {
                let last = Box::new(status);
                return Err(ClusterError::Leaderless { deadline, last });
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Returns what the processes are doing.
    pub fn processes(&self) -> watch::Receiver<Processes> {
        self.supervisor.processes()
    }

    /// Returns the nodes that ended without our doing, in order.
    pub fn unexpected_exits(&self) -> Vec<UnexpectedExit> {
        self.supervisor.processes().borrow().exits.clone()
    }

    /// Kills a node; returns when its process is gone and links to it refuse.
    pub async fn kill(&self, node: NodeId) -> Result<(), ClusterError> {
        observe(node, "SIGKILL", self.supervisor.kill(node)).await?;
        Ok(self.network.set_down(node, true).await?)
    }

    /// Stops a node; returns when all of it has stopped.
    pub async fn pause(&self, node: NodeId) -> Result<(), ClusterError> {
        observe(node, "SIGSTOP", self.supervisor.pause(node)).await
    }

    /// Lets a stopped node go on; returns when it does.
    pub async fn resume(&self, node: NodeId) -> Result<(), ClusterError> {
        let was_stopped = self.supervisor.state(node) == Some(ProcessState::Paused);
        let resumed = observe(node, "SIGCONT", self.supervisor.resume(node)).await;
        if was_stopped {
            self.ease();
        }
        resumed
    }

    /// Starts nodes that are down, side by side, each with the data that it left; returns when all
    /// of them answer. Who has left, or may have, stays out, and of those who may have it is kept that they
    /// were to be started. Does what it can even if some of it fails,
    /// and then returns the first error.
    pub async fn restart(&self, nodes: &[NodeId]) -> Result<(), ClusterError> {
        let mut results = Vec::new();
        let mut launched = Vec::new();
        for &node in nodes.iter().filter(|&&node| self.may_start(node)) {
            match self.relaunch(node).await {
                Ok(()) => launched.push(node),
                Err(error) => results.push(Err(error)),
            }
        }
        let awaited = launched.into_iter().map(|node| async move {
            let ready = self.wait_ready(node, self.restart_deadline).await;
            if was_killed(&ready) {
                // Whoever has killed it meanwhile looks after it.
                return [Ok(()), Ok(())];
            }
            let opened = self.open_links(node, &ready).await;
            // One whose disk ails is started again when that is well.
            let has_given_up =
                self.is_excused(node) && matches!(ready, Err(ClusterError::Ended { .. }));
            [opened, if has_given_up { Ok(()) } else { ready }]
        });
        results.extend(join_all(awaited).await.into_iter().flatten());
        collect(results)
    }

    /// Has a node start on the program that the plan upgrades to, from its next start on.
    pub fn upgrade(&self, node: NodeId) -> Result<(), ClusterError> {
        let (_, entry) = self.launch(node)?;
        self.prepare(node, entry, true)
    }

    /// Returns who starts on the program that the plan upgrades to.
    pub fn upgraded(&self) -> BTreeSet<NodeId> {
        self.crew.borrow().upgraded.clone()
    }

    /// Undoes every fault: opens all links, lets stopped nodes go on, sets clocks right and restarts
    /// members that were killed. A node that ended by itself stays down, and who may be out until
    /// [`settle_members`](Self::settle_members) makes it clear. Does what it can even if some of it fails,
    /// and then returns the first error.
    pub async fn heal_all(&self) -> Result<(), ClusterError> {
        let is_cut = !self.network.modes().await.is_empty();
        self.network.rule_exactly(&BTreeMap::new());
        let healed = self.network.cut_exactly(BTreeSet::new()).await;
        if is_cut {
            self.ease();
        }
        let mut results = vec![healed.map_err(ClusterError::from)];
        results.extend(self.heal_disks().await);
        let mut killed = Vec::new();
        for &node in self.slots.keys() {
            match self.supervisor.state(node) {
                // A pause that was given up on may still take effect, so whoever runs is told, too.
                Some(ProcessState::Running | ProcessState::Paused) => {
                    results.push(self.resume(node).await);
                    results.push(self.set_clock_right(node).await);
                }
                Some(ProcessState::Killed) => killed.push(node),
                // It had a reason to.
                Some(ProcessState::Exited(_)) if self.is_excused(node) => killed.push(node),
                Some(ProcessState::Exited(_)) | None => {}
            }
        }
        results.push(self.restart(&killed).await);
        collect(results)
    }

    /// Notes that something has just ceased to hinder the cluster. Processes that start or go on, disks
    /// that are well, clocks that go right, and who joins or leaves are noted anyway.
    pub(crate) fn ease(&self) {
        *lock(&self.eased) = Instant::now();
    }

    /// Returns when something last ceased to hinder the cluster. If nothing does now, all the time since
    /// was its own.
    pub(crate) fn eased_at(&self) -> Instant {
        *lock(&self.eased)
    }

    /// Ends everything: returns when every process is reaped and nothing listens any more. Says
    /// which nodes had ended by themselves before.
    pub async fn shutdown(self) -> Vec<UnexpectedExit> {
        let exits = self.unexpected_exits();
        self.watcher.shutdown().await;
        self.supervisor.shutdown().await;
        self.network.shutdown().await;
        if self.system.leaves_data() {
            self.disks.export();
        } else {
            for slot in self.slots.values() {
                discard(&slot.folder.join(DATA));
            }
        }
        exits
    }
}

impl Cluster {
    /// Says how a node is to be started: where it listens and whom it finds where.
    fn view(&self, node: NodeId, entry: Entry) -> Result<NodeView, ClusterError> {
        let slot = self.slots.get(&node).ok_or(ProcessError::NotRunning { node })?;
        Ok(NodeView {
            node,
            cluster: self.name.clone(),
            folder: slot.folder.clone(),
            listen: slot.listening,
            peers: self.network.peers_of(node),
            socks: self.network.socks_of(node),
            entry,
        })
    }

    /// Makes a node ready to be started.
    fn prepare(&self, node: NodeId, entry: Entry, on_upgrade: bool) -> Result<(), ClusterError> {
        let view = self.view(node, entry.clone())?;
        let system = match (&self.upgraded, on_upgrade) {
            (Some(upgraded), true) => upgraded,
            _ => &self.system,
        };
        let launch = Launch {
            command: system.prepare(&view)?,
            stdout: view.folder.join("stdout.log"),
            stderr: view.folder.join("stderr.log"),
            disk: self.disks.of(node).cloned(),
            gives_up: system.gives_up(),
        };
        lock(&self.launches).insert(node, (launch, entry));
        self.crew.send_modify(|crew| {
            if on_upgrade {
                crew.upgraded.insert(node);
            } else {
                crew.upgraded.remove(&node);
            }
        });
        Ok(())
    }

    fn is_excused(&self, node: NodeId) -> bool {
        self.supervisor.processes().borrow().excused.contains(&node)
    }

    /// Starts a node that is down and may end by itself, and returns when it answers.
    async fn restart_excused(&self, node: NodeId) -> Result<(), ClusterError> {
        self.begin(node).await?;
        let ready = self.wait_ready(node, self.restart_deadline).await;
        self.open_links(node, &ready).await?;
        ready
    }

    /// Opens the links to a node that was started, unless it is down again. One that runs but is slow must
    /// be reachable as soon as it is not.
    async fn open_links(
        &self,
        node: NodeId,
        ready: &Result<(), ClusterError>,
    ) -> Result<(), ClusterError> {
        if was_killed(ready) || matches!(ready, Err(ClusterError::Ended { .. })) {
            return Ok(());
        }
        Ok(self.network.set_down(node, false).await?)
    }

    async fn relaunch(&self, node: NodeId) -> Result<(), ClusterError> {
        self.supervisor.excuse(node, self.disks.is_hopeless(node)).await?;
        self.begin(node).await
    }

    /// Starts a node's process, which has a new clock.
    async fn begin(&self, node: NodeId) -> Result<(), ClusterError> {
        let (launch, _) = self.launch(node)?;
        self.mistimed().remove(&node);
        lock(&self.printed).insert(node, words::length(&launch.stderr));
        self.supervisor.launch(node, launch).await?;
        self.ease();
        Ok(())
    }

    /// Returns how a node is started, and how it came into the cluster when it first was.
    fn launch(&self, node: NodeId) -> Result<(Launch, Entry), ClusterError> {
        let launches = lock(&self.launches);
        let launch = launches.get(&node).cloned();
        Ok(launch.ok_or(ProcessError::NotRunning { node })?)
    }

    /// Waits until a node answers, or until it is certain that it will not: it has ended, or was killed.
    async fn wait_ready(&self, node: NodeId, deadline: Duration) -> Result<(), ClusterError> {
        let slot = self.slots.get(&node).ok_or(ProcessError::NotRunning { node })?;
        let (Launch { stderr, .. }, _) = self.launch(node)?;
        let mut probe = self.system.probe(slot.listening);
        let start = Instant::now();
        loop {
            match self.supervisor.state(node) {
                Some(ProcessState::Exited(exit)) => {
                    let printed = lock(&self.printed).get(&node).copied().unwrap_or_default();
                    let last_words = words::read(&stderr, printed);
                    return Err(ClusterError::Ended { node, exit, last_words });
                }
                Some(ProcessState::Killed) => return Err(ProcessError::NotRunning { node }.into()),
                _ => {}
            }
            let answer = timeout(status::PROBE_TIMEOUT, probe.is_up()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(());
            }
            if start.elapsed() >= deadline {
                return Err(ClusterError::Mute { node, deadline });
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

/// Tells whether a node that was started has been killed before it was ready.
const fn was_killed(ready: &Result<(), ClusterError>) -> bool {
    matches!(ready, Err(ClusterError::Process(ProcessError::NotRunning { .. })))
}

/// Returns the first error, and logs them all. Of a node that is only slow others come first: it may yet
/// answer.
fn collect(mut results: Vec<Result<(), ClusterError>>) -> Result<(), ClusterError> {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        tracing::error!(%error, "failed to act on the cluster");
    }
    results.sort_by_key(|result| matches!(result, Err(ClusterError::Mute { .. })));
    results.into_iter().collect()
}

/// Waits for an action's effect, but not for ever.
async fn observe(
    node: NodeId,
    action: &'static str,
    effect: impl Future<Output = Result<(), ProcessError>>,
) -> Result<(), ClusterError> {
    match timeout(SIGNAL_DEADLINE, effect).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ClusterError::NoEffect { node, action }),
    }
}

/// Makes up a name that no other cluster has: nodes must not take another run's for their peers.
fn name_cluster(plan: &Plan) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_millis());
    format!("{}-{}-{now}", plan.system, std::process::id())
}

fn make_folder(run: &Path, node: NodeId) -> Result<PathBuf, ClusterError> {
    let make = |path: PathBuf| {
        std::fs::create_dir_all(&path)
            .and_then(|()| path.canonicalize())
            .map_err(|source| ClusterError::Folder { path, source })
    };
    make(run.join("nodes").join(node.to_string()))
}

/// Removes a folder of data, if it is there.
fn discard(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = %folder.display(), "failed to remove a node's data");
        }
        _ => {}
    }
}

/// Locks what is consistent between any two statements that could panic.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
