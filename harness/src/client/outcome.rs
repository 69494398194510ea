//! How an operation ended, and what a gRPC status proves about it.

use std::fmt;

use proto::{LEADER_KEY, NOT_APPLIED, OUTCOME_KEY, SESSION_ERROR_KEY};
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};

use super::connection::is_unsent;

/// How an operation ended, as far as its client can know.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T = Value> {
    /// It happened.
    Ok {
        /// The answer.
        value: T,
        /// The place that the system says it has in its own order.
        position: Option<u64>,
    },
    /// It certainly did not happen and never will.
    Fail {
        /// Why.
        error: Cause,
    },
    /// Nobody knows; it may take effect at any later time.
    Info {
        /// What the client saw instead of an answer.
        error: Cause,
    },
}

/// What a client saw instead of an answer that it could record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Cause {
    /// No answer, or one that says why there is none.
    Trouble(String),
    /// An answer that makes no sense. It proves nothing about the operation, so it is recorded as if
    /// it had not come; but a system that gives such answers is broken, and whoever judges must know.
    Nonsense(&'static str),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(what) => f.write_str(what),
            Self::Nonsense(what) => write!(f, "nonsense: {what}"),
        }
    }
}

impl From<String> for Cause {
    fn from(what: String) -> Self {
        Self::Trouble(what)
    }
}

impl From<&str> for Cause {
    fn from(what: &str) -> Self {
        Self::Trouble(what.into())
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.to_string()
    }
}

/// Why a request had no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request was never sent.
    Unsent(String),
    /// The node vouches that the request did nothing and never will. Of an earlier request for the same
    /// operation this says nothing.
    NotApplied {
        /// What it says.
        error: String,
        /// The leader that it knows of.
        leader: Option<u64>,
        /// What may help.
        remedy: Remedy,
    },
    /// It may have happened.
    Unclear(Cause),
}

/// What may help against a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// To ask another node, or to ask again.
    Elsewhere,
    /// Another session: there is none of that name.
    NewSession,
    /// Nothing: the session refuses this number.
    NewNumber,
    /// Nothing at all.
    None,
}

impl Refusal {
    /// Reads what a status proves.
    pub(super) fn of(status: &Status) -> Self {
        let error = describe(status);
        let is_vouched = status
            .metadata()
            .get(OUTCOME_KEY)
            .is_some_and(|outcome| outcome.as_bytes() == NOT_APPLIED.as_bytes());
        if is_vouched {
            return Self::NotApplied {
                error,
                leader: leader_of(status),
                remedy: Remedy::of(status),
            };
        }
        if is_unsent(status) {
            return Self::Unsent(error);
        }
        Self::Unclear(error.into())
    }
}

impl Remedy {
    fn of(status: &Status) -> Self {
        let session_error = status.metadata().get(SESSION_ERROR_KEY);
        match (session_error.map(|word| word.as_bytes()), status.code()) {
            (Some(b"expired"), _) => Self::NewSession,
            (Some(_), _) => Self::NewNumber,
            (
                None,
                Code::FailedPrecondition
                | Code::Unavailable
                | Code::Aborted
                | Code::ResourceExhausted,
            ) => Self::Elsewhere,
            (None, _) => Self::None,
        }
    }
}

fn leader_of(status: &Status) -> Option<u64> {
    let text = status.metadata().get(LEADER_KEY)?.to_str().ok()?;
    text.parse().ok().filter(|leader| *leader > 0)
}

/// Renders a status for the `error` of an event: the code, and what was said.
fn describe(status: &Status) -> String {
    let code = format!("{:?}", status.code());
    match status.message() {
        "" => code,
        message => format!("{code}: {message}"),
    }
}

#[cfg(test)]
mod tests;
