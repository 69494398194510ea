//! What a client is told that gets no answer (see `outcome.proto`).

use machine::session::Refusal;
use proto::{LEADER_KEY, NOT_APPLIED, OUTCOME_KEY, SESSION_ERROR_KEY, SESSION_KEY};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use super::{ANSWER_MAX, COMMAND_MAX};
use crate::driver::Failure;

/// Marks a status: the request did nothing and never will.
pub(super) fn not_applied(mut status: Status) -> Status {
    status.metadata_mut().insert(OUTCOME_KEY, MetadataValue::from_static(NOT_APPLIED));
    status
}

/// Returns the status for a failure.
pub(super) fn failed(failure: Failure) -> Status {
    let (code, message, leader) = match failure {
        Failure::Unknown => {
            return Status::unavailable(
                "the node lost the lead; the operation may or may not take effect",
            );
        }
        Failure::NotLeader(leader) => {
            (Code::FailedPrecondition, "this node does not lead the cluster", leader)
        }
        Failure::Deposed(leader) => {
            (Code::FailedPrecondition, "the node lost the lead before it could read", leader)
        }
        Failure::Overloaded => (Code::ResourceExhausted, "too much is under way", None),
        Failure::Superseded => (Code::Aborted, "another leader's entry took its place", None),
    };
    let mut status = not_applied(Status::new(code, message));
    if let Some(leader) = leader {
        status.metadata_mut().insert(LEADER_KEY, MetadataValue::from(leader.0));
    }
    status
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
    let bytes = answer.encoded_len();
    if bytes <= ANSWER_MAX {
        return Ok(answer);
    }
    Err(not_applied(Status::out_of_range(format!(
        "the answer takes {bytes} bytes; at most {ANSWER_MAX} are sent"
    ))))
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
            (Failure::Deposed(Some(NodeId(3))), Code::FailedPrecondition, true, Some("3")),
            (Failure::Overloaded, Code::ResourceExhausted, true, None),
            (Failure::Superseded, Code::Aborted, true, None),
            (Failure::Unknown, Code::Unavailable, false, None),
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
