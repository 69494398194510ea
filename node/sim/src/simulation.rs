//! One run: a cluster, its clients and what befalls them, one event after the other.
//!
//! Everything happens in one thread and in virtual time, which passes only from one event to the next. So
//! a seed gives the same run every time, to the last bit.

mod ambush;
mod carrying;
mod clients;
mod ending;
mod faults;
mod operator;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft::{NodeId, Replica, Role};

use crate::client::Client;
use crate::fault::FaultId;
use crate::history::History;
use crate::network::Network;
use crate::node::{Arrival, Effect, Node, Scene};
use crate::oracle::{Oracle, Violation};
use crate::plan::Plan;
use crate::random::Random;
use crate::request::{Asker, Reply};
use crate::time::{Queue, Time};
use crate::topology::Census;
use crate::trace::Trace;
use crate::workload::{Generator, Operation};
use ending::Ending;
use faults::Active;
use operator::Errand;

pub use ending::Stalled;

/// Events of one run at the most, so that a run in which events breed events ends too. A long storm has
/// some hundred thousand.
const EVENTS_MAX: u64 = 50_000_000;

/// What is to happen.
#[derive(Debug)]
enum Event {
    Tick {
        node: NodeId,
        start: u64,
    },
    /// Something reaches a node; what is meant for one start of it is lost on another.
    Arrive {
        node: NodeId,
        start: Option<u64>,
        arrival: Box<Arrival>,
    },
    /// A sync ends.
    Synced {
        node: NodeId,
        start: u64,
    },
    /// The saving of a snapshot ends.
    Saved {
        node: NodeId,
        start: u64,
    },
    /// A client may begin an operation.
    Begin {
        client: u64,
    },
    /// A client may ask again.
    AskAgain(Asker),
    /// A client has waited long enough.
    TimeOut(Asker),
    Answer(Asker, Box<Reply>),
    FaultBegins(usize),
    FaultTurns(FaultId),
    FaultEnds(FaultId),
    /// The operator asks once more for a change of membership.
    Operate(FaultId),
    /// The storm is over.
    Calm,
    /// Time to look whether all is well again.
    Look,
}

/// Why a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Stalled(#[from] Stalled),
}

/// What happened in a run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named like what it counts")]
pub struct Counts {
    pub events: u64,
    pub faults: u64,
    pub crashes: u64,
    pub elections: u64,
    pub installed: u64,
    pub changes: u64,
    pub operations: u64,
    pub answered: u64,
    pub unknown: u64,
    pub committed: u64,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Simulation {
    plan: Plan,
    time: Time,
    queue: Queue<Event>,
    nodes: Vec<Node>,
    network: Network,
    clients: Vec<Client>,
    generator: Generator,
    /// Operations that are to be answered before others are drawn.
    urgent: VecDeque<Operation>,
    /// Who is in the cluster, as far as anybody knows, or is about to be; refreshed when that changes.
    members: Vec<NodeId>,
    /// How many memberships were committed when it was.
    memberships: u64,
    /// How many operations of unknown outcome each key has seen.
    unknown: BTreeMap<String, u64>,
    oracle: Oracle,
    trace: Trace,
    history: History,
    effects: Vec<Effect>,
    /// The number of the last request.
    requests: u64,
    active: BTreeMap<FaultId, Active>,
    errands: BTreeMap<FaultId, Errand>,
    /// Ambushes that have found somebody, who is still about to do what gave it away.
    sprung: Vec<FaultId>,
    /// Draws for what is nobody's own: first ticks, the ways of snapshots to the disk.
    random: Random,
    ending: Option<Ending>,
    counts: Counts,
}

impl Simulation {
    /// Makes a cluster as its plan wants it; nothing has happened yet.
    pub(crate) fn new(plan: Plan, is_told: bool) -> Self {
        let seed = plan.seed;
        let count = plan.founders + plan.joiners;
        let founders: BTreeSet<NodeId> = (1..=plan.founders).map(NodeId).collect();
        let ids: Vec<NodeId> = founders.iter().copied().collect();
        let clients = (0..plan.clients.count)
            .map(|id| Client::new(id, &ids, seed.derive("client").nth(id).stream()));
        let nodes =
            (1..=count).map(|id| Node::new(NodeId(id), &founders, seed.derive("node").nth(id)));
        let generator = Generator::new(plan.workload, seed.derive("workload").stream());
        Self {
            time: Time(0),
            queue: Queue::new(),
            nodes: nodes.collect(),
            network: Network::new(count, plan.weather.clone(), seed.derive("network")),
            clients: clients.collect(),
            urgent: generator.beginning().into(),
            generator,
            members: ids,
            memberships: 0,
            unknown: BTreeMap::new(),
            oracle: Oracle::default(),
            trace: Trace::new(is_told),
            history: History::default(),
            effects: vec![],
            requests: 0,
            active: BTreeMap::new(),
            errands: BTreeMap::new(),
            sprung: vec![],
            random: seed.derive("simulation").stream(),
            ending: None,
            counts: Counts::default(),
            plan,
        }
    }

    /// Runs until all is well again after the storm.
    pub(crate) fn run(&mut self) -> Result<(), Broken> {
        for place in 0..self.nodes.len() {
            let node = &mut self.nodes[place];
            node.clock.set_rate(Time(0), self.plan.rates[place]);
            let id = node.id;
            self.start(id)?;
        }
        for client in 0..self.clients.len() as u64 {
            let pause = self.clients[client as usize].pause(&self.plan.clients);
            self.queue.push(self.time + pause, Event::Begin { client });
        }
        for (place, fault) in self.plan.faults.iter().enumerate() {
            self.queue.push(Time(0) + fault.at, Event::FaultBegins(place));
        }
        self.queue.push(Time(0) + self.plan.storm, Event::Calm);
        while let Some((time, event)) = self.queue.pop() {
            self.time = time;
            self.counts.events += 1;
            assert!(self.counts.events < EVENTS_MAX, "events breed events");
            if self.handle(event)? {
                break;
            }
        }
        Ok(())
    }

