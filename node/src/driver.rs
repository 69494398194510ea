//! The driver: it feeds the core, carries out what the core says, and keeps account of the clients
//! who wait for an answer.
//!
//! One task owns all of it. [`Driver::handle`] is synchronous and takes one closed [`Event`] after
//! the other; what concerns the world comes out as [`Effect`]s, what concerns a client goes to where
//! the client waits. What a client is told is a promise; see `clients`.

use std::collections::{BTreeSet, VecDeque};

use machine::session::Sessions;
use machine::{Answer, Machine, Query, StateMachine};
use raft::{
    Entry, Input, LogIndex, Membership, Message, NodeId, Output, Payload, Role, Snapshot,
    Timestamp, WriteId,
};
use tracing::{info, warn};

use crate::wire::command;

mod clients;
pub(crate) mod clock;
mod core;
mod event;
pub(crate) mod request;
mod snapshots;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use self::clients::Clients;
pub(crate) use self::core::{Core, Standing};
pub use self::event::DriverError;
pub(crate) use self::event::{Effect, Event};
use self::request::{Change, End, Failure, Reply, Report, Request};
use self::snapshots::Snapshots;

/// How many messages may wait for writes: more than a node says to its peers while a disk takes half a
/// second for one sync. Under a disk that hangs, the newest are dropped; the core says again what
/// matters.
const HELD_MAX: usize = 4096;

/// What the log is fed to on every node.
pub(crate) type Replicated = Sessions<Machine>;

/// What a driver is told at its start.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// This node.
    pub(crate) id: NodeId,
    /// The nodes whose addresses are known.
    pub(crate) known: BTreeSet<NodeId>,
    /// A deliberate flaw: answer reads at once from this node's state, whatever the core thinks.
    pub(crate) reads_locally: bool,
}

impl Options {
    /// Warns of members that this node cannot reach, for want of an address.
    pub(crate) fn warn_of_strangers(&self, members: &BTreeSet<NodeId>) {
        for id in members.difference(&self.known) {
            let node = self.id.0;
            warn!(node, member = id.0, "`peers` has no address for a member of the cluster");
        }
    }
}

/// The state that the log has led to so far.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) state: Replicated,
    /// The last entry that it includes.
    pub(crate) upto: LogIndex,
}

/// A node without its sockets and its disk.
#[derive(Debug)]
pub(crate) struct Driver<C> {
    core: C,
    options: Options,
    applied: Applied,
    /// Every write up to here is durable.
    persisted: WriteId,
    /// Messages that wait for writes; in order, since writes are.
    held: VecDeque<(WriteId, NodeId, Message)>,
    clients: Clients,
    snapshots: Snapshots,
}

impl<C: Core> Driver<C> {
    /// Makes a driver of a core and a state that come from one disk.
    pub(crate) fn new(core: C, applied: Applied, options: Options) -> Self {
        Self {
            core,
            options,
            applied,
            persisted: WriteId(0),
            held: VecDeque::new(),
            clients: Clients::default(),
            snapshots: Snapshots::default(),
        }
    }

    /// Handles one event and appends what is to be done to `effects`.
    pub(crate) fn handle(
        &mut self,
        event: Event,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        match event {
            Event::Tick { now } => self.feed(Input::Tick { now }, effects),
            Event::Received { from, message } => {
                self.feed(Input::Receive { from, message }, effects)
            }
            Event::Persisted(upto) => {
                self.persisted = upto;
                self.release(effects);
                self.feed(Input::Persisted { upto }, effects)
            }
            Event::Saved { index, is_saved } => {
                self.snapshots.saved(index, is_saved);
                let input = match is_saved {
                    true => Input::SnapshotTaken { index },
                    false => Input::SnapshotFailed { index },
                };
                self.feed(input, effects)
            }
            Event::Request { request, now } => self.handle_request(request, now, effects),
        }
    }

    fn handle_request(
        &mut self,
        request: Request,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        match request {
            Request::Propose(command, reply) => match self.clients.propose(reply) {
                Some(request) => self.feed(Input::Propose { request, command }, effects),
                None => Ok(()),
            },
            Request::Read(query, reply) => self.handle_read(query, reply, now, effects),
            Request::Status(reply) => {
                let snapshots_received = self.snapshots.restored();
                let report = Report { standing: self.core.standing(), snapshots_received };
                reply.send(report).ok();
                Ok(())
            }
            Request::Transfer(to, end) => {
                let request = self.clients.transfer(end);
                self.feed(Input::TransferLeadership { request, to }, effects)
            }
            Request::Change(change, end) => self.handle_change(change, end, effects),
            Request::Compact(end) => {
                self.feed(Input::Compact, effects)?;
                self.snapshots.wait(end, self.core.standing().snapshot_index);
                Ok(())
            }
        }
    }

    fn handle_read(
        &mut self,
        query: Query,
        reply: Reply<Answer>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        if self.options.reads_locally {
            self.answer(&query, reply);
            return Ok(());
        }
        match self.clients.read(query, reply) {
            Some(request) => self.feed(Input::Read { request, now }, effects),
            None => Ok(()),
        }
    }

    fn answer(&self, query: &Query, reply: Reply<Answer>) {
        reply.send(Ok((self.applied.upto, self.applied.state.query(query)))).ok();
    }

