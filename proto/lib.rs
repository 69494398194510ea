//! The wire and nothing else: the messages and services of `proto/*.proto`, whose comments are the
//! protocol's manual. Node and harness meet here and nowhere else; `etcd.proto` is for the harness alone.

/// Generated code, shielded from lints that are meant for people.
macro_rules! generated {
    ($name:ident, $package:literal, $doc:literal) => {
        #[doc = $doc]
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod $name {
            tonic::include_proto!($package);
        }
    };
}

// prost names a package by its path from the importer, so the modules nest as the packages do.
/// The root of the generated packages.
pub mod stormproof {
    generated!(v1, "stormproof.v1", "What every answer has in common (`outcome.proto`).");
    /// The ledger.
    pub mod ledger {
        generated!(v1, "stormproof.ledger.v1", "The stock-trade ledger (`ledger.proto`).");
    }
    /// The key-value store.
    pub mod kv {
        generated!(v1, "stormproof.kv.v1", "The key-value store (`kv.proto`).");
    }
    /// Administration.
    pub mod admin {
        generated!(v1, "stormproof.admin.v1", "What an operator asks one node (`admin.proto`).");
    }
    /// Client sessions.
    pub mod session {
        generated!(v1, "stormproof.session.v1", "What lets a request repeat (`session.proto`).");
    }
    /// The replicated log.
    pub mod log {
        generated!(v1, "stormproof.log.v1", "What a node's log holds (`log.proto`).");
    }
    /// Consensus.
    pub mod raft {
        generated!(v1, "stormproof.raft.v1", "What nodes say to each other (`raft.proto`).");
    }
}

generated!(etcd, "etcdserverpb", "What the harness asks etcd (`etcd.proto`).");

pub use stormproof::admin::v1 as admin;
pub use stormproof::kv::v1 as kv;
pub use stormproof::ledger::v1 as ledger;
pub use stormproof::log::v1 as log;
pub use stormproof::raft::v1 as raft;
pub use stormproof::session::v1 as session;
pub use stormproof::v1 as outcome;

mod ticket;

pub use ticket::{MalformedTicket, Ticket};

/// Metadata key of a status whose request certainly did nothing; its value is [`NOT_APPLIED`].
pub const OUTCOME_KEY: &str = "stormproof-outcome";
/// Value of [`OUTCOME_KEY`]: this very request did nothing and never will.
pub const NOT_APPLIED: &str = "not-applied";
/// Metadata key of the node id of the leader that the answering node knows of.
pub const LEADER_KEY: &str = "stormproof-leader";
/// Metadata key of a request in a session; its value is a [`Ticket`].
pub const SESSION_KEY: &str = "stormproof-session";
/// Metadata key of a status with which a session refused; its values are in `session.proto`.
pub const SESSION_ERROR_KEY: &str = "stormproof-session-error";
/// Metadata key of a status that says in one word why there is no answer; see `admin.proto`.
pub const REASON_KEY: &str = "stormproof-reason";
