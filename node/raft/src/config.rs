//! What a replica is told once, at its start.

use std::collections::BTreeSet;
use std::fmt;

use crate::types::NodeId;

/// Who a replica is, with whom, and how patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The voting members, this node among them.
    pub members: BTreeSet<NodeId>,
    /// Ticks without a leader after which a follower campaigns: each time a random number from this
    /// one up to, but not including, its double (Raft §5.2).
    pub election_timeout: u32,
    /// Ticks between a leader's heartbeats; far fewer than `election_timeout`.
    pub heartbeat_interval: u32,
    /// Whether a node asks for pre-votes before it begins a term, so that one that cannot win disturbs
    /// nobody (dissertation §9.6).
    pub pre_vote: bool,
    /// Whether a leader that hears no majority for an election timeout steps down, and followers that
    /// hear a leader ignore candidates (dissertation §6.2 and §4.2.3).
    pub check_quorum: bool,
    /// Where the random election timeouts come from. Nodes of a cluster need different seeds.
    pub seed: u64,
    /// How much may be under way.
    pub limits: Limits,
}

/// Bounds on what may be under way at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Entries in one `AppendEntries`.
    pub entries_per_message: usize,
    /// Bytes of commands in one `AppendEntries`; a single larger entry still goes, alone.
    pub bytes_per_message: usize,
    /// Entries sent to a follower and not yet acknowledged.
    pub entries_in_flight: u64,
    /// Entries in a leader's log and not yet committed; more proposals are refused.
    pub entries_uncommitted: u64,
    /// Bytes of their commands; once there are so many, more proposals are refused.
    pub bytes_uncommitted: usize,
    /// Entries handed out and not yet applied.
    pub entries_applying: u64,
    /// Reads that wait for their round or for entries to be applied; more are refused.
    pub reads_pending: usize,
}

impl Default for Limits {
    /// A batch stays well below the 4 MiB that gRPC takes as one message; a follower may lag by a
    /// few batches before its leader waits for it; the rest is what a node holds in memory without
    /// noticing.
    fn default() -> Self {
        Self {
            entries_per_message: 1024,
            bytes_per_message: 1 << 20,
            entries_in_flight: 4096,
            entries_uncommitted: 16_384,
            bytes_uncommitted: 64 << 20,
            entries_applying: 4096,
            reads_pending: 16_384,
        }
    }
}

/// Why no replica can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The node is not a member of its own cluster.
    NotMember(NodeId),
    /// Node id 0 stands for "nobody".
    ZeroId,
    /// The election timeout is not longer than the heartbeat interval, or the latter is 0.
    Impatient,
    /// The recovered log does not number its entries 1, 2, 3, … or its terms fall; what was found
    /// at this place.
    BrokenLog(u64),
    /// The recovered log holds a term that the recovered hard state has never seen.
    TermFromFuture,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember(id) => write!(f, "node {id} is not a member of its own cluster"),
            Self::ZeroId => write!(f, "node id 0 stands for nobody"),
            Self::Impatient => {
                write!(f, "the election timeout must be longer than the heartbeat interval")
            }
            Self::BrokenLog(place) => {
                write!(f, "the recovered log is not in order at its entry number {place}")
            }
            Self::TermFromFuture => {
                write!(f, "the recovered log has a term that the recovered hard state never saw")
            }
        }
    }
}

impl std::error::Error for StartError {}
