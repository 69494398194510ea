//! A lock: `acquire` succeeds when it is free, `release` when it is held.
//!
//! The lock does not know its holder: a release by another process is legal. A completion with
//! the value false says that the lock was not to be had (or not held).

use stateright::semantics::SequentialSpec;

use super::{Model, Reading, Unreadable, end_of};
use crate::engine::{PolynomialEngine, views};
use crate::history::{OperationRef, Value};

/// The lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Mutex {
    pub(crate) is_held: bool,
}

/// What can be asked of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MutexOp {
    Acquire,
    Release,
}

impl SequentialSpec for Mutex {
    type Op = MutexOp;
    /// Whether it was done.
    type Ret = bool;

    fn invoke(&mut self, op: &MutexOp) -> bool {
        let after = *op == MutexOp::Acquire;
        let done = self.is_held != after;
        self.is_held = after;
        done
    }
}

impl Model for Mutex {
    fn is_pure(_op: &MutexOp, seen: Option<&bool>) -> bool {
        seen == Some(&false)
    }

    fn is_idempotent(_op: &MutexOp) -> bool {
        true
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::MUTEX
    }

    fn would_answer(&self, op: &MutexOp) -> String {
        self.clone().invoke(op).to_string()
    }

    fn describe(&self) -> String {
        if self.is_held { "the lock is held" } else { "the lock is free" }.to_owned()
    }

    fn weight(&self) -> usize {
        0
    }
}

/// Reads an operation on a lock.
pub(crate) fn read(operation: &OperationRef<'_>) -> Result<Reading<Mutex>, Unreadable> {
    let op = match operation.f.as_str() {
        "acquire" | "lock" => MutexOp::Acquire,
        "release" | "unlock" => MutexOp::Release,
        _ => return Err(Unreadable::function(operation, "acquire and release")),
    };
    let end = end_of(operation, |value| Ok(Some(*value != Value::Bool(false))))?;
    Ok(Reading { key: operation.key.cloned(), op, end })
}
