//! One task for each peer: it keeps a connection and sends down it what the driver has to say.
//!
//! A link may be cut, mute or slow for as long as it likes; the driver never waits for it. What
//! finds no room in the queue is dropped, and what waited when a connection broke is dropped too:
//! it is stale, and the core sends again what matters.

use std::time::Duration;

use proto::raft::RaftMessage;
use proto::raft::raft_client::RaftClient;
use raft::{Message, NodeId};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tracing::{debug, info};

use crate::config::PeerAddress;
use crate::wire;

/// How many messages may wait for a peer: several times what a core has in flight between two
/// answers, little enough that a link which comes back is not busy with old news.
pub(crate) const OUTBOX_MAX: usize = 512;
/// How many messages are handed to the transport beyond what it has taken: a few, so that it never
/// runs dry, and the rest stays where it can be dropped.
const STREAM_MAX: usize = 16;
/// A peer on a local network answers in less; one that does not is tried again.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// Between attempts, from the first to the last; a healed link is found again within the latter.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// A stream that lives for so long works. One that was accepted may still end at once: the peer may be
/// about to stop, or a stranger may listen there.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// A connection is asked for a sign of life this often, …
const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(500);
/// … and given up when none comes for so long: well beyond a slow link's round trip.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Sends what comes out of the queue until the token is cancelled.
    pub(crate) async fn run(self, mut outbox: mpsc::Receiver<Message>, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep(&mut outbox)).await;
        // A closed queue means that the driver is gone; it is for the driver to say why.
        stop.cancelled().await;
    }

    async fn keep(&self, outbox: &mut mpsc::Receiver<Message>) {
        let mut backoff = BACKOFF.0;
        loop {
            match self.connect().await {
                Ok(client) => match self.deliver(client, outbox).await {
                    Broken::Settled(status) => {
                        info!(peer = self.to.0, error = %status.message(), "connection lost");
                        backoff = BACKOFF.0;
                    }
                    Broken::Unsettled(status) => {
                        debug!(peer = self.to.0, error = %status.message(), "connection refused");
                    }
                    Broken::QueueClosed => return,
                },
                Err(error) => {
                    debug!(peer = self.to.0, error = %crate::describe(&error), "not reachable");
                }
            }
            while outbox.try_recv().is_ok() {}
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
            while outbox.try_recv().is_ok() {}
        }
    }

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

    /// Feeds one stream until it breaks.
    async fn deliver(
        &self,
        mut client: RaftClient<Channel>,
        outbox: &mut mpsc::Receiver<Message>,
    ) -> Broken {
        let (stream, messages) = mpsc::channel(STREAM_MAX);
        let mut call = std::pin::pin!(client.deliver(ReceiverStream::new(messages)));
        let mut settling = std::pin::pin!(sleep(SETTLED_AFTER));
        let mut is_settled = false;
        loop {
            let message = tokio::select! {
                ended = &mut call => return Broken::by_peer(ended, is_settled),
                () = &mut settling, if !is_settled => {
                    is_settled = true;
                    info!(peer = self.to.0, address = %self.address, "connected");
                    continue;
                }
                message = outbox.recv() => match message {
                    Some(message) => self.envelope(message),
                    None => return Broken::QueueClosed,
                },
            };
            tokio::select! {
                ended = &mut call => return Broken::by_peer(ended, is_settled),
                // The receiving half lives in the call, whose end the other branch sees.
                sent = stream.send(message) => sent.unwrap_or_default(),
            }
        }
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

/// Why a stream ended.
enum Broken {
    /// The peer or the link ended one that worked.
    Settled(tonic::Status),
    /// The peer or the link ended one that never worked.
    Unsettled(tonic::Status),
    QueueClosed,
}

impl Broken {
    fn by_peer<T>(ended: Result<T, tonic::Status>, is_settled: bool) -> Self {
        let status = ended.err().unwrap_or_else(|| tonic::Status::ok("the peer ended the stream"));
        if is_settled { Self::Settled(status) } else { Self::Unsettled(status) }
    }
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("failed to connect")]
    Transport(#[from] tonic::transport::Error),
    #[error("failed to connect in time")]
    Mute(#[from] tokio::time::error::Elapsed),
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_that_hangs_up_is_tried_less_and_less_often() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let link = Link {
            cluster: "storm".to_owned(),
            from: NodeId(1),
            to: NodeId(2),
            address: PeerAddress::parse(&address).unwrap(),
        };
        let (_sender, outbox) = mpsc::channel(OUTBOX_MAX);
        let stop = CancellationToken::new();
        let running = tokio::spawn(link.run(outbox, stop.clone()));

        // Ten connections are five attempts at the least, for the transport may connect a second time
        // by itself. Between those lie 50, 100, 200 and 400 ms; the first pause may have begun before
        // the clock.
        drop(listener.accept().await.unwrap());
        let since = Instant::now();
        for _ in 1..10 {
            drop(listener.accept().await.unwrap());
        }
        let elapsed = since.elapsed();
        assert!(elapsed >= Duration::from_millis(700), "{elapsed:?}");
        stop.cancel();
        running.await.unwrap();
    }
}
