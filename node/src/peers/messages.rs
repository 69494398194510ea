//! The task that sends a peer its messages.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Message, NodeId};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tracing::{debug, info};

use proto::raft::raft_client::RaftClient;

use super::{BACKOFF, IDLE_MAX, Link};

/// How many messages are handed to the transport beyond what it has taken: a few, so that it never
/// runs dry, and the rest stays where it can be dropped.
const STREAM_MAX: usize = 16;
/// A stream that lives for so long works. One that was accepted may still end at once: the peer may be
/// about to stop, or a stranger may listen there.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

impl Link {
    /// Sends what comes out of the queue until the token is cancelled. A member is dialled at once and
    /// again whenever its connection breaks; anybody else only when there is something to say.
    pub(crate) async fn send_messages(
        self,
        mut queue: mpsc::Receiver<Message>,
        mut members: watch::Receiver<BTreeSet<NodeId>>,
        stop: CancellationToken,
    ) {
        stop.run_until_cancelled(self.keep(&mut queue, &mut members)).await;
        // A closed queue means that the driver is gone; it is for the driver to say why.
        stop.cancelled().await;
    }

    async fn keep(
        &self,
        queue: &mut mpsc::Receiver<Message>,
        members: &mut watch::Receiver<BTreeSet<NodeId>>,
    ) {
        let mut backoff = BACKOFF.0;
        loop {
            let first = match self.wait_for_need(queue, members).await {
                Need::Member => None,
                Need::Message(message) => Some(message),
                Need::Nobody => return,
            };
            match self.connect().await {
                Ok(client) => match self.deliver(client, first, queue, members).await {
                    Broken::Settled(status) => {
                        info!(peer = self.to.0, error = %status.message(), "connection lost");
                        backoff = BACKOFF.0;
                    }
                    Broken::Unsettled(status) => {
                        debug!(peer = self.to.0, error = %status.message(), "connection refused");
                    }
                    Broken::Idle => {
                        info!(peer = self.to.0, "connection closed: no member, nothing to say");
                        backoff = BACKOFF.0;
                        continue;
                    }
                    Broken::QueueClosed => return,
                },
                Err(error) => {
                    debug!(peer = self.to.0, error = %crate::describe(&error), "not reachable");
                }
            }
            while queue.try_recv().is_ok() {}
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
            while queue.try_recv().is_ok() {}
        }
    }

    fn is_member(&self, members: &watch::Receiver<BTreeSet<NodeId>>) -> bool {
        members.borrow().contains(&self.to)
    }

    /// Waits until there is a reason to dial.
    async fn wait_for_need(
        &self,
        queue: &mut mpsc::Receiver<Message>,
        members: &mut watch::Receiver<BTreeSet<NodeId>>,
    ) -> Need {
        loop {
            members.mark_unchanged();
            if self.is_member(members) {
                return Need::Member;
            }
            tokio::select! {
                message = queue.recv() => return message.map_or(Need::Nobody, Need::Message),
                changed = members.changed() => if changed.is_err() {
                    return Need::Nobody;
                },
            }
        }
    }

    /// Feeds one stream until it breaks.
    async fn deliver(
        &self,
        mut client: RaftClient<Channel>,
        mut first: Option<Message>,
        queue: &mut mpsc::Receiver<Message>,
        members: &watch::Receiver<BTreeSet<NodeId>>,
    ) -> Broken {
        let (stream, messages) = mpsc::channel(STREAM_MAX);
        let mut call = std::pin::pin!(client.deliver(ReceiverStream::new(messages)));
        let mut settling = std::pin::pin!(sleep(SETTLED_AFTER));
        let mut is_settled = false;
        let mut last_said = Instant::now();
        loop {
            let message = match first.take() {
                Some(message) => message,
                None => tokio::select! {
                    ended = &mut call => return Broken::by_peer(ended, is_settled),
                    () = &mut settling, if !is_settled => {
                        is_settled = true;
                        info!(peer = self.to.0, address = %self.address, "connected");
                        continue;
                    }
                    message = queue.recv() => match message {
                        Some(message) => message,
                        None => return Broken::QueueClosed,
                    },
                    () = sleep_until(last_said + IDLE_MAX) => {
                        if !self.is_member(members) {
                            return Broken::Idle;
                        }
                        last_said = Instant::now();
                        continue;
                    }
                },
            };
            last_said = Instant::now();
            tokio::select! {
                ended = &mut call => return Broken::by_peer(ended, is_settled),
                // The receiving half lives in the call, whose end the other branch sees.
                sent = stream.send(self.envelope(message)) => sent.unwrap_or_default(),
            }
        }
    }
}

