//! Why a certificate proves nothing.

use serde::Serialize;

use super::Place;

/// What is wrong with a proof. The validator names operations by their numbers, a message by the
/// places of their invocations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Refusal<At = Place> {
    /// Two orders are given for one partition.
    #[error("two orders are given for the partition {}", key.as_deref().unwrap_or("that has no key"))]
    Doubled {
        /// The partition's key.
        key: Option<String>,
    },
    /// An operation is named twice.
    #[error("the operation of {at} is named twice")]
    Twice {
        /// The operation.
        at: At,
    },
    /// An operation belongs to another partition.
    #[error("the operation of {at} does not belong to the partition under which it is named")]
    Stray {
        /// The operation.
        at: At,
    },
    /// An operation certainly did not happen, but is in the order.
    #[error("the operation of {at} failed, so it certainly did not happen; but it is in the order")]
    Failed {
        /// The operation.
        at: At,
    },
    /// An operation was answered, so it took effect; but it is not in the order.
    #[error("the operation of {at} was answered, so it happened; but it is not in the order")]
    Missing {
        /// The operation.
        at: At,
    },
    /// An operation may have taken effect, and the certificate does not say whether it did.
    #[error("whether the operation of {at}, whose outcome is unknown, took effect is not said")]
    Fateless {
        /// The operation.
        at: At,
    },
    /// An operation stands in the order before one that had returned when it was invoked.
    #[error(
        "the operation of {at} stands before that of {later} in the order, but was invoked after that one had returned"
    )]
    Untimely {
        /// The operation that stands too early.
        at: At,
        /// The one that had returned.
        later: At,
    },
    /// An operation's answer is not the model's.
    #[error(
        "the answer to the operation of {at} is not what the model answers at this point of the order, where {state}"
    )]
    Illegal {
        /// The operation.
        at: At,
        /// The model's state before it.
        state: String,
    },
}

impl Refusal<usize> {
    /// Names operations by their places.
    pub(super) fn at(self, place: impl Fn(usize) -> Place) -> Refusal {
        match self {
            Self::Doubled { key } => Refusal::Doubled { key },
            Self::Twice { at } => Refusal::Twice { at: place(at) },
            Self::Stray { at } => Refusal::Stray { at: place(at) },
            Self::Failed { at } => Refusal::Failed { at: place(at) },
            Self::Missing { at } => Refusal::Missing { at: place(at) },
            Self::Fateless { at } => Refusal::Fateless { at: place(at) },
            Self::Untimely { at, later } => {
                Refusal::Untimely { at: place(at), later: place(later) }
            }
            Self::Illegal { at, state } => Refusal::Illegal { at: place(at), state },
        }
    }
}
