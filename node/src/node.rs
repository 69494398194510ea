//! One running node: its tasks, how they hang together, and how they end.
//!
//! ```text
//!             peers' streams            clients
//!                   │                      │
//!              PeerService          ClientServices
//!                   └──── inbox ─┐  ┌─ intake ┘
//!   links ◀── outboxes ──────── driver ───── jobs ───▶ storage thread
//!   (two a peer)                   ▲──── persisted ──────┘
//! ```
//!
//! The second link to a peer reads snapshots from the disk by itself; a snapshot that is taken is saved
//! on a thread of its own.
//!
//! Every task ends when the token is cancelled, and none may end before: if one does, the node stops.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::admin::admin_server::AdminServer;
use proto::kv::kv_server::KvServer;
use proto::ledger::ledger_server::LedgerServer;
use proto::raft::raft_server::RaftServer;
use proto::session::session_server::SessionServer;
use raft::{Lease, Limits, NodeId, Replica};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tracing::{info, warn};

use crate::config::{Config, Flaw, Timings};
use crate::data::{Claim, DataFolder};
use crate::driver::clock::Clock;
use crate::driver::task::{Channels, INBOX_MAX, INTAKE_MAX, drive};
use crate::driver::{Applied, Driver, Options, Replicated};
use crate::peers::{self, Link, Outbox};
use crate::services::{COMMAND_MAX, ClientServices, PeerService, Recovery};
use crate::storage::{self, Folder, Snapshots, Storage, Wal};

mod error;

pub use error::NodeError;

/// A server asks a silent connection for a sign of life this often, …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// … and closes it when none comes for so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many adjustments of the clock may wait; whoever makes them makes one at a time.
const ADJUSTMENTS_MAX: usize = 1;
/// How long connections may take to say goodbye when the node stops, and the disk to finish.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// The sockets that a node listens with.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) peers: TcpListener,
    pub(crate) clients: TcpListener,
}

impl Listeners {
    /// Listens where the configuration says.
    pub(crate) async fn bind(config: &Config) -> Result<Self, NodeError> {
        let bind = async |key, address| {
            TcpListener::bind(address).await.map_err(|source| NodeError::Listen {
                key,
                address,
                source,
            })
        };
        let peers = bind("peers", config.listen.peers).await?;
        let clients = bind("clients", config.listen.clients).await?;
        Ok(Self { peers, clients })
    }
}

/// Runs a node until the token is cancelled or it must stop.
pub(crate) async fn run(
    config: Config,
    listeners: Listeners,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let Recovered { driver, storage, recovery, members, data } = recover(&config)?;
    let Storage { jobs, persisted, thread, snapshots } = storage;

    // Whatever ends first, for whatever reason, ends the rest.
    let stop = stop.child_token();
    let mut tasks: JoinSet<Result<(), NodeError>> = JoinSet::new();
    let members = watch::Sender::new(members);
    let outboxes = start_links(&config, &members, &snapshots, &mut tasks, &stop);
    let (to_inbox, inbox) = mpsc::channel(INBOX_MAX);
    let (to_intake, intake) = mpsc::channel(INTAKE_MAX);
    let (to_adjustments, adjustments) = mpsc::channel(ADJUSTMENTS_MAX);
    let clock = if config.adjustable_clock { Clock::adjustable() } else { Clock::sound() };
    let channels =
        Channels { inbox, intake, jobs, persisted, outboxes, members, snapshots, adjustments };
    let (timekeeper, tick, token) = (clock.clone(), config.timings.tick, stop.clone());
    tasks.spawn(async move { Ok(drive(driver, channels, timekeeper, tick, token).await?) });

    let peer = PeerService {
        cluster: config.cluster.clone(),
        id: config.id,
        others: config.others().map(|(id, _)| id).collect(),
        inbox: to_inbox,
        stop: stop.clone(),
    };
    let to_adjustments = config.adjustable_clock.then_some(to_adjustments);
    let client = ClientServices::new(to_intake, recovery, clock, to_adjustments);
    report_ready(&config, &listeners);
    let peers = server().add_service(RaftServer::new(peer));
    let clients = server()
        .add_service(LedgerServer::new(client.clone()))
        .add_service(KvServer::new(client.clone()))
        .add_service(SessionServer::new(client.clone()))
        .add_service(AdminServer::new(client));
    tasks.spawn(serve(peers, listeners.peers, stop.clone()));
    tasks.spawn(serve(clients, listeners.clients, stop.clone()));

    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.map_err(NodeError::Panicked).and_then(|ended| ended);
        let unasked = ended.is_ok() && !stop.is_cancelled();
        // The first failure is the cause of the others.
        result = result.and(ended).and(if unasked { Err(NodeError::Ended) } else { Ok(()) });
        stop.cancel();
    }
    // The driver is gone and with it the sender of writes, so the thread ends, unless the disk hangs.
    // What it then still has to write was promised to nobody.
    match timeout(GOODBYE_MAX, spawn_blocking(|| thread.join())).await {
        Ok(Ok(Ok(Ok(())))) => {}
        // The driver only knows that the thread ended; the thread knows why.
        Ok(Ok(Ok(Err(source)))) => result = Err(NodeError::Storage { folder: data.log(), source }),
        Ok(Ok(Err(_))) => result = Err(NodeError::StoragePanicked),
        Ok(Err(error)) => result = result.and(Err(NodeError::Panicked(error))),
        Err(_) => warn!(node = config.id.0, "the disk does not answer"),
    }
    info!(node = config.id.0, "stopped");
    result
}

/// What a node is made of that its data folder gave.
struct Recovered {
    driver: Driver<Replica>,
    storage: Storage,
    recovery: Recovery,
    /// Who is in the cluster.
    members: BTreeSet<NodeId>,
    /// Keeps the folder locked.
    data: DataFolder,
}

