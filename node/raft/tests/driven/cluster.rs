//! A small cluster driven by hand: replicas, disks that can be held back, and links whose messages
//! wait until they are delivered. After every step it checks what must hold across nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft::{
    Config, Entry, HardState, Input, Limits, LogIndex, Message, NodeId, Output, Replica, RequestId,
    Role, Term, Write, WriteId,
};

use crate::describe;

/// Ticks; the tests count no real time.
pub(crate) const ELECTION_TIMEOUT: u32 = 10;
const HEARTBEAT_INTERVAL: u32 = 3;

/// A directed link.
pub(crate) type Link = (NodeId, NodeId);

/// What the nodes of a cluster are told.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
}

#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    settings: Settings,
    /// Messages on their way.
    pub(crate) links: BTreeMap<Link, VecDeque<Message>>,
    /// Links that lose whatever is sent.
    pub(crate) cut: BTreeSet<Link>,
    /// Who was seen to lead each term.
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry that some node knows to be committed.
    pub(crate) committed: BTreeMap<LogIndex, Entry>,
    /// For each read under way, the last entry that was committed when it arrived.
    reads: BTreeMap<RequestId, LogIndex>,
    pub(crate) reads_answered: u64,
}

pub(crate) struct Node {
    /// `None` while the node is down.
    pub(crate) replica: Option<Replica>,
    /// What a crash leaves.
    pub(crate) hard_state: HardState,
    pub(crate) durable: Vec<Entry>,
    /// Whether writes wait for `sync`.
    pub(crate) holds_disk: bool,
    pub(crate) unsynced: VecDeque<Write>,
    persisted: WriteId,
    /// Messages that wait for a write.
    gated: Vec<(NodeId, Message, WriteId)>,
    pub(crate) applied: LogIndex,
    /// Whether the state machine takes entries without saying that it has applied them.
    pub(crate) stalls_machine: bool,
}

impl Cluster {
    /// Makes nodes n1 to n`size`, all up, with empty disks.
    pub(crate) fn new(size: u64, settings: Settings) -> Self {
        let mut cluster = Self { settings, ..Self::default() };
        for id in (1..=size).map(NodeId) {
            let node = Node {
                replica: None,
                hard_state: HardState::default(),
                durable: vec![],
                holds_disk: false,
                unsynced: VecDeque::new(),
                persisted: WriteId(0),
                gated: vec![],
                applied: LogIndex(0),
                stalls_machine: false,
            };
            cluster.nodes.insert(id, node);
        }
        for id in cluster.ids() {
            cluster.start(id);
        }
        cluster
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// Starts a node from what its disk holds.
    pub(crate) fn start(&mut self, id: NodeId) {
        let config = Config {
            id,
            members: self.nodes.keys().copied().collect(),
            election_timeout: ELECTION_TIMEOUT,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            pre_vote: self.settings.pre_vote,
            check_quorum: self.settings.check_quorum,
            seed: id.0,
            limits: self.settings.limits.clone(),
        };
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        assert!(node.replica.is_none(), "{id} is up already");
        node.persisted = WriteId(0);
        node.applied = LogIndex(0);
        let replica = Replica::new(config, node.hard_state, node.durable.clone());
        node.replica = Some(replica.expect("the disk holds what a replica wrote"));
    }

    /// Ends a node at once: what is not durable is lost, and what it has not sent is never sent.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.replica = None;
        node.unsynced.clear();
        node.gated.clear();
    }

    pub(crate) fn replica(&self, id: NodeId) -> Option<&Replica> {
        self.nodes.get(&id)?.replica.as_ref()
    }

