//! What a client is told that gets no answer (see `outcome.proto`).

use machine::session::Refusal;
use proto::{LEADER_KEY, NOT_APPLIED, OUTCOME_KEY, REASON_KEY, SESSION_ERROR_KEY, SESSION_KEY};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::{ANSWER_MAX, COMMAND_MAX};
use crate::driver::request::Failure;

/// Marks a status: the request did nothing and never will.
pub(super) fn not_applied(mut status: Status) -> Status {
    status.metadata_mut().insert(OUTCOME_KEY, MetadataValue::from_static(NOT_APPLIED));
    status
}

/// Returns the status for a failure (see also `admin.proto`).
pub(super) fn failed(failure: Failure) -> Status {
    let (code, reason) = match failure {
        Failure::NotLeader(_) => (Code::FailedPrecondition, "not-leader"),
        Failure::Overloaded => (Code::ResourceExhausted, "overloaded"),
        Failure::TooLarge => (Code::InvalidArgument, "too-large"),
        Failure::Transferring => (Code::Unavailable, "transferring"),
        Failure::NoSuccessor => (Code::InvalidArgument, "no-successor"),
        Failure::NotSettled => (Code::Unavailable, "not-settled"),
        Failure::ChangeInProgress => (Code::Aborted, "change-in-progress"),
        Failure::MembershipChanged => (Code::Aborted, "membership-changed"),
        Failure::InvalidMembership => (Code::InvalidArgument, "invalid-membership"),
        Failure::UnknownNode(_) => (Code::InvalidArgument, "unknown-node"),
        Failure::NotSaved => (Code::Internal, "not-saved"),
        Failure::Unknown | Failure::LeftOffice => (Code::Unavailable, "left-office"),
        Failure::TimedOut => (Code::DeadlineExceeded, "timed-out"),
        Failure::NotCaughtUp => (Code::DeadlineExceeded, "not-caught-up"),
    };
    let mut status = Status::new(code, failure.to_string());
    status.metadata_mut().insert(REASON_KEY, MetadataValue::from_static(reason));
    if let Failure::NotLeader(Some(leader)) = failure {
        status.metadata_mut().insert(LEADER_KEY, MetadataValue::from(leader.0));
    }
    if failure.is_certain() { not_applied(status) } else { status }
}

/// Returns the status for a command that is too large to be replicated.
pub(super) fn too_large(bytes: usize) -> Status {
    not_applied(Status::invalid_argument(format!(
        "the request takes {bytes} bytes in the log; at most {COMMAND_MAX} are taken"
    )))
}

/// Returns the status for what a session refused (see `session.proto`).
pub(super) fn refused(refusal: Refusal) -> Status {
    let (code, word) = match refusal {
        Refusal::Expired => (Code::NotFound, "expired"),
        Refusal::Stale => (Code::OutOfRange, "stale"),
        Refusal::Window => (Code::OutOfRange, "window"),
        Refusal::Reused => (Code::AlreadyExists, "reused"),
    };
    let mut status = not_applied(Status::new(code, refusal.to_string()));
    status.metadata_mut().insert(SESSION_ERROR_KEY, MetadataValue::from_static(word));
    status
}

/// Returns the status for metadata that names no session and number.
pub(super) fn malformed_ticket() -> Status {
    not_applied(Status::invalid_argument(format!(
        "the metadata {SESSION_KEY} must be one value: {}",
        proto::MalformedTicket
    )))
}

/// Returns the status for an answer of record that is of another kind than the request. Only a client
/// that uses a number twice can bring that about, and only if the checksums happen to agree. It is not
/// marked: what is known is that the client is confused.
pub(super) fn confused() -> Status {
    Status::already_exists("the sequence number was used for a request of another kind")
}

/// Returns the answer to a read if a client can take it.
pub(super) fn bounded<T: prost::Message>(answer: T) -> Result<T, Status> {
    bounded_applied(answer).map_err(not_applied)
}

