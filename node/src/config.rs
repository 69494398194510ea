//! The configuration file of one node.
//!
//! ```yaml
//! cluster: storm              # nodes talk only within their cluster
//! id: 1
//! listen:
//!   peers: 127.0.0.1:7101     # for other nodes
//!   clients: 127.0.0.1:7201   # for clients
//! peers:                      # every node that may ever be in the cluster, this one too, and where
//!   - { id: 1, address: "127.0.0.1:7101" }        # *this* node dials it; may differ at the next start
//!   - { id: 2, address: "127.0.0.1:7102" }
//!   - { id: 3, address: "127.0.0.1:7103" }
//! data: data/n1               # from the folder of this file
//! # What follows is optional, as are the keys of what has some.
//! members: [1, 2, 3]          # the voters that the cluster began with; if absent, all of `peers`
//! join: false                 # instead of `members`: the cluster runs already and will be told of us
//! timings:
//!   tick: 10ms
//!   heartbeat: 50ms
//!   election: 300ms           # each timeout is drawn from this up to its double
//! snapshot:                   # when to save the state and forget the log before it: after so many
//!   entries: 65536            # entries
//!   bytes: 64MiB              # or bytes of commands; this one's log still
//!   keep: 4096                # holds so many entries then, for followers that are not far behind
//! reads:
//!   lease: false              # true: the leader answers reads without asking anybody. Only safe if no
//!   drift: 5%                 # node's clock is faster than another's by more than this
//! seed: 7                     # where the draws come from
//! flaws: []                   # test only: deliberate mistakes, such as local-reads and no-fsync
//! adjustable_clock: false     # test only: the admin service sets this node's clock wrong
//! ```
//!
//! `peers` is an address book. Who is in the cluster is in its log, and changes by `stormproof client
//! member`; `members` and `join` only count when a node first starts, for until then nobody can know.
//!
//! A lease makes reads cheaper by a round trip, and wrong where clocks are: a leader whose clock is
//! slow by more than `drift`, or stops with its virtual machine and goes on as if nothing had been,
//! answers from a state that others have changed. `reads` must be the same on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft::{Limits, NodeId};
use serde::Deserialize;

mod file;
mod mistake;
pub(crate) mod parse;
#[cfg(test)]
mod tests;

use file::File;
pub use mistake::{ConfigError, Mistake};
pub use parse::{Drift, PeerAddress, Place, SyntaxError};

/// What a node is told at its start, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster that the node belongs to.
    pub cluster: String,
    /// Which of its nodes it is.
    pub id: NodeId,
    /// Where it can be reached.
    pub listen: Listen,
    /// Where it reaches whoever may be in the cluster.
    pub peers: BTreeMap<NodeId, PeerAddress>,
    /// The voters that the cluster began with, if it says; none of them if the node joins a running
    /// one.
    pub beginning: Option<BTreeSet<NodeId>>,
    /// What it remembers.
    pub data: PathBuf,
    /// How patient it is.
    pub timings: Timings,
    /// When it saves its state and shortens its log.
    pub snapshot: SnapshotPolicy,
    /// How it answers reads.
    pub reads: Reads,
    /// Where its random election timeouts come from; chosen at the start if absent.
    pub seed: Option<u64>,
    /// The mistakes that it is to make.
    pub flaws: BTreeSet<Flaw>,
    /// Whether its clock can be set wrong.
    pub adjustable_clock: bool,
}

/// The addresses that a node listens at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For other nodes.
    pub peers: SocketAddr,
    /// For clients.
    pub clients: SocketAddr,
}

/// A node's sense of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timings {
    /// The grain: the core counts its timeouts in these.
    #[serde(deserialize_with = "parse::duration")]
    pub tick: Duration,
    /// Between a leader's heartbeats.
    #[serde(deserialize_with = "parse::duration")]
    pub heartbeat: Duration,
    /// The shortest time without a leader after which a node campaigns; the longest is its double.
    #[serde(deserialize_with = "parse::duration")]
    pub election: Duration,
}

impl Default for Timings {
    /// Right for a local network: a lost heartbeat or five do not unseat a leader, and a new one is
    /// there within a second.
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(10),
            heartbeat: Duration::from_millis(50),
            election: Duration::from_millis(300),
        }
    }
}

impl Timings {
    /// Returns how many ticks a time takes, at least one.
    #[must_use]
    pub fn ticks(&self, time: Duration) -> u32 {
        let ticks = time.as_nanos().div_ceil(self.tick.as_nanos().max(1)).max(1);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// When a node saves its state and forgets the log before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotPolicy {
    /// After so many applied entries, …
    pub entries: u64,
    /// … or as soon as their commands hold so many bytes.
    #[serde(deserialize_with = "parse::bytes")]
    pub bytes: usize,
    /// How many entries before the snapshot stay in the log.
    pub keep: u64,
}

impl Default for SnapshotPolicy {
    /// The core's: a log that is read again within a second or two of a start.
    fn default() -> Self {
        let Limits { entries_per_snapshot, bytes_per_snapshot, entries_kept, .. } =
            Limits::default();
        Self { entries: entries_per_snapshot, bytes: bytes_per_snapshot, keep: entries_kept }
    }
}

/// How a leader knows that it still leads when it answers a read. All nodes of a cluster need the same,
/// and the same timings: a leader relies on what the others promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reads {
    /// By its clock, for as long as its followers have promised to elect nobody else. Without it, by
    /// asking them.
    pub lease: bool,
    /// How much faster than one node's clock another's may run.
    pub drift: Drift,
}

impl Default for Reads {
    /// No lease. The drift is far beyond that of any sound clock, and costs little of a lease.
    fn default() -> Self {
        Self { lease: false, drift: Drift::of_thousandths(50) }
    }
}

/// A deliberate mistake, by which a test sees that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// Reads are answered at once from the state of whatever node is asked, leader or not, without
    /// asking a quorum.
    LocalReads,
    /// What is written to the log is taken for durable at once, without a sync.
    NoFsync,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read or says what cannot be; the error names the file and the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: File = parse::yaml(&text).map_err(|(place, source)| ConfigError::Syntax {
            path: path.to_owned(),
            place,
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        file.check(folder)
            .map_err(|mistake| ConfigError::Mistake { path: path.to_owned(), mistake })
    }

    /// Returns the other nodes that may be in the cluster.
    pub fn others(&self) -> impl Iterator<Item = (NodeId, &PeerAddress)> {
        self.peers.iter().map(|(id, address)| (*id, address)).filter(|(id, _)| *id != self.id)
    }
}
