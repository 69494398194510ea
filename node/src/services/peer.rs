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
use crate::wire::message::Malformed;

/// Takes messages for this node and hands them to the driver.
#[derive(Clone, Debug)]
pub(crate) struct PeerService {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// This node.
    pub(crate) id: NodeId,
    /// The other nodes that may speak: all whose addresses are known. Who of them is in the cluster is
    /// for the core to know, and may be news to it that only a message can bring.
    pub(crate) others: BTreeSet<NodeId>,
    /// To the driver.
    pub(crate) inbox: mpsc::Sender<(NodeId, Message)>,
    /// Ends every stream: one that lives would keep the server from stopping.
    pub(crate) stop: CancellationToken,
}

/// Why a message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("the message is for another cluster")]
    Cluster,
    #[error("the message is for another node")]
    Recipient,
    #[error("`peers` does not know the sender")]
    Sender,
    #[error("the message says nothing that is known here")]
    Unknown,
    #[error(transparent)]
    Malformed(#[from] Malformed),
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
    fn accept(&self, message: RaftMessage) -> Result<(NodeId, Message), Unusable> {
        let RaftMessage { cluster, from, to, message } = message;
        if cluster != self.cluster {
            return Err(Unusable::Cluster);
        }
        if NodeId(to) != self.id {
            return Err(Unusable::Recipient);
        }
        if !self.others.contains(&NodeId(from)) {
            return Err(Unusable::Sender);
        }
        let message = message.ok_or(Unusable::Unknown)?;
        Ok((NodeId(from), wire::message::decode(message)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_known_node_sends_to_this_one_is_accepted() {
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
        let lacking = proto::raft::ReadIndex { term: 1, id: None };
        let lacking = proto::raft::raft_message::Message::ReadIndex(lacking);
        for (cluster, from, to, message, expected) in [
            ("storm", 2, 1, Some(vote.clone()), None),
            ("calm", 2, 1, Some(vote.clone()), Some(Unusable::Cluster)),
            ("storm", 2, 3, Some(vote.clone()), Some(Unusable::Recipient)),
            ("storm", 1, 1, Some(vote.clone()), Some(Unusable::Sender)),
            ("storm", 4, 1, Some(vote), Some(Unusable::Sender)),
            ("storm", 2, 1, None, Some(Unusable::Unknown)),
            ("storm", 2, 1, Some(lacking), Some(Unusable::Malformed(Malformed::Lacks("id")))),
        ] {
            let message = RaftMessage { cluster: cluster.to_owned(), from, to, message };
            assert_eq!(service.accept(message.clone()).err(), expected, "{message:?}");
        }
    }
}
