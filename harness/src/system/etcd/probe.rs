//! Asks one member how it is.

use std::collections::BTreeMap;
use std::io;

use proto::etcd::cluster_client::ClusterClient;
use proto::etcd::maintenance_client::MaintenanceClient;
use proto::etcd::{Member, MemberListRequest, StatusRequest, StatusResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::transport::Channel;

use super::operator::connect;
use crate::network::node_at;
use crate::system::{BoxFuture, Listening, NodeId, NodeStatus, Probe, ProbeError, Role};

/// What a member answers its peers that is served as soon as it takes part. Clients are not served before
/// it has heard of a leader.
const QUESTION: &[u8] = b"GET /version HTTP/1.0\r\n\r\n";

/// How an answer begins that is none of refusal.
const ANSWER: &[u8] = b"HTTP/1.0 200 ";

/// Asks `Maintenance.Status`, and who is who when a member is named that is not known yet.
pub(super) struct StatusProbe {
    listening: Listening,
    channel: Option<Channel>,
    members: BTreeMap<u64, NodeId>,
}

impl StatusProbe {
    pub(super) fn new(listening: Listening) -> Self {
        Self { listening, channel: None, members: BTreeMap::new() }
    }

    async fn ask(&mut self) -> Result<NodeStatus, ProbeError> {
        // A channel that failed, or whose call was given up, is not used again: its connection may be
        // that of a process that is gone.
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => connect(self.listening.clients)
                .await
                .map_err(|error| ProbeError::Unreachable(Box::new(error)))?,
        };
        let asked = MaintenanceClient::new(channel.clone()).status(StatusRequest {}).await;
        let answer = asked.map_err(unreachable)?.into_inner();
        if answer.leader > 0 && !self.members.contains_key(&answer.leader) {
            let asked = ClusterClient::new(channel.clone()).member_list(MemberListRequest {}).await;
            self.members = name(&asked.map_err(unreachable)?.into_inner().members);
        }
        self.channel = Some(channel);
        understand(&answer, &self.members)
    }

    async fn knock(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.listening.peers).await?;
        stream.write_all(QUESTION).await?;
        let mut answer = [0; ANSWER.len()];
        stream.read_exact(&mut answer).await?;
        if answer == ANSWER { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

impl Probe for StatusProbe {
    fn status(&mut self) -> BoxFuture<'_, Result<NodeStatus, ProbeError>> {
        Box::pin(self.ask())
    }

    fn is_up(&mut self) -> BoxFuture<'_, Result<(), ProbeError>> {
        Box::pin(async move {
            self.knock().await.map_err(|error| ProbeError::Unreachable(Box::new(error)))
        })
    }
}

fn unreachable(status: Status) -> ProbeError {
    ProbeError::Unreachable(Box::new(status))
}

/// Returns which node each member is, by the address that its peers know it by.
pub(super) fn name(members: &[Member]) -> BTreeMap<u64, NodeId> {
    let node = |member: &Member| {
        let mut addresses = member.peer_ur_ls.iter().filter_map(|url| url.strip_prefix("http://"));
        let node = addresses.find_map(|address| node_at(address.parse().ok()?))?;
        Some((member.id, node))
    };
    members.iter().filter_map(node).collect()
}

fn understand(
    answer: &StatusResponse,
    members: &BTreeMap<u64, NodeId>,
) -> Result<NodeStatus, ProbeError> {
    let itself = answer.header.as_ref().map(|header| header.member_id);
    let itself = itself.ok_or(ProbeError::Nonsense { what: "it has no header" })?;
    let leader = match answer.leader {
        0 => None,
        leader => Some(
            *members
                .get(&leader)
                .ok_or(ProbeError::Nonsense { what: "its leader is no member" })?,
        ),
    };
    Ok(NodeStatus {
        role: match answer.leader {
            // Whether it wants to lead, it does not say.
            0 => Role::Candidate,
            leader if leader == itself => Role::Leader,
            _ => Role::Follower,
        },
        term: answer.raft_term,
        leader,
        // How long its log is, it does not say either: at least what is committed.
        last_log_index: answer.raft_index,
        commit_index: answer.raft_index,
        last_applied: answer.raft_applied_index,
        recovered_entries: 0,
        snapshots_received: None,
        version: answer.version.clone(),
    })
}

#[cfg(test)]
mod tests {
    use proto::etcd::ResponseHeader;

    use super::*;

    fn member(id: u64, url: &str) -> Member {
        Member { id, peer_ur_ls: vec![url.into()], ..Member::default() }
    }

    #[test]
    fn members_are_named_by_their_addresses() {
        let members = [
            member(7, "http://198.18.0.2:2380"),
            member(8, "http://198.18.1.0:2380"),
            member(9, "http://10.0.0.1:2380"),
            member(10, "https://198.18.0.3:2380"),
        ];
        let named = [(7, NodeId::new(2)), (8, NodeId::new(256))].into();
        assert_eq!(name(&members), named);
    }

    #[test]
    fn a_member_leads_if_it_names_itself() {
        let members = [(7, NodeId::new(1)), (8, NodeId::new(2))].into();
        let answer = |leader| StatusResponse {
            header: Some(ResponseHeader { member_id: 7, ..ResponseHeader::default() }),
            leader,
            raft_term: 4,
            raft_index: 12,
            raft_applied_index: 11,
            ..StatusResponse::default()
        };
        for (leader, role, node) in [
            (7, Role::Leader, Some(NodeId::new(1))),
            (8, Role::Follower, Some(NodeId::new(2))),
            (0, Role::Candidate, None),
        ] {
            let status = understand(&answer(leader), &members).unwrap();
            assert_eq!((status.role, status.leader), (role, node));
            assert_eq!((status.term, status.commit_index, status.last_applied), (4, 12, 11));
        }
        assert!(understand(&answer(9), &members).is_err(), "nobody is 9");
        assert!(understand(&StatusResponse::default(), &members).is_err());
    }
}
