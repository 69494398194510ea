//! Raft messages, to and from `raft.proto`.

use bytes::Bytes;
use proto::raft as wire;
use proto::raft::append_entries_response::Outcome;
use proto::raft::raft_message::Message as Body;
use raft::{
    AppendEntries, AppendEntriesResponse, AppendOutcome, Conflict, Entry, LogIndex, Message,
    RequestVote, RequestVoteResponse, Round, Term, TimeoutNow,
};

/// Puts a message into its wire form.
pub(crate) fn encode(message: Message) -> Body {
    match message {
        Message::PreVote(m) => Body::PreVote(encode_vote(&m)),
        Message::PreVoteResponse(m) => Body::PreVoteResponse(encode_vote_response(&m)),
        Message::RequestVote(m) => Body::RequestVote(encode_vote(&m)),
        Message::RequestVoteResponse(m) => Body::RequestVoteResponse(encode_vote_response(&m)),
        Message::TimeoutNow(m) => Body::TimeoutNow(wire::TimeoutNow { term: m.term.0 }),
        Message::AppendEntries(m) => Body::AppendEntries(wire::AppendEntries {
            term: m.term.0,
            prev_log_index: m.prev_log_index.0,
            prev_log_term: m.prev_log_term.0,
            entries: m.entries.into_iter().map(encode_entry).collect(),
            leader_commit: m.leader_commit.0,
            round: m.round.0,
        }),
        Message::AppendEntriesResponse(m) => {
            Body::AppendEntriesResponse(wire::AppendEntriesResponse {
                term: m.term.0,
                round: m.round.0,
                outcome: Some(match m.outcome {
                    AppendOutcome::Matched { match_index } => Outcome::MatchIndex(match_index.0),
                    AppendOutcome::Stale => Outcome::Stale(wire::Stale {}),
                    AppendOutcome::Conflict(conflict) => Outcome::Conflict(wire::Conflict {
                        prev_log_index: conflict.prev_log_index.0,
                        conflict_term: conflict.conflict_term.map_or(0, |term| term.0),
                        conflict_index: conflict.conflict_index.0,
                    }),
                }),
            })
        }
    }
}

/// Reads a message from its wire form; `None` if an answer lacks its outcome, or an append would reach
/// beyond the last index that there is.
pub(crate) fn decode(body: Body) -> Option<Message> {
    Some(match body {
        Body::PreVote(m) => Message::PreVote(decode_vote(&m)),
        Body::PreVoteResponse(m) => Message::PreVoteResponse(decode_vote_response(&m)),
        Body::RequestVote(m) => Message::RequestVote(decode_vote(&m)),
        Body::RequestVoteResponse(m) => Message::RequestVoteResponse(decode_vote_response(&m)),
        Body::TimeoutNow(m) => Message::TimeoutNow(TimeoutNow { term: Term(m.term) }),
        Body::AppendEntries(m) => {
            // The core counts on to the entry after the last.
            m.prev_log_index.checked_add(m.entries.len() as u64 + 1)?;
            Message::AppendEntries(AppendEntries {
                term: Term(m.term),
                prev_log_index: LogIndex(m.prev_log_index),
                prev_log_term: Term(m.prev_log_term),
                entries: m.entries.into_iter().map(decode_entry).collect(),
                leader_commit: LogIndex(m.leader_commit),
                round: Round(m.round),
            })
        }
        Body::AppendEntriesResponse(m) => Message::AppendEntriesResponse(AppendEntriesResponse {
            term: Term(m.term),
            round: Round(m.round),
            outcome: match m.outcome? {
                Outcome::MatchIndex(index) => {
                    AppendOutcome::Matched { match_index: LogIndex(index) }
                }
                Outcome::Stale(wire::Stale {}) => AppendOutcome::Stale,
                Outcome::Conflict(conflict) => AppendOutcome::Conflict(Conflict {
                    prev_log_index: LogIndex(conflict.prev_log_index),
                    conflict_term: Some(conflict.conflict_term).filter(|term| *term != 0).map(Term),
                    conflict_index: LogIndex(conflict.conflict_index),
                }),
            },
        }),
    })
}

fn encode_vote(m: &RequestVote) -> wire::RequestVote {
    wire::RequestVote {
        term: m.term.0,
        last_log_index: m.last_log_index.0,
        last_log_term: m.last_log_term.0,
        is_transfer: m.is_transfer,
    }
}

