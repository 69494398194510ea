//! The driver: it feeds the core, carries out what the core says, and keeps account of the clients
//! who wait for an answer.
//!
//! One task owns all of it. [`Driver::handle`] is synchronous and takes one closed [`Event`] after
//! the other; what concerns the world comes out as [`Effect`]s, what concerns a client goes to where
//! the client waits.
//!
//! What a client is told is a promise:
//!
//! - **D1 An answer is an outcome.** It is sent when the command was applied here, from the very
//!   entry that the client's request made: same index, same term. To a request that repeats another
//!   in a session it is the machine that gives the earlier one's answer.
//! - **D2 "Not applied" is certain**, of the request that it answers. It is said when the core refused
//!   the request, or when another term's entry was applied at the request's index.
//! - **D3 Otherwise nobody knows.** A proposal that is in the log when its leader falls may yet be
//!   committed by the next one.
//! - **D4 A read changes nothing**, so a read that gets no answer was not applied, whatever happened.

use std::collections::{BTreeMap, VecDeque};

use machine::session::{self, Sessions};
use machine::{Answer, Machine, Query, StateMachine};
use raft::{
    Entry, Input, LogIndex, Message, NodeId, Output, Refusal, RequestId, Role, Term, Write, WriteId,
};
use tokio::sync::oneshot;
use tracing::{debug, info};

use crate::wire::command::{self, DecodeError};

mod core;
pub(crate) mod task;
#[cfg(test)]
mod tests;

pub(crate) use self::core::{Core, Standing};

/// How many proposals may wait for their entry to be applied, and as many reads. The core bounds
/// what is uncommitted; this bounds what is remembered of clients, some of whom may be gone.
pub(crate) const REQUESTS_MAX: usize = 16_384;

/// How many messages may wait for writes: more than a node says to its peers while a disk takes half a
/// second for one sync. Under a disk that hangs, the newest are dropped; the core says again what
/// matters.
const HELD_MAX: usize = 4096;

/// What a command came to, sessions and all.
pub(crate) type Outcome = session::Outcome<machine::Outcome>;

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// One unit of time has passed.
    Tick,
    /// A peer's message arrived.
    Received {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// The disk has got this far.
    Persisted(WriteId),
    /// A client asked for something.
    Request(Request),
}

/// What a client asks for, and where it waits.
#[derive(Debug)]
pub(crate) enum Request {
    /// To replicate and apply a command.
    Propose(raft::Command, Reply<Outcome>),
    /// To read what is linearizable.
    Read(Query, Reply<Answer>),
    /// How the node stands.
    Status(oneshot::Sender<Standing>),
}

/// Where a client waits: for a result and the log index that it reflects, or why there is none.
pub(crate) type Reply<T> = oneshot::Sender<Result<(LogIndex, T), Failure>>;

/// Why a client gets no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Not applied: another node leads, perhaps the named one.
    NotLeader(Option<NodeId>),
    /// Not applied: too much is under way.
    Overloaded,
    /// Not applied: another leader's entry took the place of this one.
    Superseded,
    /// Not applied: a read whose node lost the lead.
    Deposed(Option<NodeId>),
    /// Nobody knows: a proposal whose node lost the lead.
    Unknown,
}

/// Something is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Make this durable, after what was to be made durable before.
    Persist(Write),
    /// Send this, or drop it.
    Send {
        /// The recipient.
        to: NodeId,
        /// What to say.
        message: Message,
    },
}

/// Why a node must stop.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A committed entry is no command.
    #[error("failed to apply the log entry at index {index}")]
    Undecodable {
        /// The entry's place.
        index: LogIndex,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The storage thread has ended; it knows why.
    #[error("the log can no longer be written")]
    StorageGone,
}

/// What the driver was built with, besides its core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// This node, for the log.
    pub(crate) id: NodeId,
    /// The flaw by that name: answer reads from the local state at once.
    pub(crate) reads_locally: bool,
}

/// The owner of core, machine and waiting clients.
#[derive(Debug)]
pub(crate) struct Driver<C> {
    core: C,
    machine: Sessions<Machine>,
    options: Options,
    last_applied: LogIndex,
    persisted: WriteId,
    /// Messages that wait for a write, in the order of the writes.
    held: VecDeque<(WriteId, NodeId, Message)>,
    last_request: RequestId,
    /// Proposals that the core has not answered yet.
    proposed: BTreeMap<RequestId, Reply<Outcome>>,
    /// Proposals in the log, by their place.
    appended: BTreeMap<LogIndex, (Term, Reply<Outcome>)>,
    reads: BTreeMap<RequestId, (Query, Reply<Answer>)>,
}

impl<C: Core> Driver<C> {
    /// Makes the driver of a fresh core; the machine starts from nothing.
    pub(crate) fn new(core: C, options: Options) -> Self {
        Self {
            core,
            machine: Sessions::default(),
            options,
            last_applied: LogIndex(0),
            persisted: WriteId(0),
            held: VecDeque::new(),
            last_request: RequestId(0),
            proposed: BTreeMap::new(),
            appended: BTreeMap::new(),
            reads: BTreeMap::new(),
        }
    }

