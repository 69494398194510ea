//! What an operator or a harness asks a single node.

use proto::admin::admin_server::Admin;
use proto::admin::{Role, StatusRequest, StatusResponse};
use tonic::{Request, Response, Status};

use super::ClientServices;

#[tonic::async_trait]
impl Admin for ClientServices {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let standing = self.standing().await?;
        let role = match standing.role {
            raft::Role::Follower => Role::Follower,
            raft::Role::PreCandidate => Role::PreCandidate,
            raft::Role::Candidate => Role::Candidate,
            raft::Role::Leader => Role::Leader,
        };
        Ok(Response::new(StatusResponse {
            id: standing.id.0,
            role: role.into(),
            term: standing.term.0,
            leader: standing.leader.map_or(0, |leader| leader.0),
            last_log_index: standing.last_log_index.0,
            commit_index: standing.commit_index.0,
            last_applied: standing.last_applied.0,
            recovered_entries: self.recovered_entries,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}
