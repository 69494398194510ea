//! What peers deliver.

use std::collections::BTreeSet;

use proto::raft::raft_server::Raft;
use proto::raft::{DeliverResponse, RaftMessage};
use raft::{Message, NodeId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use crate::wire;

/// Takes messages for this node and hands them to the driver.
#[derive(Clone, Debug)]
pub(crate) struct PeerService {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// This node.
    pub(crate) id: NodeId,
    /// The other members.
    pub(crate) others: BTreeSet<NodeId>,
    /// To the driver.
    pub(crate) inbox: mpsc::Sender<(NodeId, Message)>,
    /// Ends every stream: one that lives would keep the server from stopping.
    pub(crate) stop: CancellationToken,
}

/// A message that is not for this node to handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Misdirected {
    #[error("the message is for another cluster")]
    Cluster,
    #[error("the message is for another node")]
    Recipient,
    #[error("the sender is no member of this cluster")]
    Sender,
    #[error("the message says nothing that is known here")]
    Unknown,
}

#[tonic::async_trait]
impl Raft for PeerService {
    async fn deliver(
        &self,
        request: Request<Streaming<RaftMessage>>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let mut stream = request.into_inner();
        let mut is_warned = false;
        loop {
            let received = self.stop.run_until_cancelled(stream.message()).await;
            let Some(message) = received.ok_or_else(|| Status::unavailable("stopping"))?? else {
                return Ok(Response::new(DeliverResponse {}));
            };
            match self.accept(message) {
                // While the driver is busy the stream waits, and the sender drops what is too much.
                Ok(message) => {
                    self.inbox.send(message).await.map_err(|_| Status::unavailable("stopping"))?
                }
                Err(error) if !is_warned => {
                    is_warned = true;
                    warn!(%error, "message dropped; others of its stream are dropped silently");
                }
                Err(_) => {}
            }
        }
    }
}

impl PeerService {
    fn accept(&self, message: RaftMessage) -> Result<(NodeId, Message), Misdirected> {
        let RaftMessage { cluster, from, to, message } = message;
        if cluster != self.cluster {
            return Err(Misdirected::Cluster);
        }
        if NodeId(to) != self.id {
            return Err(Misdirected::Recipient);
        }
        if !self.others.contains(&NodeId(from)) {
            return Err(Misdirected::Sender);
        }
        let message = message.and_then(wire::message::decode).ok_or(Misdirected::Unknown)?;
        Ok((NodeId(from), message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_member_sends_to_this_node_is_accepted() {
        let (inbox, _) = mpsc::channel(1);
        let service = PeerService {
            cluster: "storm".to_owned(),
            id: NodeId(1),
            others: [NodeId(2), NodeId(3)].into(),
            inbox,
            stop: CancellationToken::new(),
        };
        let vote = proto::raft::RequestVoteResponse { term: 1, vote_granted: true };
        let vote = proto::raft::raft_message::Message::RequestVoteResponse(vote);
        for (cluster, from, to, message, expected) in [
            ("storm", 2, 1, Some(vote.clone()), None),
            ("calm", 2, 1, Some(vote.clone()), Some(Misdirected::Cluster)),
            ("storm", 2, 3, Some(vote.clone()), Some(Misdirected::Recipient)),
            ("storm", 1, 1, Some(vote.clone()), Some(Misdirected::Sender)),
            ("storm", 4, 1, Some(vote), Some(Misdirected::Sender)),
            ("storm", 2, 1, None, Some(Misdirected::Unknown)),
        ] {
            let message = RaftMessage { cluster: cluster.to_owned(), from, to, message };
            assert_eq!(service.accept(message.clone()).err(), expected, "{message:?}");
        }
    }
}
