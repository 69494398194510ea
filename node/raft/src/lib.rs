//! The Raft consensus core: sans-IO, deterministic, without dependencies.
//!
//! A [`Replica`] is one member of a cluster that agrees on a log of commands. It is a plain value:
//! [`Input`]s go in, [`Output`]s come out, and between them there is no clock, no socket, no disk,
//! no thread and no randomness but a seed. The node drives it over gRPC and a real disk; the tests
//! drive the very same code through stories and random storms, with disks that lag and links that
//! lose, double and delay. What a driver owes the core is said once, at [`Input`] and [`Output`].
//!
//! # How it works
//!
//! Follow a command through the files. A follower that hears from no leader campaigns
//! (`replica/election.rs`): it asks the others whether they would vote for it, then for their votes,
//! and whoever has a majority's leads the term, until it hears no majority any more or hands over
//! (`replica/transfer.rs`). A client's command becomes an entry of the leader's log; the leader sends it to its
//! followers, learns how far their logs match its own, repairs those that do not, and commits what a
//! majority holds durably (`replica/replication.rs`). Committed entries are handed to the state
//! machine in order.
//!
//! A read needs no entry: the leader proves by a round of heartbeats that it still leads, and lets the
//! state machine answer once it has applied what was committed when the read arrived; a follower asks
//! the leader how far that is (`replica/reads.rs`). Where clocks can be trusted, a lease spares the
//! round (`replica/lease.rs`).
//!
//! A log does not grow for ever: when enough has been applied, the state machine is saved and the
//! entries that made it so are forgotten (`replica/compaction.rs`). A follower that would need them
//! gets the snapshot, piece by piece (`replica/installation.rs`).
//!
//! Who the nodes are is in the log too (`membership.rs`). To change it, the leader lets newcomers catch
//! up as learners, then takes the cluster through a membership in which the old and the new voters must
//! both agree (`replica/change.rs`).
//!
//! Names and section numbers are those of Ongaro and Ousterhout, "In Search of an Understandable
//! Consensus Algorithm (Extended Version)", 2014; where the dissertation is named, it is Ongaro's
//! "Consensus: Bridging Theory and Practice", of the same year.
//!
//! # What must be durable before what
//!
//! - Votes, and answers to votes and appends, refusals included, wait for every earlier write: each
//!   of them vouches for a term, a vote or entries that a crash must not take back.
//! - A candidate's requests for votes wait until its term, its vote and the log that they advertise
//!   are durable. So a leader's whole log of earlier terms is durable when it takes office.
//! - A leader's appends wait for nothing: followers may have an entry before the leader's own disk
//!   does, and the leader counts itself only once it has it too.
//!
//! # Invariants
//!
//! Each is asserted, in release builds too, where it could break: a node that doubts itself stops.
//!
//! - **I1 Election Safety.** Terms never fall, a node votes once a term, and a term has one leader at
//!   the most (§5.2).
//! - **I2 Durable Candidacy.** Who is elected has its term, vote and log on its disk.
//! - **I3 Log Matching.** Entries are numbered without gaps and their terms never fall; logs that
//!   agree on one entry agree on all before it (§5.3).
//! - **I4 Leader Completeness.** A committed entry is never missing from a later leader's log, and so
//!   never truncated (§5.4).
//! - **I5 Commit.** The commit index never falls and never passes what this node's log holds verified.
//! - **I6 Apply Order.** Committed entries are handed out in order and once each.
//! - **I7 Write Order.** Writes are numbered without gaps and become durable in that order.
//! - **I8 Own Answers.** An answer counts only for the candidacy or reign that asked. Answers carry the
//!   term of who answers, so a question of an earlier term gets an answer that says nothing but that
//!   term: no vote, no round, no place in a log.
//! - **I9 Compaction.** Only entries are forgotten that were applied and are in a durable snapshot. What
//!   was forgotten was committed, so it agrees with every leader's log: it conflicts with nothing.
//! - **I10 One Change.** A membership follows only one that is committed, and the first change of a term
//!   waits until an entry of that term is.
//!
//! # What the operator owes
//!
//! A node that lost its disk has forgotten what it promised, and must come back under a new id: its
//! old vote may still be counted somewhere. A node that was removed may be added again with its disk.

mod config;
pub mod describe;
mod disk;
mod draft;
mod effect;
mod log;
mod membership;
mod message;
mod progress;
mod quorum;
mod replica;
mod types;

pub use config::{Config, Lease, Limits, StartError};
pub use effect::{ChangeEnd, Input, Output, Recovered, Refusal, TransferEnd, Write};
pub use membership::Membership;
pub use message::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ChunkOutcome, Conflict, InstallSnapshot,
    InstallSnapshotResponse, Message, ReadIndex, ReadIndexResponse, RequestVote,
    RequestVoteResponse, TimeoutNow,
};
pub use replica::Replica;
pub use types::{
    Command, Entry, HardState, LogIndex, NodeId, Payload, ReadId, RequestId, Role, Round, Snapshot,
    Term, Timestamp, WriteId,
};
