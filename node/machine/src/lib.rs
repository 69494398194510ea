//! The replicated state machines: the stock-trade ledger and the key-value store.
//!
//! A state machine is what every node of a cluster runs over the same log. It must therefore be
//! *deterministic*: the same commands in the same order give the same state and the same outcomes,
//! on every node, today and after a restart. So there is no clock here, no randomness, no I/O and
//! no map whose order depends on a hash. Wrong requests are no errors either: a rejection is an
//! outcome like any other, reached by every node alike, and changes nothing.
//!
//! - [`ledger`]: books of accounts that hold cash and shares;
//! - [`kv`]: strings by key;
//! - [`Machine`]: both side by side;
//! - [`session`]: what makes a repeated command take effect once. `Sessions<Machine>` is what a node
//!   runs: it is fed every command with its place and time in the log;
//! - [`snapshot`]: the whole state as bytes, and back.
//!
//! What commands look like on the wire and in the log is not this crate's business.

pub mod kv;
pub mod ledger;
pub mod session;
pub mod snapshot;

use serde::{Deserialize, Serialize};

/// A deterministic state machine that is fed the committed log.
///
/// Commands change the state and are replicated; queries only look and are not. What wraps a machine
/// is a machine itself, as [`session::Sessions`] is.
pub trait StateMachine: Clone + Default {
    /// A request that may change the state.
    type Command;
    /// What a command came to, rejections included.
    type Outcome;
    /// A request that only looks at the state.
    type Query;
    /// What a query saw.
    type Answer;

    /// Carries out a command that has been committed. Called once for each, in log order.
    fn apply(&mut self, command: &Self::Command) -> Self::Outcome;

    /// Answers from the state as it is now.
    fn query(&self, query: &Self::Query) -> Self::Answer;
}

/// How much memory a value holds on to, in bytes, roughly; for bounds that every node must reach at
/// the same command, so it may depend on nothing but the value.
pub trait Weigh {
    /// Returns the bytes beyond the value's own fixed size.
    fn weight(&self) -> usize;
}

/// The machine of a node: a ledger and a key-value store over one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    ledger: ledger::Ledger,
    kv: kv::Kv,
}

/// A command for one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// For the ledger.
    Ledger(ledger::Command),
    /// For the key-value store.
    Kv(kv::Command),
}

/// The outcome of a [`Command`], from the machine it was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of the ledger.
    Ledger(ledger::Outcome),
    /// Of the key-value store.
    Kv(kv::Outcome),
}

/// A query for one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// For the ledger.
    Ledger(ledger::Query),
    /// For the key-value store.
    Kv(kv::Query),
}

/// The answer to a [`Query`], from the machine it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of the ledger.
    Ledger(ledger::Answer),
    /// Of the key-value store.
    Kv(kv::Answer),
}

impl StateMachine for Machine {
    type Command = Command;
    type Outcome = Outcome;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Ledger(command) => Outcome::Ledger(self.ledger.apply(command)),
            Command::Kv(command) => Outcome::Kv(self.kv.apply(command)),
        }
    }

    fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Ledger(query) => Answer::Ledger(self.ledger.query(query)),
            Query::Kv(query) => Answer::Kv(self.kv.query(query)),
        }
    }
}

impl Weigh for Outcome {
    fn weight(&self) -> usize {
        match self {
            Self::Ledger(outcome) => outcome.weight(),
            Self::Kv(outcome) => outcome.weight(),
        }
    }
}
