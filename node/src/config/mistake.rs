//! What can be wrong with a configuration, each thing in one line that says what to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::parse::{Drift, PeerAddress, Place, SyntaxError};

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
    #[error("`id` {0} is not among `peers`, which must list this node too")]
    NotAPeer(u64),
    /// A voter that the cluster began with has no address.
    #[error("`members` has {0}, which is not among `peers`; give its address there")]
    MemberWithoutAddress(u64),
    /// The node began with a cluster that it is no member of.
    #[error(
        "`id` {0} is not among `members`, the voters that the cluster began with; \
         write `join: true` instead of `members` if the node joins a running cluster"
    )]
    NotAMember(u64),
    /// The node both began with the cluster and joins it.
    #[error("`join: true` says that the cluster runs already; leave `members` out")]
    JoinWithMembers,
    /// A snapshot would be due at every moment.
    #[error("`snapshot.{0}` is 0, so a snapshot would be due at every moment; make it larger")]
    SnapshotAlways(&'static str),
    /// No clock may be trusted so far.
    #[error("`reads.drift` is {0}; choose more than 0% and less than 100%")]
    Drift(Drift),
    /// The clock is too coarse for such ticks.
    #[error("`reads.lease` needs a `timings.tick` of at least {1:?}, not {0:?}")]
    LeaseTick(Duration, Duration),
    /// A lease would end before it begins.
    #[error(
        "`reads.lease` needs a lease that outlasts `timings.heartbeat` ({0:?}): make \
         `timings.election` longer or `reads.drift` smaller"
    )]
    LeaseTooShort(Duration),
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
