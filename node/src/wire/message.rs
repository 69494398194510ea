//! Raft messages, to and from `raft.proto`.
//!
//! What arrives was sent by a node like this one, or by whatever else found the port. So decoding
//! takes nothing for granted: a message that lacks a part, or that counts beyond where sums are safe,
//! is [`Malformed`] and goes no further.

use bytes::Bytes;
use proto::raft as wire;
use proto::raft::append_entries_response::Outcome as AppendBody;
use proto::raft::entry::Payload as PayloadBody;
use proto::raft::install_snapshot_response::Outcome as ChunkBody;
use proto::raft::raft_message::Message as Body;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, ChunkOutcome, Conflict, Entry,
    InstallSnapshot, InstallSnapshotResponse, LogIndex, Message, Payload, ReadIndex,
    ReadIndexResponse, RequestVote, RequestVoteResponse, Round, Term, TimeoutNow,
};

use super::membership;

/// Terms, indexes and offsets that arrive are at most this. No cluster lives to count so far, and sums
/// of two of them do not overflow.
const COUNT_MAX: u64 = 1 << 62;
/// The largest piece of a snapshot that is taken: twice what nodes send.
const CHUNK_MAX: usize = 2 << 20;

/// A message that no node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// Something that must be there is not, or is of a kind that is not known here.
    #[error("the message lacks its {0}")]
    Lacks(&'static str),
    /// A number is beyond what anybody counts to.
    #[error("the message counts beyond all bounds")]
    Excessive,
    /// A piece of a snapshot is too large.
    #[error("the message holds too large a piece of a snapshot")]
    Oversized,
    /// There is no such cluster.
    #[error("the message holds a membership that cannot be")]
    Membership,
}

/// Puts a message into its wire form.
pub(crate) fn encode(message: Message) -> Body {
    match message {
        Message::PreVote(m) => Body::PreVote(encode_vote(&m)),
        Message::PreVoteResponse(m) => Body::PreVoteResponse(encode_vote_response(&m)),
        Message::RequestVote(m) => Body::RequestVote(encode_vote(&m)),
        Message::RequestVoteResponse(m) => Body::RequestVoteResponse(encode_vote_response(&m)),
        Message::TimeoutNow(m) => Body::TimeoutNow(wire::TimeoutNow { term: m.term.0 }),
        Message::AppendEntries(m) => Body::AppendEntries(encode_append(m)),
        Message::AppendEntriesResponse(m) => {
            Body::AppendEntriesResponse(encode_append_response(&m))
        }
        Message::InstallSnapshot(m) => Body::InstallSnapshot(encode_chunk(m)),
        Message::InstallSnapshotResponse(m) => {
            Body::InstallSnapshotResponse(encode_chunk_response(&m))
        }
        Message::ReadIndex(m) => {
            Body::ReadIndex(wire::ReadIndex { term: m.term.0, id: Some(encode_read_id(m.id)) })
        }
        Message::ReadIndexResponse(m) => Body::ReadIndexResponse(wire::ReadIndexResponse {
            term: m.term.0,
            id: Some(encode_read_id(m.id)),
            index: m.index.map(|index| index.0),
        }),
    }
}

/// Reads a message from its wire form.
pub(crate) fn decode(body: Body) -> Result<Message, Malformed> {
    Ok(match body {
        Body::PreVote(m) => Message::PreVote(decode_vote(&m)?),
        Body::PreVoteResponse(m) => Message::PreVoteResponse(decode_vote_response(&m)?),
        Body::RequestVote(m) => Message::RequestVote(decode_vote(&m)?),
        Body::RequestVoteResponse(m) => Message::RequestVoteResponse(decode_vote_response(&m)?),
        Body::TimeoutNow(m) => Message::TimeoutNow(TimeoutNow { term: term(m.term)? }),
        Body::AppendEntries(m) => Message::AppendEntries(decode_append(m)?),
        Body::AppendEntriesResponse(m) => {
            Message::AppendEntriesResponse(decode_append_response(m)?)
        }
        Body::InstallSnapshot(m) => Message::InstallSnapshot(decode_chunk(m)?),
        Body::InstallSnapshotResponse(m) => {
            Message::InstallSnapshotResponse(decode_chunk_response(m)?)
        }
        Body::ReadIndex(m) => {
            Message::ReadIndex(ReadIndex { term: term(m.term)?, id: decode_read_id(m.id)? })
        }
        Body::ReadIndexResponse(m) => Message::ReadIndexResponse(ReadIndexResponse {
            term: term(m.term)?,
            id: decode_read_id(m.id)?,
            index: m.index.map(index).transpose()?,
        }),
    })
}

