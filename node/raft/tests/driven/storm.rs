//! Random storms over a small cluster. A storm is a sequence of stretches: calm ones, in which reigns
//! last, rounds go by and reads are answered; ones in which the leader is cut off or down while the
//! others go on; and chaos, in which messages are lost, doubled and reordered, disks lag, nodes crash
//! and lose what was not durable. Over several stretches a link may be slow, so that what it carries
//! arrives in another reign, and any message may come once more, much later. A node may be suspended
//! while the others go on, its disk may lag behind a whole stretch, nodes may restart one after another.
//! After every step the cluster checks what must hold across nodes, and that no read is answered before
//! everything committed at its arrival is applied.
//!
//! When a storm is over everything is mended, and the cluster must come back: elect a leader, end the
//! change of membership that was open, commit a command, bring every member to the same state, and
//! end every read.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, ELECTION_TIMEOUT, Link, Settings};
use crate::describe;
use raft::{Input, Limits, LogIndex, Membership, Message, NodeId, Replica, RequestId, Role, Term};

const STORMS: u64 = 1000;
/// Stretches of a storm; a reign, its end, and the reign after the next take some.
const STRETCHES: u64 = 12;
/// Steps of a chaotic stretch, and rounds of another one.
const CHAOS_STEPS: u64 = 120;
const CALM_ROUNDS: u64 = 40;
/// Rounds after a storm in which the cluster must have come back.
const PEACE_ROUNDS: u64 = 600;
/// Old messages that may come once more.
const ARCHIVE_MAX: usize = 64;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// How bad the chaos of a storm is.
struct Temper {
    /// Percent of messages.
    loss: u64,
    /// Percent of messages; as many are put out of order.
    doubling: u64,
    /// Tenths of the chances to crash.
    crashes: u64,
    /// How much faster time passes than messages travel.
    impatience: u64,
}

/// What a storm achieved, to see that it was not just noise.
#[derive(Debug, Default)]
struct Achieved {
    entries: u64,
    reads: u64,
    terms: u64,
    installations: u64,
    changes: u64,
}

