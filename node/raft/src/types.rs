//! The words that everything else is said in: ids, counters, entries and what must be durable.

use std::fmt;
use std::sync::Arc;

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

/// The driver's name for one proposal or one read; the core only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a client wants replicated, opaque to the core. Empty: the no-op with which a leader begins
/// its term. Shared, so that one copy serves the log, the disk and every peer.
pub type Command = Arc<[u8]>;

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The entry's place in the log.
    pub index: LogIndex,
    /// What to apply.
    pub command: Command,
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
