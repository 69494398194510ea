//! The client of our own nodes: chooses a node, sends the operation, judges how it ended.
//!
//! Outside of a session an operation is sent anew only after proof that it was not applied, so one
//! invocation stands for at most one effect, however many nodes were asked. What a node that cannot
//! serve costs is one round trip, and the number of attempts is bounded besides the deadline.

use std::time::{Duration, Instant};

use proto::Ticket;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use tokio::time::timeout_at;
use tonic::transport::Channel;

use super::connection::{self, Connection};
use super::outcome::{Refusal, Remedy};
use super::session::{self, Assurance, Effort};
use super::turn::{Attempts, Turn};
use super::{Api, Cause, Client, Outcome, Placement, kv, ledger};
use crate::system::{BoxFuture, NodeId};
use crate::workload::Invocation;

/// How long to wait when the nodes know of no leader: an election takes a few of these.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// A node as a client reaches it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `HOST:PORT`.
    pub address: String,
    /// The node there, if known before it has answered.
    pub node: Option<NodeId>,
}

/// A client of our own nodes.
pub struct StormproofClient {
    pub(super) api: Api,
    pub(super) endpoints: Vec<Known>,
    pub(super) turn: Turn,
    pub(super) assurance: Assurance,
    /// Its own session, if it needed one.
    pub(super) session: Option<session::Open>,
    pub(super) effort: Effort,
}

pub(super) struct Known {
    address: String,
    node: Option<u64>,
    connection: Option<Connection>,
}

/// What an attempt led to.
pub(super) enum Attempt {
    /// The operation has its outcome.
    Answered(Outcome),
    /// The attempt did nothing and never will.
    Nothing { error: String, leader: Option<u64>, remedy: Remedy },
    /// Nobody knows what it did, or will do.
    Unclear(Cause),
}

/// What a request led to: the answer and its place in the system's order, or none.
pub(super) type Answer = Result<(Value, u64), Failure>;

/// Why there is no answer that could be recorded.
#[derive(Debug)]
pub(super) enum Failure {
    /// A status came instead, from the node or from the connection.
    Status(Box<tonic::Status>),
    /// The answer says nothing that this client understands.
    Nonsense(&'static str),
    /// The system refused, for good.
    Rejected(&'static str),
    /// The invocation is none that can be sent.
    Unsendable(String),
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Unsendable(error.to_string())
    }
}

impl StormproofClient {
    /// Makes a client. It connects when it is first used.
    ///
    /// # Panics
    /// If there are no endpoints, or the client is pinned to a node that is none of them.
    pub fn new(
        api: Api,
        endpoints: Vec<Endpoint>,
        placement: Placement,
        random: ChaCha12Rng,
    ) -> Self {
        let turn = Turn::new(placement, endpoints.iter().map(|it| it.node), random);
        let endpoints = endpoints.into_iter().map(|endpoint| Known {
            address: endpoint.address,
            node: endpoint.node.map(NodeId::number),
            connection: None,
        });
        Self {
            api,
            endpoints: endpoints.collect(),
            turn,
            assurance: Assurance::AtMostOnce,
            session: None,
            effort: Effort::default(),
        }
    }

    /// Says how the client makes sure of its operations from now on; at first, not at all.
    #[must_use]
    pub fn with_assurance(mut self, assurance: Assurance) -> Self {
        self.assurance = assurance;
        self
    }

    /// Returns what the last operation took; nothing if it needed no session.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// Sends an operation outside of any session: anew only with proof that it was not applied.
    pub(super) async fn run(
        &mut self,
        api: Api,
        invocation: &Invocation,
        deadline: Instant,
    ) -> Outcome {
        let mut attempts = Attempts::new(PAUSE);
        loop {
            let (error, leader) = match self.attempt(api, invocation, None, deadline).await {
                Attempt::Answered(outcome) => return outcome,
                Attempt::Unclear(error) => {
                    self.leave(None);
                    return match api.is_read(invocation.f) {
                        true => Outcome::Fail { error },
                        false => Outcome::Info { error },
                    };
                }
                Attempt::Nothing { error, leader, remedy: Remedy::Elsewhere } => (error, leader),
                Attempt::Nothing { error, .. } => return Outcome::Fail { error: error.into() },
            };
            let is_hinted = self.leave(leader);
            if !attempts.again(&self.turn, is_hinted, deadline).await {
                return Outcome::Fail { error: error.into() };
            }
        }
    }

    /// Turns to the node that is said to lead, else to the next one. Tells whether a hint was
    /// followed.
    pub(super) fn leave(&mut self, leader: Option<u64>) -> bool {
        let hinted = leader.and_then(|leader| {
            let is_leader = |known: &Known| known.node == Some(leader);
            self.endpoints.iter().position(is_leader)
        });
        self.turn.leave(hinted)
    }

    /// Sends an operation once.
    pub(super) async fn attempt(
        &mut self,
        api: Api,
        invocation: &Invocation,
        ticket: Option<Ticket>,
        deadline: Instant,
    ) -> Attempt {
        let known = &mut self.endpoints[self.turn.current()];
        let connection = match &known.connection {
            Some(connection) => connection,
            None => match connection::connect(&known.address, deadline).await {
                Ok(connection) => {
                    known.node = Some(connection.node);
                    known.connection.insert(connection)
                }
                Err(error) => {
                    let error = format!("{}: {error}", known.address);
                    return Attempt::Nothing { error, leader: None, remedy: Remedy::Elsewhere };
                }
            },
        };
        let request = call(api, connection.channel.clone(), ticket, invocation);
        let refusal = match timeout_at(deadline.into(), request).await {
            Ok(Ok((value, position))) => {
                let position = Some(position);
                return Attempt::Answered(Outcome::Ok { value, position });
            }
            Ok(Err(Failure::Rejected(why))) => {
                let value = json!({"rejected": why});
                return Attempt::Answered(Outcome::Ok { value, position: None });
            }
            Ok(Err(Failure::Status(status))) => Refusal::of(&status),
            Ok(Err(Failure::Nonsense(what))) => Refusal::Unclear(Cause::Nonsense(what)),
            Ok(Err(Failure::Unsendable(error))) => {
                return Attempt::Nothing { error, leader: None, remedy: Remedy::None };
            }
            Err(_) => Refusal::Unclear("timeout".into()),
        };
        match refusal {
            Refusal::NotApplied { error, leader, remedy } => {
                Attempt::Nothing { error, leader, remedy }
            }
            Refusal::Unsent(error) => {
                known.connection = None;
                Attempt::Nothing { error, leader: None, remedy: Remedy::Elsewhere }
            }
            Refusal::Unclear(error) => {
                // Whatever is wrong with the node, a new connection begins with a sign of life.
                known.connection = None;
                Attempt::Unclear(error)
            }
        }
    }
}

async fn call(
    api: Api,
    channel: Channel,
    ticket: Option<Ticket>,
    invocation: &Invocation,
) -> Answer {
    match api {
        Api::Ledger => ledger::call(session::line(channel, ticket), invocation).await,
        Api::Kv => kv::call(session::line(channel, ticket), invocation).await,
        Api::Session => session::call(channel, invocation).await,
    }
}

impl Client for StormproofClient {
    fn execute<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome> {
        self.turn.begin();
        self.effort = Effort::default();
        let is_assured = !matches!(self.assurance, Assurance::AtMostOnce)
            && self.api != Api::Session
            && !self.api.is_read(invocation.f);
        if is_assured {
            return Box::pin(self.run_once(invocation, deadline));
        }
        Box::pin(self.run(self.api, invocation, deadline))
    }
}

#[cfg(test)]
mod tests;