    /// Checks what the core cannot know, but only where it leads: others say first who does.
    fn handle_change(
        &mut self,
        change: Change,
        end: End<Membership>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), DriverError> {
        let standing = self.core.standing();
        if standing.role == Role::Leader {
            let is_as_expected = change.expected.is_none_or(|it| it == standing.membership);
            let everybody = change.membership.everybody();
            let unknown = everybody.difference(&self.options.known).next();
            let failure = match unknown {
                _ if !is_as_expected => Some(Failure::MembershipChanged),
                Some(&id) => Some(Failure::UnknownNode(id)),
                None => None,
            };
            if let Some(failure) = failure {
                end.send(Err(failure)).ok();
                return Ok(());
            }
        }
        let (request, membership) = (self.clients.change(end), change.membership);
        self.feed(Input::ChangeMembership { request, membership }, effects)
    }

    /// Feeds the core an input, and whatever inputs follow from carrying out its outputs.
    fn feed(&mut self, input: Input, effects: &mut Vec<Effect>) -> Result<(), DriverError> {
        let mut outputs = Vec::new();
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.core.handle(input, &mut outputs);
            for output in outputs.drain(..) {
                inputs.extend(self.carry_out(output, effects)?);
            }
        }
        Ok(())
    }

    /// Carries out an output. Returns what that leads to for the core, if anything.
    fn carry_out(
        &mut self,
        output: Output,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Input>, DriverError> {
        match output {
            Output::Persist(write) => {
                let data = write.snapshot.as_ref().map(|it| self.snapshots.complete(it));
                effects.push(Effect::Persist { write, data });
            }
            Output::Send { to, message, after } => match after {
                Some(after) if after > self.persisted => self.hold(after, to, message),
                _ => effects.push(Effect::Send { to, message }),
            },
            Output::SendChunk { to, chunk, bytes_max } => {
                effects.push(Effect::SendChunk { to, chunk, bytes_max });
            }
            Output::StoreChunk { offset, data } => self.snapshots.gather(offset, &data)?,
            Output::Restore { snapshot } => self.restore(&snapshot)?,
            Output::Apply { entries } => {
                for entry in &entries {
                    self.apply(entry)?;
                }
                return Ok(Some(Input::Applied { upto: self.applied.upto }));
            }
            Output::TakeSnapshot { snapshot } => return Ok(self.take_snapshot(snapshot, effects)),
            Output::Appended { request, index, term } => {
                self.clients.appended(request, index, term);
            }
            Output::ReadReady { request } => {
                if let Some((query, reply)) = self.clients.ready(request) {
                    self.answer(&query, reply);
                }
            }
            Output::Refused { request, refusal } => self.clients.refuse(request, refusal),
            Output::TransferEnded { request, end } => self.clients.end_transfer(request, end),
            Output::ChangeEnded { request, end } => {
                let membership = self.core.standing().membership;
                self.clients.end_change(request, end, membership);
            }
            Output::RoleChanged { role, term, leader } => {
                let (node, leader) = (self.options.id.0, leader.map(|id| id.0));
                info!(node, ?role, term = term.0, leader, "role");
                self.clients.settle_reign(role, term);
            }
            Output::MembershipChanged { membership } => self.connect(&membership, effects),
        }
        Ok(None)
    }

    /// Applies an entry and answers the client who waits for it.
    fn apply(&mut self, entry: &Entry) -> Result<(), DriverError> {
        let index = entry.index;
        assert_eq!(index, self.applied.upto.next(), "entries are applied in order, once each");
        let outcome = match &entry.payload {
            Payload::Command(bytes) => {
                let command = command::decode(index, bytes)
                    .map_err(|source| DriverError::Undecodable { index, source })?;
                Some(self.applied.state.apply(&command))
            }
            Payload::Noop | Payload::Membership(_) => None,
        };
        self.applied.upto = index;
        self.clients.applied(entry, outcome);
        Ok(())
    }

    /// Hands over the state as bytes, to be written elsewhere. Encoding it blocks the driver, but for a
    /// third of the time that a copy of it would: some 50 ms for a million trades.
    fn take_snapshot(&mut self, snapshot: Snapshot, effects: &mut Vec<Effect>) -> Option<Input> {
        let index = snapshot.index;
        assert_eq!(index, self.applied.upto, "a snapshot is of the state as it is now");
        if !self.snapshots.begin_saving(index) {
            return Some(Input::SnapshotFailed { index });
        }
        effects.push(Effect::Save { snapshot, data: self.applied.state.save() });
        None
    }

    /// Replaces the state by what was received.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), DriverError> {
        let index = snapshot.index;
        let data = self.snapshots.take_received(snapshot);
        let state = Replicated::restore(&data)
            .map_err(|source| DriverError::Unrestorable { index, source })?;
        info!(node = self.options.id.0, index = index.0, bytes = data.len(), "snapshot installed");
        self.applied = Applied { state, upto: index };
        self.clients.forget(index);
        Ok(())
    }

    fn connect(&self, membership: &Membership, effects: &mut Vec<Effect>) {
        let node = self.options.id.0;
        let describe = |ids: &BTreeSet<NodeId>| {
            let ids: Vec<_> = ids.iter().map(NodeId::to_string).collect();
            ids.join(",")
        };
        let Membership { voters, outgoing, learners } = membership;
        let (voters, outgoing) = (describe(voters), describe(outgoing));
        info!(node, voters, outgoing, learners = describe(learners), "membership");
        let everybody = membership.everybody();
        self.options.warn_of_strangers(&everybody);
        effects.push(Effect::Connect(everybody));
    }

    fn hold(&mut self, after: WriteId, to: NodeId, message: Message) {
        if self.held.len() < HELD_MAX {
            self.held.push_back((after, to, message));
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
