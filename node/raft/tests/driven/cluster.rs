//! A small cluster driven by hand: replicas, disks that can be held back, and links whose messages
//! wait until they are delivered. After every step it checks what must hold across nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use raft::{
    Config, Entry, Input, Lease, Limits, LogIndex, Message, NodeId, Output, Recovered, Replica,
    RequestId, Role, Snapshot, Term, Timestamp, Write, WriteId,
};

use crate::describe;

/// Ticks; the tests count no real time.
pub(crate) const ELECTION_TIMEOUT: u32 = 10;
const HEARTBEAT_INTERVAL: u32 = 3;
const TICK: Duration = Duration::from_millis(1);

/// A directed link.
pub(crate) type Link = (NodeId, NodeId);

/// What the nodes of a cluster are told.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) pre_vote: bool,
    pub(crate) check_quorum: bool,
    /// Drift, in thousandths.
    pub(crate) lease: Option<u32>,
}

#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    settings: Settings,
    /// Who the cluster began with.
    founders: BTreeSet<NodeId>,
    /// Messages on their way.
    pub(crate) links: BTreeMap<Link, VecDeque<Message>>,
    /// Links that lose whatever is sent.
    pub(crate) cut: BTreeSet<Link>,
    /// One clock for all. It goes on by a tick whenever any node ticks, so no node's own count of
    /// ticks is ahead of it.
    clock: Duration,
    /// Who was seen to lead each term.
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry that some node knows to be committed.
    pub(crate) committed: BTreeMap<LogIndex, Entry>,
    /// For each read under way, the last entry that was committed when it arrived.
    reads: BTreeMap<RequestId, (NodeId, LogIndex)>,
    pub(crate) reads_answered: u64,
    pub(crate) snapshots_installed: u64,
    pub(crate) changes_done: u64,
}

/// A snapshot with its data.
type Saved = (Snapshot, Arc<[u8]>);

/// What is on its way to the disk.
pub(crate) struct Unsynced {
    write: Write,
    /// The data of the write's snapshot, if it has one.
    gathered: Vec<u8>,
    /// The snapshot that was saved since: it counts once the write does.
    saved: Option<Saved>,
}

#[derive(Default)]
pub(crate) struct Node {
    /// `None` while the node is down.
    pub(crate) replica: Option<Replica>,
    /// What a crash leaves.
    pub(crate) durable: Recovered,
    durable_data: Arc<[u8]>,
    /// How often it was started.
    starts: u64,
    /// Whether writes wait for `sync`.
    pub(crate) holds_disk: bool,
    pub(crate) unsynced: VecDeque<Unsynced>,
    persisted: WriteId,
    /// Messages that wait for a write.
    gated: Vec<(NodeId, Message, WriteId)>,
    /// The state machine: what was applied, a line an entry.
    pub(crate) machine: Vec<u8>,
    pub(crate) applied: LogIndex,
    /// Whether the state machine takes entries without saying that it has applied them.
    pub(crate) stalls_machine: bool,
    /// Whether snapshots wait until they are saved.
    pub(crate) holds_snapshots: bool,
    pub(crate) taking: Option<Saved>,
    /// The newest snapshot, taken or installed.
    newest: Option<Saved>,
    /// Pieces of a snapshot that is being received.
    gathered: Vec<u8>,
}

impl Cluster {
    /// Makes nodes n1 to n`size`, all up, with empty disks, and after them `joiners` that wait to be
    /// made members.
    pub(crate) fn new(size: u64, joiners: u64, settings: Settings) -> Self {
        let mut cluster = Self { settings, ..Self::default() };
        cluster.founders = (1..=size).map(NodeId).collect();
        cluster.nodes = (1..=size + joiners).map(|id| (NodeId(id), Node::default())).collect();
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
        let is_founder = self.founders.contains(&id);
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        assert!(node.replica.is_none(), "{id} is up already");
        node.starts += 1;
        let Settings { limits, pre_vote, check_quorum, lease } = self.settings.clone();
        let config = Config {
            id,
            members: if is_founder { self.founders.clone() } else { BTreeSet::new() },
            election_timeout: ELECTION_TIMEOUT,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            pre_vote,
            check_quorum,
            lease: lease.map(|drift| Lease { tick: TICK, drift }),
            incarnation: node.starts,
            seed: id.0,
            limits,
        };
        node.persisted = WriteId(0);
        node.machine = node.durable_data.to_vec();
        node.applied = LogIndex(0);
        node.newest = None;
        let mut recovered = node.durable.clone();
        if let Some(snapshot) = &node.durable.snapshot {
            node.applied = snapshot.index;
            node.newest = Some((snapshot.clone(), node.durable_data.clone()));
            recovered.entries.retain(|entry| entry.index > snapshot.index);
        }
        let replica = Replica::new(config, recovered);
        node.replica = Some(replica.expect("the disk holds what a replica wrote"));
    }

