//! The state of the model: nodes, what was sent, what happened; and how an action changes it.
//!
//! What was sent may arrive at any time, in any order, or never: a loss needs no action of its own, for
//! a lost message is one that never arrives. A message that arrives twice is counted, or there would be
//! no end of them.

use std::fmt;

use raft::{Input, NodeId, RequestId, Role};

use super::bounds::{Bounds, Counts};
use super::digest::Part;
use super::node::{Envelope, Happening, Node, Step};
use super::tally::{Event, Tally};
use super::truth::{Clients, Truth};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cluster {
    nodes: Vec<Part<Node>>,
    /// Whatever was sent, in the order of its hashes.
    network: Vec<Part<Envelope>>,
    pub(crate) truth: Part<Truth>,
    pub(crate) clients: Part<Clients>,
    pub(crate) spent: Counts,
    /// Who has done something since the start, in the order of the nodes.
    have_acted: Vec<bool>,
}

/// What may happen next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// A node's timer runs out: it campaigns, or sends heartbeats.
    Time(NodeId),
    /// A message arrives.
    Deliver(Part<Envelope>),
    /// A message arrives and will arrive once more, or may.
    Double(Part<Envelope>),
    /// A disk acknowledges its oldest write.
    Sync(NodeId),
    /// A node falls and starts again; so many parts of its pending writes are on its disk.
    Crash(NodeId, usize),
    /// A state machine takes what was handed out to it.
    Apply(NodeId),
    /// A client writes.
    Write(NodeId),
    /// A client reads.
    Read(NodeId),
    /// A node is asked to snapshot.
    Snapshot(NodeId),
    /// A snapshot that was taken is durable.
    Save(NodeId),
    /// A node is asked for one of the memberships.
    Change(NodeId, usize),
    /// A node is asked to hand over.
    Transfer(NodeId, NodeId),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(id) => write!(f, "{id}: its timer runs out"),
            Self::Deliver(envelope) | Self::Double(envelope) => {
                let Envelope { from, to, message } = &**envelope;
                write!(f, "{to}: hears from {from}: {message:?}")
            }
            Self::Sync(id) => write!(f, "{id}: its oldest write is acknowledged"),
            Self::Crash(id, kept) => write!(f, "{id}: falls with {kept} parts of its writes kept"),
            Self::Apply(id) => write!(f, "{id}: applies"),
            Self::Write(id) => write!(f, "{id}: a client writes"),
            Self::Read(id) => write!(f, "{id}: a client reads"),
            Self::Snapshot(id) => write!(f, "{id}: is asked to snapshot"),
            Self::Save(id) => write!(f, "{id}: its snapshot is durable"),
            Self::Change(id, target) => write!(f, "{id}: is asked for membership {target}"),
            Self::Transfer(id, to) => write!(f, "{id}: is asked to hand over to {to}"),
        }
    }
}

