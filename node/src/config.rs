//! The configuration file of one node.
//!
//! ```yaml
//! cluster: storm              # nodes talk only within their cluster
//! id: 1
//! listen:
//!   peers: 127.0.0.1:7101     # for other nodes
//!   clients: 127.0.0.1:7201   # for clients
//! peers:                      # every member, this node too; where *this* node dials it
//!   - { id: 1, address: "127.0.0.1:7101" }
//!   - { id: 2, address: "127.0.0.1:7102" }
//!   - { id: 3, address: "127.0.0.1:7103" }
//! data: data/n1               # from the folder of this file
//! timings:                    # optional, as are its keys
//!   tick: 10ms
//!   heartbeat: 50ms
//!   election: 300ms           # each timeout is drawn from this up to its double
//! seed: 7                     # optional: where the draws come from
//! flaws: []                   # test only: deliberate mistakes, such as local-reads
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use raft::NodeId;
use serde::Deserialize;

pub(crate) mod parse;
#[cfg(test)]
mod tests;

pub use parse::{PeerAddress, Place, SyntaxError};

/// What a node is told at its start, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster that the node belongs to.
    pub cluster: String,
    /// Which of its nodes it is.
    pub id: NodeId,
    /// Where it can be reached.
    pub listen: Listen,
    /// Where it reaches the other members.
    pub peers: BTreeMap<NodeId, PeerAddress>,
    /// What it remembers.
    pub data: PathBuf,
    /// How patient it is.
    pub timings: Timings,
    /// Where its random election timeouts come from; chosen at the start if absent.
    pub seed: Option<u64>,
    /// The mistakes that it is to make.
    pub flaws: BTreeSet<Flaw>,
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

/// A deliberate mistake, by which a test sees that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// Reads are answered at once from the state of whatever node is asked, leader or not, without
    /// asking a quorum.
    LocalReads,
}

/// Why a configuration file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("failed to read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is not the YAML that it should be.
    #[error("{}:{place}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and column.
        place: Place,
        /// What the parser said.
        source: SyntaxError,
    },
    /// What it says cannot be.
    #[error("{}: {mistake}", path.display())]
    Mistake {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        mistake: Mistake,
    },
}

/// Something that a well-formed configuration says and should not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The cluster has no name.
    #[error("`cluster` is empty; give the cluster a name that all its nodes share")]
    NamelessCluster,
    /// The node's id is 0.
    #[error("`id` is 0, which stands for no node; number nodes from 1")]
    ZeroId,
    /// A peer's id is 0.
    #[error("`peers` has an id 0, which stands for no node; number nodes from 1")]
    ZeroPeer,
    /// A peer is listed twice.
    #[error("`peers` lists id {0} twice; give every node an id of its own")]
    DuplicatePeer(u64),
    /// Two peers share an address.
    #[error("`peers` gives nodes {0} and {1} the same address {2}; give each its own")]
    DuplicateAddress(u64, u64, PeerAddress),
    /// The node is not among its peers.
    #[error("`id` {0} is not among `peers`, which must list every member, this node too")]
    NotAMember(u64),
    /// Both listeners have one address.
    #[error("`listen.peers` and `listen.clients` are both {0}; give each a port of its own")]
    SameListener(SocketAddr),
    /// A listener has port 0.
    #[error("`listen.{0}` has port 0; choose a port that others can be told")]
    NoPort(&'static str),
    /// A timing is zero or so long that it does not fit.
    #[error("`timings.{0}` is {1:?}; choose between 1ms and 1h")]
    Timing(&'static str, Duration),
    /// The heartbeat is shorter than a tick.
    #[error("`timings.heartbeat` ({0:?}) is shorter than `timings.tick` ({1:?}); make it longer")]
    HeartbeatBelowTick(Duration, Duration),
    /// Followers would not wait for the next heartbeat.
    #[error(
        "`timings.election` ({0:?}) is not longer than `timings.heartbeat` ({1:?}); \
         make it several times as long"
    )]
    Impatient(Duration, Duration),
    /// There is no folder.
    #[error("`data` is empty; name a folder for what the node must remember")]
    NoData,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: String,
    id: u64,
    listen: Listen,
    peers: Vec<Peer>,
    data: PathBuf,
    #[serde(default)]
    timings: Timings,
    seed: Option<u64>,
    #[serde(default)]
    flaws: BTreeSet<Flaw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    id: u64,
    address: PeerAddress,
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

    /// Returns the other members.
    pub fn others(&self) -> impl Iterator<Item = (NodeId, &PeerAddress)> {
        self.peers.iter().map(|(id, address)| (*id, address)).filter(|(id, _)| *id != self.id)
    }
}

impl File {
    /// Checks what no parser can; relative paths start at `folder`.
    fn check(self, folder: &Path) -> Result<Config, Mistake> {
        if self.cluster.is_empty() {
            return Err(Mistake::NamelessCluster);
        }
        if self.id == 0 {
            return Err(Mistake::ZeroId);
        }
        if self.data.as_os_str().is_empty() {
            return Err(Mistake::NoData);
        }
        check_listen(self.listen)?;
        check_timings(self.timings)?;
        let peers = check_peers(self.peers)?;
        if !peers.contains_key(&NodeId(self.id)) {
            return Err(Mistake::NotAMember(self.id));
        }
        Ok(Config {
            cluster: self.cluster,
            id: NodeId(self.id),
            listen: self.listen,
            peers,
            data: folder.join(self.data),
            timings: self.timings,
            seed: self.seed,
            flaws: self.flaws,
        })
    }
}

fn check_listen(listen: Listen) -> Result<(), Mistake> {
    for (key, address) in [("peers", listen.peers), ("clients", listen.clients)] {
        if address.port() == 0 {
            return Err(Mistake::NoPort(key));
        }
    }
    if listen.peers == listen.clients {
        return Err(Mistake::SameListener(listen.peers));
    }
    Ok(())
}

fn check_timings(timings: Timings) -> Result<(), Mistake> {
    let Timings { tick, heartbeat, election } = timings;
    for (key, time) in [("tick", tick), ("heartbeat", heartbeat), ("election", election)] {
        if !(Duration::from_millis(1)..=Duration::from_hours(1)).contains(&time) {
            return Err(Mistake::Timing(key, time));
        }
    }
    if heartbeat < tick {
        return Err(Mistake::HeartbeatBelowTick(heartbeat, tick));
    }
    // What counts is the order after both were rounded to ticks.
    if timings.ticks(election) <= timings.ticks(heartbeat) {
        return Err(Mistake::Impatient(election, heartbeat));
    }
    Ok(())
}

fn check_peers(peers: Vec<Peer>) -> Result<BTreeMap<NodeId, PeerAddress>, Mistake> {
    let mut checked: BTreeMap<NodeId, PeerAddress> = BTreeMap::new();
    for Peer { id, address } in peers {
        if id == 0 {
            return Err(Mistake::ZeroPeer);
        }
        if checked.contains_key(&NodeId(id)) {
            return Err(Mistake::DuplicatePeer(id));
        }
        if let Some((other, _)) = checked.iter().find(|(_, other)| **other == address) {
            return Err(Mistake::DuplicateAddress(other.0, id, address));
        }
        checked.insert(NodeId(id), address);
    }
    Ok(checked)
}
