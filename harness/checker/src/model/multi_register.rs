//! Registers that are read and written several at once.
//!
//! A transaction is a list of micro-operations `[f, key, value]` with f `r`/`read` or `w`/`write`,
//! done in order and at once; the answer is the list with the values read. `read` and `write` may
//! also give a map from key to value. What concerns several registers cannot be split by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use stateright::semantics::SequentialSpec;

use super::{End, Model, Reader, Reading, Scalar, Step, Unreadable, end_of};
use crate::check::NilRead;
use crate::history::{Operation, Outcome, Value};

/// The registers that differ from what all begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Registers {
    pub(crate) initial: Scalar,
    pub(crate) values: BTreeMap<Arc<str>, Scalar>,
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Micro {
    Read(Arc<str>),
    Write(Arc<str>, Scalar),
}

impl SequentialSpec for Registers {
    type Op = Vec<Micro>;
    /// What the reads found, in their order; none in an observation where one was not recorded.
    type Ret = Vec<Option<Scalar>>;

    fn invoke(&mut self, op: &Vec<Micro>) -> Vec<Option<Scalar>> {
        let mut found = Vec::new();
        for micro in op {
            match micro {
                Micro::Read(key) => {
                    found.push(Some(self.values.get(key).unwrap_or(&self.initial).clone()))
                }
                Micro::Write(key, value) if *value == self.initial => _ = self.values.remove(key),
                Micro::Write(key, value) => _ = self.values.insert(key.clone(), value.clone()),
            }
        }
        found
    }
}

impl Model for Registers {
    fn admits(seen: &Vec<Option<Scalar>>, answer: &Vec<Option<Scalar>>) -> bool {
        seen.len() == answer.len()
            && seen.iter().zip(answer).all(|(seen, answer)| seen.is_none() || seen == answer)
    }

    fn is_pure(op: &Vec<Micro>, _seen: Option<&Vec<Option<Scalar>>>) -> bool {
        op.iter().all(|micro| matches!(micro, Micro::Read(_)))
    }

    fn parts(op: &Vec<Micro>) -> Option<Vec<&str>> {
        let parts = op.iter().map(|micro| match micro {
            Micro::Read(key) | Micro::Write(key, _) => key.as_ref(),
        });
        Some(parts.collect())
    }

    fn is_idempotent(_op: &Vec<Micro>) -> bool {
        true
    }

    /// Who saw none of the values that an operation writes in their registers does not notice.
    fn is_ignored_by(op: &Vec<Micro>, step: &Step<Self>) -> bool {
        let Some(seen) = &step.seen else { return true };
        let read = step.op.iter().filter_map(|micro| match micro {
            Micro::Read(key) => Some(key),
            Micro::Write(..) => None,
        });
        let mut read = read.zip(seen);
        read.all(|(key, seen)| {
            let is_seen = |micro: &Micro| {
                matches!(micro, Micro::Write(written, value) if written == key && seen.as_ref() == Some(value))
            };
            !op.iter().any(is_seen)
        })
    }

    fn would_answer(&self, op: &Vec<Micro>) -> String {
        let answers = self.clone().invoke(op).into_iter().map(|answer| match answer {
            Some(value) => value.to_string(),
            None => "ok".to_owned(),
        });
        format!("[{}]", answers.collect::<Vec<_>>().join(", "))
    }

    fn describe(&self) -> String {
        let values: Vec<String> =
            self.values.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        match values.is_empty() {
            true => format!("every register holds {}", self.initial),
            false => format!("{}, every other register {}", values.join(", "), self.initial),
        }
    }

    fn weight(&self) -> usize {
        self.values.len() * 64
    }
}

const SHAPE: &str = "a list of [f, key, value] with f r or w, or a map from key to value";

/// Reads a transaction.
pub(crate) fn read(
    operation: &Operation,
    reader: &Reader,
) -> Result<Reading<Registers>, Unreadable> {
    if !matches!(operation.f.as_str(), "txn" | "read" | "write") {
        return Err(Unreadable::function(operation, "txn, read and write"));
    }
    let unreadable = || Unreadable::input(operation, SHAPE);
    // A read may be asked for with nil; only its answer then says of which registers.
    let input = match (&operation.input, &operation.outcome) {
        (Value::Null, Outcome::Ok(value)) if operation.f == "read" => value,
        (Value::Null, _) if operation.f == "read" => {
            return Ok(Reading { key: None, op: Vec::new(), end: End::Refused });
        }
        (input, _) => input,
    };
    let asked = micros(&operation.f, input).ok_or_else(unreadable)?;
    let op: Vec<Micro> = asked
        .iter()
        .map(|(is_read, key, value)| {
            if *is_read {
                Micro::Read(key.clone())
            } else {
                Micro::Write(key.clone(), value.clone())
            }
        })
        .collect();
    let end = end_of(operation, |value| {
        if !op.iter().any(|micro| matches!(micro, Micro::Read(_))) {
            return Ok(Some(Vec::new()));
        }
        let answered = micros(&operation.f, value).unwrap_or_default();
        let is_same = answered.len() == asked.len()
            && answered
                .iter()
                .zip(&asked)
                .all(|(a, b)| a.0 == b.0 && a.1 == b.1 && (a.0 || a.2 == b.2));
        if !is_same {
            return Err(Unreadable::output(
                operation,
                value,
                "the same list or map with the values read",
            ));
        }
        let reads = answered.into_iter().filter(|(is_read, ..)| *is_read);
        let seen = |value| {
            if value == Scalar::Nil && reader.nil_read == NilRead::Unknown {
                None
            } else {
                Some(value)
            }
        };
        let seen: Vec<Option<Scalar>> = reads.map(|(_, _, value)| seen(value)).collect();
        Ok(seen.iter().any(Option::is_some).then_some(seen))
    })?;
    Ok(Reading { key: None, op, end })
}

/// Reads micro-operations: whether each is a read, its key and its value.
fn micros(f: &str, value: &Value) -> Option<Vec<(bool, Arc<str>, Scalar)>> {
    match value {
        Value::Object(map) if f != "txn" => map
            .iter()
            .map(|(key, value)| Some((f == "read", key.as_str().into(), Scalar::read(value)?)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|micro| {
                let [Value::String(f), key, value] = micro.as_array()? else {
                    return None;
                };
                let is_read = match f.as_str() {
                    "r" | "read" => true,
                    "w" | "write" => false,
                    _ => return None,
                };
                let key = match key {
                    Value::String(key) => key.as_str().into(),
                    Value::Number(key) => key.to_string().into(),
                    _ => return None,
                };
                Some((is_read, key, Scalar::read(value)?))
            })
            .collect(),
        _ => None,
    }
}
