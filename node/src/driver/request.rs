//! What is asked of the driver, and what it says to whoever asked.

use machine::{Answer, Query, session};
use raft::{LogIndex, Membership, NodeId, Refusal};
use tokio::sync::oneshot;

use super::Standing;

/// What a command came to, sessions and all.
pub(crate) type Outcome = session::Outcome<machine::Outcome>;

/// What a client or an operator asks for, and where it waits.
#[derive(Debug)]
pub(crate) enum Request {
    /// To replicate and apply a command.
    Propose(raft::Command, Reply<Outcome>),
    /// To read what is linearizable.
    Read(Query, Reply<Answer>),
    /// How the node stands.
    Status(oneshot::Sender<Report>),
    /// To hand the leadership to another voter.
    Transfer(NodeId, End<()>),
    /// To change who is in the cluster.
    Change(Change, End<Membership>),
    /// To save the state machine and forget the log before it.
    Compact(End<LogIndex>),
}

/// How a node stands, and what it has been through since it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) standing: Standing,
    /// How many snapshots it was sent and has installed.
    pub(crate) snapshots_received: u64,
}

/// Where a client waits: for a result and the log index that it reflects, or why there is none.
pub(crate) type Reply<T> = oneshot::Sender<Result<(LogIndex, T), Failure>>;

/// Where an operator waits.
pub(crate) type End<T> = oneshot::Sender<Result<T, Failure>>;

/// A change of who is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Who is to be in it.
    pub(crate) membership: Membership,
    /// Only if this is who is in it now.
    pub(crate) expected: Option<Membership>,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// Another node leads, perhaps the named one.
    #[error("this node does not lead the cluster")]
    NotLeader(Option<NodeId>),
    /// Too much is under way.
    #[error("too much is under way")]
    Overloaded,
    /// The command is larger than any may be.
    #[error("the command is too large to be replicated")]
    TooLarge,
    /// The leader is handing over.
    #[error("the leader is handing over to another")]
    Transferring,
    /// Nobody of that name could take over.
    #[error("there is no other voter of that name to hand over to")]
    NoSuccessor,
    /// The leader is too new to change who is in the cluster.
    #[error("the leader is too new to know whether an earlier change is still open")]
    NotSettled,
    /// Another change is under way.
    #[error("another change of membership is under way")]
    ChangeInProgress,
    /// The membership is not the expected one.
    #[error("the membership is not the expected one any more")]
    MembershipChanged,
    /// No cluster can be like that.
    #[error("no cluster can be like that: it needs a voter, and no node can be voter and learner")]
    InvalidMembership,
    /// This node's configuration says nothing of a node that is to be in the cluster.
    #[error("the leader's configuration has no address for {0}; add it to every node's `peers`")]
    UnknownNode(NodeId),
    /// A snapshot could not be saved.
    #[error("the snapshot could not be saved; the node's log says why")]
    NotSaved,
    /// Nobody knows: a proposal whose node lost the lead.
    #[error("the node lost the lead; the operation may or may not take effect")]
    Unknown,
    /// Nobody knows: a change of membership whose node lost the lead.
    #[error("the node lost the lead; the change may or may not be completed")]
    LeftOffice,
    /// The successor has not taken over so far.
    #[error("the successor did not take over in time; the leader leads on")]
    TimedOut,
    /// Those who were to become voters lag too far behind, and stay learners.
    #[error("the new voters did not catch up in time; they stay learners")]
    NotCaughtUp,
}

impl Failure {
    /// Returns whether it is certain that nothing was done and nothing will be.
    pub(crate) fn is_certain(self) -> bool {
        !matches!(self, Self::Unknown | Self::LeftOffice | Self::TimedOut | Self::NotCaughtUp)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader { leader } => Self::NotLeader(leader),
            Refusal::Overloaded => Self::Overloaded,
            Refusal::TooLarge => Self::TooLarge,
            Refusal::Transferring { .. } => Self::Transferring,
            Refusal::NoSuccessor => Self::NoSuccessor,
            Refusal::NotSettled => Self::NotSettled,
            Refusal::ChangeInProgress => Self::ChangeInProgress,
            Refusal::InvalidMembership => Self::InvalidMembership,
        }
    }
}