/// Opens the data folder and makes of it what it holds.
fn recover(config: &Config) -> Result<Recovered, NodeError> {
    let ids = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| id.0).collect();
    let claim = Claim {
        cluster: config.cluster.clone(),
        id: config.id.0,
        members: config.beginning.as_ref().map(ids),
        members_default: config.peers.keys().map(|id| id.0).collect(),
    };
    let mut data = DataFolder::open(&config.data, claim)?;
    let folder = data.log();
    let options = storage::Options {
        syncs_appends: !config.flaws.contains(&Flaw::NoFsync),
        ..storage::Options::default()
    };
    let (wal, recovered) = Wal::open(Folder(folder.clone()), options)
        .map_err(|source| NodeError::Open { folder: folder.clone(), source })?;
    let incarnation = data.identify(recovered.records)?;
    report_recovery(config, &recovered);

    let applied =
        match (&recovered.core.snapshot, &recovered.data) {
            (Some(snapshot), Some(data)) => {
                let upto = snapshot.index;
                let state = Replicated::restore(data)
                    .map_err(|source| NodeError::Unrestorable { index: upto, folder, source })?;
                Applied { state, upto }
            }
            _ => Applied::default(),
        };
    let recovery =
        Recovery { snapshot: applied.upto.0, entries: recovered.core.entries.len() as u64 };
    let replica = Replica::new(core_config(config, &data, incarnation), recovered.core)?;
    let members = replica.membership().everybody();
    let options = Options {
        id: config.id,
        known: config.peers.keys().copied().collect(),
        reads_locally: config.flaws.contains(&Flaw::LocalReads),
    };
    options.warn_of_strangers(&members);
    let driver = Driver::new(replica, applied, options);
    let storage = Storage::start(wal)
        .map_err(|source| NodeError::System { action: "start the storage thread", source })?;
    Ok(Recovered { driver, storage, recovery, members, data })
}

fn core_config(config: &Config, data: &DataFolder, incarnation: u64) -> raft::Config {
    // Nodes of a cluster need different draws even if they were all given one seed.
    let seed = config.seed.unwrap_or_else(rand::random).wrapping_add(config.id.0);
    info!(seed, "election timeouts");
    let Timings { tick, heartbeat, election } = config.timings;
    let lease = Lease { tick, drift: config.reads.drift.thousandths() };
    raft::Config {
        id: config.id,
        members: data.members().iter().copied().map(NodeId).collect(),
        election_timeout: config.timings.ticks(election),
        heartbeat_interval: config.timings.ticks(heartbeat),
        // A storm of returning nodes and deaf leaders is what these are for.
        pre_vote: true,
        check_quorum: true,
        lease: config.reads.lease.then_some(lease),
        incarnation,
        seed,
        limits: Limits {
            bytes_per_command: COMMAND_MAX,
            entries_per_snapshot: config.snapshot.entries,
            bytes_per_snapshot: config.snapshot.bytes,
            entries_kept: config.snapshot.keep,
            ..Limits::default()
        },
    }
}

/// Starts two tasks for every node that may be in the cluster: for messages, and for snapshots.
fn start_links(
    config: &Config,
    members: &watch::Sender<BTreeSet<NodeId>>,
    snapshots: &Snapshots,
    tasks: &mut JoinSet<Result<(), NodeError>>,
    stop: &CancellationToken,
) -> BTreeMap<NodeId, Outbox> {
    let mut outboxes = BTreeMap::new();
    for (to, address) in config.others() {
        let (outbox, queues) = peers::queues();
        outboxes.insert(to, outbox);
        let link =
            Link { cluster: config.cluster.clone(), from: config.id, to, address: address.clone() };
        let sending =
            link.clone().send_messages(queues.messages, members.subscribe(), stop.clone());
        tasks.spawn(async {
            sending.await;
            Ok(())
        });
        let sending = link.send_chunks(queues.chunks, snapshots.clone(), stop.clone());
        tasks.spawn(async {
            sending.await;
            Ok(())
        });
    }
    outboxes
}

fn server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

async fn serve(
    router: Router,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    // The server's own `tcp_nodelay` is ignored when it is given its connections.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut serving = std::pin::pin!(
        router.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned())
    );
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = stop.cancelled() => {}
    }
    // A connection to somebody who is cut off never says goodbye.
    timeout(GOODBYE_MAX, serving).await.unwrap_or(Ok(()))?;
    Ok(())
}

fn report_recovery(config: &Config, recovered: &storage::Recovered) {
    let core = &recovered.core;
    info!(
        node = config.id.0,
        term = core.hard_state.term.0,
        vote = core.hard_state.vote.map(|id| id.0),
        snapshot = core.snapshot.as_ref().map(|snapshot| snapshot.index.0),
        entries = core.entries.len(),
        records = recovered.records,
        "recovered"
    );
    if let Some(torn) = &recovered.torn {
        warn!(file = torn.file, offset = torn.offset, bytes = torn.bytes, "torn tail cut off");
    }
    if config.adjustable_clock {
        warn!("anybody who reaches this node can set its clock wrong; it is fit for tests only");
    }
    if !config.flaws.is_empty() {
        warn!(flaws = ?config.flaws, "THIS NODE IS DELIBERATELY FLAWED; it is fit for tests only");
    }
}

fn report_ready(config: &Config, listeners: &Listeners) {
    info!(
        node = config.id.0,
        cluster = config.cluster,
        peers = listeners.peers.local_addr().ok().map(tracing::field::display),
        clients = listeners.clients.local_addr().ok().map(tracing::field::display),
        data = %config.data.display(),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
}

#[cfg(test)]
mod tests;
