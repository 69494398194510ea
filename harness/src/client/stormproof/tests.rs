//! The client against small servers of every kind: good, mute, gone, lost in the middle.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proto::admin::admin_server::{Admin, AdminServer};
use proto::admin::{
    AdjustClockRequest, AdjustClockResponse, ChangeMembershipRequest, ChangeMembershipResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse, TransferRequest,
    TransferResponse,
};
use proto::kv::kv_server::{Kv, KvServer};
use proto::kv::*;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::super::turn::ATTEMPTS_MAX;
use super::*;
use crate::seed::Seed;

const TIMEOUT: Duration = Duration::from_millis(400);
/// Far beyond anything that should take time, on the busiest of machines.
const HANG: Duration = Duration::from_secs(30);

/// What a server does with a put.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Serve,
    /// Says who leads, if anybody.
    NotLeader(Option<u64>),
    /// Fails without the marker, having applied it.
    ApplyAndFail,
    /// Never answers.
    Mute,
    /// Refuses for good.
    Invalid,
    /// Serves, but calls a match a mismatch.
    Contradict,
}

#[derive(Clone)]
struct Node {
    id: u64,
    manner: Arc<Mutex<Manner>>,
    values: Arc<Mutex<BTreeMap<String, String>>>,
    puts: Arc<AtomicU64>,
}

impl Node {
    fn not_applied(mut status: Status, leader: Option<u64>) -> Status {
        let marker = MetadataValue::from_static(proto::NOT_APPLIED);
        status.metadata_mut().insert(proto::OUTCOME_KEY, marker);
        if let Some(leader) = leader {
            status.metadata_mut().insert(proto::LEADER_KEY, MetadataValue::from(leader));
        }
        status
    }

    async fn meet(&self) -> Result<u64, Status> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Serve | Manner::Contradict => Ok(7),
            Manner::NotLeader(leader) => {
                Err(Self::not_applied(Status::failed_precondition("not the leader"), leader))
            }
            Manner::ApplyAndFail => Err(Status::unavailable("lost the lead")),
            Manner::Mute => std::future::pending().await,
            Manner::Invalid => Err(Self::not_applied(Status::invalid_argument("too large"), None)),
        }
    }
}

#[tonic::async_trait]
impl Admin for Node {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { id: self.id, ..StatusResponse::default() }))
    }

    async fn transfer(
        &self,
        _: Request<TransferRequest>,
    ) -> Result<Response<TransferResponse>, Status> {
        Err(Status::unimplemented("no client asks for it"))
    }

    async fn change_membership(
        &self,
        _: Request<ChangeMembershipRequest>,
    ) -> Result<Response<ChangeMembershipResponse>, Status> {
        Err(Status::unimplemented("no client asks for it"))
    }

    async fn adjust_clock(
        &self,
        _: Request<AdjustClockRequest>,
    ) -> Result<Response<AdjustClockResponse>, Status> {
        Err(Status::unimplemented("no client asks for it"))
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        Err(Status::unimplemented("no client asks for it"))
    }
}

