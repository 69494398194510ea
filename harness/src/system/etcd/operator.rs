//! Orders to etcd clusters.
//!
//! Any member takes a change of members and leads it to the leader; but then nobody knows how long it is on
//! its way. So changes, like transfers, are for the leader itself. What it lists are the members that it has
//! applied, so it is asked after a write through its log: whatever an earlier order has left in that is
//! decided by then.
//!
//! What a status proves: the server's words that are listed in [`IS_REFUSED`] come before anything is
//! proposed; every other end without an answer leaves it open whether the order is carried out.
//! [`IS_SO`] lists what is said when there is nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proto::etcd::cluster_client::ClusterClient;
use proto::etcd::kv_client::KvClient;
use proto::etcd::maintenance_client::MaintenanceClient;
use proto::etcd::{
    CompactionRequest, DefragmentRequest, MemberAddRequest, MemberListRequest, MemberRemoveRequest,
    MoveLeaderRequest, PutRequest, StatusRequest, StatusResponse,
};
use tokio::time::{sleep, timeout_at};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::{peer_url, probe};
use crate::network::address_of;
use crate::system::{BoxFuture, Joining, Listening, NodeId, Operator, OrderError};

/// How long a member on the same machine may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long one member may take to say how it stands before others are asked.
const STATUS_MAX: Duration = Duration::from_secs(1);

/// How long one try may take. A change of members that the leader drops, because it has not applied an
/// earlier one or is new, is never answered.
const TRY_MAX: Duration = Duration::from_secs(2);

/// How long a leader may take to write: one that is cut off never does.
const WRITE_MAX: Duration = Duration::from_secs(1);

/// What is written before members are changed. No workload has it.
const KEY: &[u8] = b"stormproof/operator";

/// Between two tries: an election takes a few of these.
const PAUSE: Duration = Duration::from_millis(100);

/// What the server says when it proposes nothing.
const IS_REFUSED: [&str; 6] = [
    "etcdserver: no leader",
    "etcdserver: not leader",
    "etcdserver: too many requests",
    "etcdserver: unhealthy cluster",
    "etcdserver: re-configuration failed due to not enough started members",
    "etcdserver: bad leader transferee",
];

/// What the server says when it is so already.
const IS_SO: [&str; 4] = [
    "etcdserver: Peer URLs already exists",
    "etcdserver: member ID already exist",
    "etcdserver: member not found",
    "etcdserver: mvcc: required revision has been compacted",
];

/// Connects to a member on this machine.
pub(super) async fn connect(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(CONNECT_MAX).connect().await
}

/// Gives orders to the members that listen there.
pub(super) struct ClusterOperator {
    clients: BTreeMap<NodeId, SocketAddr>,
}

/// A member that hears a leader, or leads.
struct Standing {
    channel: Channel,
    status: StatusResponse,
}

/// What a try proves.
enum Tried {
    /// It is as ordered.
    Done,
    /// Nothing was done.
    Refused(String),
    /// Nobody knows.
    Unclear(String),
}

impl Tried {
    fn of<T>(answer: Result<T, Status>) -> Self {
        let Err(status) = answer else {
            return Self::Done;
        };
        match status.message() {
            message if IS_SO.contains(&message) => Self::Done,
            message if IS_REFUSED.contains(&message) => Self::Refused(message.into()),
            message => Self::Unclear(format!("{:?}: {message}", status.code())),
        }
    }
}

impl ClusterOperator {
    pub(super) fn new(nodes: &BTreeMap<NodeId, Listening>) -> Self {
        Self { clients: nodes.iter().map(|(&node, it)| (node, it.clients)).collect() }
    }

    /// Asks how a member stands, over a connection of its own.
    async fn ask(&self, node: NodeId) -> Result<Standing, String> {
        let address = *self.clients.get(&node).ok_or("it does not run")?;
        let deadline = Instant::now() + STATUS_MAX;
        let asking = async {
            let channel = connect(address).await.map_err(|error| error.to_string())?;
            let asked = MaintenanceClient::new(channel.clone()).status(StatusRequest {}).await;
            let status = asked.map_err(|status| status.message().to_owned())?.into_inner();
            Ok(Standing { channel, status })
        };
        timeout_at(deadline.into(), asking)
            .await
            .unwrap_or_else(|_| Err("no answer in time".into()))
    }

