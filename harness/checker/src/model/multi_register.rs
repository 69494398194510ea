//! Registers that are read and written several at once.
//!
//! A transaction is a list of micro-operations `[f, key, value]` with f `r`/`read` or `w`/`write`,
//! done in order and at once; the answer is the list with the values read. `read` and `write` may
//! also give a map from key to value. What concerns several registers cannot be split by key.

use std::collections::BTreeMap;

use stateright::semantics::SequentialSpec;

use super::{End, Model, Reader, Reading, Scalar, Step, Unreadable, end_of};
use crate::check::NilRead;
use crate::history::{OperationRef, Outcome, Text, Value};

/// The registers that differ from what all begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Registers {
    pub(crate) initial: Scalar,
    pub(crate) values: BTreeMap<Text, Scalar>,
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Micro {
    Read(Text),
    Write(Text, Scalar),
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

    fn advance(&mut self, op: &Vec<Micro>, seen: Option<&Vec<Option<Scalar>>>) -> bool {
        let answer = self.invoke(op);
        seen.is_none_or(|seen| Self::admits(seen, &answer))
    }

    fn is_pure(op: &Vec<Micro>, _seen: Option<&Vec<Option<Scalar>>>) -> bool {
        op.iter().all(|micro| matches!(micro, Micro::Read(_)))
    }

    fn parts(op: &Vec<Micro>) -> Option<Vec<&str>> {
        let parts = op.iter().map(|micro| match micro {
            Micro::Read(key) | Micro::Write(key, _) => key.as_str(),
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
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<Registers>, Unreadable> {
    if !matches!(operation.f.as_str(), "txn" | "read" | "write") {
        return Err(Unreadable::function(operation, "txn, read and write"));
    }
    let unreadable = || Unreadable::input(operation, SHAPE);
    // A read may be asked for with nil; only its answer then says of which registers.
    let input = match (operation.input, &operation.outcome) {
        (Value::Null, Outcome::Ok(value)) if operation.f == "read" => value,
        (Value::Null, _) if operation.f == "read" => {
            return Ok(Reading { key: None, op: Vec::new(), end: End::Refused });
        }
        (input, _) => input,
    };
    let op = micros(operation.f, input).ok_or_else(unreadable)?;
    let end = end_of(operation, |value| {
        if !op.iter().any(|micro| matches!(micro, Micro::Read(_))) {
            return Ok(Some(Vec::new()));
        }
        let seen = answers(operation.f, value, &op).ok_or_else(|| {
            Unreadable::output(operation, value, "the same list or map with the values read")
        })?;
        let says = |value: Scalar| match (value, reader.nil_read) {
            (Scalar::Nil, NilRead::Unknown) => None,
            (value, _) => Some(value),
        };
        let seen: Vec<Option<Scalar>> = seen.into_iter().map(says).collect();
        Ok(seen.iter().any(Option::is_some).then_some(seen))
    })?;
    Ok(Reading { key: None, op, end })
}

/// Reads the micro-operations of a list or map.
fn micros(f: &str, value: &Value) -> Option<Vec<Micro>> {
    let micro = |(is_read, key, value): (bool, Text, &Value)| {
        // What a read is asked with is a plain value too, and says nothing.
        let value = Scalar::read(value)?;
        Some(if is_read { Micro::Read(key) } else { Micro::Write(key, value) })
    };
    // Made to measure: a history may hold a million of them.
    match value {
        Value::Object(map) if f != "txn" => {
            let mut op = Vec::with_capacity(map.len());
            for (key, value) in map {
                op.push(micro((f == "read", key.clone(), value))?);
            }
            Some(op)
        }
        Value::Array(list) => {
            let mut op = Vec::with_capacity(list.len());
            for part in list {
                op.push(micro(of_list(part)?)?);
            }
            Some(op)
        }
        _ => None,
    }
}

/// Reads what the reads of an operation found, if this is its answer: the same micro-operations,
/// with the values found.
fn answers(f: &str, value: &Value, op: &[Micro]) -> Option<Vec<Scalar>> {
    let reads = op.iter().filter(|micro| matches!(micro, Micro::Read(_)));
    let mut found = Vec::with_capacity(reads.count());
    let mut is_of = |asked: &Micro, (is_read, key, value): (bool, Text, &Value)| {
        let value = Scalar::read(value)?;
        match asked {
            Micro::Read(asked) if is_read && *asked == key => found.push(value),
            Micro::Write(asked, written) if !is_read && *asked == key && *written == value => {}
            _ => return None,
        }
        Some(())
    };
    match value {
        Value::Object(map) if f != "txn" && map.len() == op.len() => {
            let mut parts = map.iter().zip(op);
            parts.try_for_each(|((key, value), asked)| {
                is_of(asked, (f == "read", key.clone(), value))
            })?;
        }
        Value::Array(list) if list.len() == op.len() => {
            list.iter().zip(op).try_for_each(|(part, asked)| is_of(asked, of_list(part)?))?;
        }
        _ => return None,
    }
    Some(found)
}

/// Reads a part of a list: whether it is a read, its key and its value.
fn of_list(part: &Value) -> Option<(bool, Text, &Value)> {
    let [Value::String(f), key, value] = part.as_array()? else {
        return None;
    };
    let is_read = match f.as_str() {
        "r" | "read" => true,
        "w" | "write" => false,
        _ => return None,
    };
    let key = match key {
        Value::String(key) => key.clone(),
        Value::Number(key) => key.to_string().into(),
        _ => return None,
    };
    Some((is_read, key, value))
}
