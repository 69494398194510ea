//! Clients in sessions against a node that does with each request what the test says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use proto::admin::admin_server::{Admin, AdminServer};
use proto::admin::{
    AdjustClockRequest, AdjustClockResponse, ChangeMembershipRequest, ChangeMembershipResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse, TransferRequest,
    TransferResponse,
};
use proto::kv::kv_server::{Kv, KvServer};
use proto::kv::*;
use proto::session::session_server::{Session, SessionServer};
use proto::session::{CloseResponse, KeepAliveResponse, OpenResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Server;
use tonic::{Code, Response};

use super::*;
use crate::client::Placement;
use crate::client::{Client, Endpoint};
use crate::seed::Seed;
use crate::system::NodeId;

/// Long enough for several attempts, the mute one included.
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// Far beyond anything that should take time, on the busiest of machines.
const HANG: Duration = Duration::from_secs(30);

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Answer,
    /// Nobody knows.
    Lose,
    /// No answer, ever.
    Mute,
    /// An answer that no store gives: a mismatch with what was expected.
    Garble,
    /// Certainly nothing: another node leads.
    NotLeader,
    /// Certainly nothing, anywhere.
    Invalid,
    /// Certainly nothing: the session says so in this word.
    Refuse(&'static str),
}

use Deed::*;

/// What the node is to do, and what it was sent.
#[derive(Debug, Default)]
struct Script {
    /// The last deed is done again and again.
    deeds: VecDeque<Deed>,
    tickets: Vec<Option<Ticket>>,
    /// What becomes of the requests to open a session before one is opened.
    opening: VecDeque<Deed>,
    opened: u64,
    closed: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Node(Arc<Mutex<Script>>);

fn marked(code: Code, session_error: Option<&'static str>) -> Status {
    let mut status = Status::new(code, "why");
    let marker = MetadataValue::from_static(proto::NOT_APPLIED);
    status.metadata_mut().insert(proto::OUTCOME_KEY, marker);
    if let Some(word) = session_error {
        let word = MetadataValue::from_static(word);
        status.metadata_mut().insert(proto::SESSION_ERROR_KEY, word);
    }
    status
}

async fn carry_out(deed: Deed) -> Result<bool, Status> {
    match deed {
        Answer => Ok(true),
        Garble => Ok(false),
        Lose => Err(Status::unavailable("lost the lead")),
        Mute => std::future::pending().await,
        NotLeader => Err(marked(Code::FailedPrecondition, None)),
        Invalid => Err(marked(Code::InvalidArgument, None)),
        Refuse(word) => Err(marked(Code::NotFound, Some(word))),
    }
}

#[tonic::async_trait]
impl Kv for Node {
    async fn compare_and_set(
        &self,
        request: Request<CompareAndSetRequest>,
    ) -> Result<Response<CompareAndSetResponse>, Status> {
        let ticket = request.metadata().get(SESSION_KEY);
        let ticket = ticket.map(|ticket| ticket.to_str().unwrap().parse().unwrap());
        let deed = {
            let mut script = self.0.lock().unwrap();
            script.tickets.push(ticket);
            let next = script.deeds.front().copied().unwrap();
            if script.deeds.len() > 1 {
                script.deeds.pop_front();
            }
            next
        };
        let swapped = carry_out(deed).await?;
        let found = request.into_inner().expected;
        Ok(Response::new(CompareAndSetResponse { index: 7, swapped, found }))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        assert!(request.metadata().get(SESSION_KEY).is_none(), "a read needs no session");
        Ok(Response::new(GetResponse { index: 7, value: None }))
    }

    async fn append(&self, _: Request<AppendRequest>) -> Result<Response<AppendResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn delete(&self, _: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

#[tonic::async_trait]
impl Session for Node {
    async fn open(&self, _: Request<OpenRequest>) -> Result<Response<OpenResponse>, Status> {
        let deed = self.0.lock().unwrap().opening.pop_front();
        if let Some(deed) = deed {
            carry_out(deed).await?;
        }
        let mut script = self.0.lock().unwrap();
        script.opened += 1;
        let session = 100 * script.opened;
        Ok(Response::new(OpenResponse { index: 1, session, ttl_ms: 1 }))
    }

    async fn keep_alive(
        &self,
        request: Request<KeepAliveRequest>,
    ) -> Result<Response<KeepAliveResponse>, Status> {
        match request.into_inner().session {
            100 => Ok(Response::new(KeepAliveResponse { index: 1, ttl_ms: 5 })),
            _ => Err(marked(Code::NotFound, Some("expired"))),
        }
    }

    async fn close(
        &self,
        request: Request<CloseRequest>,
    ) -> Result<Response<CloseResponse>, Status> {
        self.0.lock().unwrap().closed.push(request.into_inner().session);
        Ok(Response::new(CloseResponse { index: 1, existed: true }))
    }
}

#[tonic::async_trait]
impl Admin for Node {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { id: 1, ..StatusResponse::default() }))
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

/// A node that serves until the test ends, and a client that knows of no other.
struct Stage {
    script: Arc<Mutex<Script>>,
    client: StormproofClient,
    _server: JoinHandle<()>,
}

impl Stage {
    async fn new(deeds: &[Deed], assurance: Assurance) -> Self {
        Self::with(Api::Kv, Placement::LeaderFollowing, deeds, assurance).await
    }

    async fn with(api: Api, placement: Placement, deeds: &[Deed], assurance: Assurance) -> Self {
        let script = Script { deeds: deeds.iter().copied().collect(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let node = Node(Arc::clone(&script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Server::builder()
            .add_service(KvServer::new(node.clone()))
            .add_service(SessionServer::new(node.clone()))
            .add_service(AdminServer::new(node));
        let _server = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        let endpoints = vec![Endpoint { address, node: Some(NodeId::new(1)) }];
        let random = Seed::new(1).generator();
        let client =
            StormproofClient::new(api, endpoints, placement, random).with_assurance(assurance);
        Self { script, client, _server }
    }

    async fn ask(&mut self, f: &'static str, value: Value) -> Outcome {
        let invocation = Invocation::new(f, "100", value);
        let execution = self.client.execute(&invocation, Instant::now() + TIMEOUT);
        tokio::time::timeout(HANG, execution).await.expect("an operation ends by its deadline")
    }

    async fn swap(&mut self) -> Outcome {
        self.ask("cas", json!({"expected": "1", "value": "2"})).await
    }

    fn tickets(&self) -> Vec<(u64, u64, u64)> {
        let script = self.script.lock().unwrap();
        let tickets = script.tickets.iter().flatten();
        tickets.map(|t| (t.session, t.sequence, t.first_unanswered)).collect()
    }
}

const OWN: Assurance = Assurance::ExactlyOnce { ttl: Duration::from_secs(60) };
const GIVEN: Assurance = Assurance::Given(Ticket { session: 5, sequence: 9, first_unanswered: 8 });

/// Asks once; the operation must end so, every attempt under one number.
async fn check(assurance: Assurance, deeds: &[Deed], expected: &str) {
    let mut stage = Stage::new(deeds, assurance).await;
    let asked = Instant::now();
    let outcome = stage.swap().await;
    let is_cut_off = asked.elapsed() >= TIMEOUT;
    let found = match &outcome {
        Outcome::Ok { .. } => "ok",
        Outcome::Fail { error: Cause::Trouble(_) } => "fail",
        Outcome::Info { error: Cause::Trouble(_) } => "info",
        Outcome::Fail { error: Cause::Nonsense(_) } => "fail, nonsense",
        Outcome::Info { error: Cause::Nonsense(_) } => "info, nonsense",
    };
    assert_eq!(found, expected, "{assurance:?} {deeds:?}: {outcome:?}");
    let tickets = stage.tickets();
    let is_reopened = deeds.first().is_some_and(|deed| matches!(deed, Refuse("expired")));
    assert!(is_reopened || tickets.iter().all(|ticket| *ticket == tickets[0]), "{tickets:?}");
    // The last attempt of an operation that met its deadline may not have arrived.
    let (arrived, attempts) = (tickets.len() as u64, stage.client.effort().attempts);
    let is_last_lost = is_cut_off && attempts == arrived + 1;
    assert!(arrived == attempts || is_last_lost, "{deeds:?}: {attempts} {arrived}");
}

#[tokio::test]
async fn an_operation_ends_as_its_attempts_prove() {
    for (deeds, expected) in [
        (&[Answer][..], "ok"),
        (&[Lose, Answer], "ok"),
        (&[Lose, NotLeader, Lose, Answer], "ok"),
        (&[Mute, Answer], "ok"),
        (&[NotLeader, Answer], "ok"),
        (&[NotLeader], "fail"),
        (&[Invalid, Answer], "fail"),
        // Once an attempt is lost, no refusal of another proves anything.
        (&[Lose], "info"),
        (&[Lose, NotLeader], "info"),
        (&[Lose, Invalid, Answer], "info"),
        (&[Lose, Refuse("expired"), Answer], "info"),
        (&[NotLeader, Mute, Refuse("expired"), Answer], "info"),
        // A session that ended before the first attempt is replaced.
        (&[Refuse("expired"), Answer], "ok"),
        (&[Refuse("expired"), Lose, Refuse("expired"), Answer], "info"),
        // A system may not refuse a fresh number, nor talk nonsense; to ask on would hide it.
        (&[Refuse("stale"), Answer], "fail, nonsense"),
        (&[Lose, Refuse("stale"), Answer], "info, nonsense"),
        (&[Refuse("reused"), Answer], "fail, nonsense"),
        (&[Garble, Answer], "info, nonsense"),
    ] {
        check(OWN, deeds, expected).await;
    }
}

#[tokio::test]
async fn a_given_number_may_have_been_used_before_so_only_an_answer_is_definite() {
    for (deeds, expected) in [
        (&[Answer][..], "ok"),
        (&[NotLeader, Lose, Answer], "ok"),
        (&[NotLeader], "info"),
        (&[Invalid, Answer], "info"),
        (&[Refuse("expired"), Answer], "info"),
        (&[Refuse("stale"), Answer], "info"),
        (&[Refuse("window"), Answer], "info"),
        (&[Refuse("reused"), Answer], "info"),
        (&[Garble, Answer], "info, nonsense"),
    ] {
        check(GIVEN, deeds, expected).await;
    }
    let mut stage = Stage::new(&[Answer], GIVEN).await;
    stage.swap().await;
    assert_eq!(stage.tickets(), [(5, 9, 8)]);
    assert_eq!(stage.script.lock().unwrap().opened, 0);
}

#[tokio::test]
async fn every_operation_has_a_number_of_its_own_and_acknowledges_those_before() {
    let mut stage = Stage::new(&[Answer, Lose, Answer], OWN).await;
    for _ in 0..3 {
        assert!(matches!(stage.swap().await, Outcome::Ok { .. }));
    }
    let tickets = [(100, 1, 1), (100, 2, 2), (100, 2, 2), (100, 3, 3)];
    assert_eq!(stage.tickets(), tickets);
    assert_eq!(stage.client.effort(), Effort { attempts: 1, unclear: 0 });
    // What was given up is acknowledged too: it can take no effect behind the next one's back.
    stage.script.lock().unwrap().deeds = [Lose, Invalid, Answer].into();
    assert!(matches!(stage.swap().await, Outcome::Info { .. }));
    assert_eq!(stage.client.effort(), Effort { attempts: 2, unclear: 1 });
    assert!(matches!(stage.swap().await, Outcome::Ok { .. }));
    assert_eq!(stage.tickets().last(), Some(&(100, 5, 5)));
    // A read needs no session, and is none of its efforts.
    assert!(matches!(stage.ask("get", Value::Null).await, Outcome::Ok { .. }));
    assert_eq!(stage.client.effort(), Effort::default());

    stage.client.close_session(Instant::now() + HANG).await;
    assert_eq!(stage.script.lock().unwrap().closed, [100]);
    assert!(matches!(stage.swap().await, Outcome::Ok { .. }));
    assert_eq!(stage.tickets().last(), Some(&(200, 1, 1)));
}

#[test]
fn attempts_grow_with_doubt_and_leave_time_for_others() {
    let span = |left: u64, unanswered| {
        let deadline = Instant::now() + Duration::from_secs(left);
        share(deadline, unanswered).saturating_duration_since(Instant::now())
    };
    for (left, unanswered, at_most) in [
        (1, 0, Duration::from_millis(334)),
        (30, 0, ATTEMPT_MAX),
        (30, 2, ATTEMPT_MAX * 4),
        (30, u64::MAX, Duration::from_secs(10)),
        (0, 5, Duration::ZERO),
    ] {
        let found = span(left, unanswered);
        assert!(found <= at_most, "{left} {unanswered}: {found:?}");
        // The clock goes on meanwhile, on a busy machine by a good deal.
        assert!(found * 2 >= at_most, "{left} {unanswered}: {found:?}");
    }
}

#[tokio::test]
async fn a_session_whose_opening_is_lost_is_left_alone() {
    let mut stage = Stage::new(&[Answer], OWN).await;
    stage.script.lock().unwrap().opening = [NotLeader, Lose, Mute].into();
    assert!(matches!(stage.swap().await, Outcome::Ok { .. }));
    assert_eq!(stage.tickets(), [(100, 1, 1)]);
}

#[tokio::test]
async fn without_a_session_nothing_is_sent() {
    let mut stage = Stage::new(&[Answer], OWN).await;
    stage.script.lock().unwrap().opening = [Invalid; 1_000].into();
    let outcome = stage.swap().await;
    assert!(matches!(outcome, Outcome::Fail { .. }), "{outcome:?}");
    assert_eq!(stage.tickets(), []);
}

#[tokio::test]
async fn a_client_that_stays_with_its_node_is_turned_away_at_once_but_not_out_of_doubt() {
    let pinned = Placement::Pinned(NodeId::new(1));
    for (deeds, expected) in [
        (&[NotLeader, Answer][..], "fail"),
        (&[Lose, NotLeader, Answer], "ok"),
        (&[Lose, NotLeader], "info"),
    ] {
        let mut stage = Stage::with(Api::Kv, pinned, deeds, OWN).await;
        let kind = match stage.swap().await {
            Outcome::Ok { .. } => "ok",
            Outcome::Fail { .. } => "fail",
            Outcome::Info { .. } => "info",
        };
        assert_eq!(kind, expected, "{deeds:?}");
    }
}

#[tokio::test]
async fn sessions_are_operations_themselves() {
    let mut stage =
        Stage::with(Api::Session, Placement::LeaderFollowing, &[], Assurance::AtMostOnce).await;
    let ok = |value, position| Outcome::Ok { value, position };
    let opened = stage.ask("open", json!({"ttl_ms": 5})).await;
    assert_eq!(opened, ok(json!({"session": 100, "ttl_ms": 1}), Some(1)));
    assert_eq!(stage.ask("keep-alive", Value::Null).await, ok(json!({"ttl_ms": 5}), Some(1)));
    assert_eq!(stage.ask("close", Value::Null).await, ok(json!({"existed": true}), Some(1)));
    let gone = Invocation::new("keep-alive", "200", Value::Null);
    let gone = stage.client.execute(&gone, Instant::now() + HANG).await;
    assert_eq!(gone, ok(json!({"rejected": "expired"}), None));
    assert!(matches!(stage.ask("frob", Value::Null).await, Outcome::Fail { .. }));
}
