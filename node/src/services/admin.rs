//! What an operator or a harness asks a single node.

use std::collections::BTreeSet;

use proto::admin::admin_server::Admin;
use proto::admin::{
    AdjustClockRequest, AdjustClockResponse, ChangeMembershipRequest, ChangeMembershipResponse,
    Follower, Role, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
    TransferRequest, TransferResponse,
};
use raft::{Membership, NodeId};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::{ClientServices, status};
use crate::driver::clock::Adjustment;
use crate::driver::request::{Change, End, Failure, Report, Request as Asked};
use crate::wire::membership;

#[tonic::async_trait]
impl Admin for ClientServices {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let Report { standing, snapshots_received } = self.report().await?;
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
            recovered_entries: self.recovered.entries,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            membership: Some(membership::encode(&standing.membership)),
            first_log_index: standing.first_log_index.0,
            snapshot_index: standing.snapshot_index.0,
            recovered_snapshot: self.recovered.snapshot,
            followers: standing
                .followers
                .into_iter()
                .map(|(id, matched)| Follower { id: id.0, match_index: matched.0 })
                .collect(),
            snapshots_received,
        }))
    }

    async fn transfer(
        &self,
        request: Request<TransferRequest>,
    ) -> Result<Response<TransferResponse>, Status> {
        let to = NodeId(request.into_inner().to);
        self.carry_out(|end| Asked::Transfer(to, end)).await?;
        Ok(Response::new(TransferResponse {}))
    }

    async fn change_membership(
        &self,
        request: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        let ChangeMembershipRequest { voters, learners, expected } = request.into_inner();
        let wanted = Membership {
            voters: voters.into_iter().map(NodeId).collect(),
            outgoing: BTreeSet::new(),
            learners: learners.into_iter().map(NodeId).collect(),
        };
        let expected = match expected {
            // What cannot be is not what is.
            Some(expected) => Some(
                membership::decode(&expected)
                    .ok_or_else(|| status::failed(Failure::MembershipChanged))?,
            ),
            None => None,
        };
        let change = Change { membership: wanted, expected };
        let membership = self.carry_out(|end| Asked::Change(change, end)).await?;
        let membership = Some(membership::encode(&membership));
        Ok(Response::new(ChangeMembershipResponse { membership }))
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        let index = self.carry_out(Asked::Compact).await?;
        Ok(Response::new(SnapshotResponse { index: index.0 }))
    }

    async fn adjust_clock(
        &self,
        request: Request<AdjustClockRequest>,
    ) -> Result<Response<AdjustClockResponse>, Status> {
        let Some(adjustments) = &self.adjustments else {
            return Err(status::sound_clock());
        };
        let AdjustClockRequest { settle, jump_ns, rate } = request.into_inner();
        let adjustment = Adjustment { jump: jump_ns, rate, is_settled: settle };
        if !adjustment.is_possible() {
            return Err(status::impossible_rate());
        }
        let (reply, answer) = oneshot::channel();
        adjustments.send((adjustment, reply)).await.map_err(|_| status::stopped())?;
        let reading = answer.await.map_err(|_| status::stopped())?;
        Ok(Response::new(AdjustClockResponse { ahead_ns: reading.ahead, rate: reading.rate }))
    }
}

impl ClientServices {
    /// Has the driver do something and waits for its end.
    async fn carry_out<T>(&self, request: impl FnOnce(End<T>) -> Asked) -> Result<T, Status> {
        let end: Result<_, oneshot::error::RecvError> = self.ask(request).await?;
        // The driver was stopped while it was at it: nobody knows.
        end.map_or_else(|_| Err(status::stopped()), |result| result.map_err(status::failed))
    }
}
