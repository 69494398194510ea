//! What orders ask for, what statuses prove, and what people read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};

use proto::{NOT_APPLIED, OUTCOME_KEY, REASON_KEY};
use tonic::Code;
use tonic::metadata::MetadataValue;

use super::*;
use crate::client::leader::prove;

fn members(voters: &[u64], outgoing: &[u64], learners: &[u64]) -> Members {
    let ids = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<_>>();
    Members { voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) }
}

#[test]
fn an_order_names_a_state_and_not_a_step() {
    let now = members(&[1, 2, 3], &[], &[7]);
    for (order, expected) in [
        (MemberCommand::Add { ids: vec![4, 7] }, members(&[1, 2, 3, 4, 7], &[], &[])),
        (MemberCommand::Add { ids: vec![2] }, now.clone()),
        (MemberCommand::Remove { ids: vec![1, 7] }, members(&[2, 3], &[], &[])),
        (MemberCommand::Remove { ids: vec![9] }, now.clone()),
        (MemberCommand::Replace { old: 1, new: 4 }, members(&[2, 3, 4], &[], &[7])),
        (MemberCommand::Replace { old: 1, new: 7 }, members(&[2, 3, 7], &[], &[])),
        (MemberCommand::Learner { ids: vec![3, 8] }, members(&[1, 2], &[], &[3, 7, 8])),
    ] {
        let target = target::of(&order, &now).unwrap();
        assert_eq!(target, expected, "{order:?}");
        assert_eq!(target::of(&order, &target), Ok(target), "{order:?} given again");
    }
}

#[test]
fn only_a_vote_that_is_there_can_be_given_to_another() {
    let now = members(&[1, 2, 3], &[1, 2, 4], &[7]);
    // The last one gives up its vote already, in a change that is under way.
    for (old, new, is_sound) in
        [(1, 5, true), (9, 5, false), (7, 5, false), (9, 3, true), (4, 5, true)]
    {
        let order = MemberCommand::Replace { old, new };
        assert_eq!(target::of(&order, &now).is_ok(), is_sound, "{order:?}");
    }
}

#[test]
fn only_a_refusal_proves_that_nothing_was_done() {
    for (code, reason, is_marked, expected) in [
        (Code::FailedPrecondition, Some("not-leader"), true, Proof::NotYet),
        (Code::Unavailable, Some("not-settled"), true, Proof::NotYet),
        (Code::Aborted, Some("change-in-progress"), true, Proof::NotYet),
        (Code::Aborted, Some("membership-changed"), true, Proof::NotYet),
        (Code::ResourceExhausted, Some("overloaded"), true, Proof::NotYet),
        (Code::Unavailable, None, true, Proof::NotYet),
        (Code::InvalidArgument, Some("invalid-membership"), true, Proof::Never),
        (Code::InvalidArgument, Some("unknown-node"), true, Proof::Never),
        (Code::InvalidArgument, Some("no-successor"), true, Proof::Never),
        (Code::DeadlineExceeded, Some("timed-out"), false, Proof::Open),
        (Code::DeadlineExceeded, Some("not-caught-up"), false, Proof::Never),
        (Code::Unimplemented, None, false, Proof::Never),
        (Code::Unavailable, Some("left-office"), false, Proof::Doubt),
        (Code::Unavailable, None, false, Proof::Doubt),
        (Code::Unknown, None, false, Proof::Doubt),
    ] {
        let mut status = Status::new(code, "why");
        let mut insert = |key, value| {
            status.metadata_mut().insert(key, MetadataValue::from_static(value));
        };
        reason.into_iter().for_each(|reason| insert(REASON_KEY, reason));
        is_marked.then(|| insert(OUTCOME_KEY, NOT_APPLIED));
        assert_eq!(prove(&status), expected, "{status}");
    }
}

#[test]
fn people_can_read_who_is_in_the_cluster() {
    let mut leader = NodeReport {
        id: 1,
        role: "leader",
        term: 5,
        leader: 1,
        last_log_index: 40,
        commit_index: 40,
        last_applied: 40,
        recovered_entries: 3,
        recovered_snapshot: 0,
        version: "1.0".into(),
        membership: members(&[1, 2], &[], &[4]),
        first_log_index: 1,
        snapshot_index: 0,
        snapshots_received: 0,
        followers: BTreeMap::from([(2, 39), (4, 7)]),
    };
    let text = "n1  voter  leads term 5, log to 40\n\
        n2  voter  log matches to 39\n\
        n4  learner  log matches to 7";
    assert_eq!(describe_members(&leader), text);
    leader.membership = members(&[1, 2], &[1, 3, 4], &[4]);
    let text = "n1  voter  leads term 5, log to 40\n\
        n2  incoming voter  log matches to 39\n\
        n3  outgoing voter  not followed\n\
        n4  outgoing voter, then learner  log matches to 7";
    assert_eq!(describe_members(&leader), text);
    assert_eq!(render::members(&leader.membership), "n1,n2 outgoing n1,n3,n4 learners n4");

    let text = "h:1  n1 leader  term 5  leader n1  members n1,n2  log 1-40  committed 40  \
        applied 40  recovered 3  version 1.0";
    leader.membership = members(&[1, 2], &[], &[]);
    assert_eq!(render::status("h:1", &leader), text);
    let fresh = NodeReport {
        first_log_index: 41,
        snapshot_index: 40,
        recovered_snapshot: 38,
        membership: Members::default(),
        leader: 0,
        ..leader
    };
    let text = "h:1  n1 leader  term 5  leader none  members none  log (empty)  committed 40  \
        applied 40  snapshot 40  recovered snapshot 38 and 3  version 1.0";
    assert_eq!(render::status("h:1", &fresh), text);
}

#[test]
fn nodes_are_named_by_number() {
    for (text, expected) in
        [("4", Some(4)), ("n4", Some(4)), ("0", None), ("nn4", None), ("", None)]
    {
        assert_eq!(id(text).ok(), expected, "{text:?}");
    }
}
