//! A key-value store: one key's value.
//!
//! `put "v"` · `get` (ok: the value, nil if there is none) · `append "x"` (ok: `{"length": bytes}`
//! or an echo, which says nothing; a missing key counts as empty) ·
//! `cas {"expected": "a" | null, "value": "b"}` (ok: `{"swapped": true}` or `{"mismatch": found}`) ·
//! `delete` (ok: `{"existed": bool}`).

use stateright::semantics::SequentialSpec;

use super::{Model, Reader, Reading, Scalar, Step, Unreadable, end_of, end_of_cas};
use crate::check::NilRead;
use crate::engine::{PolynomialEngine, views};
use crate::history::{OperationRef, Value};

/// A key's value: text, or nil for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) Scalar);

/// What can be asked of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KvOp {
    Put(Scalar),
    Get,
    Append(String),
    Cas { expected: Scalar, new: Scalar },
    Delete,
}

/// What a key answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KvAnswer {
    Stored,
    Value(Scalar),
    Length(u64),
    Swapped,
    /// What was found instead; none in an observation that does not say.
    Mismatch(Option<Scalar>),
    Existed(bool),
}

impl SequentialSpec for Key {
    type Op = KvOp;
    type Ret = KvAnswer;

    fn invoke(&mut self, op: &KvOp) -> KvAnswer {
        match op {
            KvOp::Put(value) => {
                self.0 = value.clone();
                KvAnswer::Stored
            }
            KvOp::Get => KvAnswer::Value(self.0.clone()),
            KvOp::Append(suffix) => {
                let whole = match &self.0 {
                    Scalar::Text(text) => format!("{text}{suffix}"),
                    _ => suffix.clone(),
                };
                let length = whole.len() as u64;
                self.0 = Scalar::Text(whole.into());
                KvAnswer::Length(length)
            }
            KvOp::Cas { expected, new } if self.0 == *expected => {
                self.0 = new.clone();
                KvAnswer::Swapped
            }
            KvOp::Cas { .. } => KvAnswer::Mismatch(Some(self.0.clone())),
            KvOp::Delete => {
                let existed = self.0 != Scalar::Nil;
                self.0 = Scalar::Nil;
                KvAnswer::Existed(existed)
            }
        }
    }
}

impl Model for Key {
    fn admits(seen: &KvAnswer, answer: &KvAnswer) -> bool {
        match (seen, answer) {
            (KvAnswer::Mismatch(None), KvAnswer::Mismatch(_)) => true,
            _ => seen == answer,
        }
    }

    fn is_pure(op: &KvOp, seen: Option<&KvAnswer>) -> bool {
        match op {
            KvOp::Get => true,
            KvOp::Put(_) | KvOp::Append(_) => false,
            KvOp::Cas { expected, new } => {
                expected == new || matches!(seen, Some(KvAnswer::Mismatch(_)))
            }
            KvOp::Delete => seen == Some(&KvAnswer::Existed(false)),
        }
    }

    fn advance(&mut self, op: &KvOp, seen: Option<&KvAnswer>) -> bool {
        let answer = self.invoke(op);
        seen.is_none_or(|seen| Self::admits(seen, &answer))
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::KEY
    }

    fn is_idempotent(op: &KvOp) -> bool {
        !matches!(op, KvOp::Append(_))
    }

    /// Without the operations that write some texts the key differs only where its value would
    /// contain one of them, however much is appended; without those that remove the value, where
    /// it would have none. Who neither saw nor expected these does not notice.
    fn is_ignored_by(op: &KvOp, step: &Step<Self>) -> bool {
        let is_free = |seen: &Scalar| match (op, seen) {
            (KvOp::Get, _) => true,
            (
                KvOp::Put(Scalar::Text(text)) | KvOp::Cas { new: Scalar::Text(text), .. },
                Scalar::Text(seen),
            ) => !seen.contains(text.as_str()),
            (KvOp::Append(text), Scalar::Text(seen)) => !seen.contains(text.as_str()),
            (KvOp::Put(_) | KvOp::Cas { .. } | KvOp::Delete, Scalar::Text(_)) => true,
            (
                KvOp::Put(Scalar::Text(_))
                | KvOp::Append(_)
                | KvOp::Cas { new: Scalar::Text(_), .. },
                Scalar::Nil,
            ) => true,
            _ => false,
        };
        let removes = matches!(
            op,
            KvOp::Delete | KvOp::Put(Scalar::Nil) | KvOp::Cas { new: Scalar::Nil, .. }
        );
        match (&step.op, &step.seen) {
            (_, Some(KvAnswer::Value(seen) | KvAnswer::Mismatch(Some(seen)))) => is_free(seen),
            (_, Some(KvAnswer::Mismatch(None) | KvAnswer::Length(_))) => false,
            (_, Some(KvAnswer::Existed(existed))) => *existed == removes,
            (KvOp::Cas { expected, .. }, _) => is_free(expected),
            (KvOp::Append(_), _) => !removes,
            (KvOp::Get | KvOp::Put(_) | KvOp::Delete, _) => true,
        }
    }

