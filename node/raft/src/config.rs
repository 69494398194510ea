//! What a replica is told once, at its start.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::types::NodeId;

/// Who a replica is, with whom, and how patient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The voters that the cluster began with: the same on every node of it, for as long as it lives.
    /// Who is in the cluster now, the log and the snapshots say. Empty for a node that joins a running
    /// cluster: it waits to be told.
    pub members: BTreeSet<NodeId>,
    /// Ticks without a leader after which a follower campaigns: each time a random number from this
    /// one up to, but not including, its double (Raft §5.2).
    pub election_timeout: u32,
    /// Ticks between a leader's heartbeats; far fewer than `election_timeout`.
    pub heartbeat_interval: u32,
    /// Whether a node asks for pre-votes before it begins a term, so that one that cannot win disturbs
    /// nobody (dissertation §9.6). Wants `check_quorum` too: followers that hear their leader refuse
    /// pre-votes, and must not stand by one that hears nobody.
    pub pre_vote: bool,
    /// Whether a leader that hears no majority for an election timeout steps down, and followers that
    /// hear a leader ignore candidates (dissertation §6.2 and §4.2.3).
    pub check_quorum: bool,
    /// Lets the leader answer reads without a round, by its lease. Off (`None`) unless the clocks can be
    /// trusted; needs `check_quorum`.
    pub lease: Option<Lease>,
    /// A number that no earlier start of this node had.
    pub incarnation: u64,
    /// Where the random election timeouts come from. Nodes of a cluster need different seeds.
    pub seed: u64,
    /// How much may be under way.
    pub limits: Limits,
}

/// What a leader's lease relies on: that no node's clock runs faster than another's by more than a
/// stated part, suspensions of the node included (dissertation §6.4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// How long a tick takes by the node's clock. One that is late may shorten the next; any number of
    /// ticks together take no less than all but one of them should.
    pub tick: Duration,
    /// How much faster than this node's clock another's may run, in thousandths. A lease lasts an
    /// election timeout less this part of it.
    pub drift: u32,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if self.id == NodeId(0) || self.members.contains(&NodeId(0)) {
            return Err(StartError::ZeroId);
        }
        if self.heartbeat_interval == 0 || self.election_timeout <= self.heartbeat_interval {
            return Err(StartError::Impatient);
        }
        if self.lease.as_ref().is_some_and(|lease| !self.check_quorum || lease.drift >= 1000) {
            return Err(StartError::UnsafeLease);
        }
        if !self.limits.let_anything_through() {
            return Err(StartError::ZeroLimit);
        }
        Ok(())
    }
}

/// Bounds on what may be under way at once, and on what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Entries in one `AppendEntries`.
    pub entries_per_message: usize,
    /// Bytes of commands in one `AppendEntries`; a single larger entry still goes, alone.
    pub bytes_per_message: usize,
    /// Bytes in one piece of a snapshot.
    pub bytes_per_chunk: usize,
    /// Bytes in one command; a larger one is refused.
    pub bytes_per_command: usize,
    /// Appends with entries that are sent to a follower and not yet acknowledged.
    pub messages_in_flight: usize,
    /// Bytes of the commands in them; one message may go beyond.
    pub bytes_in_flight: usize,
    /// Entries in a leader's log and not yet committed; more proposals are refused.
    pub entries_uncommitted: u64,
    /// Bytes of their commands; once there are so many, more proposals are refused.
    pub bytes_uncommitted: usize,
    /// Entries handed out and not yet applied.
    pub entries_applying: u64,
    /// Reads that wait for their round or for entries to be applied; more are refused.
    pub reads_pending: usize,
    /// Entries applied since the last snapshot that call for the next one.
    pub entries_per_snapshot: u64,
    /// Bytes of their commands that do.
    pub bytes_per_snapshot: usize,
    /// Entries that a snapshot leaves in the log for followers that are not far behind.
    pub entries_kept: u64,
    /// Bytes of their commands.
    pub bytes_kept: usize,
}

impl Limits {
    /// Returns whether no limit is so low that nothing would ever be done. Nothing kept is enough.
    fn let_anything_through(&self) -> bool {
        let counts = [self.entries_uncommitted, self.entries_applying, self.entries_per_snapshot];
        let sizes = [
            self.entries_per_message,
            self.bytes_per_message,
            self.bytes_per_chunk,
            self.bytes_per_command,
            self.messages_in_flight,
            self.bytes_in_flight,
            self.bytes_uncommitted,
            self.reads_pending,
            self.bytes_per_snapshot,
        ];
        !counts.contains(&0) && !sizes.contains(&0)
    }
}

impl Default for Limits {
    /// A batch stays well below the 4 MiB that gRPC takes as one message; a follower may lag by a
    /// few batches before its leader waits for it; the rest is what a node holds in memory without
    /// noticing.
    fn default() -> Self {
        Self {
            entries_per_message: 1024,
            bytes_per_message: 1 << 20,
            bytes_per_chunk: 1 << 20,
            bytes_per_command: 1 << 20,
            messages_in_flight: 256,
            bytes_in_flight: 8 << 20,
            entries_uncommitted: 16_384,
            bytes_uncommitted: 64 << 20,
            entries_applying: 4096,
            reads_pending: 16_384,
            entries_per_snapshot: 65_536,
            bytes_per_snapshot: 64 << 20,
            entries_kept: 4096,
            bytes_kept: 16 << 20,
        }
    }
}

/// Why no replica can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Node id 0 stands for "nobody".
    ZeroId,
    /// The election timeout is not longer than the heartbeat interval, or the latter is 0.
    Impatient,
    /// A lease needs `check_quorum`, and a drift of less than 1,000 thousandths.
    UnsafeLease,
    /// A limit is 0 with which nothing would ever be done.
    ZeroLimit,
    /// The recovered log does not number its entries without gaps from where it begins, or its terms
    /// fall; what was found at this place.
    BrokenLog(u64),
    /// The recovered log holds a term that the recovered hard state has never seen.
    TermFromFuture,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroId => write!(f, "node id 0 stands for nobody"),
            Self::Impatient => {
                write!(f, "the election timeout must be longer than the heartbeat interval")
            }
            Self::UnsafeLease => {
                write!(f, "a lease needs check_quorum and a drift of less than 1000 thousandths")
            }
            Self::ZeroLimit => write!(f, "a limit is 0, and nothing would ever be done"),
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
