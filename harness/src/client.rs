//! Clients: how an invocation becomes a request, and what its end proves.
//!
//! A [`Client`] carries out one operation at a time and says how it ended. That statement is what
//! the whole verdict stands on, so the rule is narrow: `fail` is said only if the operation certainly
//! did not happen and never will. There are three such proofs: the request was never written to a
//! connection; a node vouched for it (`outcome.proto`); or the operation was a read, which changes
//! nothing whatever became of it. Every other end without an answer is `info`. An answer that makes no
//! sense proves nothing either way and ends like a missing one, but it is [told](Cause::Nonsense) apart.
//!
//! In a session (`session.proto`) an operation may be sent several times. A proof is then needed for
//! every time that it was sent: once one of them has an unknown end, only an answer is a definite end.

pub(crate) mod connection;
pub(crate) mod leader;
pub mod placement;
pub mod store;
pub(crate) mod turn;

mod bank;
mod kv;
mod ledger;
mod outcome;
mod session;
mod stormproof;

use std::time::Instant;

pub use bank::LedgerBank;
pub use connection::{ConnectError, Members, NodeReport, ask_status};
pub use kv::KvStore;
pub use outcome::{Cause, Outcome};
pub use placement::Placement;
pub use session::{Assurance, Effort};
pub use store::{Object, Store, StoreClient};
pub use stormproof::{Endpoint, StormproofClient};

use crate::system::BoxFuture;
use crate::workload::Invocation;

/// Which service of our own nodes a client is asked for: the same function may mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Books and accounts.
    Ledger,
    /// Keys and values that are strings.
    Kv,
    /// Client sessions: `open`, `keep-alive` and `close`.
    Session,
}

/// How a workload's invocations become requests. Every system's clients know what has an
/// [object](Mapping::object).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// Operations of a stock-trade ledger, which a system has or has not.
    Ledger,
    /// Accounts of several books with cash that moves between them: operations of a ledger, or an
    /// [`Object`] of a store.
    Bank,
    /// Operations on objects in a [`Store`].
    Store(Object),
}

impl Mapping {
    /// Returns the object of a store that has these operations, for a system that has nothing else;
    /// none if there is none.
    #[must_use]
    pub fn object(self) -> Option<Object> {
        match self {
            Self::Ledger => None,
            Self::Bank => Some(Object::Bank),
            Self::Store(object) => Some(object),
        }
    }
}

impl Api {
    /// Tells whether the function changes nothing, whatever its outcome.
    pub fn is_read(self, f: &str) -> bool {
        match self {
            Self::Ledger => matches!(f, "account" | "book" | "books" | "history"),
            Self::Kv => f == "get",
            Self::Session => false,
        }
    }
}

/// Carries out operations, one at a time.
pub trait Client: Send {
    /// Carries out an operation and says how it ended, not much later than the deadline.
    fn execute<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome>;
}