#[tonic::async_trait]
impl Kv for Node {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let index = self.meet().await?;
        let PutRequest { key, value } = request.into_inner();
        self.values.lock().unwrap().insert(key, value);
        Ok(Response::new(PutResponse { index }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let index = self.meet().await?;
        let value = self.values.lock().unwrap().get(&request.into_inner().key).cloned();
        Ok(Response::new(GetResponse { index, value }))
    }

    async fn compare_and_set(
        &self,
        request: Request<CompareAndSetRequest>,
    ) -> Result<Response<CompareAndSetResponse>, Status> {
        let index = self.meet().await?;
        let CompareAndSetRequest { key, expected, value } = request.into_inner();
        if let Manner::Contradict = *self.manner.lock().unwrap() {
            let found = expected;
            return Ok(Response::new(CompareAndSetResponse { index, swapped: false, found }));
        }
        let mut values = self.values.lock().unwrap();
        let found = values.get(&key).cloned();
        let swapped = found == expected;
        if swapped {
            values.insert(key, value);
        }
        Ok(Response::new(CompareAndSetResponse { index, swapped, found }))
    }

    async fn append(&self, _: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        Ok(Response::new(AppendResponse { index: self.meet().await?, length: 3 }))
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        Ok(Response::new(DeleteResponse { index: self.meet().await?, existed: false }))
    }
}

/// A node that serves until the test ends.
struct Running {
    node: Node,
    address: String,
    _task: JoinHandle<()>,
}

async fn start(id: u64, manner: Manner) -> Running {
    let node = Node {
        id,
        manner: Arc::new(Mutex::new(manner)),
        values: Arc::default(),
        puts: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder()
        .add_service(KvServer::new(node.clone()))
        .add_service(AdminServer::new(node.clone()));
    let task = tokio::spawn(async move {
        server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    });
    Running { node, address, _task: task }
}

impl Running {
    fn puts(&self) -> u64 {
        self.node.puts.load(Ordering::SeqCst)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address.clone(), node: Some(NodeId::new(self.node.id)) }
    }
}

fn client(api: Api, endpoints: Vec<Endpoint>, placement: Placement) -> StormproofClient {
    StormproofClient::new(api, endpoints, placement, Seed::new(1).generator())
}

fn first(endpoints: Vec<Endpoint>) -> StormproofClient {
    let mut client = client(Api::Kv, endpoints, Placement::LeaderFollowing);
    client.turn.current = 0;
    client
}

async fn ask(client: &mut StormproofClient, f: &'static str, value: Value) -> Outcome {
    let invocation = Invocation::new(f, "k0", value);
    let execution = client.execute(&invocation, Instant::now() + TIMEOUT);
    tokio::time::timeout(HANG, execution).await.expect("an operation ends by its deadline")
}

#[track_caller]
fn assert_kind(outcome: &Outcome, expected: &str) {
    let kind = match outcome {
        Outcome::Ok { .. } => "ok",
        Outcome::Fail { .. } => "fail",
        Outcome::Info { .. } => "info",
    };
    assert_eq!(kind, expected, "{outcome:?}");
}

/// An address at which nobody listens.
async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint { address: listener.local_addr().unwrap().to_string(), node: None }
}

/// An address that accepts connections and never says a word.
async fn mute() -> (Endpoint, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Endpoint { address: listener.local_addr().unwrap().to_string(), node: None }, listener)
}

/// An address that carries one connection to the node, for as long as the task lives.
async fn relay_once(node: &Running) -> (Endpoint, JoinHandle<()>) {
    let (front, listener) = mute().await;
    let address = node.address.clone();
    let task = tokio::spawn(async move {
        let (mut inner, _) = listener.accept().await.unwrap();
        let mut outer = tokio::net::TcpStream::connect(&address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    });
    (front, task)
}

#[tokio::test]
async fn answers_are_ok_with_value_and_position() {
    let node = start(1, Manner::Serve).await;
    let mut client = first(vec![node.endpoint()]);
    let cas = |expected: Option<&str>| json!({"expected": expected, "value": "6"});
    let operations = [
        ("get", Value::Null, Value::Null),
        ("put", json!("5"), json!("5")),
        ("get", Value::Null, json!("5")),
        ("cas", cas(Some("4")), json!({"mismatch": "5"})),
        ("cas", cas(Some("5")), json!({"swapped": true})),
        ("cas", cas(None), json!({"mismatch": "6"})),
    ];
    for (f, input, value) in operations {
        let outcome = ask(&mut client, f, input).await;
        assert_eq!(outcome, Outcome::Ok { value, position: Some(7) }, "{f}");
    }
}

#[tokio::test]
async fn nonsense_proves_nothing_but_is_told() {
    let node = start(1, Manner::Contradict).await;
    let mut client = first(vec![node.endpoint()]);
    let error = Cause::Nonsense("a mismatch with what was expected");
    assert_eq!(error.to_string(), "nonsense: a mismatch with what was expected");
    let outcome = ask(&mut client, "cas", json!({"expected": "1", "value": "2"})).await;
    assert_eq!(outcome, Outcome::Info { error });
    // A node that is merely silent says no nonsense.
    *node.node.manner.lock().unwrap() = Manner::Mute;
    let outcome = ask(&mut client, "get", Value::Null).await;
    assert!(matches!(outcome, Outcome::Fail { error: Cause::Trouble(_) }), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_fails() {
    let node = start(1, Manner::Serve).await;
    let mut client = first(vec![node.endpoint()]);
    assert_kind(&ask(&mut client, "put", json!(5.5)).await, "fail");
    assert_kind(&ask(&mut client, "trade", json!(5)).await, "fail");
    assert_eq!(node.puts(), 0);
}

#[tokio::test]
async fn nobody_there_is_a_fail() {
    let mut client = first(vec![nobody().await]);
    assert_kind(&ask(&mut client, "put", json!("5")).await, "fail");
}

#[tokio::test]
async fn a_mute_listener_is_a_fail_because_it_never_had_the_operation() {
    let (endpoint, _listener) = mute().await;
    let mut client = first(vec![endpoint]);
    assert_kind(&ask(&mut client, "put", json!("5")).await, "fail");
}

#[tokio::test]
async fn a_listener_that_hangs_up_is_a_fail() {
    let (endpoint, listener) = mute().await;
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
        }
    });
    let mut client = first(vec![endpoint]);
    assert_kind(&ask(&mut client, "put", json!("5")).await, "fail");
    task.abort();
}