    fn is_overwrite(op: &KvOp, seen: Option<&KvAnswer>) -> bool {
        matches!((op, seen), (KvOp::Put(_), None | Some(KvAnswer::Stored)) | (KvOp::Delete, None))
    }

    fn would_answer(&self, op: &KvOp) -> String {
        match self.clone().invoke(op) {
            KvAnswer::Value(value) => value.to_string(),
            KvAnswer::Length(length) => format!("a length of {length}"),
            KvAnswer::Stored | KvAnswer::Swapped => "ok".to_owned(),
            KvAnswer::Mismatch(_) => format!("a mismatch with {}", self.0),
            KvAnswer::Existed(existed) => format!("that it existed: {existed}"),
        }
    }

    fn describe(&self) -> String {
        match &self.0 {
            Scalar::Nil => "the key has no value".to_owned(),
            value => format!("the key holds {value}"),
        }
    }

    fn weight(&self) -> usize {
        match &self.0 {
            Scalar::Text(text) => text.len(),
            _ => 0,
        }
    }
}

const TEXT: &str = "a string";
const TEXT_OR_NIL: &str = "a string or nil";

/// Reads an operation on keys.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<Key>, Unreadable> {
    let input = operation.input;
    let (op, end) = match operation.f.as_str() {
        "put" => {
            let Value::String(text) = input else {
                return Err(Unreadable::input(operation, TEXT));
            };
            (
                KvOp::Put(Scalar::Text(text.clone())),
                end_of(operation, |_| Ok(Some(KvAnswer::Stored)))?,
            )
        }
        "get" => {
            let answer = |value: &Value| match (text_or_nil(value), reader.nil_read) {
                (Some(Scalar::Nil), NilRead::Unknown) => Ok(None),
                (Some(value), _) => Ok(Some(KvAnswer::Value(value))),
                (None, _) => Err(Unreadable::output(operation, value, TEXT_OR_NIL)),
            };
            (KvOp::Get, end_of(operation, answer)?)
        }
        "append" => {
            let suffix = text(input).ok_or_else(|| Unreadable::input(operation, TEXT))?;
            (KvOp::Append(suffix.to_owned()), end_of(operation, |value| length(operation, value))?)
        }
        "cas" => {
            let expectation = "{\"expected\": …, \"value\": …}";
            let Some((expected, new)) =
                input.get("value").map(|new| (input.get("expected").unwrap_or(&Value::Null), new))
            else {
                return Err(Unreadable::input(operation, expectation));
            };
            let scalar =
                |value| text_or_nil(value).ok_or_else(|| Unreadable::input(operation, expectation));
            let op = KvOp::Cas { expected: scalar(expected)?, new: scalar(new)? };
            (
                op,
                end_of_cas(operation, reader, KvAnswer::Mismatch(None), |value| {
                    swap(operation, value)
                })?,
            )
        }
        "delete" => (KvOp::Delete, end_of(operation, |value| existed(operation, value))?),
        _ => {
            return Err(Unreadable::function(operation, "put, get, append, cas and delete"));
        }
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn text_or_nil(value: &Value) -> Option<Scalar> {
    match value {
        Value::Null => Some(Scalar::Nil),
        Value::String(text) => Some(Scalar::Text(text.clone())),
        _ => None,
    }
}

/// Reads the answer of an append: only a length is an observation.
fn length(operation: &OperationRef<'_>, value: &Value) -> Result<Option<KvAnswer>, Unreadable> {
    match value {
        Value::Null => Ok(None),
        Value::String(_) if *value == *operation.input => Ok(None),
        value => match value.get("length").and_then(Value::as_u64) {
            Some(length) => Ok(Some(KvAnswer::Length(length))),
            None => Err(Unreadable::output(
                operation,
                value,
                "{\"length\": bytes}, what was appended, or nil",
            )),
        },
    }
}

fn swap(operation: &OperationRef<'_>, value: &Value) -> Result<Option<KvAnswer>, Unreadable> {
    let wrong =
        || Unreadable::output(operation, value, "{\"swapped\": true} or {\"mismatch\": found}");
    match (value.get("swapped"), value.get("mismatch")) {
        (Some(Value::Bool(true)), None) => Ok(Some(KvAnswer::Swapped)),
        (None | Some(Value::Bool(false)), Some(found)) => {
            Ok(Some(KvAnswer::Mismatch(Some(text_or_nil(found).ok_or_else(wrong)?))))
        }
        (Some(Value::Bool(false)), None) => Ok(Some(KvAnswer::Mismatch(None))),
        _ => Err(wrong()),
    }
}

fn existed(operation: &OperationRef<'_>, value: &Value) -> Result<Option<KvAnswer>, Unreadable> {
    match (value, value.get("existed")) {
        (Value::Null, _) => Ok(None),
        (_, Some(Value::Bool(existed))) => Ok(Some(KvAnswer::Existed(*existed))),
        _ => Err(Unreadable::output(operation, value, "{\"existed\": true or false} or nil")),
    }
}
