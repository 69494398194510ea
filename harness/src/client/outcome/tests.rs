//! What each kind of status proves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use tonic::metadata::MetadataValue;

use super::*;
use crate::client::connection::Spent;

fn status(code: Code, marker: Option<&'static str>, leader: Option<&'static str>) -> Status {
    let mut status = Status::new(code, "why");
    if let Some(marker) = marker {
        let marker = MetadataValue::from_static(marker);
        status.metadata_mut().insert(OUTCOME_KEY, marker);
    }
    if let Some(leader) = leader {
        let leader = MetadataValue::from_static(leader);
        status.metadata_mut().insert(LEADER_KEY, leader);
    }
    status
}

const CODES: [Code; 16] = [
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

#[test]
fn without_the_marker_nothing_is_proven_whatever_the_code() {
    for code in CODES {
        for marker in [None, Some("applied"), Some("NOT-APPLIED"), Some("")] {
            let refusal = Refusal::of(&status(code, marker, Some("2")));
            assert!(matches!(refusal, Refusal::Unclear(_)), "{code:?} {marker:?} {refusal:?}");
        }
    }
}

#[test]
fn with_the_marker_it_did_not_happen_whatever_the_code() {
    for code in CODES {
        let refusal = Refusal::of(&status(code, Some("not-applied"), None));
        assert!(
            matches!(refusal, Refusal::NotApplied { leader: None, .. }),
            "{code:?} {refusal:?}"
        );
    }
}

#[test]
fn a_hint_names_a_node_or_is_none() {
    for (hint, expected) in [("3", Some(3)), ("0", None), ("n3", None), ("", None), ("-1", None)] {
        let refusal =
            Refusal::of(&status(Code::FailedPrecondition, Some("not-applied"), Some(hint)));
        let Refusal::NotApplied { leader, remedy, .. } = refusal else {
            panic!("{refusal:?}");
        };
        assert_eq!((leader, remedy), (expected, Remedy::Elsewhere), "{hint:?}");
    }
    let refusal = Refusal::of(&status(Code::InvalidArgument, Some("not-applied"), None));
    assert!(matches!(refusal, Refusal::NotApplied { remedy: Remedy::None, .. }));
}

#[test]
fn what_a_session_refuses_is_told_apart_and_vouches_for_nothing_by_itself() {
    for (word, expected) in [
        ("expired", Remedy::NewSession),
        ("stale", Remedy::NewNumber),
        ("window", Remedy::NewNumber),
        ("reused", Remedy::NewNumber),
        ("tired", Remedy::NewNumber),
    ] {
        for code in CODES {
            let mut status = status(code, Some("not-applied"), None);
            status.metadata_mut().insert(SESSION_ERROR_KEY, MetadataValue::from_static(word));
            let refusal = Refusal::of(&status);
            assert!(
                matches!(refusal, Refusal::NotApplied { remedy, .. } if remedy == expected),
                "{word} {code:?} {refusal:?}"
            );
            status.metadata_mut().remove(OUTCOME_KEY);
            assert!(matches!(Refusal::of(&status), Refusal::Unclear(_)), "{word} {code:?}");
        }
    }
}

#[test]
fn a_request_that_found_no_socket_was_not_sent() {
    let mut spent = status(Code::Unavailable, None, None);
    spent.set_source(Arc::new(tonic::ConnectError(Box::new(Spent))));
    assert!(matches!(Refusal::of(&spent), Refusal::Unsent(_)));
    // Another connector's failure is none of which we know when it happens.
    let mut other = status(Code::Unavailable, None, None);
    other.set_source(Arc::new(tonic::ConnectError("tcp connect error".into())));
    assert!(matches!(Refusal::of(&other), Refusal::Unclear(_)));
}
