//! A register that is read, written, and compared and set.
//!
//! `write 5`, `read` (ok: the value found), `cas [old, new]` (ok: `[old, new]` if swapped,
//! `{"mismatch": found}` if not). With the keyed model the key stands in the event's `key` or, as
//! Jepsen's independent tuples, before the value: `[key, value]`.

use stateright::semantics::SequentialSpec;

use super::{Model, Reader, Reading, Scalar, Step, Unreadable, end_of, end_of_cas};
use crate::check::NilRead;
use crate::engine::{PolynomialEngine, views};
use crate::history::{OperationRef, Outcome, Text, Value};

/// The register's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Register(pub(crate) Scalar);

/// What can be asked of a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegisterOp {
    Read,
    Write(Scalar),
    Cas { expected: Scalar, new: Scalar },
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegisterAnswer {
    Value(Scalar),
    Written,
    Swapped,
    /// What was found instead; none in an observation that does not say.
    Mismatch(Option<Scalar>),
}

impl SequentialSpec for Register {
    type Op = RegisterOp;
    type Ret = RegisterAnswer;

    fn invoke(&mut self, op: &RegisterOp) -> RegisterAnswer {
        match op {
            RegisterOp::Read => RegisterAnswer::Value(self.0.clone()),
            RegisterOp::Write(value) => {
                self.0 = value.clone();
                RegisterAnswer::Written
            }
            RegisterOp::Cas { expected, new } if self.0 == *expected => {
                self.0 = new.clone();
                RegisterAnswer::Swapped
            }
            RegisterOp::Cas { .. } => RegisterAnswer::Mismatch(Some(self.0.clone())),
        }
    }
}

impl Model for Register {
    fn admits(seen: &RegisterAnswer, answer: &RegisterAnswer) -> bool {
        match (seen, answer) {
            (RegisterAnswer::Mismatch(None), RegisterAnswer::Mismatch(_)) => true,
            _ => seen == answer,
        }
    }

    fn is_pure(op: &RegisterOp, seen: Option<&RegisterAnswer>) -> bool {
        match op {
            RegisterOp::Read => true,
            RegisterOp::Write(_) => false,
            RegisterOp::Cas { expected, new } => {
                expected == new || matches!(seen, Some(RegisterAnswer::Mismatch(_)))
            }
        }
    }

    fn advance(&mut self, op: &RegisterOp, seen: Option<&RegisterAnswer>) -> bool {
        // Half of all operations: they need no copy of the value to compare it.
        if let (RegisterOp::Read, Some(RegisterAnswer::Value(seen))) = (op, seen) {
            return self.0 == *seen;
        }
        let answer = self.invoke(op);
        seen.is_none_or(|seen| Self::admits(seen, &answer))
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::REGISTER
    }

    fn is_idempotent(_op: &RegisterOp) -> bool {
        true
    }

    /// Without the operations that write some values the register differs only where it would
    /// hold one of them; who neither saw nor expected these does not notice.
    fn is_ignored_by(op: &RegisterOp, step: &Step<Self>) -> bool {
        let written = match op {
            RegisterOp::Read => return true,
            RegisterOp::Write(value) | RegisterOp::Cas { new: value, .. } => value,
        };
        match (&step.op, &step.seen) {
            (_, Some(RegisterAnswer::Value(seen) | RegisterAnswer::Mismatch(Some(seen)))) => {
                seen != written
            }
            (_, Some(RegisterAnswer::Mismatch(None))) => false,
            (RegisterOp::Cas { expected, .. }, _) => expected != written,
            (RegisterOp::Read | RegisterOp::Write(_), _) => true,
        }
    }

    fn is_overwrite(op: &RegisterOp, seen: Option<&RegisterAnswer>) -> bool {
        matches!((op, seen), (RegisterOp::Write(_), None | Some(RegisterAnswer::Written)))
    }

    fn would_answer(&self, op: &RegisterOp) -> String {
        match self.clone().invoke(op) {
            RegisterAnswer::Value(value) => value.to_string(),
            RegisterAnswer::Written | RegisterAnswer::Swapped => "ok".to_owned(),
            RegisterAnswer::Mismatch(_) => format!("a mismatch with {}", self.0),
        }
    }