/// Why to dial.
enum Need {
    /// The peer is in the cluster.
    Member,
    /// There is something to say to it.
    Message(Message),
    /// There is none, and will be none: the driver is gone.
    Nobody,
}

/// Why a stream ended.
enum Broken {
    /// The peer or the link ended one that worked.
    Settled(tonic::Status),
    /// The peer or the link ended one that never worked.
    Unsettled(tonic::Status),
    /// The peer is no member, and there is nothing to say to it.
    Idle,
    QueueClosed,
}

impl Broken {
    fn by_peer<T>(ended: Result<T, tonic::Status>, is_settled: bool) -> Self {
        let status = ended.err().unwrap_or_else(|| tonic::Status::ok("the peer ended the stream"));
        if is_settled { Self::Settled(status) } else { Self::Unsettled(status) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::super::{Outbox, Queues, queues};
    use super::*;
    use crate::config::PeerAddress;

    /// Far longer than anything here takes, even on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(30);

    /// A running task that sends messages to a listener of the test's.
    struct Stage {
        listener: TcpListener,
        outbox: Outbox,
        members: watch::Sender<BTreeSet<NodeId>>,
        stop: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    impl Stage {
        async fn start(is_member: bool) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let (from, to) = (NodeId(1), NodeId(2));
            let address = PeerAddress::parse(&address).unwrap();
            let link = Link { cluster: "storm".to_owned(), from, to, address };
            let (outbox, Queues { messages, .. }) = queues();
            let members = if is_member { [from, to].into() } else { [from].into() };
            let (members, watched) = watch::channel(members);
            let stop = CancellationToken::new();
            let running = tokio::spawn(link.send_messages(messages, watched, stop.clone()));
            Self { listener, outbox, members, stop, running }
        }

        async fn is_dialled(&self) {
            let accepted = timeout(DEADLINE, self.listener.accept()).await;
            accepted.expect("nobody dials").unwrap();
        }

        async fn end(self) {
            self.stop.cancel();
            self.running.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_listener_that_hangs_up_is_tried_less_and_less_often() {
        let stage = Stage::start(true).await;
        // Ten connections are five attempts at the least, for the transport may connect a second time
        // by itself. Between those lie 50, 100, 200 and 400 ms; the first pause may have begun before
        // the clock.
        stage.is_dialled().await;
        let since = Instant::now();
        for _ in 1..10 {
            stage.is_dialled().await;
        }
        let elapsed = since.elapsed();
        assert!(elapsed >= Duration::from_millis(700), "{elapsed:?}");
        stage.end().await;
    }

    #[tokio::test]
    async fn who_is_no_member_is_dialled_when_there_is_something_to_say() {
        let stage = Stage::start(false).await;
        let until = tokio::time::sleep(3 * BACKOFF.1);
        tokio::select! {
            () = stage.is_dialled() => panic!("dialled for nothing"),
            () = until => {}
        }
        let message = Message::TimeoutNow(raft::TimeoutNow { term: raft::Term(1) });
        stage.outbox.messages.send(message).await.unwrap();
        stage.is_dialled().await;
        stage.end().await;
    }

    #[tokio::test]
    async fn who_becomes_a_member_is_dialled_at_once() {
        let stage = Stage::start(false).await;
        stage.members.send_replace([NodeId(1), NodeId(2)].into());
        stage.is_dialled().await;
        stage.end().await;
    }
}
