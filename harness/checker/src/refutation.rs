//! Refutations: a small part of a history, weakened until nothing can be taken from it, that
//! still has no order.
//!
//! That some operations alone have no order proves nothing: without the write of 2 a read of 2 is
//! wrong, and the history need not be. So operations are not removed, they are *weakened*, by
//! steps that take no order from the history: whoever had an order of all of it has, by leaving
//! things out, an order of the weakened one. If that has none, the history has none.
//!
//! At a cut (the end of the shortest bad prefix) every operation of the partition has a role:
//!
//! 1. **answered**: it took effect once between its invocation and its completion, with its answer;
//! 2. **happened**: the same, and the answer is forgotten;
//! 3. **optional**: it took effect there once or not at all;
//! 4. **background**: if doing it twice is the same as once ([`Model::is_idempotent`]), it and all
//!    of its kind may take effect any number of times between the first invocation of one of them
//!    and the last completion (apart for those that had returned at the cut and those that had
//!    not); else it is optional;
//! 5. **left out**.
//!
//! Each role allows all that those before it allow. Left out are: what failed; what was invoked
//! only after the cut; what is pure, which no other operation can notice; and what the model says
//! that no operation of any other role can notice ([`Model::is_ignored_by`]).
//!
//! A core names the operations of the first three roles; the other two follow from the history.
//! [`Weakened::of`] derives them, [`exhaust`] looks for an order, without the engines, and
//! [`shrink`] finds a core: the latest operations are tried first, twice as many each time, and of
//! those that have no order as many as possible are given weaker roles.
//!
//! [`Model::is_idempotent`]: crate::model::Model::is_idempotent
//! [`Model::is_ignored_by`]: crate::model::Model::is_ignored_by

mod exhaust;
mod impasse;
mod shrink;
mod weakened;

use serde::{Deserialize, Serialize};

pub(crate) use exhaust::{Exhausted, Limit, exhaust};
pub(crate) use impasse::impasses;
pub(crate) use shrink::shrink;
pub(crate) use weakened::{Member, Need, Piece, Weakened, members};

/// What of an operation a core relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// That it may have taken effect once between its invocation and its completion.
    Optional,
    /// That it took effect once between its invocation and its completion.
    Happened,
    /// That it did, with the answer that was seen.
    Answered,
}

impl Role {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Happened => "happened",
            Self::Answered => "answered",
        }
    }
}