impl Cluster {
    /// Makes a cluster of fresh nodes.
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self {
            nodes: bounds.ids().map(|id| Node::new(id, bounds).into_part(bounds)).collect(),
            network: vec![],
            truth: Part::of(Truth::default()),
            clients: Part::of(Clients::new()),
            spent: Counts::default(),
            have_acted: bounds.ids().map(|_| false).collect(),
        }
    }

    /// Begins here: nothing is spent, and nobody has done anything.
    pub(crate) fn begin(&mut self) {
        self.spent = Counts::default();
        self.have_acted.fill(false);
    }

    /// Loses whatever is under way.
    pub(crate) fn lose_all(&mut self) {
        self.network.clear();
    }

    /// Loses what is under way on other links than this one.
    pub(crate) fn lose_but(&mut self, from: NodeId, to: NodeId) {
        self.network.retain(|envelope| (envelope.from, envelope.to) == (from, to));
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().map(|node| &**node)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.network.len()
    }

    fn part(&self, id: NodeId) -> &Part<Node> {
        &self.nodes[place(id)]
    }

    /// Collects what may happen next.
    pub(crate) fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.truth.doubt.is_some() {
            return;
        }
        for envelope in &self.network {
            if self.may_act(envelope.to, bounds) {
                actions.push(Action::Deliver(envelope.clone()));
                if self.spent.doubles < bounds.budget.doubles {
                    actions.push(Action::Double(envelope.clone()));
                }
            }
        }
        for id in bounds.ids().filter(|&id| self.may_act(id, bounds)) {
            self.actions_of(id, bounds, actions);
        }
    }

    fn actions_of(&self, id: NodeId, bounds: &Bounds, actions: &mut Vec<Action>) {
        let (node, spent, budget) = (&**self.part(id), &self.spent, &bounds.budget);
        let leads = node.replica.role() == Role::Leader;
        let disk = &node.driver.disk;
        let has_time = if leads {
            spent.heartbeats < budget.heartbeats
        } else {
            spent.timeouts < budget.timeouts
        };
        actions.extend(has_time.then_some(Action::Time(id)));
        actions.extend(disk.is_busy().then_some(Action::Sync(id)));
        if spent.crashes < budget.crashes {
            actions.extend((0..=disk.parts_pending()).map(|kept| Action::Crash(id, kept)));
        }
        actions.extend((!node.driver.handed_out.is_empty()).then_some(Action::Apply(id)));
        actions.extend(node.driver.taking.is_some().then_some(Action::Save(id)));
        if leads || bounds.follower_reads {
            actions.extend((spent.reads < budget.reads).then_some(Action::Read(id)));
        }
        if leads {
            actions.extend((spent.writes < budget.writes).then_some(Action::Write(id)));
            if spent.changes < budget.changes {
                actions.extend((0..bounds.targets.len()).map(|it| Action::Change(id, it)));
            }
            if spent.transfers < budget.transfers {
                let others = bounds.ids().filter(|&to| to != id);
                actions.extend(others.map(|to| Action::Transfer(id, to)));
            }
        }
        actions.extend((spent.snapshots < budget.snapshots).then_some(Action::Snapshot(id)));
    }

    /// Returns something that one of these nodes has to do: a disk or a state machine does its work, or a
    /// message arrives.
    pub(crate) fn next_work(&self, ids: &[NodeId]) -> Option<Action> {
        let driver = |id: NodeId| &self.part(id).driver;
        let mut ids_busy = ids.iter().filter(|&&id| driver(id).disk.is_busy());
        let mut ids_behind = ids.iter().filter(|&&id| !driver(id).handed_out.is_empty());
        let mut letters = self.network.iter().filter(|letter| ids.contains(&letter.to));
        let sync = ids_busy.next().map(|&id| Action::Sync(id));
        let apply = || ids_behind.next().map(|&id| Action::Apply(id));
        sync.or_else(apply).or_else(|| letters.next().cloned().map(Action::Deliver))
    }

    /// Returns whether a node may do something now. Where founders are alike, it does not matter which
    /// of them does something first, nor which of the others is the next: the names can be exchanged. So
    /// they get up in order. Once they have acted their names matter, as they do in every vote.
    fn may_act(&self, id: NodeId, bounds: &Bounds) -> bool {
        let has_acted = |id: NodeId| self.have_acted[place(id)];
        !bounds.is_like_predecessor(id) || has_acted(id) || has_acted(NodeId(id.0 - 1))
    }

    /// Lets an action happen; `None` if the core did not take it up.
    pub(crate) fn act(&self, action: &Action, bounds: &Bounds, tally: &Tally) -> Option<Self> {
        let mut next = self.clone();
        let mut step = Step::new(bounds);
        let id = action.node();
        let mut node = (**self.part(id)).clone();
        let mut clients = None;
        let spent = &mut next.spent;
        match action {
            Action::Time(_) if node.replica.role() == Role::Leader => {
                spent.heartbeats += 1;
                node.pass_time(&mut step);
            }
            Action::Time(_) => {
                spent.timeouts += 1;
                node.pass_time(&mut step);
            }
            Action::Deliver(envelope) => {
                let place = next.network.binary_search_by_key(&envelope.digest(), Part::digest);
                next.network.remove(place.ok()?);
                node.receive(envelope, &mut step);
            }
            Action::Double(envelope) => {
                spent.doubles += 1;
                node.receive(envelope, &mut step);
            }
            Action::Sync(_) => node.sync(&mut step),
            Action::Crash(_, kept) => {
                spent.crashes += 1;
                let pending = node.driver.disk.parts_pending();
                match pending - kept {
                    0 if pending > 0 => tally.add(Event::UnacknowledgedKept),
                    0 => {}
                    _ if *kept > 0 => tally.add(Event::TornWrite),
                    _ => tally.add(Event::Loss),
                }
                node.crash(*kept, &mut step);
            }
            Action::Apply(_) => node.apply(&mut step),
            Action::Write(_) => {
                spent.writes += 1;
                let mut asking = (*self.clients).clone();
                node.write(asking.invoke_write(), &mut step);
                clients = Some(asking);
            }
            Action::Read(_) => {
                spent.reads += 1;
                let mut asking = (*self.clients).clone();
                node.read(asking.invoke_read(), &mut step);
                clients = Some(asking);
            }
            Action::Snapshot(_) => {
                spent.snapshots += 1;
                node.feed(Input::Compact, &mut step);
                node.driver.taking.as_ref()?;
            }
            Action::Save(_) => node.save(&mut step),
            Action::Change(_, target) => {
                spent.changes += 1;
                let membership = bounds.targets[*target].clone();
                let request = RequestId(0);
                node.feed(Input::ChangeMembership { request, membership }, &mut step);
            }
            Action::Transfer(_, to) => {
                spent.transfers += 1;
                let request = RequestId(0);
                node.feed(Input::TransferLeadership { request, to: *to }, &mut step);
            }
        }
        let Step { sent, happened, .. } = step;
        // What was asked for and refused changes nothing; what else was refused by the way is a step.
        if action.asks() && happened.iter().any(|it| matches!(it, Happening::Refused)) {
            return None;
        }
        next.nodes[place(id)] = node.into_part(bounds);
        next.have_acted[place(id)] = true;
        let is_cut = |it: &Envelope| bounds.cut.contains(&(it.from, it.to));
        sent.into_iter().filter(|it| !is_cut(it)).for_each(|envelope| next.put(envelope));
        next.note(id, happened, clients, tally);
        Some(next)
    }

    fn put(&mut self, envelope: Envelope) {
        // A joiner that was never asked for is not there.
        if place(envelope.to) >= self.nodes.len() {
            return;
        }
        let envelope = Part::of(envelope);
        let found = self.network.binary_search_by_key(&envelope.digest(), Part::digest);
        if let Err(place) = found {
            self.network.insert(place, envelope);
        }
    }

    fn note(
        &mut self,
        id: NodeId,
        happened: Vec<Happening>,
        asking: Option<Clients>,
        tally: &Tally,
    ) {
        if happened.is_empty() && asking.is_none() {
            return;
        }
        let mut truth = (*self.truth).clone();
        let mut clients = asking.unwrap_or_else(|| (*self.clients).clone());
        for happening in happened {
            match happening {
                Happening::Leads(term) => {
                    if truth.note_leader(id, term) && truth.leaders.len() > 1 {
                        tally.add(Event::Succession);
                    }
                }
                Happening::Committed(entry, term) => {
                    if entry.term < term {
                        tally.add(Event::LateCommit);
                    }
                    truth.note_committed(entry, term);
                }
                Happening::Stands(snapshot, data) => truth.note_snapshot(&snapshot, &data),
                Happening::OutOfTurn(index) => truth.diverged = Some(index),
                Happening::Doubt(text) => truth.doubt = Some((id, text)),
                Happening::Written(op) => {
                    tally.add(Event::Acknowledgement);
                    clients.answer_write(op);
                }
                Happening::Read(op, value) => {
                    if value > 0 {
                        tally.add(Event::Sight);
                    }
                    if !self.leads(id) {
                        tally.add(Event::FollowerRead);
                    }
                    clients.answer_read(op, value);
                }
                Happening::Refused => {}
                Happening::Shown(event) => tally.add(event),
            }
        }
        let leaders = self.nodes.iter().filter(|node| node.replica.role() == Role::Leader);
        if leaders.count() > 1 {
            tally.add(Event::Rivalry);
        }
        self.truth = Part::of(truth);
        self.clients = Part::of(clients);
    }

    fn leads(&self, id: NodeId) -> bool {
        self.part(id).replica.role() == Role::Leader
    }
}

impl Action {
    /// Returns whether somebody wants something of a node.
    fn asks(&self) -> bool {
        match self {
            Self::Write(_)
            | Self::Read(_)
            | Self::Snapshot(_)
            | Self::Change(..)
            | Self::Transfer(..) => true,
            Self::Time(_)
            | Self::Deliver(_)
            | Self::Double(_)
            | Self::Sync(_)
            | Self::Crash(..)
            | Self::Apply(_)
            | Self::Save(_) => false,
        }
    }

    /// Returns the node that acts.
    fn node(&self) -> NodeId {
        match self {
            Self::Deliver(envelope) | Self::Double(envelope) => envelope.to,
            Self::Time(id)
            | Self::Sync(id)
            | Self::Crash(id, _)
            | Self::Apply(id)
            | Self::Write(id)
            | Self::Read(id)
            | Self::Snapshot(id)
            | Self::Save(id)
            | Self::Change(id, _)
            | Self::Transfer(id, _) => *id,
        }
    }
}

fn place(id: NodeId) -> usize {
    usize::try_from(id.0 - 1).expect("a small number")
}