    /// Returns who leads, of all who say that they do the one in the latest term; failing that, a member
    /// that hears a leader.
    async fn find(&self) -> Result<Standing, String> {
        let mut best: Option<Standing> = None;
        let mut why = "nobody runs".to_owned();
        for &node in self.clients.keys() {
            match self.ask(node).await {
                Ok(standing) if standing.status.leader > 0 => {
                    let rank = |it: &Standing| (leads(&it.status), it.status.raft_term);
                    if best.as_ref().is_none_or(|best| rank(best) < rank(&standing)) {
                        best = Some(standing);
                    }
                }
                Ok(_) => why = format!("{node} hears no leader"),
                Err(error) => why = format!("{node}: {error}"),
            }
        }
        best.ok_or(why)
    }

    /// Tries until it is done or the time is over. To try again after an unclear end is sound, because an
    /// order names a state and not a step: a member's address and number are its own.
    async fn order(
        &self,
        what: String,
        deadline: Instant,
        attempt: impl Attempt,
    ) -> Result<(), OrderError> {
        let mut is_in_doubt = false;
        loop {
            let found = match self.find().await {
                Ok(standing) if attempt.changes_members() => settle_log(standing, deadline).await,
                found => found,
            };
            let tried = match found {
                Ok(standing) => {
                    let patience = deadline.min(Instant::now() + TRY_MAX);
                    let is_sent = AtomicBool::new(false);
                    let trying = attempt.attempt(standing, &is_sent);
                    timeout_at(patience.into(), trying).await.unwrap_or_else(|_| {
                        let why = "no answer in time".into();
                        match is_sent.into_inner() {
                            true => Tried::Unclear(why),
                            false => Tried::Refused(why),
                        }
                    })
                }
                Err(why) => Tried::Refused(why),
            };
            let why = match tried {
                Tried::Done => return Ok(()),
                Tried::Unclear(why) => {
                    is_in_doubt = true;
                    why
                }
                Tried::Refused(why) => why,
            };
            if Instant::now() + PAUSE >= deadline {
                let (what, why) = (what.into(), why.into());
                return Err(match is_in_doubt {
                    true => OrderError::Unclear { what, why },
                    false => OrderError::Refused { what, why },
                });
            }
            sleep(PAUSE).await;
        }
    }

