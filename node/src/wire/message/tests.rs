//! Every message travels as bytes and arrives as it was sent; what no node sends does not.

use prost::Message as _;
use raft::{Membership, NodeId, ReadId, Snapshot};

use super::*;

/// Sends a message through its encoding to bytes and back.
fn travel(message: Message) -> Result<Message, Malformed> {
    let sent = wire::RaftMessage {
        cluster: "storm".to_owned(),
        from: 1,
        to: 2,
        message: Some(encode(message)),
    };
    let received = wire::RaftMessage::decode(sent.encode_to_vec().as_slice()).unwrap();
    decode(received.message.unwrap())
}

fn membership(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Membership {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect();
    Membership { voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) }
}

fn append_response(outcome: AppendOutcome) -> Message {
    let (term, round) = (Term(4), Round(5));
    Message::AppendEntriesResponse(AppendEntriesResponse { term, round, outcome })
}

fn conflict(conflict_term: Option<Term>) -> Message {
    append_response(AppendOutcome::Conflict(Conflict {
        prev_log_index: LogIndex(6),
        conflict_term,
        conflict_index: LogIndex(7),
    }))
}

fn append(payloads: Vec<Payload>) -> AppendEntries {
    let entry = |(index, payload)| Entry { term: Term(1), index: LogIndex(index), payload };
    AppendEntries {
        term: Term(1),
        prev_log_index: LogIndex(2),
        prev_log_term: Term(3),
        entries: (3..).zip(payloads).map(entry).collect(),
        leader_commit: LogIndex(5),
        round: Round(6),
    }
}

fn chunk(data: &[u8], membership: Membership) -> InstallSnapshot {
    InstallSnapshot {
        term: Term(3),
        round: Round(4),
        snapshot: Snapshot { index: LogIndex(90), term: Term(2), membership },
        offset: 7,
        data: data.into(),
        is_last: !data.is_empty(),
    }
}

fn chunk_response(outcome: ChunkOutcome) -> Message {
    let (term, round, index) = (Term(3), Round(4), LogIndex(90));
    Message::InstallSnapshotResponse(InstallSnapshotResponse { term, round, index, outcome })
}

#[test]
fn every_message_arrives_as_it_was_sent() {
    let vote = RequestVote {
        term: Term(1),
        last_log_index: LogIndex(2),
        last_log_term: Term(3),
        is_transfer: true,
    };
    let given = |term, vote_granted| RequestVoteResponse { term: Term(term), vote_granted };
    let id = ReadId { incarnation: 3, number: u64::MAX };
    let answer = |index| Message::ReadIndexResponse(ReadIndexResponse { term: Term(2), id, index });
    for message in [
        Message::RequestVote(vote.clone()),
        Message::PreVote(RequestVote { is_transfer: false, ..vote }),
        Message::PreVoteResponse(given(9, true)),
        Message::RequestVoteResponse(given(1, true)),
        Message::RequestVoteResponse(given(0, false)),
        Message::TimeoutNow(TimeoutNow { term: Term(7) }),
        Message::AppendEntries(append(vec![])),
        Message::AppendEntries(append(vec![
            Payload::Noop,
            Payload::Command([].into()),
            Payload::Command([1, 2, 3].into()),
            Payload::Membership(membership(&[1, 2, 3], &[], &[])),
            Payload::Membership(membership(&[2, 3, 4], &[1, 2, 3], &[5])),
        ])),
        append_response(AppendOutcome::Matched { match_index: LogIndex(0) }),
        append_response(AppendOutcome::Matched { match_index: LogIndex(9) }),
        append_response(AppendOutcome::Stale),
        conflict(None),
        conflict(Some(Term(3))),
        Message::InstallSnapshot(chunk(&[], membership(&[1], &[], &[]))),
        Message::InstallSnapshot(chunk(&[9, 8], membership(&[1, 2], &[1, 3], &[4]))),
        Message::InstallSnapshot(chunk(&[9], membership(&[], &[], &[]))),
        chunk_response(ChunkOutcome::Wanted { offset: 0 }),
        chunk_response(ChunkOutcome::Wanted { offset: 12 }),
        chunk_response(ChunkOutcome::Installed),
        chunk_response(ChunkOutcome::Stale),
        Message::ReadIndex(ReadIndex { term: Term(2), id }),
        answer(None),
        answer(Some(LogIndex(0))),
        answer(Some(LogIndex(8))),
    ] {
        assert_eq!(travel(message.clone()), Ok(message));
    }
}

