//! What replicas say to each other: the remote procedure calls of the Raft paper (Figure 2), each
//! as two one-way messages, for the answers may be lost, late or doubled like the questions.

use std::sync::Arc;

use crate::types::{Entry, LogIndex, ReadId, Round, Snapshot, Term};

/// One message from one replica to another. Sender and recipient travel beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A node asks whether it would get a vote, before it begins a term.
    PreVote(RequestVote),
    /// The answer to it.
    PreVoteResponse(RequestVoteResponse),
    /// A candidate asks for a vote.
    RequestVote(RequestVote),
    /// The answer to it.
    RequestVoteResponse(RequestVoteResponse),
    /// A leader replicates its log, or says that it is alive.
    AppendEntries(AppendEntries),
    /// The answer to it.
    AppendEntriesResponse(AppendEntriesResponse),
    /// A leader sends a piece of its snapshot to a follower whose next entry it no longer has.
    InstallSnapshot(InstallSnapshot),
    /// The answer to it.
    InstallSnapshotResponse(InstallSnapshotResponse),
    /// A leader that hands over its leadership asks the recipient to campaign at once.
    TimeoutNow(TimeoutNow),
    /// A follower asks its leader for a read index.
    ReadIndex(ReadIndex),
    /// The answer to it.
    ReadIndexResponse(ReadIndexResponse),
}

impl Message {
    /// Returns the term that the message speaks of: the sender's, but for a pre-vote and a granted
    /// answer to one, which speak of the term that has not begun.
    #[must_use]
    pub fn term(&self) -> Term {
        match self {
            Self::PreVote(m) | Self::RequestVote(m) => m.term,
            Self::PreVoteResponse(m) | Self::RequestVoteResponse(m) => m.term,
            Self::AppendEntries(m) => m.term,
            Self::AppendEntriesResponse(m) => m.term,
            Self::InstallSnapshot(m) => m.term,
            Self::InstallSnapshotResponse(m) => m.term,
            Self::TimeoutNow(m) => m.term,
            Self::ReadIndex(m) => m.term,
            Self::ReadIndexResponse(m) => m.term,
        }
    }
}

/// A candidate asks for a vote (Raft §5.2); the candidate is the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// Index of the candidate's last log entry.
    pub last_log_index: LogIndex,
    /// Term of the candidate's last log entry.
    pub last_log_term: Term,
    /// The leader wants it so: voters do not stand by it (dissertation §4.2.3).
    pub is_transfer: bool,
}

/// The answer to a [`RequestVote`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestVoteResponse {
    /// The voter's term.
    pub term: Term,
    /// Whether the candidate has the vote.
    pub vote_granted: bool,
}

/// A leader hands over its leadership (dissertation §3.10); the leader is the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

/// A leader replicates entries (Raft §5.3), or with none of them says that it is alive; the leader
/// is the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// Index of the entry just before the new ones.
    pub prev_log_index: LogIndex,
    /// Term of that entry.
    pub prev_log_term: Term,
    /// The new entries, in order and without gaps.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub leader_commit: LogIndex,
    /// The latest round that the leader had begun when it sent this.
    pub round: Round,
}

impl AppendEntries {
    /// Returns whether the entries follow `prev_log_index` without gaps and their terms rise from
    /// `prev_log_term` to at most `term`. No replica sends anything else.
    pub(crate) fn is_well_formed(&self) -> bool {
        let mut index = self.prev_log_index;
        let mut term = self.prev_log_term;
        let are_in_order = self.entries.iter().all(|entry| {
            let follows = entry.index == index.next() && entry.term >= term.max(Term(1));
            (index, term) = (entry.index, entry.term);
            follows
        });
        are_in_order && term <= self.term
    }
}

/// The answer to an [`AppendEntries`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppendEntriesResponse {
    /// The follower's term.
    pub term: Term,
    /// The round of the request; 0 if that was of an earlier term, whose rounds prove nothing here.
    pub round: Round,
    /// Whether the logs matched.
    pub outcome: AppendOutcome,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppendOutcome {
    /// Every entry up to `match_index` matches the leader's log and is durable.
    Matched {
        /// The last entry that the request verified.
        match_index: LogIndex,
    },
    /// The follower has no entry of `prev_log_term` at `prev_log_index`.
    Conflict(Conflict),
    /// The request was of an earlier term: only the answer's term says something. Its sender may lead
    /// again in that term, which has other rounds and perhaps a shorter log.
    Stale,
}

impl AppendOutcome {
    /// Returns the place in the leader's log that the outcome speaks of; 0 if it speaks of none.
    pub(crate) fn index(&self) -> LogIndex {
        match self {
            Self::Matched { match_index } => *match_index,
            Self::Conflict(conflict) => conflict.prev_log_index,
            Self::Stale => LogIndex(0),
        }
    }
}

/// Where two logs may next agree (Raft §5.3, "if desired, the protocol can be optimized …").
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conflict {
    /// The request's `prev_log_index`, by which the leader knows a late answer.
    pub prev_log_index: LogIndex,
    /// The term of the follower's entry there; `None` if its log is too short.
    pub conflict_term: Option<Term>,
    /// The first index of that term in the follower's log, or one past the end of its log.
    pub conflict_index: LogIndex,
}

/// A piece of a snapshot (Raft §7); the leader is the sender. Pieces come one at a time, each asked for
/// by the answer to the one before. What was lost on the way is asked for again, and no more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshot {
    /// The leader's term.
    pub term: Term,
    /// The latest round that the leader had begun when it sent this.
    pub round: Round,
    /// What the snapshot stands for.
    pub snapshot: Snapshot,
    /// Where in the snapshot the data begin.
    pub offset: u64,
    /// The data.
    pub data: Arc<[u8]>,
    /// Nothing follows.
    pub is_last: bool,
}

impl InstallSnapshot {
    /// Returns whether it speaks of a snapshot that some leader up to `term` can have taken. No
    /// replica sends anything else.
    pub(crate) fn is_well_formed(&self) -> bool {
        let Snapshot { index, term, membership } = &self.snapshot;
        let has_end = self.offset.checked_add(self.data.len() as u64).is_some();
        let is_sound = !membership.voters.is_empty();
        has_end && is_sound && *index > LogIndex(0) && (Term(1)..=self.term).contains(term)
    }
}

/// The answer to an [`InstallSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstallSnapshotResponse {
    /// The follower's term.
    pub term: Term,
    /// The round of the request; 0 if that was of an earlier term.
    pub round: Round,
    /// The last entry of the snapshot that the request was of; 0 if that was of an earlier term.
    pub index: LogIndex,
    /// What became of the piece.
    pub outcome: ChunkOutcome,
}

/// What became of a piece of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkOutcome {
    /// The follower has the snapshot's bytes up to here and wants those from here on.
    Wanted {
        /// Where the next piece begins.
        offset: u64,
    },
    /// The follower has every entry that the snapshot stands for, durably, be it from this snapshot or
    /// because it had them already.
    Installed,
    /// The request was of an earlier term: only the answer's term says something.
    Stale,
}

/// A follower asks up to where it must have applied the log to answer reads that arrived before this
/// was sent (dissertation §6.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndex {
    /// The follower's term.
    pub term: Term,
    /// The question's number.
    pub id: ReadId,
}

/// The answer to a [`ReadIndex`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadIndexResponse {
    /// The leader's term.
    pub term: Term,
    /// The question's number.
    pub id: ReadId,
    /// The read index; `None` if the leader has too much under way.
    pub index: Option<LogIndex>,
}
