//! One node of a simulated cluster: the production core and machine, on a simulated disk and clock.
//!
//! What a [`Running`] node does is what the node's own driver does, without sockets and threads: it keeps the
//! contract of `raft`'s `effect.rs` and makes the same promises to clients.

mod drive;
mod waiting;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use machine::Machine;
use machine::session::Sessions;
use raft::{
    Config, Input, Lease, LogIndex, Message, NodeId, Output, Replica, RequestId, Timestamp, WriteId,
};

use crate::clock::Clock;
use crate::disk::{Disk, Job, Saved};
use crate::oracle::{Oracle, Violation};
use crate::plan::{Flaw, Plan};
use crate::random::{Random, Seed};
use crate::request::{Ask, Asker, Reply};
use crate::time::Time;
use crate::trace::Trace;
use waiting::Waiting;

/// What a node applies.
pub(crate) type Replicated = Sessions<Machine>;

/// How many messages may wait for a paused node; its sockets hold no more.
const INBOX_MAX: usize = 4000;

/// A node, up or down.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// The voters that the cluster began with; none for a node that joins.
    founders: BTreeSet<NodeId>,
    seed: Seed,
    /// `None` while the node is down.
    pub(crate) running: Option<Box<Running>>,
    pub(crate) disk: Disk,
    /// Where the draws of its disk come from.
    pub(crate) random: Random,
    pub(crate) clock: Clock,
    /// How often it was started.
    pub(crate) starts: u64,
    /// How many faults pause it, and how many keep it down.
    pub(crate) paused: u32,
    pub(crate) downed: u32,
    /// The operator has taken it out of service for good.
    pub(crate) is_retired: bool,
    /// What waits while it is paused.
    pub(crate) inbox: VecDeque<Box<Arrival>>,
    /// Whether a tick fell due meanwhile.
    pub(crate) is_tick_missed: bool,
    /// When the next tick is due, by its own clock.
    pub(crate) tick_due: Timestamp,
}

/// Something that reaches a node from outside.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// A message of another node.
    Message { from: NodeId, message: Message },
    /// The disk has made every write up to this one durable.
    Persisted(WriteId),
    /// A snapshot has been saved, or not.
    Saved { index: LogIndex, is_saved: bool },
    /// A client asks something.
    Request { asker: Asker, ask: Ask },
}

/// A node that is up.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) replica: Replica,
    /// What has been applied, …
    pub(crate) state: Replicated,
    /// … up to this entry.
    pub(crate) applied: LogIndex,
    persisted: WriteId,
    /// Messages that wait for writes; in order, since writes are.
    held: VecDeque<(WriteId, NodeId, Message)>,
    waiting: Waiting,
    /// What has arrived of a snapshot that is being received.
    gathered: Vec<u8>,
    received: Option<Saved>,
    /// The newest snapshot, taken or installed.
    newest: Option<Saved>,
    /// The snapshot that is being saved.
    saving: Option<Saved>,
    /// Empty but while the core is fed: spares an allocation each time.
    outputs: Vec<Output>,
    /// The last state that was saved: what the flawed save again.
    stale: Option<Arc<[u8]>>,
}

/// What is to be done outside of a node.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send what will arrive; boxed here, since it goes through many hands.
    Send {
        to: NodeId,
        arrival: Box<Arrival>,
    },
    Write(Job),
    /// Save a snapshot beside the log.
    Save,
    Reply(Asker, Reply),
    /// A request of the operator has ended.
    Ended {
        request: RequestId,
        is_done: bool,
    },
}

/// What a node may look at, and tell, while it handles something.
pub(crate) struct Scene<'a> {
    pub(crate) time: Time,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) trace: &'a mut Trace,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) padding: u64,
    /// The last request's number.
    pub(crate) requests: &'a mut u64,
}

impl Scene<'_> {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn next_request(&mut self) -> RequestId {
        *self.requests += 1;
        RequestId(*self.requests)
    }
}

impl Node {
    pub(crate) fn new(id: NodeId, founders: &BTreeSet<NodeId>, seed: Seed) -> Self {
        let is_founder = founders.contains(&id);
        let mut random = seed.derive("disk").stream();
        Self {
            id,
            founders: if is_founder { founders.clone() } else { BTreeSet::new() },
            seed,
            running: None,
            disk: Disk::new(),
            clock: Clock::new(random.below(1 << 40)),
            random,
            starts: 0,
            paused: 0,
            downed: 0,
            is_retired: false,
            inbox: VecDeque::new(),
            is_tick_missed: false,
            tick_due: Timestamp(0),
        }
    }