#[test]
fn a_message_that_lacks_a_part_goes_no_further() {
    let entries = vec![wire::Entry::default()];
    let snapshot = Some(wire::Snapshot::default());
    for (body, lacks) in [
        (Body::AppendEntriesResponse(wire::AppendEntriesResponse::default()), "outcome"),
        (Body::AppendEntries(wire::AppendEntries { entries, ..Default::default() }), "payload"),
        (Body::InstallSnapshot(wire::InstallSnapshot::default()), "snapshot"),
        (
            Body::InstallSnapshot(wire::InstallSnapshot { snapshot, ..Default::default() }),
            "membership",
        ),
        (Body::InstallSnapshotResponse(wire::InstallSnapshotResponse::default()), "outcome"),
        (Body::ReadIndex(wire::ReadIndex::default()), "id"),
        (Body::ReadIndexResponse(wire::ReadIndexResponse::default()), "id"),
    ] {
        assert_eq!(decode(body), Err(Malformed::Lacks(lacks)));
    }
}

#[test]
fn a_count_beyond_all_bounds_goes_no_further() {
    let last = COUNT_MAX;
    let heartbeat = |prev_log_index: u64, term: u64, round: u64| {
        Body::AppendEntries(wire::AppendEntries {
            prev_log_index,
            term,
            round,
            ..Default::default()
        })
    };
    assert!(decode(heartbeat(last, last, last)).is_ok());
    let chunk = |offset| {
        Body::InstallSnapshot(wire::InstallSnapshot {
            snapshot: Some(wire::Snapshot {
                membership: Some(Default::default()),
                ..Default::default()
            }),
            offset,
            ..Default::default()
        })
    };
    assert!(decode(chunk(last)).is_ok());
    let matched = wire::AppendEntriesResponse {
        outcome: Some(AppendBody::MatchIndex(u64::MAX)),
        ..Default::default()
    };
    for body in [
        heartbeat(last + 1, 0, 0),
        heartbeat(0, last + 1, 0),
        heartbeat(0, 0, u64::MAX),
        chunk(last + 1),
        Body::AppendEntriesResponse(matched),
        Body::TimeoutNow(wire::TimeoutNow { term: u64::MAX }),
    ] {
        assert_eq!(decode(body.clone()), Err(Malformed::Excessive), "{body:?}");
    }
}

#[test]
fn a_membership_that_cannot_be_goes_no_further() {
    for (membership, is_a_cluster, is_snapshots) in [
        (membership(&[1], &[], &[2]), true, true),
        (membership(&[2], &[1], &[1]), true, true),
        // A node that joins has been told of no voters yet; no entry says so.
        (membership(&[], &[], &[]), false, true),
        (membership(&[1, 0], &[], &[]), false, false),
        (membership(&[1], &[0], &[]), false, false),
        (membership(&[1, 2], &[], &[2]), false, false),
    ] {
        let entry = append(vec![Payload::Membership(membership.clone())]);
        let arrived = travel(Message::AppendEntries(entry));
        assert_eq!(arrived.is_ok(), is_a_cluster, "{membership:?}");
        let arrived = travel(Message::InstallSnapshot(chunk(&[], membership.clone())));
        assert_eq!(arrived.is_ok(), is_snapshots, "{membership:?}");
    }
}

#[test]
fn a_piece_of_a_snapshot_is_bounded() {
    for (bytes, is_taken) in [(CHUNK_MAX, true), (CHUNK_MAX + 1, false)] {
        let piece = chunk(&vec![0; bytes], membership(&[1], &[], &[]));
        assert_eq!(travel(Message::InstallSnapshot(piece)).is_ok(), is_taken);
    }
}