#[tokio::test]
async fn a_node_that_falls_silent_leaves_it_unknown_and_a_read_failed() {
    for (f, input, kind) in [("put", json!("5"), "info"), ("get", Value::Null, "fail")] {
        let node = start(1, Manner::Mute).await;
        let mut client = first(vec![node.endpoint()]);
        assert_kind(&ask(&mut client, f, input).await, kind);
        assert_eq!(node.puts(), 1, "an unknown outcome is never tried again");
    }
}

#[tokio::test]
async fn a_failure_without_the_marker_is_never_tried_again() {
    let nodes = [start(1, Manner::ApplyAndFail).await, start(2, Manner::Serve).await];
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    assert_kind(&ask(&mut client, "put", json!("5")).await, "info");
    assert_eq!((nodes[0].puts(), nodes[1].puts()), (1, 0));
    // The next operation goes elsewhere.
    assert_kind(&ask(&mut client, "put", json!("6")).await, "ok");
    assert_eq!((nodes[0].puts(), nodes[1].puts()), (1, 1));
    // So it does behind a read.
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    assert_kind(&ask(&mut client, "get", Value::Null).await, "fail");
    assert_kind(&ask(&mut client, "get", Value::Null).await, "ok");
    assert_eq!((nodes[0].puts(), nodes[1].puts()), (2, 2));
}

#[tokio::test]
async fn a_server_that_dies_in_mid_call_leaves_it_unknown() {
    let node = start(1, Manner::Mute).await;
    let (front, relay) = relay_once(&node).await;
    let mut client = first(vec![front]);
    let invocation = Invocation::new("put", "k0", json!("5"));
    let start = Instant::now();
    let execution = client.execute(&invocation, start + HANG);
    let kill = async {
        while node.puts() == 0 {
            tokio::task::yield_now().await;
        }
        relay.abort();
    };
    let (outcome, ()) = tokio::join!(execution, kill);
    assert_kind(&outcome, "info");
    assert!(start.elapsed() < HANG, "the break is noticed, not waited out");
}

#[tokio::test]
async fn a_broken_idle_connection_is_noticed_before_anything_is_sent() {
    let (front, proxy) = mute().await;
    let node = start(1, Manner::Serve).await;
    let address = node.address.clone();
    let (cut, is_cut) = tokio::sync::watch::channel(0);
    let task = tokio::spawn(async move {
        loop {
            let (mut inner, _) = proxy.accept().await.unwrap();
            let mut outer = tokio::net::TcpStream::connect(&address).await.unwrap();
            let mut is_cut = is_cut.clone();
            tokio::spawn(async move {
                is_cut.mark_unchanged();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
                    _ = is_cut.changed() => {}
                }
            });
        }
    });
    let mut client = first(vec![front]);
    for value in 1..20_u64 {
        let outcome = ask(&mut client, "put", json!(value.to_string())).await;
        // Either the break is seen and a new connection made, or the request was under way.
        assert!(!matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
        cut.send_modify(|count| *count += 1);
        tokio::task::yield_now().await;
    }
    assert!(node.puts() >= 1);
    task.abort();
}

