//! One running node: its tasks, how they hang together, and how they end.
//!
//! ```text
//!             peers' streams            clients
//!                   │                      │
//!              PeerService          ClientServices
//!                   └──── inbox ─┐  ┌─ intake ┘
//!   links ◀── outboxes ──────── driver ──── writes ──▶ storage thread
//!   (one a peer)                   ▲──── persisted ──────┘
//! ```
//!
//! Every task ends when the token is cancelled, and none may end before: if one does, the node stops.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proto::admin::admin_server::AdminServer;
use proto::kv::kv_server::KvServer;
use proto::ledger::ledger_server::LedgerServer;
use proto::raft::raft_server::RaftServer;
use proto::session::session_server::SessionServer;
use raft::{Limits, NodeId, Replica};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tracing::{info, warn};

use crate::config::{Config, Flaw};
use crate::data::{DataError, DataFolder, Identity};
use crate::driver::task::{Channels, INBOX_MAX, INTAKE_MAX, drive};
use crate::driver::{Driver, DriverError, Options};
use crate::peers::{Link, OUTBOX_MAX};
use crate::services::{ClientServices, PeerService};
use crate::storage::{self, Folder, Recovered, Storage, StorageError, Wal};

/// A server asks a silent connection for a sign of life this often, …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// … and closes it when none comes for so long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may take to say goodbye when the node stops, and the disk to finish.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An address cannot be listened at.
    #[error("`listen.{key}`: failed to listen at {address}; is another process using the port?")]
    Listen {
        /// The key in the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The data folder is of no use.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The log cannot be opened.
    #[error("`data`: failed to open the log in {}", folder.display())]
    Open {
        /// The log's folder.
        folder: std::path::PathBuf,
        /// What is wrong.
        source: StorageError,
    },
    /// The log can no longer be written.
    #[error("the log in {}", folder.display())]
    Storage {
        /// The log's folder.
        folder: std::path::PathBuf,
        /// What is wrong.
        source: StorageError,
    },
    /// The core refuses what was recovered.
    #[error("failed to start from the recovered log")]
    Recovered(#[from] raft::StartError),
    /// The driver had to stop.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A server failed.
    #[error("failed to serve")]
    Serve(#[from] tonic::transport::Error),
    /// A thread or a runtime cannot be had.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A task panicked: an assertion failed, and a node that doubts itself stops.
    #[error("a task failed: {0}")]
    Panicked(JoinError),
    /// The storage thread panicked.
    #[error("the storage thread failed")]
    StoragePanicked,
    /// A task ended that should not have.
    #[error("a task ended before the node was stopped")]
    Ended,
}

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
    let identity = Identity {
        cluster: config.cluster.clone(),
        id: config.id.0,
        members: config.peers.keys().map(|id| id.0).collect(),
    };
    let mut data = DataFolder::open(&config.data, identity)?;
    let folder = data.log();
    let (wal, recovered) = Wal::open(Folder(folder.clone()), storage::Options::default())
        .map_err(|source| NodeError::Open { folder: folder.clone(), source })?;
    data.identify(recovered.records)?;
    report_recovery(&config, &recovered);

    let recovered_entries = recovered.entries.len() as u64;
    let replica = Replica::new(core_config(&config), recovered.hard_state, recovered.entries)?;
    let reads_locally = config.flaws.contains(&Flaw::LocalReads);
    let driver = Driver::new(replica, Options { id: config.id, reads_locally });
    let Storage { writes, persisted, thread } = Storage::start(wal)
        .map_err(|source| NodeError::System { action: "start the storage thread", source })?;

    // Whatever ends first, for whatever reason, ends the rest.
    let stop = stop.child_token();
    let mut tasks: JoinSet<Result<(), NodeError>> = JoinSet::new();
    let outboxes = start_links(&config, &mut tasks, &stop);
    let (to_inbox, inbox) = mpsc::channel(INBOX_MAX);
    let (to_intake, intake) = mpsc::channel(INTAKE_MAX);
    let channels = Channels { inbox, intake, writes, persisted, outboxes };
    let (tick, token) = (config.timings.tick, stop.clone());
    tasks.spawn(async move { Ok(drive(driver, channels, tick, token).await?) });

    let peer = PeerService {
        cluster: config.cluster.clone(),
        id: config.id,
        others: config.others().map(|(id, _)| id).collect(),
        inbox: to_inbox,
        stop: stop.clone(),
    };
    let client = ClientServices::new(to_intake, recovered_entries);
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
        Ok(Ok(Ok(Err(source)))) => result = Err(NodeError::Storage { folder, source }),
        Ok(Ok(Err(_))) => result = Err(NodeError::StoragePanicked),
        Ok(Err(error)) => result = result.and(Err(NodeError::Panicked(error))),
        Err(_) => warn!(node = config.id.0, "the disk does not answer"),
    }
    info!(node = config.id.0, "stopped");
    result
}

fn core_config(config: &Config) -> raft::Config {
    // Nodes of a cluster need different draws even if they were all given one seed.
    let seed = config.seed.unwrap_or_else(rand::random).wrapping_add(config.id.0);
    info!(seed, "election timeouts");
    raft::Config {
        id: config.id,
        members: config.peers.keys().copied().collect(),
        election_timeout: config.timings.ticks(config.timings.election),
        heartbeat_interval: config.timings.ticks(config.timings.heartbeat),
        // A storm of returning nodes and deaf leaders is what these are for.
        pre_vote: true,
        check_quorum: true,
        seed,
        limits: Limits::default(),
    }
}

fn start_links(
    config: &Config,
    tasks: &mut JoinSet<Result<(), NodeError>>,
    stop: &CancellationToken,
) -> BTreeMap<NodeId, mpsc::Sender<raft::Message>> {
    let mut outboxes = BTreeMap::new();
    for (to, address) in config.others() {
        let (sender, outbox) = mpsc::channel(OUTBOX_MAX);
        outboxes.insert(to, sender);
        let link =
            Link { cluster: config.cluster.clone(), from: config.id, to, address: address.clone() };
        let stop = stop.clone();
        tasks.spawn(async move {
            link.run(outbox, stop).await;
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

fn report_recovery(config: &Config, recovered: &Recovered) {
    info!(
        node = config.id.0,
        term = recovered.hard_state.term.0,
        vote = recovered.hard_state.vote.map(|id| id.0),
        entries = recovered.entries.len(),
        records = recovered.records,
        "recovered"
    );
    if let Some(torn) = &recovered.torn {
        warn!(file = torn.file, offset = torn.offset, bytes = torn.bytes, "torn tail cut off");
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