struct Storm {
    cluster: Cluster,
    random: Random,
    size: u64,
    /// Whether those who hear their leader heed no candidate. Where nobody does, a node that was removed
    /// and does not know it gives no peace.
    is_calm: bool,
    changes_members: bool,
    temper: Temper,
    /// Links whose messages wait.
    slow: BTreeSet<Link>,
    /// A node that does nothing and sees nothing, while the clock goes on.
    suspended: Option<NodeId>,
    /// A node whose writes become durable one by one, late.
    lagging: Option<NodeId>,
    archive: Vec<(Link, Message)>,
    requests: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let size = [1, 2, 3, 3, 4, 5][random.below(6) as usize];
        let limits = Limits {
            entries_per_message: 1 + random.below(3) as usize,
            bytes_per_message: [1, 6, 1000][random.below(3) as usize],
            messages_in_flight: 1 + random.below(3) as usize,
            bytes_in_flight: [1, 10, 1000][random.below(3) as usize],
            bytes_per_chunk: [4, 16, 64][random.below(3) as usize],
            entries_uncommitted: [3, 50][random.below(2) as usize],
            reads_pending: [2, 100][random.below(2) as usize],
            entries_per_snapshot: [2, 4, 20, 1000][random.below(4) as usize],
            entries_kept: random.below(8),
            ..Limits::default()
        };
        // Seeds take turns, so that every combination has as many storms.
        let (pre_vote, check_quorum) = (seed & 1 == 1, seed & 2 == 2);
        let lease = (check_quorum && seed & 4 == 4).then(|| [0, 300][random.below(2) as usize]);
        let settings = Settings { limits, pre_vote, check_quorum, lease };
        let joiners = random.below(3);
        let temper = Temper {
            loss: random.below(15),
            doubling: random.below(20),
            crashes: random.below(3),
            impatience: 1 + random.below(5),
        };
        Self {
            cluster: Cluster::new(size, joiners, settings),
            random,
            size: size + joiners,
            is_calm: pre_vote || check_quorum,
            changes_members: pre_vote || check_quorum || seed & 4 == 4,
            temper,
            slow: BTreeSet::new(),
            suspended: None,
            lagging: None,
            archive: vec![],
            requests: 0,
        }
    }

    fn rage(mut self) -> Achieved {
        for _ in 0..STRETCHES {
            self.change_slow_links();
            match self.random.below(12) {
                0..3 => self.chaos(),
                3..5 => self.calm(),
                5..7 => self.without_leader(),
                7..9 => self.unrest(),
                9 => self.suspension(),
                10 => self.slow_disk(),
                _ => self.restarts(),
            }
        }
        if self.is_calm || !self.changes_members {
            self.come_back();
        }
        let replicas = self.cluster.ids().into_iter().filter_map(|id| self.cluster.replica(id));
        Achieved {
            terms: replicas.map(|replica| replica.term().0).max().unwrap_or(0),
            entries: self.cluster.committed.len() as u64,
            reads: self.cluster.reads_answered,
            installations: self.cluster.snapshots_installed,
            changes: self.cluster.changes_done,
        }
    }

    /// A link becomes slow, or one that was delivers what waited, in the stretch that follows.
    fn change_slow_links(&mut self) {
        let random = &mut self.random;
        self.slow.retain(|_| !random.percent(25));
        if self.slow.is_empty() || self.random.percent(25) {
            // What a leader has to say is what is worth holding back.
            let from = self.leaders().first().copied().unwrap_or_else(|| self.any_node());
            let to = self.any_node();
            self.slow.insert((from, to));
        }
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(1 + self.random.below(self.size))
    }

    /// Returns who believes to lead.
    fn leaders(&self) -> Vec<NodeId> {
        let leads = |&id: &NodeId| {
            self.cluster.replica(id).is_some_and(|replica| replica.role() == Role::Leader)
        };
        self.cluster.ids().into_iter().filter(leads).collect()
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn feed(&mut self, id: NodeId, input: Input) {
        self.cluster.feed(id, input, &mut vec![]);
    }

    fn propose(&mut self, id: NodeId) {
        let request = self.next_request();
        let command = format!("c{}", request.0).into_bytes().into();
        self.feed(id, Input::Propose { request, command });
    }

    fn read(&mut self, id: NodeId) {
        let request = self.next_request();
        self.cluster.read(id, request, &mut vec![]);
    }

    /// Asks for some membership: any voters, any learners.
    fn change(&mut self, id: NodeId) {
        if !self.changes_members {
            return;
        }
        let request = self.next_request();
        let mut membership = Membership::default();
        for id in self.cluster.ids() {
            match self.random.below(5) {
                0..3 => _ = membership.voters.insert(id),
                3 => _ = membership.learners.insert(id),
                _ => {}
            }
        }
        self.feed(id, Input::ChangeMembership { request, membership });
    }

    /// Every node is up and every disk quick; only slow links hinder.
    fn calm(&mut self) {
        for id in self.cluster.ids() {
            if self.cluster.replica(id).is_none() {
                self.cluster.start(id);
            }
            hold_or_sync(&mut self.cluster, id, false);
            self.cluster.sync(id, usize::MAX, &mut vec![]);
            self.cluster.save(id, false, &mut vec![]);
        }
        for _ in 0..self.random.below(CALM_ROUNDS) {
            self.round();
        }
    }

    /// Time passes once for everybody, messages go to and fro, and whoever leads is asked something.
    fn round(&mut self) {
        for id in self.cluster.ids() {
            if self.suspended != Some(id) {
                self.cluster.tick(id, &mut vec![]);
            }
        }
        if let Some(id) = self.lagging
            && self.random.percent(40)
        {
            self.cluster.sync(id, 1, &mut vec![]);
        }
        for id in self.leaders() {
            if self.suspended == Some(id) {
                continue;
            }
            if self.random.percent(50) {
                self.read(id);
            }
            if self.random.percent(10) {
                self.propose(id);
            }
            if self.random.percent(3) {
                self.change(id);
            }
        }
        if self.random.percent(20) {
            let id = self.any_node();
            if self.suspended != Some(id) {
                self.read(id);
            }
        }
        self.remember_one();
        for _ in 0..2 {
            let Self { cluster, slow, suspended, .. } = self;
            let is_open = |link: Link| !slow.contains(&link) && *suspended != Some(link.1);
            cluster.deliver(is_open, usize::MAX, &mut vec![]);
        }
        if self.random.percent(5) {
            self.repeat_one();
        }
    }

    fn remember_one(&mut self) {
        let link = (self.any_node(), self.any_node());
        let sent = self.cluster.links.get(&link).and_then(|messages| messages.back());
        if let Some(message) = sent.cloned() {
            if self.archive.len() >= ARCHIVE_MAX {
                let place = self.random.below(ARCHIVE_MAX as u64) as usize;
                self.archive.swap_remove(place);
            }
            self.archive.push((link, message));
        }
    }

    fn repeat_one(&mut self) {
        if !self.archive.is_empty() {
            let place = self.random.below(self.archive.len() as u64) as usize;
            let ((from, to), message) = self.archive[place].clone();
            self.feed(to, Input::Receive { from, message });
        }
    }

    /// The leader is cut off from the others, or crashes, for longer than their patience lasts. It
    /// is asked for reads all the while.
    fn without_leader(&mut self) {
        let Some(&leader) = self.leaders().first() else { return self.calm() };
        if self.random.percent(30) {
            self.cluster.crash(leader);
        }
        let others = self.cluster.ids().into_iter().filter(|&id| id != leader);
        let cut: Vec<Link> = others.flat_map(|id| [(id, leader), (leader, id)]).collect();
        self.cluster.cut.extend(&cut);
        for _ in 0..u64::from(ELECTION_TIMEOUT) + self.random.below(CALM_ROUNDS) {
            self.round();
        }
        for link in &cut {
            self.cluster.cut.remove(link);
        }
    }

    /// Somebody, often the leader, is suspended while the others go on. When it wakes, the first thing
    /// that it sees may be a read, or what the others said meanwhile, or a tick.
    fn suspension(&mut self) {
        let id = self.leaders().first().copied().unwrap_or_else(|| self.any_node());
        let id = if self.random.percent(30) { self.any_node() } else { id };
        self.suspended = Some(id);
        for _ in 0..self.random.below(4 * u64::from(ELECTION_TIMEOUT)) {
            self.round();
        }
        self.suspended = None;
        if self.random.percent(50) {
            self.read(id);
        }
        if self.random.percent(50) {
            self.cluster.deliver(|link| link.1 == id, usize::MAX, &mut vec![]);
        }
        for _ in 0..self.random.below(6) {
            self.round();
        }
    }

    /// A disk lags, and its node may crash with what is not on it.
    fn slow_disk(&mut self) {
        let id = self.any_node();
        hold_or_sync(&mut self.cluster, id, true);
        self.lagging = Some(id);
        for _ in 0..self.random.below(CALM_ROUNDS) {
            self.round();
        }
        self.lagging = None;
        if self.random.percent(50) {
            self.cluster.crash(id);
        }
        hold_or_sync(&mut self.cluster, id, false);
        self.cluster.sync(id, usize::MAX, &mut vec![]);
    }

    /// Nodes crash and come back one after another, or all at once.
    fn restarts(&mut self) {
        for _ in 0..1 + self.random.below(8) {
            let all = self.random.percent(15);
            let victim = self.any_node();
            for id in self.cluster.ids() {
                if all || id == victim {
                    self.cluster.crash(id);
                }
            }
            for _ in 0..self.random.below(8) {
                self.round();
            }
            for id in self.cluster.ids() {
                if self.cluster.replica(id).is_none() && self.random.percent(80) {
                    self.cluster.start(id);
                }
            }
            for _ in 0..self.random.below(2 * u64::from(ELECTION_TIMEOUT)) {
                self.round();
            }
        }
    }

    /// Everything is mended; within some time the cluster must be whole.
    fn come_back(&mut self) {
        self.cluster.cut.clear();
        self.slow.clear();
        for id in self.cluster.ids() {
            if self.cluster.replica(id).is_none() {
                self.cluster.start(id);
            }
            hold_or_sync(&mut self.cluster, id, false);
            self.cluster.sync(id, usize::MAX, &mut vec![]);
            self.cluster.save(id, false, &mut vec![]);
        }
        let mut last_words: Option<(LogIndex, Term)> = None;
        for round in 0..PEACE_ROUNDS {
            for id in self.cluster.ids() {
                self.cluster.tick(id, &mut vec![]);
            }
            for _ in 0..3 {
                self.cluster.deliver(|_| true, usize::MAX, &mut vec![]);
            }
            let leader = self
                .leaders()
                .into_iter()
                .max_by_key(|&id| self.cluster.replica(id).map(Replica::term));
            let Some(leader) = leader else { continue };
            let replica = self.cluster.replica(leader).unwrap();
            // What is proposed in a reign that ends is proposed again.
            if round % 30 == 29 && last_words.is_none_or(|(_, term)| term != replica.term()) {
                let words = (replica.last_log_index().next(), replica.term());
                self.propose(leader);
                let is_taken = |it: &Replica| it.last_log_index() >= words.0;
                last_words = self.cluster.replica(leader).is_some_and(is_taken).then_some(words);
            }
            if last_words.is_some_and(|words| self.is_whole(leader, words)) {
                return;
            }
        }
        let statuses: Vec<String> = self
            .cluster
            .ids()
            .into_iter()
            .flat_map(|id| {
                let replica = self.cluster.replica(id);
                let members = replica.map(|it| describe::membership(it.membership()));
                [describe::status(id, replica), members.unwrap_or_default()]
            })
            .collect();
        let reads = self.cluster.open_reads();
        panic!("the cluster does not come back; reads {reads:?}\n{}", statuses.join("\n"));
    }

    /// Returns whether the leader's last command is committed, nothing is left to do, and every member
    /// has applied the same.
    fn is_whole(&self, leader: NodeId, (index, term): (LogIndex, Term)) -> bool {
        let Some(replica) = self.cluster.replica(leader) else { return false };
        let membership = replica.membership();
        let is_committed =
            self.cluster.committed.get(&index).is_some_and(|entry| entry.term == term);
        let is_level = membership.everybody().iter().all(|&id| {
            let node = &self.cluster.nodes[&id];
            node.applied == replica.last_log_index()
                && node.machine == self.cluster.nodes[&leader].machine
        });
        is_committed && is_level && !membership.is_joint() && self.cluster.open_reads().is_empty()
    }

    /// The lead changes hands though nothing is wrong: timers run out, transfers are asked for.
    fn unrest(&mut self) {
        for _ in 0..3 {
            // Somebody whose former words are still under way is the most interesting leader.
            let id = match self.slow.first() {
                Some(&(from, _)) if self.random.percent(50) => from,
                _ => self.any_node(),
            };
            if self.random.percent(50) {
                for _ in 0..2 * ELECTION_TIMEOUT {
                    self.cluster.tick(id, &mut vec![]);
                }
            } else {
                for leader in self.leaders() {
                    let request = self.next_request();
                    self.feed(leader, Input::TransferLeadership { request, to: id });
                }
            }
            for _ in 0..self.random.below(6) {
                self.round();
            }
        }
    }

    fn chaos(&mut self) {
        for _ in 0..CHAOS_STEPS {
            let id = self.any_node();
            match self.random.below(100) {
                0..25 => {
                    for _ in 0..1 + self.random.below(self.temper.impatience) {
                        self.cluster.tick(id, &mut vec![]);
                    }
                }
                25..70 => self.disturb_and_deliver(id),
                70..72 => self.repeat_one(),
                72..78 => self.propose(id),
                78..84 => self.read(id),
                84 if self.random.percent(50) => self.cluster.wait(self.random.below(15) as u32),
                84 => self.change(id),
                85 => self.feed(id, Input::Compact),
                86 => {
                    let (request, to) = (self.next_request(), self.any_node());
                    self.feed(id, Input::TransferLeadership { request, to });
                }
                87 => {
                    if let Some(node) = self.cluster.nodes.get_mut(&id) {
                        node.holds_snapshots = true;
                    }
                }
                88..90 => hold_or_sync(&mut self.cluster, id, true),
                90..95 => {
                    hold_or_sync(&mut self.cluster, id, false);
                    let count = 1 + self.random.below(3) as usize;
                    self.cluster.sync(id, count, &mut vec![]);
                    let fails = self.random.percent(20);
                    self.cluster.save(id, fails, &mut vec![]);
                }
                _ => match self.cluster.replica(id) {
                    None => self.cluster.start(id),
                    Some(_) if self.random.below(10) < self.temper.crashes => {
                        self.cluster.crash(id);
                    }
                    Some(_) => {}
                },
            }
        }
    }

    /// Delivers what is under way to a node, after some of it was lost, doubled or put out of order.
    fn disturb_and_deliver(&mut self, to: NodeId) {
        self.remember_one();
        let Self { cluster, random, temper, slow, .. } = self;
        let is_open = |link: Link| link.1 == to && !slow.contains(&link);
        for (&link, messages) in &mut cluster.links {
            if !is_open(link) || messages.is_empty() {
                continue;
            }
            if random.percent(temper.loss) {
                messages.pop_front();
            }
            if random.percent(temper.doubling)
                && let Some(message) = messages.back().cloned()
            {
                messages.push_front(message);
            }
            if random.percent(temper.doubling) {
                messages.rotate_left(messages.len() / 2);
            }
        }
        let count = 1 + random.below(8) as usize;
        cluster.deliver(is_open, count, &mut vec![]);
    }
}

fn hold_or_sync(cluster: &mut Cluster, id: NodeId, holds: bool) {
    if let Some(node) = cluster.nodes.get_mut(&id) {
        node.holds_disk = holds;
    }
}

#[test]
fn random_storms_break_nothing() {
    let mut total = Achieved::default();
    for seed in 0..STORMS {
        let achieved = std::panic::catch_unwind(|| Storm::new(seed).rage())
            .unwrap_or_else(|_| panic!("the storm of seed {seed} broke an invariant"));
        total.entries += achieved.entries;
        total.reads += achieved.reads;
        total.terms += achieved.terms;
        total.installations += achieved.installations;
        total.changes += achieved.changes;
    }
    println!("{total:?}");
    // A storm in which nothing is ever committed or read proves nothing.
    assert!(total.entries > 10 * STORMS, "only {} entries committed", total.entries);
    assert!(total.reads > 20 * STORMS, "only {} reads answered", total.reads);
    assert!(total.terms > 5 * STORMS, "only {} terms", total.terms);
    assert!(total.installations > STORMS / 4, "only {} installations", total.installations);
    assert!(total.changes > STORMS / 4, "only {} changes of membership", total.changes);
}