    /// Feeds one input to a node, carries out what follows from it, and tells the story.
    pub(crate) fn feed(&mut self, id: NodeId, input: Input, story: &mut Vec<String>) {
        if let Input::Read { request } = input {
            let committed =
                self.committed.last_key_value().map_or(LogIndex(0), |(&index, _)| index);
            self.reads.insert(request, committed);
        }
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = self.nodes.get_mut(&id).expect("a node of the cluster");
            let Some(replica) = &mut node.replica else {
                return;
            };
            let mut outputs = vec![];
            replica.handle(input, &mut outputs);
            // What is checked changes with these; but for a commit that the machine is not ready for,
            // which is looked at when it is.
            let is_changed = outputs.iter().any(|output| {
                matches!(
                    output,
                    Output::Persist(_) | Output::Apply { .. } | Output::RoleChanged { .. }
                )
            });
            for output in outputs {
                story.extend(describe::output(id, &output));
                self.carry_out(id, output, &mut inputs, story);
            }
            if is_changed {
                self.check_invariants(id);
            }
        }
    }

    fn carry_out(
        &mut self,
        id: NodeId,
        output: Output,
        inputs: &mut VecDeque<Input>,
        story: &mut Vec<String>,
    ) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        match output {
            Output::Persist(write) => {
                node.unsynced.push_back(write);
                if !node.holds_disk {
                    let upto = node.sync_all();
                    inputs.push_back(Input::Persisted { upto });
                }
            }
            Output::Send { to, message, after } => match after {
                Some(write) if write > node.persisted => node.gated.push((to, message, write)),
                _ => self.send((id, to), message, story),
            },
            Output::Apply { entries } => {
                for entry in entries {
                    assert_eq!(entry.index, node.applied.next(), "I6 Apply Order on {id}");
                    node.applied = entry.index;
                    let known = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
                    assert_eq!(*known, entry, "State Machine Safety at {}", entry.index);
                }
                if !node.stalls_machine {
                    inputs.push_back(Input::Applied { upto: node.applied });
                }
            }
            Output::ReadReady { request } => {
                let committed = self.reads[&request];
                assert!(node.applied >= committed, "{id} answers read {} too early", request.0);
                self.reads_answered += 1;
            }
            Output::Appended { .. }
            | Output::Refused { .. }
            | Output::TransferEnded { .. }
            | Output::RoleChanged { .. } => {}
        }
    }

    fn send(&mut self, link: Link, message: Message, story: &mut Vec<String>) {
        if self.cut.contains(&link) {
            story.push(format!("  (lost: {} → {})", link.0, link.1));
        } else {
            self.links.entry(link).or_default().push_back(message);
        }
    }

    /// Makes a node's oldest `count` writes durable, tells it, and releases what waited for them.
    pub(crate) fn sync(&mut self, id: NodeId, count: usize, story: &mut Vec<String>) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        for _ in 0..count.min(node.unsynced.len()) {
            node.sync_one();
        }
        let upto = node.persisted;
        let open: Vec<_> = node.gated.extract_if(.., |(_, _, write)| *write <= upto).collect();
        story.push(format!("{id} has writes up to #{upto} on its disk"));
        for (to, message, _) in open {
            story.push(format!("{id} → {to} {} (waited)", describe::message(&message)));
            self.send((id, to), message, story);
        }
        self.feed(id, Input::Persisted { upto }, story);
    }

    /// Delivers the messages that are under way now on the links that `chosen` picks, at most
    /// `count` a link, in the order of the links; answers wait for the next delivery. Returns whether
    /// there were any.
    pub(crate) fn deliver(
        &mut self,
        chosen: impl Fn(Link) -> bool,
        count: usize,
        story: &mut Vec<String>,
    ) -> bool {
        let mut batches = vec![];
        for (&link, messages) in &mut self.links {
            if chosen(link) && !messages.is_empty() {
                let due: Vec<Message> = messages.drain(..count.min(messages.len())).collect();
                batches.push((link, due));
            }
        }
        for ((from, to), messages) in &batches {
            for message in messages {
                if self.replica(*to).is_some() {
                    let input = Input::Receive { from: *from, message: message.clone() };
                    self.feed(*to, input, story);
                }
            }
        }
        !batches.is_empty()
    }

    /// Checks what must hold across the nodes at every moment (Raft Figure 3), of a node that has
    /// just handled something; nothing changed at the others.
    fn check_invariants(&mut self, id: NodeId) {
        let Some(replica) = self.nodes.get(&id).and_then(|node| node.replica.as_ref()) else {
            return;
        };
        if replica.role() == Role::Leader {
            let leader = *self.leaders.entry(replica.term()).or_insert(id);
            assert_eq!(leader, id, "Election Safety in term {}", replica.term());
        }
        let committed = replica.commit_index().0 as usize;
        for entry in &replica.log()[..committed] {
            let known = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
            assert_eq!(known, entry, "State Machine Safety at {} on {id}", entry.index);
        }
        for other in self.nodes.values().filter_map(|node| node.replica.as_ref()) {
            let agree = replica.log().iter().zip(other.log()).rposition_agreeing();
            assert_eq!(replica.log()[..agree], other.log()[..agree], "Log Matching");
        }
    }
}

/// How far two logs must agree: up to the last place where they hold the same term.
trait Agreement {
    fn rposition_agreeing(self) -> usize;
}

impl<'a, I: Iterator<Item = (&'a Entry, &'a Entry)>> Agreement for I {
    fn rposition_agreeing(self) -> usize {
        let agreeing = self.enumerate().filter(|(_, (left, right))| left.term == right.term);
        agreeing.map(|(place, _)| place + 1).last().unwrap_or(0)
    }
}

impl Node {
    fn sync_all(&mut self) -> WriteId {
        while !self.unsynced.is_empty() {
            self.sync_one();
        }
        self.persisted
    }

    fn sync_one(&mut self) {
        let write = self.unsynced.pop_front().expect("a write to sync");
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = write.truncate_from {
            self.durable.truncate(from.0 as usize - 1);
        }
        self.durable.extend(write.entries);
        self.persisted = write.id;
    }
}
