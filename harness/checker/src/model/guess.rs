//! Which model the functions of a history call for: one, or none is guessed.

use std::collections::BTreeSet;

use super::ModelName;
use super::lock::FIELDS;
use crate::history::{Operation, Outcome, Value};

/// A model and why it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The model.
    pub model: ModelName,
    /// The reason, in words.
    pub reason: String,
}

/// The functions of a history for which no model, or more than one, would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoGuess {
    /// The functions, with commas between.
    pub functions: String,
}

const LEDGER: [&str; 8] =
    ["open", "deposit", "withdraw", "trade", "transfer", "account", "book", "history"];

/// Tells the model from the functions that a history names, and from the shapes of its values.
pub fn guess(operations: &[Operation]) -> Result<Guess, NoGuess> {
    let functions: BTreeSet<&str> =
        operations.iter().map(|operation| operation.f.as_str()).collect();
    let named = functions.iter().copied().collect::<Vec<_>>().join(", ");
    let only = |known: &[&str]| functions.iter().all(|f| known.contains(f));
    let has = |f: &str| functions.contains(f);
    let model = if functions.is_empty() {
        ModelName::Register
    } else if only(&["acquire", "release", "lock", "unlock"]) {
        match is_any(operations, names_token_or_owner) {
            true => ModelName::Lock,
            false => ModelName::Mutex,
        }
    } else if only(&["enqueue", "dequeue"]) {
        ModelName::FifoQueue
    } else if is_priority_queue(operations, &functions) {
        ModelName::PriorityQueue
    } else if only(&["push", "pop"]) {
        ModelName::Stack
    } else if only(&["append", "read"]) && has("read") {
        ModelName::AppendList
    } else if only(&["add", "remove", "contains", "read"])
        && (has("remove") || has("contains") || is_any(operations, has_read_list))
    {
        ModelName::Set
    } else if only(&["add", "increment", "decrement", "read"])
        && (has("increment") || has("decrement") || is_any(operations, has_read_number))
    {
        ModelName::Counter
    } else if only(&LEDGER) {
        ModelName::Ledger
    } else if only(&["txn"])
        || (only(&["read", "write", "txn"])
            && is_any(operations, |operation| operation.input.is_object()))
    {
        ModelName::MultiRegister
    } else if only(&["read", "write", "cas"]) && !only(&["cas"]) {
        match (is_any(operations, is_tuple), has("cas")) {
            (true, _) => ModelName::KvRegister,
            (false, true) => ModelName::CasRegister,
            (false, false) => ModelName::Register,
        }
    } else if only(&["put", "get", "append", "cas", "delete"])
        && !only(&["cas"])
        && !only(&["append"])
    {
        ModelName::Kv
    } else {
        return Err(NoGuess { functions: named });
    };
    let reason = match named.as_str() {
        "" => "the history names no function, so any model would do".to_owned(),
        named => format!("the history's functions are {named}"),
    };
    Ok(Guess { model, reason })
}

fn is_any(operations: &[Operation], test: impl Fn(&Operation) -> bool) -> bool {
    operations.iter().any(test)
}

/// Whether a read or write names its register in its value.
fn is_tuple(operation: &Operation) -> bool {
    operation.key.is_none() && operation.f != "cas" && operation.input.is_array()
}

/// Whether an acquisition or release names its owner, or was answered with a token.
fn names_token_or_owner(operation: &Operation) -> bool {
    let has_field = |value: &Value| FIELDS.iter().any(|field| value.get(field).is_some());
    has_field(&operation.input)
        || matches!(&operation.outcome, Outcome::Ok(value) if has_field(value))
}

/// Whether a read was answered with a list.
fn has_read_list(operation: &Operation) -> bool {
    operation.f == "read" && matches!(&operation.outcome, Outcome::Ok(Value::Array(_)))
}

/// Whether a read was answered with a number.
fn has_read_number(operation: &Operation) -> bool {
    operation.f == "read" && matches!(&operation.outcome, Outcome::Ok(Value::Number(_)))
}

/// Whether functions or values speak of priorities; `push` and `pop` alone are a stack's.
fn is_priority_queue(operations: &[Operation], functions: &BTreeSet<&str>) -> bool {
    const POPS: [&str; 4] = ["pop-min", "pop-max", "delete-min", "delete-max"];
    let is_of_it = |f: &&str| matches!(*f, "insert" | "push" | "pop") || POPS.contains(f);
    let speaks = functions.iter().any(|f| POPS.contains(f))
        || is_any(operations, |operation| operation.input.get("priority").is_some());
    functions.iter().all(is_of_it) && speaks
}
