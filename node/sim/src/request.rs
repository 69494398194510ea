//! What clients and nodes say to each other.

use machine::session::{Outcome, Request};
use machine::{Answer, Command, Query};
use raft::{LogIndex, NodeId};

/// Who waits for an answer: a client, and which of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    pub(crate) client: u64,
    pub(crate) attempt: u64,
}

/// What a client asks of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Propose(Request<Command>),
    Read(Query),
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Its entry was applied, and came to this.
    Came { index: LogIndex, outcome: Outcome<machine::Outcome> },
    /// The state says this.
    Answered { index: LogIndex, answer: Answer },
    /// This attempt has no effect and never will.
    NotApplied { leader: Option<NodeId> },
    /// Nobody knows.
    Unknown,
}