/// Returns the answer to a command if a client can take it. If it cannot, the command was carried out all
/// the same: the status is not marked.
pub(super) fn bounded_applied<T: prost::Message>(answer: T) -> Result<T, Status> {
    let bytes = answer.encoded_len();
    if bytes <= ANSWER_MAX {
        return Ok(answer);
    }
    Err(Status::out_of_range(format!(
        "the answer takes {bytes} bytes; at most {ANSWER_MAX} are sent"
    )))
}

/// Returns the status for setting a clock that is not to be set.
pub(super) fn sound_clock() -> Status {
    let mut status = Status::permission_denied(
        "this node's clock cannot be set; for tests its configuration may say `adjustable_clock: true`",
    );
    status.metadata_mut().insert(REASON_KEY, MetadataValue::from_static("sound-clock"));
    not_applied(status)
}

/// Returns the status for a clock that would not go.
pub(super) fn impossible_rate() -> Status {
    not_applied(Status::invalid_argument("no clock goes at that rate"))
}

/// Returns the status for what a node that is stopping leaves unanswered.
pub(super) fn stopped() -> Status {
    Status::unavailable("the node is stopping")
}

#[cfg(test)]
mod tests {
    use raft::NodeId;

    use super::*;

    #[test]
    fn only_what_is_certain_is_marked() {
        for (failure, code, is_certain, leader) in [
            (Failure::NotLeader(None), Code::FailedPrecondition, true, None),
            (Failure::NotLeader(Some(NodeId(3))), Code::FailedPrecondition, true, Some("3")),
            (Failure::Overloaded, Code::ResourceExhausted, true, None),
            (Failure::TooLarge, Code::InvalidArgument, true, None),
            // Who is about to lead does not yet: a hint would only send clients to and fro.
            (Failure::Transferring, Code::Unavailable, true, None),
            (Failure::UnknownNode(NodeId(9)), Code::InvalidArgument, true, None),
            (Failure::Unknown, Code::Unavailable, false, None),
            (Failure::LeftOffice, Code::Unavailable, false, None),
            (Failure::TimedOut, Code::DeadlineExceeded, false, None),
            (Failure::NotCaughtUp, Code::DeadlineExceeded, false, None),
        ] {
            let status = failed(failure);
            let text = |key| status.metadata().get(key).map(|value| value.to_str().unwrap());
            assert_eq!(status.code(), code, "{failure:?}");
            assert_eq!(text(OUTCOME_KEY), is_certain.then_some(NOT_APPLIED), "{failure:?}");
            assert_eq!(text(LEADER_KEY), leader, "{failure:?}");
        }
        assert!(stopped().metadata().get(OUTCOME_KEY).is_none());
        assert!(confused().metadata().get(OUTCOME_KEY).is_none());
    }

    #[test]
    fn an_answer_that_is_too_large_proves_something_only_of_a_read() {
        let answer = |bytes| proto::kv::GetResponse { index: 1, value: Some("x".repeat(bytes)) };
        assert!(bounded(answer(9)).is_ok() && bounded_applied(answer(9)).is_ok());
        let read = bounded(answer(ANSWER_MAX)).unwrap_err();
        assert_eq!(read.metadata().get(OUTCOME_KEY).unwrap(), NOT_APPLIED);
        let applied = bounded_applied(answer(ANSWER_MAX)).unwrap_err();
        assert_eq!(applied.code(), Code::OutOfRange);
        assert!(applied.metadata().get(OUTCOME_KEY).is_none());
    }

    #[test]
    fn a_session_says_in_a_word_why_it_refused() {
        for (refusal, code, word) in [
            (Refusal::Expired, Code::NotFound, "expired"),
            (Refusal::Stale, Code::OutOfRange, "stale"),
            (Refusal::Window, Code::OutOfRange, "window"),
            (Refusal::Reused, Code::AlreadyExists, "reused"),
        ] {
            let status = refused(refusal);
            assert_eq!(status.code(), code);
            assert_eq!(status.metadata().get(SESSION_ERROR_KEY).unwrap(), word);
            assert_eq!(status.metadata().get(OUTCOME_KEY).unwrap(), NOT_APPLIED);
        }
    }
}