    /// Handles one event and appends what is to be done to `effects`.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        match event {
            Event::Tick => self.feed(Input::Tick, effects),
            Event::Received { from, message } => {
                self.feed(Input::Receive { from, message }, effects)
            }
            Event::Persisted(upto) => {
                self.persisted = upto;
                self.release(effects);
                self.feed(Input::Persisted { upto }, effects)
            }
            Event::Request(Request::Propose(command, reply)) => {
                self.handle_propose(command, reply, effects)
            }
            Event::Request(Request::Read(query, reply)) => self.handle_read(query, reply, effects),
            Event::Request(Request::Status(reply)) => {
                // A client that does not wait any more is none to answer; so throughout.
                reply.send(self.core.standing()).ok();
                Ok(())
            }
        }
    }

    fn handle_propose(
        &mut self,
        command: raft::Command,
        reply: Reply<Outcome>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        if self.proposed.len() + self.appended.len() >= REQUESTS_MAX {
            reply.send(Err(Failure::Overloaded)).ok();
            return Ok(());
        }
        let request = self.next_request();
        self.proposed.insert(request, reply);
        self.feed(Input::Propose { request, command }, effects)
    }

    fn handle_read(
        &mut self,
        query: Query,
        reply: Reply<Answer>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        if self.options.reads_locally {
            reply.send(Ok((self.last_applied, self.machine.query(&query)))).ok();
            return Ok(());
        }
        if self.reads.len() >= REQUESTS_MAX {
            reply.send(Err(Failure::Overloaded)).ok();
            return Ok(());
        }
        let request = self.next_request();
        self.reads.insert(request, (query, reply));
        self.feed(Input::Read { request }, effects)
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request = RequestId(self.last_request.0 + 1);
        self.last_request
    }

    /// Feeds the core an input, and whatever inputs follow from carrying out its outputs.
    fn feed(&mut self, input: Input, effects: &mut Vec<Effect>) -> Result<(), DriverError> {
        let mut outputs = Vec::new();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            self.core.handle(input, &mut outputs);
            let applied_before = self.last_applied;
            for output in outputs.drain(..) {
                self.carry_out(output, effects)?;
            }
            if self.last_applied > applied_before {
                next = Some(Input::Applied { upto: self.last_applied });
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, output: Output, effects: &mut Vec<Effect>) -> Result<(), DriverError> {
        match output {
            Output::Persist(write) => effects.push(Effect::Persist(write)),
            Output::Send { to, message, after } => match after {
                Some(after) if after > self.persisted => {
                    if self.held.len() < HELD_MAX {
                        self.held.push_back((after, to, message));
                    }
                }
                _ => effects.push(Effect::Send { to, message }),
            },
            Output::Apply { entries } => {
                for entry in &entries {
                    self.apply(entry)?;
                }
            }
            Output::Appended { request, index, term } => {
                if let Some(reply) = self.proposed.remove(&request) {
                    self.appended.insert(index, (term, reply));
                }
            }
            Output::ReadReady { request } => {
                if let Some((query, reply)) = self.reads.remove(&request) {
                    reply.send(Ok((self.last_applied, self.machine.query(&query)))).ok();
                }
            }
            Output::Refused { request, refusal } => self.refuse(request, refusal),
            // Only a request of ours begins a transfer, and no service asks for one yet.
            Output::TransferEnded { .. } => {}
            Output::RoleChanged { role, term, leader } => {
                let (node, leader_id) = (self.options.id.0, leader.map(|id| id.0));
                info!(node, ?role, term = term.0, leader = leader_id, "role");
                self.settle_reign(role, term, leader);
            }
        }
        Ok(())
    }

    /// Applies an entry and answers the client who waits for it.
    fn apply(&mut self, entry: &Entry) -> Result<(), DriverError> {
        assert_eq!(
            entry.index,
            self.last_applied.next(),
            "entries are applied in order, once each"
        );
        let outcome = if entry.command.is_empty() {
            None
        } else {
            let index = entry.index;
            let command = command::decode(index, &entry.command)
                .map_err(|source| DriverError::Undecodable { index, source })?;
            Some(self.machine.apply(&command))
        };
        self.last_applied = entry.index;
        if let Some((term, reply)) = self.appended.remove(&entry.index) {
            let result = match outcome {
                Some(outcome) if term == entry.term => Ok((entry.index, outcome)),
                _ => {
                    assert_ne!(term, entry.term, "D1: a proposal became another entry");
                    Err(Failure::Superseded)
                }
            };
            reply.send(result).ok();
        }
        Ok(())
    }

    fn refuse(&mut self, request: RequestId, refusal: Refusal) {
        let failure = match refusal {
            Refusal::NotLeader { leader } => Failure::NotLeader(leader),
            // Either passes soon: the leader is busy, or about to be another.
            Refusal::Overloaded | Refusal::Transferring { .. } | Refusal::NoSuccessor => {
                Failure::Overloaded
            }
        };
        if let Some(reply) = self.proposed.remove(&request) {
            reply.send(Err(failure)).ok();
        } else if let Some((_, reply)) = self.reads.remove(&request) {
            reply.send(Err(failure)).ok();
        }
    }

    /// Answers everybody who waits for something that the reign which just ended was to bring about.
    fn settle_reign(&mut self, role: Role, term: Term, leader: Option<NodeId>) {
        let reigns = |of: Term| role == Role::Leader && of == term;
        let fallen = self.appended.extract_if(.., |_, (of, _)| !reigns(*of));
        let mut unknown = 0_usize;
        for (_, (_, reply)) in fallen {
            unknown += 1;
            reply.send(Err(Failure::Unknown)).ok();
        }
        if role != Role::Leader {
            for (_, (_, reply)) in std::mem::take(&mut self.reads) {
                reply.send(Err(Failure::Deposed(leader))).ok();
            }
        }
        if unknown > 0 {
            debug!(proposals = unknown, "outcome unknown");
        }
    }

    /// Sends what waited for writes that are durable now.
    fn release(&mut self, effects: &mut Vec<Effect>) {
        while let Some((after, _, _)) = self.held.front()
            && *after <= self.persisted
        {
            let (_, to, message) = self.held.pop_front().expect("there is a front");
            effects.push(Effect::Send { to, message });
        }
    }
}