    /// Handles an event; says whether the run is over.
    fn handle(&mut self, event: Event) -> Result<bool, Broken> {
        self.note(&event);
        match event {
            Event::Tick { node, start } => self.tick(node, start)?,
            Event::Arrive { node, start, arrival } => self.arrive(node, start, arrival)?,
            Event::Synced { node, start } => self.synced(node, start)?,
            Event::Saved { node, start } => self.saved(node, start)?,
            Event::Begin { client } => self.begin(client),
            Event::AskAgain(asker) => {
                self.with_client(asker.client, |it, desk| Ok(it.ask_again(asker.attempt, desk)))?;
            }
            Event::TimeOut(asker) => {
                self.with_client(asker.client, |it, desk| Ok(it.time_out(asker.attempt, desk)))?;
            }
            Event::Answer(asker, reply) => {
                self.with_client(asker.client, |it, desk| it.hear(asker.attempt, *reply, desk))?;
            }
            Event::FaultBegins(place) => self.begin_fault(place)?,
            Event::FaultTurns(id) => self.turn_fault(id),
            Event::FaultEnds(id) => self.end_fault(id)?,
            Event::Operate(id) => self.operate(id)?,
            Event::Calm => self.calm()?,
            Event::Look => return self.look(),
        }
        Ok(false)
    }

    /// Folds an event into the number that stands for the run.
    fn note(&mut self, event: &Event) {
        let Self { trace, time, .. } = self;
        let mut note = |kind: u8, number: u64| trace.note(&(time.0, kind, number));
        match event {
            Event::Tick { node, .. } => note(0, node.0),
            Event::Arrive { node, arrival, .. } => {
                note(1, node.0);
                match &**arrival {
                    Arrival::Message { from, message } => trace.note(&(from, message)),
                    Arrival::Persisted(upto) => trace.note(upto),
                    Arrival::Saved { index, is_saved } => trace.note(&(index, is_saved)),
                    Arrival::Request { asker, .. } => trace.note(asker),
                }
            }
            Event::Synced { node, .. } => note(2, node.0),
            Event::Saved { node, .. } => note(3, node.0),
            Event::Begin { client } => note(4, *client),
            Event::AskAgain(asker) => note(5, asker.client),
            Event::TimeOut(asker) => note(6, asker.client),
            Event::Answer(asker, reply) => {
                note(7, asker.client);
                let (kind, index) = match &**reply {
                    Reply::Came { index, .. } => (0_u8, index.0),
                    Reply::Answered { index, .. } => (1, index.0),
                    Reply::NotApplied { .. } => (2, 0),
                    Reply::Unknown => (3, 0),
                };
                trace.note(&(asker, kind, index));
            }
            Event::FaultBegins(place) => note(8, *place as u64),
            Event::FaultTurns(id) => note(9, u64::from(id.0)),
            Event::FaultEnds(id) => note(10, u64::from(id.0)),
            Event::Operate(id) => note(11, u64::from(id.0)),
            Event::Calm => note(12, 0),
            Event::Look => note(13, 0),
        }
    }

    /// Lets a node do something, and carries out what it wants done.
    fn with_node(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&mut Node, &mut Scene<'_>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let Self { nodes, oracle, trace, effects, requests, plan, .. } = self;
        let mut scene = Scene {
            time: self.time,
            oracle,
            trace,
            flaw: plan.flaw,
            effects,
            padding: plan.clients.padding,
            requests,
        };
        act(&mut nodes[place(id)], &mut scene)?;
        self.carry_out(id);
        Ok(())
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        self.trace.tell(self.time, line);
    }

    /// Returns the leader of the latest term, as far as anybody leads.
    fn leader(&self) -> Option<&Replica> {
        let leaders = self.nodes.iter().filter_map(Node::replica);
        let leaders = leaders.filter(|replica| replica.role() == Role::Leader);
        leaders.max_by_key(|replica| replica.term())
    }

    /// Finds out who is in the cluster, as far as anybody knows, or is about to be.
    fn refresh_members(&mut self) {
        self.memberships = self.oracle.memberships();
        let mut members = match self.oracle.membership() {
            Some(membership) => membership.everybody(),
            None => (1..=self.plan.founders).map(NodeId).collect(),
        };
        members.extend(self.errands.values().flat_map(Errand::newcomers));
        let is_retired = |id: NodeId| self.nodes[place(id)].is_retired;
        self.members = members.into_iter().filter(|&id| !is_retired(id)).collect();
    }

    fn census<'a>(&self, members: &'a [NodeId]) -> Census<'a> {
        Census { nodes: members, leader: self.leader().map(Replica::id) }
    }

    /// Returns what happened so far, counted.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            elections: self.oracle.elections(),
            committed: self.oracle.commit_index().0,
            ..self.counts
        }
    }

    pub(crate) fn time(&self) -> Time {
        self.time
    }

    pub(crate) fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    pub(crate) fn into_history(self) -> History {
        self.history
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }
}

/// Returns where a node stands among all.
fn place(id: NodeId) -> usize {
    id.0 as usize - 1
}