    /// Ends a node at once: what is not durable is lost, and what it has not sent is never sent.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.replica = None;
        self.reads.retain(|_, (reader, _)| *reader != id);
        node.unsynced.clear();
        node.gated.clear();
        node.gathered.clear();
        node.taking = None;
    }

    /// Ends a node and empties its disk.
    pub(crate) fn wipe(&mut self, id: NodeId) {
        self.crash(id);
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        (node.durable, node.durable_data) = (Recovered::default(), [].into());
    }

    pub(crate) fn replica(&self, id: NodeId) -> Option<&Replica> {
        self.nodes.get(&id)?.replica.as_ref()
    }

    /// Returns the reads that nobody has answered or refused, and who is to.
    pub(crate) fn open_reads(&self) -> Vec<(RequestId, NodeId)> {
        self.reads.iter().map(|(&request, &(reader, _))| (request, reader)).collect()
    }

    /// Returns what the clock says.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.as_nanos() as u64)
    }

    /// Lets time pass of which the nodes' ticks know nothing.
    pub(crate) fn wait(&mut self, ticks: u32) {
        self.clock += TICK * ticks;
    }

    pub(crate) fn tick(&mut self, id: NodeId, story: &mut Vec<String>) {
        self.clock += TICK;
        let now = self.now();
        self.feed(id, Input::Tick { now }, story);
    }

    pub(crate) fn read(&mut self, id: NodeId, request: RequestId, story: &mut Vec<String>) {
        let committed = self.committed.last_key_value().map_or(LogIndex(0), |(&index, _)| index);
        if self.replica(id).is_some() {
            self.reads.insert(request, (id, committed));
        }
        let now = self.now();
        self.feed(id, Input::Read { request, now }, story);
    }

    /// Feeds one input to a node, carries out what follows from it, and tells the story.
    pub(crate) fn feed(&mut self, id: NodeId, input: Input, story: &mut Vec<String>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let node = self.nodes.get_mut(&id).expect("a node of the cluster");
            let Some(replica) = &mut node.replica else {
                return;
            };
            let mut outputs = vec![];
            let input = match input {
                // More may have been applied since.
                Input::Applied { .. } => Input::Applied { upto: node.applied },
                input => input,
            };
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
                let gathered = if write.snapshot.is_some() {
                    std::mem::take(&mut node.gathered)
                } else {
                    vec![]
                };
                node.unsynced.push_back(Unsynced { write, gathered, saved: None });
                if !node.holds_disk {
                    let upto = node.sync_all();
                    inputs.push_back(Input::Persisted { upto });
                }
            }
            Output::Send { to, message, after } => match after {
                Some(write) if write > node.persisted => node.gated.push((to, message, write)),
                _ => self.send((id, to), message, story),
            },
            Output::SendChunk { to, mut chunk, bytes_max } => {
                let (snapshot, data) =
                    node.newest.as_ref().expect("the core asks for what there is");
                assert_eq!(*snapshot, chunk.snapshot, "{id} sends its newest snapshot");
                let rest = &data[chunk.offset as usize..];
                let piece = &rest[..bytes_max.min(rest.len())];
                chunk.data = piece.into();
                chunk.is_last = piece.len() == rest.len();
                let message = Message::InstallSnapshot(chunk);
                story.push(format!("{id} → {to} {}", describe::message(&message)));
                self.send((id, to), message, story);
            }
            Output::StoreChunk { offset, data } => {
                if offset == 0 {
                    node.gathered.clear();
                }
                assert_eq!(node.gathered.len() as u64, offset, "pieces in order on {id}");
                node.gathered.extend_from_slice(&data);
            }
            Output::Restore { snapshot } => {
                let (write, data) = node.unsynced.back().map_or_else(
                    || (node.durable.snapshot.clone(), node.durable_data.to_vec()),
                    |unsynced| (unsynced.write.snapshot.clone(), unsynced.gathered.clone()),
                );
                assert_eq!(write.as_ref(), Some(&snapshot), "{id} restores what it wrote");
                (node.machine, node.applied) = (data.clone(), snapshot.index);
                node.newest = Some((snapshot.clone(), data.into()));
                self.check_machine(id, &snapshot);
                self.snapshots_installed += 1;
            }
            Output::Apply { entries } => {
                for entry in entries {
                    assert_eq!(entry.index, node.applied.next(), "I6 Apply Order on {id}");
                    node.applied = entry.index;
                    node.machine.extend_from_slice(describe::entry(&entry).as_bytes());
                    node.machine.push(b'\n');
                    let known = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
                    assert_eq!(*known, entry, "State Machine Safety at {}", entry.index);
                }
                if !node.stalls_machine {
                    inputs.push_back(Input::Applied { upto: node.applied });
                }
            }
            Output::TakeSnapshot { snapshot } => {
                assert_eq!(snapshot.index, node.applied, "{id} saves its machine as it is");
                node.taking = Some((snapshot.clone(), node.machine.clone().into()));
                self.check_machine(id, &snapshot);
                inputs.extend(self.nodes.get_mut(&id).and_then(|node| node.save(false)));
            }
            Output::ReadReady { request } => {
                let (_, committed) = self.reads.remove(&request).expect("a read ends once");
                assert!(node.applied >= committed, "{id} answers read {} too early", request.0);
                self.reads_answered += 1;
            }
            Output::ChangeEnded { end, .. } => {
                self.changes_done += u64::from(end == raft::ChangeEnd::Done);
            }
            Output::Refused { request, .. } => _ = self.reads.remove(&request),
            Output::Appended { .. }
            | Output::TransferEnded { .. }
            | Output::MembershipChanged { .. }
            | Output::RoleChanged { .. } => {}
        }
    }

    /// Checks that a node's machine is what the committed entries up to the snapshot make of it.
    fn check_machine(&self, id: NodeId, snapshot: &Snapshot) {
        let applied = self.committed.range(..=snapshot.index).map(|(_, entry)| entry);
        let expected: String = applied.map(|entry| describe::entry(entry) + "\n").collect();
        let machine = String::from_utf8_lossy(&self.nodes[&id].machine).into_owned();
        assert_eq!(machine, expected, "State Machine Safety of the snapshot on {id}");
        let last = self.committed[&snapshot.index].term;
        assert_eq!(snapshot.term, last, "the snapshot's term on {id}");
    }

    fn send(&mut self, link: Link, message: Message, story: &mut Vec<String>) {
        if self.cut.contains(&link) || !self.nodes.contains_key(&link.1) {
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

    /// Saves the snapshot that a node is taking, if any, or fails to.
    pub(crate) fn save(&mut self, id: NodeId, fails: bool, story: &mut Vec<String>) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let held = std::mem::take(&mut node.holds_snapshots);
        let outcome = node.save(fails);
        node.holds_snapshots = held && fails;
        if let Some(input) = outcome {
            self.feed(id, input, story);
        }
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
        let committed = replica.log().iter().take_while(|it| it.index <= replica.commit_index());
        for entry in committed {
            let known = self.committed.entry(entry.index).or_insert_with(|| entry.clone());
            assert_eq!(known, entry, "State Machine Safety at {} on {id}", entry.index);
        }
        for other in self.nodes.values().filter_map(|node| node.replica.as_ref()) {
            let from = replica.first_log_index().max(other.first_log_index());
            let since = |replica: &Replica| {
                let skipped = from.0 - replica.first_log_index().0;
                replica.log().get(skipped as usize..).unwrap_or_default().to_vec()
            };
            let (mine, theirs) = (since(replica), since(other));
            let agree = mine.iter().zip(&theirs).rposition_agreeing();
            assert_eq!(mine[..agree], theirs[..agree], "Log Matching");
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
        let Unsynced { write, gathered, saved } =
            self.unsynced.pop_front().expect("a write to sync");
        if let Some(hard_state) = write.hard_state {
            self.durable.hard_state = hard_state;
        }
        if let Some(snapshot) = write.snapshot {
            self.durable.entries.clear();
            (self.durable.snapshot, self.durable_data) = (Some(snapshot), gathered.into());
        }
        if let Some(from) = write.truncate_from {
            self.durable.entries.retain(|entry| entry.index < from);
        }
        self.durable.entries.extend(write.entries);
        if let Some(upto) = write.compact_upto {
            self.durable.entries.retain(|entry| entry.index > upto);
        }
        self.persisted = write.id;
        if let Some(saved) = saved {
            self.keep(saved);
        }
    }

    /// Keeps a snapshot on the disk, unless there is a newer one.
    fn keep(&mut self, (snapshot, data): Saved) {
        if self.durable.snapshot.as_ref().is_none_or(|held| held.index < snapshot.index) {
            (self.durable.snapshot, self.durable_data) = (Some(snapshot), data);
        }
    }

    /// Saves the snapshot that is being taken, unless that is held up; returns what to tell the core.
    fn save(&mut self, fails: bool) -> Option<Input> {
        if self.holds_snapshots {
            return None;
        }
        let (snapshot, data) = self.taking.take()?;
        let index = snapshot.index;
        if fails {
            return Some(Input::SnapshotFailed { index });
        }
        match self.unsynced.back_mut() {
            Some(last) => last.saved = Some((snapshot.clone(), data.clone())),
            None => self.keep((snapshot.clone(), data.clone())),
        }
        if self.newest.as_ref().is_none_or(|(held, _)| held.index < index) {
            self.newest = Some((snapshot, data));
        }
        Some(Input::SnapshotTaken { index })
    }
}