#[tokio::test]
async fn a_spent_connection_proves_that_nothing_was_sent() {
    let node = start(1, Manner::Serve).await;
    let (front, relay) = relay_once(&node).await;
    let deadline = Instant::now() + HANG;
    let connection = connection::connect(&front.address, deadline).await.unwrap();
    relay.abort();
    let invocation = Invocation::new("put", "k0", json!("1"));
    // Until the break is seen the request may be lost on the way; from then on it is never sent.
    loop {
        let answer = call(Api::Kv, connection.channel.clone(), None, &invocation).await;
        let Err(Failure::Status(status)) = answer else { panic!("{answer:?}") };
        if let Refusal::Unsent(_) = Refusal::of(&status) {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
    }
    let before = node.puts();
    let answer = call(Api::Kv, connection.channel.clone(), None, &invocation).await;
    let Err(Failure::Status(status)) = answer else { panic!("{answer:?}") };
    assert!(matches!(Refusal::of(&status), Refusal::Unsent(_)), "{status:?}");
    assert_eq!(node.puts(), before);
}

#[tokio::test]
async fn the_hint_is_followed_within_the_operation() {
    let nodes = [
        start(1, Manner::NotLeader(Some(3))).await,
        start(2, Manner::Serve).await,
        start(3, Manner::Serve).await,
    ];
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    assert_kind(&ask(&mut client, "put", json!("5")).await, "ok");
    assert_kind(&ask(&mut client, "put", json!("6")).await, "ok");
    assert_eq!(nodes.each_ref().map(Running::puts), [1, 0, 2]);
}

#[tokio::test]
async fn without_a_leader_the_operation_fails_in_bounded_attempts() {
    let nodes = [start(1, Manner::NotLeader(None)).await, start(2, Manner::NotLeader(None)).await];
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    let invocation = Invocation::new("put", "k0", json!("5"));
    let outcome = client.execute(&invocation, Instant::now() + HANG).await;
    assert_kind(&outcome, "fail");
    let puts = nodes.each_ref().map(Running::puts);
    assert_eq!(puts[0] + puts[1], ATTEMPTS_MAX as u64, "{puts:?}");
}

#[tokio::test]
async fn two_nodes_that_name_each_other_are_left_alone_in_the_end() {
    let nodes =
        [start(1, Manner::NotLeader(Some(2))).await, start(2, Manner::NotLeader(Some(1))).await];
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    assert_kind(&ask(&mut client, "put", json!("5")).await, "fail");
    assert!(nodes.iter().map(Running::puts).sum::<u64>() <= ATTEMPTS_MAX as u64);
}

#[tokio::test]
async fn a_refusal_for_good_is_not_carried_elsewhere() {
    let nodes = [start(1, Manner::Invalid).await, start(2, Manner::Serve).await];
    let mut client = first(nodes.iter().map(Running::endpoint).collect());
    assert_kind(&ask(&mut client, "put", json!("5")).await, "fail");
    assert_eq!(nodes[1].puts(), 0);
}

#[tokio::test]
async fn a_dead_node_is_passed_over() {
    let node = start(2, Manner::Serve).await;
    let mut client = first(vec![nobody().await, node.endpoint()]);
    assert_kind(&ask(&mut client, "put", json!("5")).await, "ok");
}

#[tokio::test]
async fn a_pinned_client_stays() {
    let nodes = [start(1, Manner::NotLeader(Some(2))).await, start(2, Manner::Serve).await];
    let endpoints = nodes.iter().map(Running::endpoint).collect();
    let mut client = client(Api::Kv, endpoints, Placement::Pinned(NodeId::new(1)));
    for value in 0..3_u64 {
        assert_kind(&ask(&mut client, "put", json!(value.to_string())).await, "fail");
    }
    assert_eq!((nodes[0].puts(), nodes[1].puts()), (3, 0));
}

#[tokio::test]
async fn a_random_client_goes_everywhere() {
    let nodes = [start(1, Manner::Serve).await, start(2, Manner::Serve).await];
    let endpoints = nodes.iter().map(Running::endpoint).collect();
    let mut client = client(Api::Kv, endpoints, Placement::Random);
    for value in 0..40_u64 {
        assert_kind(&ask(&mut client, "put", json!(value.to_string())).await, "ok");
    }
    assert!(nodes.iter().all(|node| node.puts() > 0));
}
