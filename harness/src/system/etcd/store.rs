//! etcd's keys and values as a [`Store`], and what its answers prove.
//!
//! A request that was sent certainly did nothing in these cases only:
//!
//! - It never was written to a connection: there was none on which the member had given a sign of life,
//!   or it was gone when the request came.
//! - It was a read, which changes nothing whatever became of it.
//! - The member answered `etcdserver: no leader`. It looks for a leader before it looks at a change whose
//!   metadata asks for that, and says this of a change in no other place.
//! - The member answered `etcdserver: too many requests`. It says so before it proposes anything, when it
//!   has applied far less than is committed.
//!
//! Everything else without an answer is unknown: a time-out, a member that stops, a connection that
//! breaks, a leader that is lost meanwhile (the proposal may be in its log or on the way to it), even
//! `raft proposal dropped`, for a request does not say how often the server tried.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proto::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcd::kv_client::KvClient;
use proto::etcd::maintenance_client::MaintenanceClient;
use proto::etcd::{
    Compare, KeyValue, PutRequest, RangeRequest, RangeResponse, RequestOp, ResponseHeader,
    StatusRequest, TxnRequest, TxnResponse, request_op, response_op,
};
use rand_chacha::ChaCha12Rng;
use tokio::time::timeout_at;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::client::connection::{ConnectError, connect_once, in_time, is_unsent};
use crate::client::store::{Change, Store, Swap};
use crate::client::turn::{Attempts, Turn};
use crate::client::{Cause, Outcome, Placement};
use crate::plan::Reads;
use crate::system::{BoxFuture, NodeId};

/// How long to wait after every member has been tried in vain. Where nobody leads, each says so at once,
/// so that the pauses alone, three or more of them, outlast an election.
const PAUSE: Duration = Duration::from_millis(150);

/// Asks for a refusal where there is no leader.
const REQUIRE_LEADER: (&str, &str) = ("hasleader", "true");

/// A client's view of the store.
pub(super) struct EtcdStore {
    members: Vec<Known>,
    turn: Turn,
    reads: Reads,
}

struct Known {
    address: SocketAddr,
    /// On which it has given a sign of life.
    channel: Option<Channel>,
}

/// What an attempt led to.
enum Attempt<T> {
    Answered(T, u64),
    /// It did nothing and never will.
    Nothing(String),
    /// Nobody knows.
    Unclear(Cause),
}

/// An answer that was understood, and its revision; or why there is none.
type Answer<T> = Result<(T, u64), Failure>;

enum Failure {
    Status(Box<Status>),
    Nonsense(&'static str),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl EtcdStore {
    pub(super) fn new(
        endpoints: BTreeMap<NodeId, SocketAddr>,
        placement: Placement,
        reads: Reads,
        random: ChaCha12Rng,
    ) -> Self {
        let turn = Turn::new(placement, endpoints.keys().copied().map(Some), random);
        let members = endpoints.into_values().map(|address| Known { address, channel: None });
        Self { members: members.collect(), turn, reads }
    }

    /// Sends a request, anew only with proof that it did nothing.
    async fn send<T, Asked>(
        &mut self,
        deadline: Instant,
        ask: impl Fn(KvClient<Channel>) -> Asked,
    ) -> Outcome<T>
    where
        Asked: Future<Output = Answer<T>>,
    {
        self.turn.begin();
        let mut attempts = Attempts::new(PAUSE);
        loop {
            let asked = self.attempt(deadline, &ask).await;
            if let Attempt::Answered(value, revision) = asked {
                return Outcome::Ok { value, position: Some(revision) };
            }
            // Every member leads a request to the leader, so who answers is as good as any other.
            self.turn.leave(None);
            match asked {
                Attempt::Unclear(error) => return Outcome::Info { error },
                Attempt::Nothing(error) if !attempts.again(&self.turn, false, deadline).await => {
                    return Outcome::Fail { error: error.into() };
                }
                _ => {}
            }
        }
    }

    async fn attempt<T, Asked>(
        &mut self,
        deadline: Instant,
        ask: impl Fn(KvClient<Channel>) -> Asked,
    ) -> Attempt<T>
    where
        Asked: Future<Output = Answer<T>>,
    {
        let known = &mut self.members[self.turn.current()];
        let channel = match known.channel.take() {
            Some(channel) => channel,
            None => match connect(known.address, deadline).await {
                Ok(channel) => channel,
                Err(error) => return Attempt::Nothing(format!("{}: {error}", known.address)),
            },
        };
        let asked = ask(KvClient::new(channel.clone()));
        // A connection on which there was anything but an answer is not used again: the next one begins
        // with a sign of life.
        match timeout_at(deadline.into(), asked).await {
            Ok(Ok((value, revision))) => {
                known.channel = Some(channel);
                Attempt::Answered(value, revision)
            }
            Ok(Err(Failure::Status(status))) => prove(&status),
            Ok(Err(Failure::Nonsense(what))) => Attempt::Unclear(Cause::Nonsense(what)),
            Err(_) => Attempt::Unclear("timeout".into()),
        }
    }
}

/// Returns what a status proves of the request that it answers.
fn prove<T>(status: &Status) -> Attempt<T> {
    let error = format!("{:?}: {}", status.code(), status.message());
    let is_certain = matches!(
        (status.code(), status.message()),
        (Code::Unavailable, "etcdserver: no leader")
            | (Code::ResourceExhausted, "etcdserver: too many requests")
    );
    match is_certain || is_unsent(status) {
        true => Attempt::Nothing(error),
        false => Attempt::Unclear(error.into()),
    }
}

/// Connects and waits for a sign of life.
async fn connect(address: SocketAddr, deadline: Instant) -> Result<Channel, ConnectError> {
    let dialling = async {
        let channel = connect_once(&address.to_string()).await?;
        let asked = MaintenanceClient::new(channel.clone()).status(StatusRequest {}).await;
        asked.map(|_| channel).map_err(|status| ConnectError::Probe(Box::new(status)))
    };
    in_time(deadline, dialling).await
}

/// Makes a request that is refused where there is no leader.
fn for_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let (key, value) = REQUIRE_LEADER;
    request.metadata_mut().insert(key, MetadataValue::from_static(value));
    request
}

