//! The contract between the core and whoever drives it, stated once.
//!
//! A driver — the node, a simulator, a model checker, a test — feeds [`Input`]s to a
//! [`Replica`](crate::Replica) one at a time and carries out the [`Output`]s of each before it feeds
//! the next, in their order. What may happen at once and what must wait for the disk is data, so a
//! driver needs to know nothing of Raft:
//!
//! 1. Writes reach the disk in the order of their ids. A write is durable when it and every write
//!    before it is; the driver says so with [`Input::Persisted`], which may cover many at once.
//! 2. A message whose `after` names a write leaves only when that write is durable. Others may leave
//!    at once. Messages may be lost, doubled, delayed and reordered; a driver that cannot send one
//!    drops it.
//! 3. Entries of [`Output::Apply`] go to the state machine in the order given, once each; the driver
//!    says how far it has come with [`Input::Applied`], while the state machine stands just there. They
//!    need not be durable here first.
//! 4. When a write fails, nothing is retried and nothing more is fed: the node stops. After a failed
//!    fsync nobody knows what the disk holds.
//! 5. After a crash, the replica is made anew from what is durable ([`Recovered`]), and the state
//!    machine from the snapshot's data, or from nothing without one: the core hands out every
//!    committed entry behind the snapshot again.
//!
//! Snapshots are the state machine's business, so their data stay with the driver and the core holds
//! what they stand for:
//!
//! 6. On [`Output::TakeSnapshot`] the driver saves the state machine *as it is now*, and once that is
//!    durable says [`Input::SnapshotTaken`]. After a crash the snapshot counts only if every write
//!    handed out before it is durable too: an older log or term does not go with it. The driver keeps
//!    the data of the newest snapshot, taken or installed, and may remove older ones.
//! 7. On [`Output::SendChunk`] the driver sends the bytes of the newest snapshot that it is asked for,
//!    in an [`InstallSnapshot`](crate::Message::InstallSnapshot); if it cannot, it drops it.
//! 8. On [`Output::StoreChunk`] it gathers them; a chunk at offset 0 begins anew. Nothing of this
//!    need be durable.
//! 9. A [`Write`] with a snapshot makes what was gathered durable, as one with the rest of the write:
//!    after a crash either both are there or neither. [`Output::Restore`] replaces the state machine by
//!    it: what was handed out to be applied and is not yet, is dropped. What the snapshot includes
//!    counts as applied.

use std::sync::Arc;

use crate::membership::Membership;
use crate::message::{InstallSnapshot, Message};
use crate::types::{
    Command, Entry, HardState, LogIndex, NodeId, RequestId, Role, Snapshot, Term, Timestamp,
    WriteId,
};

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// One unit of time has passed; the replica's timeouts are counted in these. A driver that was
    /// suspended feeds one for all that it missed.
    Tick {
        /// What the clock says.
        now: Timestamp,
    },
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
        /// What to replicate.
        command: Command,
    },
    /// A client wants to read what is linearizable. Answered by [`Output::ReadReady`] or
    /// [`Output::Refused`]. A follower asks its leader.
    Read {
        /// The driver's name for the request.
        request: RequestId,
        /// What the clock says, read after the client's request had arrived.
        now: Timestamp,
    },
    /// The leader is asked to hand its leadership to another voter (dissertation §3.10). Answered by
    /// [`Output::TransferEnded`] or [`Output::Refused`].
    TransferLeadership {
        /// The driver's name for the request.
        request: RequestId,
        /// Who is to lead.
        to: NodeId,
    },
    /// The leader is asked to change who is in the cluster (Raft §6). Answered by
    /// [`Output::ChangeEnded`] or [`Output::Refused`].
    ChangeMembership {
        /// The driver's name for the request.
        request: RequestId,
        /// Who is to be in it, from then on. It must not be joint.
        membership: Membership,
    },
    /// The leader is asked to snapshot now, however short its log is; so is any other node. Not
    /// answered: it leads to [`Output::TakeSnapshot`], unless nothing was applied since the last one.
    Compact,
    /// The snapshot that was to be taken is durable.
    SnapshotTaken {
        /// The last entry that it includes.
        index: LogIndex,
    },
    /// The snapshot that was to be taken could not be saved. Nothing depends on it; the next one is
    /// asked for when as much again has been applied.
    SnapshotFailed {
        /// The last entry that it was to include.
        index: LogIndex,
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
    /// Write this to the disk. At most one for an input, and before every other output of it but
    /// [`Output::StoreChunk`].
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
    /// Send a piece of the newest snapshot: `chunk` with its `data` filled with the snapshot's bytes
    /// from `offset` on, at most `bytes_max` of them, and `is_last` set if they are the last.
    SendChunk {
        /// The recipient.
        to: NodeId,
        /// What to say, still without data.
        chunk: InstallSnapshot,
        /// How much to send at once.
        bytes_max: usize,
    },
    /// Keep this piece of a snapshot that is being received.
    StoreChunk {
        /// Where it belongs: 0, or where the last piece ended.
        offset: u64,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// Put the state machine into the state that the gathered snapshot holds.
    Restore {
        /// What the snapshot stands for.
        snapshot: Snapshot,
    },
    /// These entries are committed: apply them.
    Apply {
        /// The entries, in order, following those handed out before. Not only commands are among
        /// them; the others change nothing.
        entries: Vec<Entry>,
    },
    /// Save the state machine as it is now.
    TakeSnapshot {
        /// What it stands for.
        snapshot: Snapshot,
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
    /// A change of membership has ended.
    ChangeEnded {
        /// The change.
        request: RequestId,
        /// How.
        end: ChangeEnd,
    },
    /// A request was not taken up: it has no effect and never will.
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
    /// The membership that the node acts by changed; the entry that brought it may not be committed.
    MembershipChanged {
        /// The membership from now on.
        membership: Membership,
    },
}

/// What must become durable, in this order: hard state, snapshot, truncation, entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// This write's number.
    pub id: WriteId,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The snapshot that was gathered takes the place of the whole log.
    pub snapshot: Option<Snapshot>,
    /// Entries from this index on are gone.
    pub truncate_from: Option<LogIndex>,
    /// Entries to append after the last one that remains.
    pub entries: Vec<Entry>,
    /// Entries up to here are in a snapshot that is durable, and need be kept no longer.
    pub compact_upto: Option<LogIndex>,
}

/// What a replica is made of after a start: what was durable when the node stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// The entries behind the snapshot, or from index 1 without one.
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

/// How a change of membership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeEnd {
    /// The new membership is committed.
    Done,
    /// This node leads no more, and does not know whether the change will be completed.
    LeftOffice,
    /// The nodes that were to become voters did not catch up with the log. They stay learners.
    NotCaughtUp,
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
    /// The command is larger than any may be.
    TooLarge,
    /// The leader is about to hand over, and takes nothing on.
    Transferring {
        /// Who is to lead.
        to: NodeId,
    },
    /// There is no voter of that name to hand over to, or it is the leader itself.
    NoSuccessor,
    /// The leader has not yet committed an entry of its own term, so it does not know whether an
    /// earlier change is still open.
    NotSettled,
    /// Another change of membership is under way.
    ChangeInProgress,
    /// No cluster can be like that: it has no voters, a node is both voter and learner, or is node 0.
    InvalidMembership,
}