    async fn list(&self, deadline: Instant) -> Result<BTreeSet<NodeId>, OrderError> {
        loop {
            let listed = match self.find().await {
                Ok(standing) => member_ids(&standing.channel).await,
                Err(why) => Err(why),
            };
            match listed {
                Ok(members) => return Ok(members.into_keys().collect()),
                Err(why) if Instant::now() + PAUSE >= deadline => {
                    let what = "list the members".into();
                    return Err(OrderError::Refused { what, why: why.into() });
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

/// One try of an order at a member that hears a leader.
trait Attempt: Send + Sync {
    /// Tells whether it is about who is in the cluster, and is for a leader whose log is settled.
    fn changes_members(&self) -> bool {
        false
    }

    /// Says that it has sent the order just before it does.
    fn attempt(
        &self,
        standing: Standing,
        is_sent: &AtomicBool,
    ) -> impl Future<Output = Tried> + Send;
}

struct Add(NodeId);
struct Remove(NodeId);
struct Transfer(NodeId);
struct Compact;

impl Attempt for Add {
    fn changes_members(&self) -> bool {
        true
    }

    async fn attempt(&self, standing: Standing, is_sent: &AtomicBool) -> Tried {
        // Before the server looks whether there is such a member it looks whether all are well, and one
        // that has not started yet is not.
        match member_ids(&standing.channel).await {
            Err(why) => return Tried::Refused(why),
            Ok(members) if members.contains_key(&self.0) => return Tried::Done,
            Ok(_) => {}
        }
        let request = MemberAddRequest { peer_ur_ls: vec![peer_url(address_of(self.0))] };
        is_sent.store(true, Ordering::Relaxed);
        Tried::of(ClusterClient::new(standing.channel).member_add(request).await)
    }
}

impl Attempt for Remove {
    fn changes_members(&self) -> bool {
        true
    }

    async fn attempt(&self, standing: Standing, is_sent: &AtomicBool) -> Tried {
        match member_ids(&standing.channel).await {
            Err(why) => Tried::Refused(why),
            Ok(members) => match members.get(&self.0) {
                None => Tried::Done,
                Some(&id) => {
                    let request = MemberRemoveRequest { id };
                    is_sent.store(true, Ordering::Relaxed);
                    Tried::of(ClusterClient::new(standing.channel).member_remove(request).await)
                }
            },
        }
    }
}

impl Attempt for Transfer {
    async fn attempt(&self, standing: Standing, is_sent: &AtomicBool) -> Tried {
        let members = match member_ids(&standing.channel).await {
            Ok(members) => members,
            Err(why) => return Tried::Refused(why),
        };
        let Some(&target_id) = members.get(&self.0) else {
            return Tried::Refused(format!("{} is no member", self.0));
        };
        if standing.status.leader == target_id {
            return Tried::Done;
        }
        if !leads(&standing.status) {
            return Tried::Refused("the leader does not answer".into());
        }
        let request = MoveLeaderRequest { target_id };
        is_sent.store(true, Ordering::Relaxed);
        Tried::of(MaintenanceClient::new(standing.channel).move_leader(request).await)
    }
}

impl Attempt for Compact {
    /// Forgets all revisions but the last, everywhere, and writes this member's file anew.
    async fn attempt(&self, standing: Standing, is_sent: &AtomicBool) -> Tried {
        let revision = standing.status.header.map_or(0, |header| header.revision);
        let request = CompactionRequest { revision };
        is_sent.store(true, Ordering::Relaxed);
        match Tried::of(KvClient::new(standing.channel.clone()).compact(request).await) {
            Tried::Done => {}
            tried => return tried,
        }
        Tried::of(MaintenanceClient::new(standing.channel).defragment(DefragmentRequest {}).await)
    }
}

/// Has a leader decide all that is in its log, and passes it on; anybody else is refused.
async fn settle_log(standing: Standing, deadline: Instant) -> Result<Standing, String> {
    if !leads(&standing.status) {
        return Err("the leader does not answer".into());
    }
    let request = PutRequest { key: KEY.into(), value: bytes::Bytes::new() };
    let mut client = KvClient::new(standing.channel.clone());
    let patience = deadline.min(Instant::now() + WRITE_MAX);
    match timeout_at(patience.into(), client.put(request)).await {
        Ok(Ok(_)) => Ok(standing),
        Ok(Err(status)) => Err(status.message().to_owned()),
        Err(_) => Err("the leader cannot write".into()),
    }
}

fn leads(status: &StatusResponse) -> bool {
    status.header.as_ref().is_some_and(|header| header.member_id == status.leader)
}

async fn member_ids(channel: &Channel) -> Result<BTreeMap<NodeId, u64>, String> {
    let asked = ClusterClient::new(channel.clone()).member_list(MemberListRequest {}).await;
    let members = asked.map_err(|status| status.message().to_owned())?.into_inner().members;
    Ok(probe::name(&members).into_iter().map(|(id, node)| (node, id)).collect())
}

impl Operator for ClusterOperator {
    fn joining(&self) -> Joining {
        Joining::AddFirst
    }

    fn members(
        &mut self,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<BTreeSet<NodeId>, OrderError>> {
        Box::pin(self.list(deadline))
    }

    fn add(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.order(format!("add {node}"), deadline, Add(node)))
    }

    fn remove(&mut self, node: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        Box::pin(self.order(format!("remove {node}"), deadline, Remove(node)))
    }

    fn transfer(&mut self, to: NodeId, deadline: Instant) -> BoxFuture<'_, Result<(), OrderError>> {
        let what = format!("transfer the leadership to {to}");
        Box::pin(self.order(what, deadline, Transfer(to)))
    }

    fn compact(
        &mut self,
        node: NodeId,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<(), OrderError>> {
        let alone = self.clients.iter().filter(|(other, _)| **other == node);
        let alone = Self { clients: alone.map(|(&node, &address)| (node, address)).collect() };
        Box::pin(async move { alone.order(format!("compact {node}"), deadline, Compact).await })
    }
}

#[cfg(test)]
mod tests;
