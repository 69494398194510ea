//! A counter.
//!
//! `add 5` and `decrement 5` (ok: `{"value": after}` or `{"before": before}`; nil, true or an echo
//! says only that it was done) · `increment` without a value, which adds 1 (ok: as above, or simply
//! the number after) · `read` (ok: the number).

use crate::history::Value;
use stateright::semantics::SequentialSpec;

use super::{Model, Reader, Reading, Scalar, Unreadable, end_of, is_mere_done};
use crate::check::NilRead;
use crate::engine::{PolynomialEngine, views};
use crate::history::OperationRef;

/// The counter's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counter(pub(crate) i128);

/// What can be asked of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CounterOp {
    Add(i128),
    Read,
}

impl SequentialSpec for Counter {
    type Op = CounterOp;
    /// The number afterwards.
    type Ret = i128;

    fn invoke(&mut self, op: &CounterOp) -> i128 {
        if let CounterOp::Add(amount) = op {
            // Amounts have 64 bits: it takes more of them than there is memory to overflow.
            self.0 = self.0.saturating_add(*amount);
        }
        self.0
    }
}

impl Model for Counter {
    fn is_pure(op: &CounterOp, _seen: Option<&i128>) -> bool {
        matches!(op, CounterOp::Read | CounterOp::Add(0))
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::COUNTER
    }

    fn would_answer(&self, op: &CounterOp) -> String {
        self.clone().invoke(op).to_string()
    }

    fn describe(&self) -> String {
        format!("the counter stands at {}", self.0)
    }

    fn weight(&self) -> usize {
        0
    }
}

const INTEGER: &str = "an integer";
const ANSWER: &str = "{\"value\": after}, {\"before\": before}, what was asked, true or nil";

/// Reads an operation on a counter.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<Counter>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "add" | "increment" | "decrement" => {
            let amount = amount(operation)?;
            let end = end_of(operation, |value| {
                let field = |name| value.get(name).and_then(integer);
                match (field("value"), field("before")) {
                    (Some(after), _) => Ok(Some(after)),
                    (None, Some(before)) => Ok(Some(before.saturating_add(amount))),
                    _ if is_mere_done(operation, value) => Ok(None),
                    // Nobody can take it for an echo, as there was nothing to repeat.
                    _ if operation.input.is_null() && integer(value).is_some() => {
                        Ok(integer(value))
                    }
                    _ => Err(Unreadable::output(operation, value, ANSWER)),
                }
            })?;
            (CounterOp::Add(amount), end)
        }
        "read" => {
            let answer = |value: &Value| match (integer(value), value, reader.nil_read) {
                (Some(number), ..) => Ok(Some(number)),
                (None, Value::Null, NilRead::Unknown) => Ok(None),
                // A counter always has a number: nil is none that it could answer.
                _ => Err(Unreadable::output(operation, value, INTEGER)),
            };
            (CounterOp::Read, end_of(operation, answer)?)
        }
        _ => return Err(Unreadable::function(operation, "add, increment, decrement and read")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}

/// Returns by how much the counter grows.
fn amount(operation: &OperationRef<'_>) -> Result<i128, Unreadable> {
    let amount = match (operation.input, operation.f.as_str()) {
        (Value::Null, "increment" | "decrement") => 1,
        (input, _) => integer(input).ok_or_else(|| Unreadable::input(operation, INTEGER))?,
    };
    Ok(if operation.f == "decrement" { -amount } else { amount })
}

/// Reads an integer of 64 bits.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    match Scalar::read(value) {
        Some(Scalar::Int(integer)) => Some(integer.into()),
        Some(Scalar::Large(integer)) => Some(integer.into()),
        _ => None,
    }
}