    /// Starts the node from what its disk holds.
    pub(crate) fn start(&mut self, plan: &Plan) -> Result<(), Violation> {
        assert!(self.running.is_none(), "a node is started once");
        self.starts += 1;
        let tick = plan.timings.tick;
        let config = Config {
            id: self.id,
            members: self.founders.clone(),
            election_timeout: plan.timings.election,
            heartbeat_interval: plan.timings.heartbeat,
            pre_vote: plan.core.pre_vote,
            check_quorum: plan.core.check_quorum,
            lease: plan.core.lease.map(|drift| Lease { tick, drift }),
            incarnation: self.starts,
            seed: self.seed.derive("core").nth(self.starts).0,
            limits: plan.core.limits.clone(),
        };
        let unrecoverable = |why: String| Violation::Unrecoverable { node: self.id, why };
        let (mut recovered, data) = self.disk.recover();
        if plan.flaw == Some(Flaw::ForgetVote) {
            recovered.hard_state.vote = None;
        }
        let (mut state, mut applied, mut newest) = (Replicated::default(), LogIndex(0), None);
        if let (Some(snapshot), Some(data)) = (&recovered.snapshot, data) {
            state = Replicated::restore(&data).map_err(|error| unrecoverable(error.to_string()))?;
            applied = snapshot.index;
            newest = Some((snapshot.clone(), data));
        }
        let replica = Replica::new(config, recovered);
        let replica = replica.map_err(|error| unrecoverable(error.to_string()))?;
        self.running = Some(Box::new(Running {
            replica,
            state,
            applied,
            persisted: WriteId(0),
            held: VecDeque::new(),
            waiting: Waiting::default(),
            gathered: vec![],
            received: None,
            stale: newest.as_ref().map(|(_, data)| data.clone()),
            newest,
            saving: None,
            outputs: vec![],
        }));
        Ok(())
    }

    /// Ends the node at once. Returns who waited for an answer: they see their connections break.
    pub(crate) fn crash(&mut self, plan: &Plan) -> Vec<Asker> {
        self.inbox.clear();
        self.is_tick_missed = false;
        let Some(mut running) = self.running.take() else { return vec![] };
        self.disk.crash(plan.storage.crash, &mut self.random);
        running.waiting.everybody()
    }

    /// Puts what reaches a paused node by; it may be too much.
    pub(crate) fn keep(&mut self, arrival: Box<Arrival>) {
        let is_message = matches!(*arrival, Arrival::Message { .. });
        if !is_message || self.inbox.len() < INBOX_MAX {
            self.inbox.push_back(arrival);
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Returns whether it is up and handles what reaches it.
    pub(crate) fn is_awake(&self) -> bool {
        self.is_up() && self.paused == 0
    }

    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.running.as_ref().map(|running| &running.replica)
    }

    /// Takes out the snapshot that is being saved, once it is or cannot be.
    pub(crate) fn end_saving(&mut self, is_saved: bool) -> Option<Saved> {
        let running = self.running.as_mut()?;
        let saved = running.saving.take()?;
        if is_saved {
            running.note_newest(&saved);
        }
        Some(saved)
    }

    /// Handles something that arrived; the node is up.
    pub(crate) fn handle(
        &mut self,
        arrival: Arrival,
        scene: &mut Scene<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock.now(scene.time);
        let wall = self.clock.wall(scene.time);
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        match arrival {
            Arrival::Message { from, message } => {
                running.feed(Input::Receive { from, message }, scene)
            }
            Arrival::Persisted(upto) => running.persisted(upto, scene),
            Arrival::Saved { index, is_saved } => {
                let input = match is_saved {
                    true => Input::SnapshotTaken { index },
                    false => Input::SnapshotFailed { index },
                };
                running.feed(input, scene)
            }
            Arrival::Request { asker, ask } => running.ask(asker, ask, now, wall, scene),
        }
    }

    pub(crate) fn tick(&mut self, scene: &mut Scene<'_>) -> Result<(), Violation> {
        let now = self.clock.now(scene.time);
        match self.running.as_mut() {
            Some(running) => running.feed(Input::Tick { now }, scene),
            None => Ok(()),
        }
    }

    /// Asks the core something on the operator's behalf.
    pub(crate) fn operate(&mut self, input: Input, scene: &mut Scene<'_>) -> Result<(), Violation> {
        match self.running.as_mut() {
            Some(running) => running.feed(input, scene),
            None => Ok(()),
        }
    }
}
