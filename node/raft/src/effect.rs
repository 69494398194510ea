//! The contract between the core and whoever drives it, stated once.
//!
//! A driver — the node, or a test — feeds [`Input`]s to a [`Replica`](crate::Replica) one at a time
//! and carries out the [`Output`]s of each before it feeds the next, in their order. What may happen at once and what must wait for the disk is data, so a
//! driver needs to know nothing of Raft:
//!
//! 1. Writes reach the disk in the order of their ids. A write is durable when it and every write
//!    before it is; the driver says so with [`Input::Persisted`], which may cover many at once.
//! 2. A message whose `after` names a write leaves only when that write is durable. Others may leave
//!    at once. Messages may be lost, doubled, delayed and reordered; a driver that cannot send one
//!    drops it.
//! 3. Entries of [`Output::Apply`] go to the state machine in the order given, once each; the driver
//!    says how far it has come with [`Input::Applied`]. They need not be durable here first.
//! 4. When a write fails, nothing is retried and nothing more is fed: the node stops. After a failed
//!    fsync nobody knows what the disk holds.
//! 5. After a crash, the replica is made anew from the hard state and the log of the durable writes,
//!    and the state machine from nothing: the core hands out every committed entry again.

use crate::message::Message;
use crate::types::{Command, Entry, HardState, LogIndex, NodeId, RequestId, Role, Term, WriteId};

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// One unit of time has passed; the replica's timeouts are counted in these.
    Tick,
    /// A message arrived.
    Receive {
        /// The sender.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A client wants a command replicated. Answered by [`Output::Appended`] or [`Output::Refused`].
    Propose {
        /// The driver's name for the request.
        request: RequestId,
        /// What to replicate; must not be empty.
        command: Command,
    },
    /// A client wants to read what is linearizable. Answered by [`Output::ReadReady`] or
    /// [`Output::Refused`].
    Read {
        /// The driver's name for the request.
        request: RequestId,
    },
    /// The leader is asked to hand its leadership to another member (dissertation §3.10). Answered by
    /// [`Output::TransferEnded`] or [`Output::Refused`].
    TransferLeadership {
        /// The driver's name for the request.
        request: RequestId,
        /// Who is to lead.
        to: NodeId,
    },
    /// Every write up to this one is durable.
    Persisted {
        /// The last durable write.
        upto: WriteId,
    },
    /// Every entry up to this one has been applied.
    Applied {
        /// The last applied entry.
        upto: LogIndex,
    },
}

/// Something is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Write this to the disk. At most one for an input, and before every other output of it.
    Persist(Write),
    /// Send a message.
    Send {
        /// The recipient.
        to: NodeId,
        /// What to say.
        message: Message,
        /// The write that must be durable first.
        after: Option<WriteId>,
    },
    /// These entries are committed: apply them.
    Apply {
        /// The entries, in order, following those handed out before. No-ops are among them.
        entries: Vec<Entry>,
    },
    /// A proposal is in the leader's log. It happens if an entry of this term is applied at this
    /// index, and never if an entry of another term is. If the replica leaves the lead first, nobody
    /// here knows.
    Appended {
        /// The proposal.
        request: RequestId,
        /// Its place in the log.
        index: LogIndex,
        /// The term of its entry.
        term: Term,
    },
    /// The state machine, as it is now, may answer this read.
    ReadReady {
        /// The read.
        request: RequestId,
    },
    /// A transfer of leadership has ended.
    TransferEnded {
        /// The transfer.
        request: RequestId,
        /// How.
        end: TransferEnd,
    },
    /// A proposal or read was not taken up: it has no effect and never will.
    Refused {
        /// The request.
        request: RequestId,
        /// Why.
        refusal: Refusal,
    },
    /// The node's role, term or leader changed.
    RoleChanged {
        /// The role it now has.
        role: Role,
        /// The term it now is in.
        term: Term,
        /// The leader of that term, once known.
        leader: Option<NodeId>,
    },
}

/// What must become durable, in this order: hard state, truncation, entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// This write's number.
    pub id: WriteId,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// Entries from this index on are gone.
    pub truncate_from: Option<LogIndex>,
    /// Entries to append after the last one that remains.
    pub entries: Vec<Entry>,
}

/// How a transfer of leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferEnd {
    /// This node leads no more; who does, its role tells once it knows.
    LeftOffice,
    /// The other did not take over within an election timeout; this node leads on.
    TimedOut,
}

/// Why a request was not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// This node does not lead; perhaps the named one does.
    NotLeader {
        /// The leader of the current term, if known.
        leader: Option<NodeId>,
    },
    /// Too much is under way already.
    Overloaded,
    /// The leader is about to hand over, and takes nothing on.
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// There is nobody of that name to hand over to, or it is the leader itself.
    NoSuccessor,
}
