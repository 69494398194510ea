//! What operators ask for, and what they are told.

use raft::{ChangeEnd, Membership, TransferEnd};

use super::*;
use crate::driver::snapshots::WAITING_MAX;

/// What the core says of a request.
type Say = fn(RequestId) -> Output;

fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn membership(voters: &[u64]) -> Membership {
    Membership { voters: ids(voters), ..Membership::default() }
}

fn standing(role: Role, voters: &[u64]) -> Standing {
    Standing {
        id: NodeId(1),
        role,
        term: Term(1),
        leader: None,
        first_log_index: LogIndex(1),
        last_log_index: LogIndex(0),
        commit_index: LogIndex(0),
        last_applied: LogIndex(0),
        snapshot_index: LogIndex(4),
        membership: membership(voters),
        followers: [].into(),
    }
}

fn stage(role: Role) -> Stage {
    let mut stage = Stage::new();
    stage.driver.core.standing = Some(standing(role, &[1, 2]));
    stage
}

#[test]
fn a_transfer_is_answered_when_it_has_ended() {
    for (output, expected) in [
        (|request| Output::TransferEnded { request, end: TransferEnd::LeftOffice }, Ok(())),
        (
            |request| Output::TransferEnded { request, end: TransferEnd::TimedOut },
            Err(Failure::TimedOut),
        ),
        (
            |request| Output::Refused { request, refusal: Refusal::NoSuccessor },
            Err(Failure::NoSuccessor),
        ),
    ] as [(Say, _); 3]
    {
        let (mut stage, request, to) = (stage(Role::Leader), RequestId(1), NodeId(2));
        let (end, mut waiting) = oneshot::channel();
        stage.expect(Input::TransferLeadership { request, to }, vec![]);
        stage.request(Request::Transfer(to, end));
        assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
        stage.expect(TICK, vec![output(request)]).handle(TOCK);
        assert_eq!(waiting.try_recv(), Ok(expected));
    }
}

/// Asks for a change; the core, if it is asked at all, answers with `output`.
#[track_caller]
fn check_change(
    role: Role,
    change: Change,
    output: Option<Say>,
    expected: Result<Membership, Failure>,
) {
    let (mut stage, request) = (stage(role), RequestId(1));
    let (end, mut waiting) = oneshot::channel();
    if let Some(output) = output {
        let membership = change.membership.clone();
        stage.expect(Input::ChangeMembership { request, membership }, vec![output(request)]);
    }
    stage.request(Request::Change(change, end));
    assert_eq!(waiting.try_recv(), Ok(expected));
}

#[test]
fn a_change_is_answered_when_it_has_ended() {
    let ends: [(Say, _); 4] = [
        (|request| Output::ChangeEnded { request, end: ChangeEnd::Done }, Ok(membership(&[1, 2]))),
        (
            |request| Output::ChangeEnded { request, end: ChangeEnd::LeftOffice },
            Err(Failure::LeftOffice),
        ),
        (
            |request| Output::ChangeEnded { request, end: ChangeEnd::NotCaughtUp },
            Err(Failure::NotCaughtUp),
        ),
        (
            |request| Output::Refused { request, refusal: Refusal::ChangeInProgress },
            Err(Failure::ChangeInProgress),
        ),
    ];
    for (output, expected) in ends {
        let change = Change { membership: membership(&[1, 3]), expected: None };
        check_change(Role::Leader, change, Some(output), expected);
    }
}

#[test]
fn a_change_that_the_core_cannot_judge_is_refused_by_the_leader() {
    let unexpected = Change { membership: membership(&[1]), expected: Some(membership(&[1, 3])) };
    check_change(Role::Leader, unexpected.clone(), None, Err(Failure::MembershipChanged));
    let unknown = Change { membership: membership(&[1, 9]), expected: Some(membership(&[1, 2])) };
    check_change(Role::Leader, unknown.clone(), None, Err(Failure::UnknownNode(NodeId(9))));
    // Who does not lead says that first.
    for change in [unexpected, unknown] {
        let refused: Say = |request| Output::Refused {
            request,
            refusal: Refusal::NotLeader { leader: Some(NodeId(2)) },
        };
        let expected = Err(Failure::NotLeader(Some(NodeId(2))));
        check_change(Role::Follower, change, Some(refused), expected);
    }
}

#[test]
fn a_snapshot_is_answered_when_it_is_saved() {
    for is_saved in [true, false] {
        let (mut stage, index) = (stage(Role::Follower), LogIndex(0));
        let snapshot = Snapshot { index, term: Term(0), membership: membership(&[1]) };
        let (end, mut waiting) = oneshot::channel();
        stage.expect(Input::Compact, vec![Output::TakeSnapshot { snapshot }]);
        stage.request(Request::Compact(end));
        assert_eq!(waiting.try_recv(), Err(TryRecvError::Empty));
        let input = match is_saved {
            true => Input::SnapshotTaken { index },
            false => Input::SnapshotFailed { index },
        };
        stage.expect(input, vec![]).handle(Event::Saved { index, is_saved });
        let expected = if is_saved { Ok(index) } else { Err(Failure::NotSaved) };
        assert_eq!(waiting.try_recv(), Ok(expected));
    }
}

#[test]
fn a_snapshot_that_would_say_nothing_new_is_answered_at_once() {
    let mut stage = stage(Role::Follower);
    let (end, mut waiting) = oneshot::channel();
    stage.expect(Input::Compact, vec![]);
    stage.request(Request::Compact(end));
    assert_eq!(waiting.try_recv(), Ok(Ok(LogIndex(4))));
}

#[test]
fn a_new_membership_says_whom_to_connect() {
    let mut stage = Stage::new();
    let membership =
        Membership { voters: ids(&[1, 2]), outgoing: ids(&[1, 3]), learners: ids(&[9]) };
    stage.expect(TICK, vec![Output::MembershipChanged { membership }]).handle(TOCK);
    assert_eq!(stage.effects, [Effect::Connect(ids(&[1, 2, 3, 9]))]);
}

#[test]
fn operators_do_not_gather_for_ever_under_a_disk_that_hangs() {
    let (mut stage, index) = (stage(Role::Follower), LogIndex(0));
    let snapshot = Snapshot { index, term: Term(0), membership: membership(&[1]) };
    stage.expect(TICK, vec![Output::TakeSnapshot { snapshot }]).handle(TOCK);
    let mut ask = || {
        let (end, waiting) = oneshot::channel();
        stage.expect(Input::Compact, vec![]);
        stage.request(Request::Compact(end));
        waiting
    };
    let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask()).collect();
    assert_eq!(ask().try_recv(), Ok(Err(Failure::Overloaded)));
    assert!(waiting.iter_mut().all(|it| it.try_recv() == Err(TryRecvError::Empty)));
}