    fn describe(&self) -> String {
        format!("the register holds {}", self.0)
    }

    fn weight(&self) -> usize {
        match &self.0 {
            Scalar::Text(text) => text.len(),
            _ => 0,
        }
    }
}

/// Where a history of registers names the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// In the event's `key`, if anywhere.
    InEvent,
    /// In the event's `key`, or else in the value.
    Demanded,
}

/// Reads an operation on registers; `has_cas` says whether the model knows compare-and-set.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
    keys: Keys,
    has_cas: bool,
) -> Result<Reading<Register>, Unreadable> {
    let (key, operation) = match operation.key {
        None if keys == Keys::Demanded => {
            let (key, operation) = untuple(operation)?;
            (Some(key), &{ operation })
        }
        key => (key.cloned(), operation),
    };
    let scalar = |value: &Value| {
        Scalar::read(value)
            .ok_or_else(|| Unreadable::input(operation, "a string, an integer or nil"))
    };
    let (op, end) = match operation.f.as_str() {
        "read" => {
            let answer = |value: &Value| match (Scalar::read(value), reader.nil_read) {
                (Some(Scalar::Nil), NilRead::Unknown) => Ok(None),
                (Some(value), _) => Ok(Some(RegisterAnswer::Value(value))),
                (None, _) => {
                    Err(Unreadable::output(operation, value, "a string, an integer or nil"))
                }
            };
            (RegisterOp::Read, end_of(operation, answer)?)
        }
        "write" => {
            let op = RegisterOp::Write(scalar(operation.input)?);
            (op, end_of(operation, |_| Ok(Some(RegisterAnswer::Written)))?)
        }
        "cas" if has_cas => {
            let Some([expected, new]) = operation.input.as_array() else {
                return Err(Unreadable::input(operation, "a pair [old, new]"));
            };
            let op = RegisterOp::Cas { expected: scalar(expected)?, new: scalar(new)? };
            (
                op,
                end_of_cas(operation, reader, RegisterAnswer::Mismatch(None), |value| {
                    swap(operation, value)
                })?,
            )
        }
        _ if has_cas => return Err(Unreadable::function(operation, "read, write and cas")),
        _ => return Err(Unreadable::function(operation, "read and write")),
    };
    Ok(Reading { key, op, end })
}

/// Reads the answer of a compare-and-set that was completed with `ok`.
fn swap(operation: &OperationRef<'_>, value: &Value) -> Result<Option<RegisterAnswer>, Unreadable> {
    let expected = "[old, new], nil or {\"mismatch\": found}";
    match value {
        Value::Object(map) if map.len() == 1 => match map.get("mismatch").and_then(Scalar::read) {
            Some(found) => Ok(Some(RegisterAnswer::Mismatch(Some(found)))),
            None => Err(Unreadable::output(operation, value, expected)),
        },
        Value::Array(_) | Value::Null | Value::Bool(true) => Ok(Some(RegisterAnswer::Swapped)),
        _ => Err(Unreadable::output(operation, value, expected)),
    }
}

/// Moves the key out of a value of the shape `[key, value]`.
fn untuple<'a>(operation: &OperationRef<'a>) -> Result<(Text, OperationRef<'a>), Unreadable> {
    let Some([key, input]) = operation.input.as_array() else {
        return Err(Unreadable::input(
            operation,
            "a pair [key, value], nor does the event have a `key`",
        ));
    };
    let name = match key {
        Value::String(key) => key.clone(),
        other => other.to_string().into(),
    };
    let outcome = match operation.outcome {
        Outcome::Ok(value) => match value.as_array() {
            Some([answered, value]) if answered == key => Outcome::Ok(value),
            _ => {
                return Err(Unreadable::output(
                    operation,
                    value,
                    "a pair [key, value] with the key of the invocation",
                ));
            }
        },
        other => other,
    };
    Ok((name, OperationRef { input, outcome, ..*operation }))
}
