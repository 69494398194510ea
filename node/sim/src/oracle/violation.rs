//! What may be found to be wrong.

use raft::{LogIndex, NodeId, Term};

/// An invariant that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A term has two leaders.
    #[error("Election Safety: {one} and {other} both lead term {term}")]
    ElectionSafety {
        /// The term.
        term: Term,
        /// One of them.
        one: NodeId,
        /// The other.
        other: NodeId,
    },
    /// A node promised its vote twice.
    #[error("One Vote: {node} votes in term {term} for {one} and for {other}")]
    TwoVotes {
        /// The voter.
        node: NodeId,
        /// The term.
        term: Term,
        /// The one candidate.
        one: NodeId,
        /// The other.
        other: NodeId,
    },
    /// A leader lacks a committed entry.
    #[error("Leader Completeness: {leader} leads term {term} without the committed entry {index}")]
    LeaderCompleteness {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The entry.
        index: LogIndex,
    },
    /// Two logs agree on an entry's index and term, and not on the entry or the one before it.
    #[error("Log Matching: {node} has another entry {index} of term {term} than others")]
    LogMatching {
        /// The node.
        node: NodeId,
        /// The entry's index.
        index: LogIndex,
        /// Its term.
        term: Term,
    },
    /// A commit index fell, or passed the end of the log.
    #[error("Commit: the commit index of {node} goes from {before} to {now}")]
    Commit {
        /// The node.
        node: NodeId,
        /// The commit index before.
        before: LogIndex,
        /// The commit index now.
        now: LogIndex,
    },
    /// Two nodes hold different entries for committed.
    #[error("State Machine Safety: {node} holds another entry {index} for committed than others")]
    StateMachineSafety {
        /// The node.
        node: NodeId,
        /// The entry's index.
        index: LogIndex,
    },
    /// Entries were handed out in another order than the log's.
    #[error("Apply Order: {node} is to apply {index} after {applied}")]
    ApplyOrder {
        /// The node.
        node: NodeId,
        /// The entry's index.
        index: LogIndex,
        /// The last entry that was applied.
        applied: LogIndex,
    },
    /// A command came to one thing on one node and to another on another.
    #[error("Determinism: on {node} the command at {index} comes to something else than elsewhere")]
    OutcomesDiffer {
        /// The node.
        node: NodeId,
        /// The command's index.
        index: LogIndex,
    },
    /// Two states that stand for the same log differ.
    #[error("Determinism: the state of {node} at {index} differs from that of others")]
    StatesDiffer {
        /// The node.
        node: NodeId,
        /// The last entry of the log.
        index: LogIndex,
    },
    /// A command of a session was carried out twice, or answered otherwise than the first time.
    #[error("Once: the command at {index} repeats the one at {first} and comes to something else")]
    NotOnce {
        /// The command's index.
        index: LogIndex,
        /// The index of what it repeats.
        first: LogIndex,
    },
    /// A read was released before what was committed at its arrival was applied.
    #[error(
        "Read Index: {node} answers a read at {applied}, though {committed} was committed before"
    )]
    ReadTooEarly {
        /// The node.
        node: NodeId,
        /// What it had applied.
        applied: LogIndex,
        /// What was committed when the read arrived.
        committed: LogIndex,
    },
    /// What a node's disk holds after a crash is no state to begin with.
    #[error("Recovery: {node} cannot start from its own disk: {why}")]
    Unrecoverable {
        /// The node.
        node: NodeId,
        /// Why not.
        why: String,
    },
    /// A client was refused what it had every right to.
    #[error("Sessions: client {client} was refused: {refusal}")]
    Refused {
        /// The client.
        client: u64,
        /// How.
        refusal: machine::session::Refusal,
    },
}