fn revision(header: Option<&ResponseHeader>) -> Result<u64, Failure> {
    let revision = header.and_then(|header| u64::try_from(header.revision).ok());
    revision
        .filter(|revision| *revision > 0)
        .ok_or(Failure::Nonsense("an answer without a revision"))
}

/// Returns the value in an answer to a read of one key.
fn value_of(answer: RangeResponse, key: &str) -> Result<Option<String>, Failure> {
    match <[KeyValue; 1]>::try_from(answer.kvs) {
        Ok([found]) if found.key == key.as_bytes() => String::from_utf8(found.value.to_vec())
            .map(Some)
            .map_err(|_| Failure::Nonsense("a value that nobody wrote")),
        Ok(_) => Err(Failure::Nonsense("the value of another key")),
        Err(none) if none.is_empty() => Ok(None),
        Err(_) => Err(Failure::Nonsense("several values of one key")),
    }
}

fn compare_and_set(key: &str, change: Change<'_>) -> TxnRequest {
    let (target, wanted) = match change.expected {
        Some(expected) => (CompareTarget::Value, TargetUnion::Value(expected.to_owned().into())),
        None => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
    };
    let key = bytes::Bytes::from(key.to_owned());
    let compare = Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key: key.clone(),
        target_union: Some(wanted),
    };
    let put = PutRequest { key: key.clone(), value: change.value.to_owned().into() };
    let get = RangeRequest { key, serializable: false };
    let operation = |request| vec![RequestOp { request: Some(request) }];
    TxnRequest {
        compare: vec![compare],
        success: operation(request_op::Request::RequestPut(put)),
        failure: operation(request_op::Request::RequestRange(get)),
    }
}

fn understand_swap(answer: TxnResponse, key: &str) -> Answer<Swap> {
    let revision = revision(answer.header.as_ref())?;
    let response = answer.responses.into_iter().next().and_then(|it| it.response);
    match (answer.succeeded, response) {
        (true, Some(response_op::Response::ResponsePut(_))) => Ok((Swap::Done, revision)),
        (false, Some(response_op::Response::ResponseRange(found))) => {
            Ok((Swap::Mismatch(value_of(found, key)?), revision))
        }
        _ => Err(Failure::Nonsense("a transaction that did something else")),
    }
}

impl Store for EtcdStore {
    fn get<'a>(
        &'a mut self,
        key: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Option<String>>> {
        let request = RangeRequest {
            key: key.to_owned().into(),
            serializable: self.reads == Reads::Serializable,
        };
        Box::pin(async move {
            let asked = self
                .send(deadline, |mut client| {
                    let request = request.clone();
                    async move {
                        let answer = client.range(request).await?.into_inner();
                        let revision = revision(answer.header.as_ref())?;
                        Ok((value_of(answer, key)?, revision))
                    }
                })
                .await;
            match asked {
                Outcome::Info { error } => Outcome::Fail { error },
                certain => certain,
            }
        })
    }

    fn put<'a>(
        &'a mut self,
        key: &'a str,
        value: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<()>> {
        let request = PutRequest { key: key.to_owned().into(), value: value.to_owned().into() };
        Box::pin(self.send(deadline, move |mut client| {
            let request = for_leader(request.clone());
            async move {
                let answer = client.put(request).await?.into_inner();
                Ok(((), revision(answer.header.as_ref())?))
            }
        }))
    }

    fn compare_and_set<'a>(
        &'a mut self,
        key: &'a str,
        change: Change<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Swap>> {
        let request = compare_and_set(key, change);
        Box::pin(self.send(deadline, move |mut client| {
            let request = for_leader(request.clone());
            async move { understand_swap(client.txn(request).await?.into_inner(), key) }
        }))
    }
}

#[cfg(test)]
mod tests;