fn decode_vote(m: &wire::RequestVote) -> RequestVote {
    RequestVote {
        term: Term(m.term),
        last_log_index: LogIndex(m.last_log_index),
        last_log_term: Term(m.last_log_term),
        is_transfer: m.is_transfer,
    }
}

fn encode_vote_response(m: &RequestVoteResponse) -> wire::RequestVoteResponse {
    wire::RequestVoteResponse { term: m.term.0, vote_granted: m.vote_granted }
}

fn decode_vote_response(m: &wire::RequestVoteResponse) -> RequestVoteResponse {
    RequestVoteResponse { term: Term(m.term), vote_granted: m.vote_granted }
}

fn encode_entry(entry: Entry) -> wire::Entry {
    wire::Entry {
        term: entry.term.0,
        index: entry.index.0,
        // The bytes own the shared command: peers, log and disk hold one copy.
        command: Bytes::from_owner(entry.command),
    }
}

fn decode_entry(entry: wire::Entry) -> Entry {
    Entry {
        term: Term(entry.term),
        index: LogIndex(entry.index),
        command: entry.command.as_ref().into(),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Sends a message through its encoding to bytes and back.
    fn travel(message: Message) -> Option<Message> {
        let sent = wire::RaftMessage {
            cluster: "storm".to_owned(),
            from: 1,
            to: 2,
            message: Some(encode(message)),
        };
        let received = wire::RaftMessage::decode(sent.encode_to_vec().as_slice()).unwrap();
        decode(received.message.unwrap())
    }

    #[test]
    fn every_message_arrives_as_it_was_sent() {
        let answer = |outcome| {
            Message::AppendEntriesResponse(AppendEntriesResponse {
                term: Term(4),
                round: Round(5),
                outcome,
            })
        };
        let conflict = |conflict_term| {
            answer(AppendOutcome::Conflict(Conflict {
                prev_log_index: LogIndex(6),
                conflict_term,
                conflict_index: LogIndex(7),
            }))
        };
        let vote = RequestVote {
            term: Term(1),
            last_log_index: LogIndex(2),
            last_log_term: Term(3),
            is_transfer: true,
        };
        for message in [
            Message::RequestVote(vote.clone()),
            Message::PreVote(RequestVote { is_transfer: false, ..vote }),
            Message::PreVoteResponse(RequestVoteResponse { term: Term(9), vote_granted: true }),
            Message::TimeoutNow(TimeoutNow { term: Term(7) }),
            Message::RequestVoteResponse(RequestVoteResponse { term: Term(1), vote_granted: true }),
            Message::RequestVoteResponse(RequestVoteResponse {
                term: Term(0),
                vote_granted: false,
            }),
            Message::AppendEntries(AppendEntries {
                term: Term(1),
                prev_log_index: LogIndex(2),
                prev_log_term: Term(3),
                entries: vec![
                    Entry { term: Term(1), index: LogIndex(3), command: [].into() },
                    Entry { term: Term(1), index: LogIndex(4), command: [1, 2, 3].into() },
                ],
                leader_commit: LogIndex(5),
                round: Round(6),
            }),
            answer(AppendOutcome::Matched { match_index: LogIndex(0) }),
            answer(AppendOutcome::Matched { match_index: LogIndex(9) }),
            answer(AppendOutcome::Stale),
            conflict(None),
            conflict(Some(Term(3))),
        ] {
            assert_eq!(travel(message.clone()), Some(message));
        }
    }

    #[test]
    fn an_answer_without_an_outcome_is_none() {
        let body = Body::AppendEntriesResponse(wire::AppendEntriesResponse::default());
        assert_eq!(decode(body), None);
    }

    #[test]
    fn an_append_beyond_the_last_index_is_none() {
        for (prev_log_index, is_known) in
            [(u64::MAX, false), (u64::MAX - 1, false), (u64::MAX - 2, true)]
        {
            let entries = vec![wire::Entry::default()];
            let append = wire::AppendEntries { prev_log_index, entries, ..Default::default() };
            assert_eq!(decode(Body::AppendEntries(append)).is_some(), is_known, "{prev_log_index}");
        }
    }
}
