//! What orders prove, and to whom changes of members go.

use std::sync::{Arc, Mutex};

use proto::etcd::cluster_server::{Cluster, ClusterServer};
use proto::etcd::kv_server::{Kv, KvServer};
use proto::etcd::maintenance_server::{Maintenance, MaintenanceServer};
use proto::etcd::*;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response};

use super::*;

const N4: NodeId = NodeId::new(4);

/// Generous, where an order is carried out.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a member does, who is the only one that answers.
#[derive(Clone, Debug, Default)]
struct Book {
    /// Who leads is 1.
    id: u64,
    can_write: bool,
    /// Never says who is in the cluster.
    is_mute: bool,
    members: BTreeSet<NodeId>,
    /// What is in its log and not decided yet.
    joining: BTreeSet<NodeId>,
    /// What it was asked to change.
    orders: Vec<&'static str>,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Book>>);

impl Fake {
    /// Starts the member, and returns an operator who finds nobody else.
    async fn start(book: Book) -> (Self, ClusterOperator) {
        let fake = Self(Arc::new(Mutex::new(book)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clients = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(ClusterServer::new(fake.clone()))
            .add_service(KvServer::new(fake.clone()))
            .add_service(MaintenanceServer::new(fake.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let listening = Listening { peers: clients, clients };
        (fake, ClusterOperator::new(&[(NodeId::new(1), listening)].into()))
    }

    fn orders(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().orders.clone()
    }
}

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

#[tonic::async_trait]
impl Cluster for Fake {
    async fn member_add(
        &self,
        _: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        self.0.lock().unwrap().orders.push("add");
        Ok(Response::new(MemberAddResponse::default()))
    }

    async fn member_remove(
        &self,
        _: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        self.0.lock().unwrap().orders.push("remove");
        Ok(Response::new(MemberRemoveResponse::default()))
    }

    async fn member_list(
        &self,
        _: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let member = |node: &NodeId| Member {
            id: node.number(),
            name: node.to_string(),
            peer_ur_ls: vec![peer_url(address_of(*node))],
            ..Member::default()
        };
        if self.0.lock().unwrap().is_mute {
            return std::future::pending().await;
        }
        let members = self.0.lock().unwrap().members.iter().map(member).collect();
        Ok(Response::new(MemberListResponse { members, ..MemberListResponse::default() }))
    }
}

#[tonic::async_trait]
impl Kv for Fake {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        no()
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        if !self.0.lock().unwrap().can_write {
            return std::future::pending().await;
        }
        let mut book = self.0.lock().unwrap();
        let joining = std::mem::take(&mut book.joining);
        book.members.extend(joining);
        Ok(Response::new(PutResponse::default()))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        no()
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        no()
    }
}

#[tonic::async_trait]
impl Maintenance for Fake {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let member_id = self.0.lock().unwrap().id;
        let header = Some(ResponseHeader { member_id, ..ResponseHeader::default() });
        Ok(Response::new(StatusResponse { header, leader: 1, ..StatusResponse::default() }))
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        no()
    }

    async fn move_leader(
        &self,
        _: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        no()
    }
}

#[tokio::test]
async fn what_is_in_the_log_is_decided_before_members_are_believed() {
    let joining = BTreeSet::from([N4]);
    let book = Book { id: 1, can_write: true, joining: joining.clone(), ..Book::default() };
    let (fake, mut operator) = Fake::start(book.clone()).await;
    operator.remove(N4, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(fake.orders(), ["remove"], "the earlier order to add it came through");
    let (fake, mut operator) = Fake::start(book).await;
    operator.add(N4, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(fake.orders(), [""; 0], "it is in by then");
    // Nobody has ever heard of it.
    let (fake, mut operator) =
        Fake::start(Book { id: 1, can_write: true, ..Book::default() }).await;
    operator.remove(N4, Instant::now() + PATIENCE).await.unwrap();
    operator.add(N4, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(fake.orders(), ["add"]);
}

#[tokio::test]
async fn who_was_not_asked_in_time_did_nothing() {
    let book = Book { id: 1, can_write: true, is_mute: true, ..Book::default() };
    let (fake, mut operator) = Fake::start(book).await;
    let soon = Instant::now() + Duration::from_millis(300);
    let refused = operator.transfer(N4, soon).await;
    assert!(matches!(refused, Err(OrderError::Refused { .. })), "{refused:?}");
    assert_eq!(fake.orders(), [""; 0]);
}

#[tokio::test]
async fn changes_are_for_a_leader_who_can_write() {
    for (id, can_write) in [(2, true), (1, false)] {
        let (fake, mut operator) = Fake::start(Book { id, can_write, ..Book::default() }).await;
        let soon = || Instant::now() + Duration::from_millis(300);
        for refused in [operator.add(N4, soon()).await, operator.remove(N4, soon()).await] {
            assert!(matches!(refused, Err(OrderError::Refused { .. })), "{refused:?}");
        }
        assert_eq!(fake.orders(), [""; 0], "{id} {can_write}");
    }
}

#[test]
fn only_known_words_prove_anything() {
    let kind = |message: &str| match Tried::of::<()>(Err(Status::new(Code::Unavailable, message))) {
        Tried::Done => "done",
        Tried::Refused(_) => "refused",
        Tried::Unclear(_) => "unclear",
    };
    for (message, expected) in [
        ("etcdserver: no leader", "refused"),
        ("etcdserver: unhealthy cluster", "refused"),
        ("etcdserver: Peer URLs already exists", "done"),
        ("etcdserver: member not found", "done"),
        ("etcdserver: request timed out", "unclear"),
        ("etcdserver: request timed out, leader transfer took too long", "unclear"),
        ("transport error", "unclear"),
        ("", "unclear"),
    ] {
        assert_eq!(kind(message), expected, "{message}");
    }
    assert!(matches!(Tried::of(Ok(())), Tried::Done));
}

#[tokio::test]
async fn an_order_to_nobody_did_nothing() {
    let mut operator = ClusterOperator::new(&BTreeMap::new());
    let deadline = Instant::now();
    for refused in [
        operator.add(NodeId::new(1), deadline).await,
        operator.remove(NodeId::new(1), deadline).await,
        operator.transfer(NodeId::new(1), deadline).await,
        operator.compact(NodeId::new(1), deadline).await,
        operator.members(deadline).await.map(drop),
    ] {
        assert!(matches!(refused, Err(OrderError::Refused { .. })), "{refused:?}");
    }
}