fn count(number: u64) -> Result<u64, Malformed> {
    if number <= COUNT_MAX { Ok(number) } else { Err(Malformed::Excessive) }
}

fn term(number: u64) -> Result<Term, Malformed> {
    count(number).map(Term)
}

fn index(number: u64) -> Result<LogIndex, Malformed> {
    count(number).map(LogIndex)
}

fn round(number: u64) -> Result<Round, Malformed> {
    count(number).map(Round)
}

fn encode_vote(m: &RequestVote) -> wire::RequestVote {
    wire::RequestVote {
        term: m.term.0,
        last_log_index: m.last_log_index.0,
        last_log_term: m.last_log_term.0,
        is_transfer: m.is_transfer,
    }
}

fn decode_vote(m: &wire::RequestVote) -> Result<RequestVote, Malformed> {
    Ok(RequestVote {
        term: term(m.term)?,
        last_log_index: index(m.last_log_index)?,
        last_log_term: term(m.last_log_term)?,
        is_transfer: m.is_transfer,
    })
}

fn encode_vote_response(m: &RequestVoteResponse) -> wire::RequestVoteResponse {
    wire::RequestVoteResponse { term: m.term.0, vote_granted: m.vote_granted }
}

fn decode_vote_response(m: &wire::RequestVoteResponse) -> Result<RequestVoteResponse, Malformed> {
    Ok(RequestVoteResponse { term: term(m.term)?, vote_granted: m.vote_granted })
}

fn encode_append(m: AppendEntries) -> wire::AppendEntries {
    wire::AppendEntries {
        term: m.term.0,
        prev_log_index: m.prev_log_index.0,
        prev_log_term: m.prev_log_term.0,
        entries: m.entries.into_iter().map(encode_entry).collect(),
        leader_commit: m.leader_commit.0,
        round: m.round.0,
    }
}

fn decode_append(m: wire::AppendEntries) -> Result<AppendEntries, Malformed> {
    Ok(AppendEntries {
        term: term(m.term)?,
        prev_log_index: index(m.prev_log_index)?,
        prev_log_term: term(m.prev_log_term)?,
        entries: m.entries.into_iter().map(decode_entry).collect::<Result<_, _>>()?,
        leader_commit: index(m.leader_commit)?,
        round: round(m.round)?,
    })
}

fn encode_append_response(m: &AppendEntriesResponse) -> wire::AppendEntriesResponse {
    let outcome = match &m.outcome {
        AppendOutcome::Matched { match_index } => AppendBody::MatchIndex(match_index.0),
        AppendOutcome::Stale => AppendBody::Stale(wire::Stale {}),
        AppendOutcome::Conflict(conflict) => AppendBody::Conflict(wire::Conflict {
            prev_log_index: conflict.prev_log_index.0,
            conflict_term: conflict.conflict_term.map_or(0, |term| term.0),
            conflict_index: conflict.conflict_index.0,
        }),
    };
    wire::AppendEntriesResponse { term: m.term.0, round: m.round.0, outcome: Some(outcome) }
}

fn decode_append_response(
    m: wire::AppendEntriesResponse,
) -> Result<AppendEntriesResponse, Malformed> {
    let outcome = match m.outcome.ok_or(Malformed::Lacks("outcome"))? {
        AppendBody::MatchIndex(matched) => AppendOutcome::Matched { match_index: index(matched)? },
        AppendBody::Stale(wire::Stale {}) => AppendOutcome::Stale,
        AppendBody::Conflict(conflict) => AppendOutcome::Conflict(Conflict {
            prev_log_index: index(conflict.prev_log_index)?,
            conflict_term: match conflict.conflict_term {
                0 => None,
                number => Some(term(number)?),
            },
            conflict_index: index(conflict.conflict_index)?,
        }),
    };
    Ok(AppendEntriesResponse { term: term(m.term)?, round: round(m.round)?, outcome })
}

