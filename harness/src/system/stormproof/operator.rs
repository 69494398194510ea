//! Orders to clusters of our own nodes, given to whoever leads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proto::admin::admin_client::AdminClient;
use proto::admin::{AdjustClockRequest, ChangeMembershipRequest, SnapshotRequest, TransferRequest};
use tonic::Status;
use tonic::transport::Channel;

use crate::client::leader::{Ended, Proof, Search, ask, not_applied, prove};
use crate::client::{Members, NodeReport};
use crate::system::{BoxFuture, Clock, Leaving, Listening, NodeId, Operator, OrderError};

/// Gives orders to the nodes that listen there.
pub(super) struct ClusterOperator {
    addresses: BTreeMap<NodeId, String>,
    endpoints: Vec<String>,
}

impl ClusterOperator {
    pub(super) fn new(nodes: &BTreeMap<NodeId, Listening>) -> Self {
        let address =
            |(&node, listening): (&NodeId, &Listening)| (node, listening.clients.to_string());
        let addresses: BTreeMap<_, _> = nodes.iter().map(address).collect();
        let endpoints = addresses.values().cloned().collect();
        Self { addresses, endpoints }
    }

    /// Has the leader change who is in the cluster; each try begins with who is in it just then. What
    /// is so already is ordered none the less: the answer says that it is decided.
    async fn change(
        &self,
        what: String,
        deadline: Instant,
        edit: impl Fn(&mut Members),
    ) -> Result<(), OrderError> {
        let changed = Search::new(&self.endpoints, deadline)
            .ask_leader(async |mut admin, leader| {
                let mut wanted = leader.membership.clone();
                edit(&mut wanted);
                if wanted.voters.is_empty() {
                    return Err(not_applied(Status::invalid_argument("nobody would be left")));
                }
                let request = ChangeMembershipRequest {
                    voters: wanted.voters.into_iter().collect(),
                    learners: wanted.learners.into_iter().collect(),
                    expected: Some(leader.membership.into()),
                };
                admin.change_membership(request).await.map(drop)
            })
            .await;
        conclude(changed, what)
    }

    async fn transfer_to(&self, to: u64, deadline: Instant) -> Result<(), OrderError> {
        let what = format!("transfer the leadership to n{to}");
        let mut search = Search::new(&self.endpoints, deadline);
        let handed_over = search
            .ask_leader(async |mut admin, leader| {
                if leader.id != to {
                    admin.transfer(TransferRequest { to }).await?;
                }
                Ok(())
            })
            .await;
        conclude(handed_over, what.clone())?;
        // The old leader has left office; for whom, the next one tells.
        match search.ask_leader(async |_, leader: NodeReport| Ok(leader.id)).await {
            Ended::Done(leader) if leader == to => Ok(()),
            Ended::Done(leader) => {
                let why = format!("n{leader} was elected instead").into();
                Err(OrderError::Unclear { what: what.into(), why })
            }
            Ended::Refused(why) | Ended::Unreached(why) | Ended::Unknown(why) => {
                Err(OrderError::Unclear { what: what.into(), why: why.into() })
            }
        }
    }

    async fn save(&self, node: NodeId, deadline: Instant) -> Result<(), OrderError> {
        let request = SnapshotRequest {};
        let save = |mut admin: AdminClient<Channel>| async move {
            admin.snapshot(request).await.map(drop)
        };
        self.order(node, format!("compact {node}"), deadline, save).await
    }

    async fn adjust(
        &self,
        node: NodeId,
        clock: Clock,
        deadline: Instant,
    ) -> Result<(), OrderError> {
        let span = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        let mut request = AdjustClockRequest::default();
        match clock {
            Clock::Ahead(by) => request.jump_ns = span(by),
            Clock::Back(by) => request.jump_ns = -span(by),
            Clock::Speed(percent) => request.rate = Some(f64::from(percent) / 100.0),
            Clock::Right => request.settle = true,
        }
        let adjust = |mut admin: AdminClient<Channel>| async move {
            admin.adjust_clock(request).await.map(drop)
        };
        self.order(node, format!("set the clock of {node}"), deadline, adjust).await
    }

    /// Gives an order to one node.
    async fn order<Ordered>(
        &self,
        node: NodeId,
        what: String,
        deadline: Instant,
        order: impl FnOnce(AdminClient<Channel>) -> Ordered,
    ) -> Result<(), OrderError>
    where
        Ordered: Future<Output = Result<(), Status>>,
    {
        let Some(address) = self.addresses.get(&node) else {
            let why = "it does not run".into();
            return Err(OrderError::Refused { what: what.into(), why });
        };
        let ended = match ask(address, deadline, order).await {
            Ok(()) => Ended::Done(()),
            Err(status) => match prove(&status) {
                Proof::NotYet | Proof::Never => Ended::Refused(status.message().into()),
                Proof::Doubt | Proof::Open => Ended::Unknown(status.message().into()),
            },
        };
        conclude(ended, what)
    }
}

fn conclude<T>(ended: Ended<T>, what: String) -> Result<T, OrderError> {
    let what = what.into();
    match ended {
        Ended::Done(done) => Ok(done),
        Ended::Refused(why) | Ended::Unreached(why) => {
            Err(OrderError::Refused { what, why: why.into() })
        }
        Ended::Unknown(why) => Err(OrderError::Unclear { what, why: why.into() }),
    }
}

impl Operator for ClusterOperator {
    fn leaving(&self) -> Leaving {
        Leaving::StopAfter
    }

    fn members(
        &mut self,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<BTreeSet<NodeId>, OrderError>> {
        Box::pin(async move {
            let mut search = Search::new(&self.endpoints, deadline);
            let members =
                search.ask_leader(async |_, leader: NodeReport| Ok(leader.membership)).await;
            let members: Members = conclude(members, "list the members".into())?;
            Ok(members.voters.into_iter().map(NodeId::new).collect())
        })
    }

    fn add(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        // A node that did not catch up in time has stayed a learner.
        Box::pin(self.change(format!("add {node}"), deadline, move |members| {
            members.learners.remove(&node.number());
            members.voters.insert(node.number());
        }))
    }

    fn remove(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.change(format!("remove {node}"), deadline, move |members| {
            members.learners.remove(&node.number());
            members.voters.remove(&node.number());
        }))
    }

    fn transfer(&mut self, to: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.transfer_to(to.number(), deadline))
    }

    fn compact(
        &mut self,
        node: NodeId,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.save(node, deadline))
    }

    fn set_clock(
        &mut self,
        node: NodeId,
        clock: Clock,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.adjust(node, clock, deadline))
    }
}
