//! One connection to one node, proven before anything is sent on it.
//!
//! A channel of the RPC library dials anew whenever its connection breaks, behind the caller's back
//! and with the next request already in hand. Then nobody can tell a request that was never written
//! from one that was. So a connection here is made once: its connector has one socket to give, and a
//! request that finds it broken fails with [`Spent`], which proves that it was not sent.
//!
//! A socket alone proves little: a proxy accepts connections for a node that is gone. Before a
//! connection counts, the node has answered a question on it that changes nothing. So what a dead or
//! mute node costs is a definite `fail`, and `info` is left for operations that were really under way.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use proto::admin::admin_client::AdminClient;
use proto::admin::{Role, StatusRequest, StatusResponse};
use proto::raft::Membership;
use serde::Serialize;
use tokio::net::TcpStream;
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

/// The longest that a node may take to accept a connection and answer the first question.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A connection on which a node has answered.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Where requests go.
    pub(super) channel: Channel,
    /// What the node says it is.
    pub(super) node: u64,
}

/// There is no connection. No operation has been sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address makes no sense.
    #[error("failed to understand the address")]
    Address(#[source] tonic::transport::Error),
    /// Nobody accepted.
    #[error("failed to connect: {0}")]
    Dial(#[source] io::Error),
    /// The RPC library did not take the socket.
    #[error("failed to begin HTTP/2")]
    Handshake(#[source] tonic::transport::Error),
    /// The connection stood, but the node did not answer on it.
    #[error("failed to get a sign of life: {}", _0.message())]
    Probe(#[source] Box<Status>),
    /// It took too long.
    #[error("failed to connect in time")]
    Time,
}

/// The one socket of a connector has been given away.
#[derive(Debug, thiserror::Error)]
#[error("the connection is gone and this request was not sent")]
pub(super) struct Spent;

/// Connects and waits for the node's sign of life, as long as [`in_time`] allows.
pub(super) async fn connect(address: &str, deadline: Instant) -> Result<Connection, ConnectError> {
    in_time(deadline, dial(address)).await
}

/// Dials for as long as a node may take. Half of what is left until the deadline may pass, so that a
/// node elsewhere can still be tried.
pub(crate) async fn in_time<T>(
    deadline: Instant,
    dialling: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let dialled = tokio::time::timeout((left / 2).min(CONNECT_MAX), dialling).await;
    dialled.unwrap_or(Err(ConnectError::Time))
}

async fn dial(address: &str) -> Result<Connection, ConnectError> {
    let (channel, status) = greet(address).await?;
    Ok(Connection { channel, node: status.id })
}

/// Connects and asks the node how it is.
async fn greet(address: &str) -> Result<(Channel, StatusResponse), ConnectError> {
    let channel = connect_once(address).await?;
    let status = AdminClient::new(channel.clone())
        .status(StatusRequest {})
        .await
        .map_err(|status| ConnectError::Probe(Box::new(status)))?;
    Ok((channel, status.into_inner()))
}

/// Connects. The channel never dials anew; see [`is_unsent`]. Nobody has answered on it yet.
pub(crate) async fn connect_once(address: &str) -> Result<Channel, ConnectError> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(ConnectError::Address)?;
    let socket = TcpStream::connect(address).await.map_err(ConnectError::Dial)?;
    socket.set_nodelay(true).map_err(ConnectError::Dial)?;
    endpoint.connect_with_connector(OneSocket(Some(socket))).await.map_err(ConnectError::Handshake)
}

/// Tells whether the channel had no connection left and so had nothing to write the request to.
pub(crate) fn is_unsent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<Spent>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// The node's number.
    pub id: u64,
    /// `follower`, `candidate` or `leader`.
    pub role: &'static str,
    /// Its term.
    pub term: u64,
    /// Whom it takes for the leader; 0 for nobody.
    pub leader: u64,
    /// The last entry of its log.
    pub last_log_index: u64,
    /// The last entry that it knows to be committed.
    pub commit_index: u64,
    /// The last entry that it has applied.
    pub last_applied: u64,
    /// How many entries it read from its disk when it started.
    pub recovered_entries: u64,
    /// The last entry of the snapshot that it started from; 0 if there was none.
    pub recovered_snapshot: u64,
    /// The version that it says it is.
    pub version: String,
    /// Who is in the cluster, as far as it knows; it may not be decided yet.
    pub membership: Members,
    /// The first entry that is still in its log.
    pub first_log_index: u64,
    /// The last entry that its newest snapshot includes; 0 without one.
    pub snapshot_index: u64,
    /// How many snapshots it was sent and has installed since it started.
    pub snapshots_received: u64,
    /// How far the others' logs are known to match, if it leads.
    pub followers: BTreeMap<u64, u64>,
}

/// Who is in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Members {
    /// Who votes, or will once nobody is outgoing any more.
    pub voters: BTreeSet<u64>,
    /// Who voted before, while the cluster passes from some voters to others.
    pub outgoing: BTreeSet<u64>,
    /// Who is sent the log without a vote.
    pub learners: BTreeSet<u64>,
}

impl From<Membership> for Members {
    fn from(membership: Membership) -> Self {
        Self {
            voters: membership.voters.into_iter().collect(),
            outgoing: membership.outgoing.into_iter().collect(),
            learners: membership.learners.into_iter().collect(),
        }
    }
}

impl From<Members> for Membership {
    fn from(members: Members) -> Self {
        Self {
            voters: members.voters.into_iter().collect(),
            outgoing: members.outgoing.into_iter().collect(),
            learners: members.learners.into_iter().collect(),
        }
    }
}

/// Asks a node how it is, over a connection of its own.
pub async fn ask_status(address: &str, deadline: Instant) -> Result<NodeReport, ConnectError> {
    let status = tokio::time::timeout_at(deadline.into(), greet(address)).await;
    let (_, status) = status.unwrap_or(Err(ConnectError::Time))?;
    let role = match status.role() {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Unspecified => "unknown",
    };
    Ok(NodeReport {
        id: status.id,
        role,
        term: status.term,
        leader: status.leader,
        last_log_index: status.last_log_index,
        commit_index: status.commit_index,
        last_applied: status.last_applied,
        recovered_entries: status.recovered_entries,
        recovered_snapshot: status.recovered_snapshot,
        version: status.version,
        membership: status.membership.unwrap_or_default().into(),
        first_log_index: status.first_log_index,
        snapshot_index: status.snapshot_index,
        snapshots_received: status.snapshots_received,
        followers: status
            .followers
            .into_iter()
            .map(|follower| (follower.id, follower.match_index))
            .collect(),
    })
}

/// A connector that has one socket to give.
struct OneSocket(Option<TcpStream>);

impl Service<Uri> for OneSocket {
    type Response = TokioIo<TcpStream>;
    type Error = Spent;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Spent>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Spent>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.take().map(TokioIo::new).ok_or(Spent);
        Box::pin(std::future::ready(socket))
    }
}

impl fmt::Debug for OneSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneSocket").field(&self.0.is_some()).finish()
    }
}