fn encode_entry(entry: Entry) -> wire::Entry {
    let payload = match entry.payload {
        Payload::Noop => PayloadBody::Noop(wire::Noop {}),
        // The bytes own the shared command: peers, log and disk hold one copy.
        Payload::Command(command) => PayloadBody::Command(Bytes::from_owner(command)),
        Payload::Membership(it) => PayloadBody::Membership(membership::encode(&it)),
    };
    wire::Entry { term: entry.term.0, index: entry.index.0, payload: Some(payload) }
}

fn decode_entry(entry: wire::Entry) -> Result<Entry, Malformed> {
    let payload = match entry.payload.ok_or(Malformed::Lacks("payload"))? {
        PayloadBody::Noop(wire::Noop {}) => Payload::Noop,
        PayloadBody::Command(command) => Payload::Command(command.as_ref().into()),
        PayloadBody::Membership(it) => Payload::Membership(
            membership::decode(&it)
                .filter(|it| !it.voters.is_empty())
                .ok_or(Malformed::Membership)?,
        ),
    };
    Ok(Entry { term: term(entry.term)?, index: index(entry.index)?, payload })
}

fn encode_chunk(m: InstallSnapshot) -> wire::InstallSnapshot {
    wire::InstallSnapshot {
        term: m.term.0,
        round: m.round.0,
        snapshot: Some(wire::Snapshot {
            index: m.snapshot.index.0,
            term: m.snapshot.term.0,
            membership: Some(membership::encode(&m.snapshot.membership)),
        }),
        offset: m.offset,
        data: Bytes::from_owner(m.data),
        is_last: m.is_last,
    }
}

fn decode_chunk(m: wire::InstallSnapshot) -> Result<InstallSnapshot, Malformed> {
    let snapshot = m.snapshot.ok_or(Malformed::Lacks("snapshot"))?;
    let members = snapshot.membership.ok_or(Malformed::Lacks("membership"))?;
    if m.data.len() > CHUNK_MAX {
        return Err(Malformed::Oversized);
    }
    Ok(InstallSnapshot {
        term: term(m.term)?,
        round: round(m.round)?,
        snapshot: raft::Snapshot {
            index: index(snapshot.index)?,
            term: term(snapshot.term)?,
            membership: membership::decode(&members).ok_or(Malformed::Membership)?,
        },
        offset: count(m.offset)?,
        data: m.data.as_ref().into(),
        is_last: m.is_last,
    })
}

fn encode_chunk_response(m: &InstallSnapshotResponse) -> wire::InstallSnapshotResponse {
    let outcome = match m.outcome {
        ChunkOutcome::Wanted { offset } => ChunkBody::WantedOffset(offset),
        ChunkOutcome::Installed => ChunkBody::Installed(wire::Installed {}),
        ChunkOutcome::Stale => ChunkBody::Stale(wire::Stale {}),
    };
    wire::InstallSnapshotResponse {
        term: m.term.0,
        round: m.round.0,
        index: m.index.0,
        outcome: Some(outcome),
    }
}

fn decode_chunk_response(
    m: wire::InstallSnapshotResponse,
) -> Result<InstallSnapshotResponse, Malformed> {
    Ok(InstallSnapshotResponse {
        term: term(m.term)?,
        round: round(m.round)?,
        index: index(m.index)?,
        outcome: match m.outcome.ok_or(Malformed::Lacks("outcome"))? {
            ChunkBody::WantedOffset(offset) => ChunkOutcome::Wanted { offset: count(offset)? },
            ChunkBody::Installed(wire::Installed {}) => ChunkOutcome::Installed,
            ChunkBody::Stale(wire::Stale {}) => ChunkOutcome::Stale,
        },
    })
}

fn encode_read_id(id: raft::ReadId) -> wire::ReadId {
    wire::ReadId { incarnation: id.incarnation, number: id.number }
}

/// Reads the number of a question: the asker's own, which the leader only hands back.
fn decode_read_id(id: Option<wire::ReadId>) -> Result<raft::ReadId, Malformed> {
    let id = id.ok_or(Malformed::Lacks("id"))?;
    Ok(raft::ReadId { incarnation: id.incarnation, number: id.number })
}

#[cfg(test)]
mod tests;
