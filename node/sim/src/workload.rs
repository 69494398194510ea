//! What clients ask for, and how what they see is written down.
//!
//! Operations and values have the shapes of the harness's recordings, so that one checker judges both. The
//! generators are written anew: nothing of the harness is used here.

mod kv;
mod ledger;
mod register;

use machine::{Answer, Command, Outcome, Query};
use serde_json::Value;

use crate::plan;
use crate::random::Random;

/// One operation: how it is recorded, and what is asked of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) f: &'static str,
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) body: Body,
    /// It must be answered, and is begun again until it is.
    pub(crate) is_urgent: bool,
}

/// What is asked of the machine.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Write(Command),
    Read(Query),
}

impl Operation {
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.body, Body::Read(_))
    }
}

/// Draws operations.
#[derive(Debug)]
pub(crate) enum Generator {
    Ledger(ledger::Mix),
    Register(register::Mix),
    Kv(kv::Mix),
}

impl Generator {
    pub(crate) fn new(workload: plan::Workload, random: Random) -> Self {
        match workload {
            plan::Workload::Ledger => Self::Ledger(ledger::Mix::new(random)),
            plan::Workload::Register => Self::Register(register::Mix::new(random)),
            plan::Workload::Kv => Self::Kv(kv::Mix::new(random)),
        }
    }

    /// Returns what is to be done before all else, again and again until it is answered.
    pub(crate) fn beginning(&self) -> Vec<Operation> {
        match self {
            Self::Ledger(mix) => urgent(mix.beginning()),
            Self::Register(_) | Self::Kv(_) => vec![],
        }
    }

    pub(crate) fn next(&mut self) -> Operation {
        match self {
            Self::Ledger(mix) => mix.next(),
            Self::Register(mix) => mix.next(),
            Self::Kv(mix) => mix.next(),
        }
    }

    /// Returns what is to be done once all is well again: a write and then a read of everything.
    pub(crate) fn ending(&mut self) -> Vec<Operation> {
        urgent(match self {
            Self::Ledger(mix) => mix.ending(),
            Self::Register(mix) => mix.ending(),
            Self::Kv(mix) => mix.ending(),
        })
    }

    /// Learns from an answer.
    pub(crate) fn observe(&mut self, operation: &Operation, answer: &Value) {
        if let Self::Register(mix) = self {
            mix.observe(operation, answer);
        }
    }
}

fn urgent(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.iter_mut().for_each(|operation| operation.is_urgent = true);
    operations
}

/// Returns what an operation came to, as it is recorded.
pub(crate) fn describe_outcome(operation: &Operation, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Ledger(outcome) => ledger::describe_outcome(outcome),
        Outcome::Kv(outcome) if operation.f == "write" || operation.value.is_array() => {
            register::describe_outcome(operation, outcome)
        }
        Outcome::Kv(outcome) => kv::describe_outcome(operation, outcome),
    }
}

/// Returns what a read saw, as it is recorded.
pub(crate) fn describe_answer(operation: &Operation, answer: &Answer) -> Value {
    match answer {
        Answer::Ledger(answer) => ledger::describe_answer(answer),
        Answer::Kv(answer) if operation.f == "read" => register::describe_value(&answer.value),
        Answer::Kv(answer) => answer.value.clone().map_or(Value::Null, Value::String),
    }
}
