//! The words that everything else is said in: ids, counters, entries and what must be durable.

use std::fmt;
use std::sync::Arc;

use crate::membership::Membership;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Returns the number that follows this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// Returns the number before this one; zero has none but itself.
            #[must_use]
            pub fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// A leader's reign, numbered upwards; 0 before the first election (Raft §5.1).
    Term
}
counter! {
    /// A place in the replicated log. The first entry has index 1; 0 means "before the log".
    LogIndex
}
counter! {
    /// The number of a [`Write`](crate::Write), in the order in which writes must reach the disk, from 1.
    WriteId
}
counter! {
    /// The number of a round of heartbeats by which a leader proves that it still leads (Raft §6.4).
    /// Within a term no number is ever used twice.
    Round
}

/// A member of the cluster; 0 is no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// The number of a follower's question to its leader. No number is ever used twice by a node: not in
/// a retry, and not after a restart, for which the incarnation stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId {
    /// [`Config::incarnation`](crate::Config::incarnation) of the node.
    pub incarnation: u64,
    /// Counted up from 1.
    pub number: u64,
}

/// The driver's name for one request; the core only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A moment by the driver's clock: nanoseconds since some fixed point. It never falls, and it goes on
/// while the node is suspended (Linux: `CLOCK_BOOTTIME`). Only lease reads look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// What a client wants replicated, opaque to the core. Shared, so that one copy serves the log, the
/// disk and every peer.
pub type Command = Arc<[u8]>;

/// What an entry of the log is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Nothing: a leader begins its term with it (Raft §8).
    Noop,
    /// The state machine applies it.
    Command(Command),
    /// The cluster's membership from this entry on (Raft §6).
    Membership(Membership),
}

impl Payload {
    /// Returns how many bytes the payload counts for where bytes are bounded: those of a command.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Command(command) => command.len(),
            Self::Noop | Self::Membership(_) => 0,
        }
    }
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The entry's place in the log.
    pub index: LogIndex,
    /// What it is for.
    pub payload: Payload,
}

/// What a snapshot stands for: the state machine after every entry up to `index`. Its data is the
/// driver's; the core never sees them whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The last entry that it includes.
    pub index: LogIndex,
    /// The term of that entry.
    pub term: Term,
    /// The membership as of that entry.
    pub membership: Membership,
}

/// What must survive a crash besides the log (Raft Figure 2, "persistent state on all servers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term that the node has seen.
    pub term: Term,
    /// Whom the node voted for in that term.
    pub vote: Option<NodeId>,
}

/// What a node is in the current term (Raft §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether it would get votes.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Takes proposals and replicates them.
    Leader,
}
