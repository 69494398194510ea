//! How much may happen in one exploration.

use std::collections::BTreeSet;

use raft::{Config, Limits, Membership, NodeId};

use super::flaw::Flaw;

/// The shortest timers that the core takes. Time passes as far as the next timer, so their length does
/// not matter.
pub(crate) const ELECTION_TIMEOUT: u32 = 2;
const HEARTBEAT_INTERVAL: u32 = 1;
/// Snapshots come in two pieces.
const CHUNK_BYTES: usize = 1;

/// What is explored, and how far.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Nodes that found the cluster: n1, n2, …
    pub(crate) founders: u64,
    /// Nodes after them that wait to be made members.
    pub(crate) joiners: u64,
    /// Where it begins.
    pub(crate) scene: Scene,
    /// How often each thing may happen.
    pub(crate) budget: Counts,
    /// Messages that may be under way at once, those included that never arrive.
    pub(crate) under_way: usize,
    /// Links that lose everything.
    pub(crate) cut: Vec<(NodeId, NodeId)>,
    /// Nodes whose disks acknowledge writes whenever they like; others do at once.
    pub(crate) slow_disks: Vec<NodeId>,
    /// Entries are applied whenever the state machines like; if not, at once.
    pub(crate) slow_machines: bool,
    /// Nodes ask for pre-votes.
    pub(crate) pre_vote: bool,
    /// Clients read from followers too.
    pub(crate) follower_reads: bool,
    /// Memberships that may be asked for.
    pub(crate) targets: Vec<Membership>,
    /// The rule that is broken.
    pub(crate) flaw: Option<Flaw>,
}

/// Where an exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// Nothing has happened yet.
    Silence,
    /// n1 leads term 1; all have its first entry and know that it is committed.
    Reign,
    /// After a reign, n1 took on a write. n2 has it on its disk, and its answer is under way. n1 fell
    /// before it had it too, and has forgotten it.
    Relapse,
    /// Raft Figure 8, (b), after a reign: n1 led term 1 and alone has two writes of it, which nobody else
    /// heard of. n2 leads term 2, elected by n3, and alone has its first entry.
    Rivals,
}

/// How often things happened, or may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counts {
    /// Election timers that run out.
    pub(crate) timeouts: u8,
    pub(crate) heartbeats: u8,
    /// Messages that arrive twice.
    pub(crate) doubles: u8,
    pub(crate) crashes: u8,
    pub(crate) writes: u8,
    pub(crate) reads: u8,
    /// Wishes for a snapshot.
    pub(crate) snapshots: u8,
    /// Wishes for a change of membership.
    pub(crate) changes: u8,
    /// Wishes for another leader.
    pub(crate) transfers: u8,
}

impl Bounds {
    pub(crate) fn new(scene: Scene, budget: Counts) -> Self {
        Self {
            founders: 3,
            joiners: 0,
            scene,
            budget,
            under_way: usize::MAX,
            cut: vec![],
            slow_disks: vec![],
            slow_machines: false,
            pre_vote: false,
            follower_reads: false,
            targets: vec![],
            flaw: None,
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.founders + self.joiners).map(NodeId)
    }

    pub(crate) fn has_slow_disk(&self, id: NodeId) -> bool {
        self.slow_disks.contains(&id)
    }

    /// Returns whether, at the start, nothing but the name tells a node from the one before it.
    pub(crate) fn is_like_predecessor(&self, id: NodeId) -> bool {
        // A joiner is not like a founder, nor who leads like who follows.
        let alike = match self.scene {
            Scene::Silence => 2..=self.founders,
            Scene::Reign => 3..=self.founders,
            Scene::Relapse | Scene::Rivals => return false,
        };
        let before = NodeId(id.0 - 1);
        let have_like_disks = self.has_slow_disk(id) == self.has_slow_disk(before);
        // Memberships, links and wishes for a leader name nodes.
        let names_nodes =
            !self.targets.is_empty() || !self.cut.is_empty() || self.budget.transfers > 0;
        have_like_disks && !names_nodes && alike.contains(&id.0)
    }

    /// What a node is told at its start number `starts`.
    pub(crate) fn config(&self, id: NodeId, starts: u64) -> Config {
        let founders: BTreeSet<NodeId> = (1..=self.founders).map(NodeId).collect();
        Config {
            id,
            members: if founders.contains(&id) { founders } else { BTreeSet::new() },
            election_timeout: ELECTION_TIMEOUT,
            heartbeat_interval: HEARTBEAT_INTERVAL,
            pre_vote: self.pre_vote,
            check_quorum: false,
            lease: None,
            incarnation: starts,
            seed: id.0,
            limits: Limits { bytes_per_chunk: CHUNK_BYTES, entries_kept: 0, ..Limits::default() },
        }
    }
}
