//! What this node says to its peers: a connection for messages, and one for pieces of snapshots when
//! there are any.
//!
//! A link may be cut, mute or slow for as long as it likes; the driver never waits for it. What
//! finds no room in the queue is dropped, and what waited when a connection broke is dropped too:
//! it is stale, and the core sends again what matters.

use std::time::Duration;

use proto::raft::RaftMessage;
use proto::raft::raft_client::RaftClient;
use raft::{InstallSnapshot, Message, NodeId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::config::PeerAddress;
use crate::wire;

mod chunks;
mod messages;

/// How many messages may wait for a peer: several times what a core has in flight between two
/// answers, little enough that a link which comes back is not busy with old news.
const MESSAGES_MAX: usize = 512;
/// How many pieces of a snapshot may wait for a peer: they come one at a time, so a second one is
/// already a repetition.
const CHUNKS_MAX: usize = 2;
/// A peer on a local network answers in less; one that does not is tried again.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Between attempts, from the first to the last; a healed link is found again within the latter.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// A connection is asked for a sign of life this often, …
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(500);
/// … and given up when none comes for so long: well beyond a slow link's round trip.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection on which nothing was said for so long is closed, unless it is one for the messages of
/// a member: those are kept, so that an election does not begin with dialling.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Where the driver puts what is for one peer.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) chunks: mpsc::Sender<Chunk>,
}

/// A piece of a snapshot that is yet to be read from the disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// What to say, still without data.
    pub(crate) message: InstallSnapshot,
    /// How many bytes to send at most.
    pub(crate) bytes_max: usize,
}

/// Where a peer's tasks find what they are to send.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) chunks: mpsc::Receiver<Chunk>,
}

/// Makes the queues to one peer.
pub(crate) fn queues() -> (Outbox, Queues) {
    let (to_messages, messages) = mpsc::channel(MESSAGES_MAX);
    let (to_chunks, chunks) = mpsc::channel(CHUNKS_MAX);
    (Outbox { messages: to_messages, chunks: to_chunks }, Queues { messages, chunks })
}

/// Who sends, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// This node.
    pub(crate) from: NodeId,
    /// The peer.
    pub(crate) to: NodeId,
    /// Where the peer is dialled.
    pub(crate) address: PeerAddress,
}

impl Link {
    async fn connect(&self) -> Result<RaftClient<Channel>, ConnectError> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        // Looking up a name is not covered by the endpoint's own limit.
        let channel = timeout(2 * CONNECT_MAX, endpoint.connect()).await??;
        Ok(RaftClient::new(channel))
    }

    fn envelope(&self, message: Message) -> RaftMessage {
        RaftMessage {
            cluster: self.cluster.clone(),
            from: self.from.0,
            to: self.to.0,
            message: Some(wire::message::encode(message)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("failed to connect")]
    Transport(#[from] tonic::transport::Error),
    #[error("failed to connect in time")]
    Mute(#[from] tokio::time::error::Elapsed),
}
