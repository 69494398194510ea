//! Which model the functions of a history call for: one, or none is guessed.

use std::collections::BTreeSet;

use super::ModelName;
use super::lock::FIELDS;
use crate::history::{Event, EventType, OperationRef, Outcome, Process, Text, Value};

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

/// What tells a model: the functions that a history names, and the shapes of its values.
///
/// Whoever reads a history event by event notes each, and may ask at any time; what was told from
/// a beginning may be another model than what the whole tells.
#[derive(Clone, Debug, Default)]
pub struct Signs {
    functions: BTreeSet<Text>,
    /// An acquisition or release names its owner, or was answered with a token.
    has_token_or_owner: bool,
    /// A read was answered with a list.
    has_read_list: bool,
    /// A read was answered with a number.
    has_read_number: bool,
    /// A value that was asked for is an object.
    has_object: bool,
    /// A read or write names its register in its value.
    has_tuple: bool,
    /// A value that was asked for has a priority.
    has_priority: bool,
}

impl Signs {
    /// Notes an event; those of the nemesis say nothing.
    pub fn note(&mut self, event: &Event) {
        if event.process == Process::NEMESIS {
            return;
        }
        match event.event_type {
            EventType::Invoke => self.note_question(&event.f, event.key.as_ref(), &event.value),
            EventType::Ok => self.note_answer(&event.f, &event.value),
            EventType::Fail | EventType::Info => {}
        }
    }

    fn note_question(&mut self, f: &Text, key: Option<&Text>, input: &Value) {
        if !self.functions.contains(f) {
            self.functions.insert(f.clone());
        }
        self.has_token_or_owner |= has_lock_field(input);
        self.has_object |= input.is_object();
        self.has_tuple |= key.is_none() && f.as_str() != "cas" && input.is_array();
        self.has_priority |= input.get("priority").is_some();
    }

    fn note_answer(&mut self, f: &Text, answer: &Value) {
        self.has_token_or_owner |= has_lock_field(answer);
        if f.as_str() == "read" {
            self.has_read_list |= matches!(answer, Value::Array(_));
            self.has_read_number |= matches!(answer, Value::Number(_));
        }
    }

    /// Whether nothing but reads was asked for, which several models know and judge otherwise.
    #[must_use]
    pub fn is_only_reads(&self) -> bool {
        self.functions.iter().all(|f| matches!(f.as_str(), "read" | "get"))
    }

    /// Tells the model.
    ///
    /// # Errors
    /// When no model, or more than one, would do.
    pub fn guess(&self) -> Result<Guess, NoGuess> {
        let named = self.functions.iter().map(Text::as_str).collect::<Vec<_>>().join(", ");
        let only = |known: &[&str]| self.functions.iter().all(|f| known.contains(&f.as_str()));
        let has = |f: &str| self.functions.contains(&Text::from(f));
        let model = if self.functions.is_empty() {
            ModelName::Register
        } else if only(&["acquire", "release", "lock", "unlock"]) {
            match self.has_token_or_owner {
                true => ModelName::Lock,
                false => ModelName::Mutex,
            }
        } else if only(&["enqueue", "dequeue"]) {
            ModelName::FifoQueue
        } else if self.is_priority_queue() {
            ModelName::PriorityQueue
        } else if only(&["push", "pop"]) {
            ModelName::Stack
        } else if only(&["append", "read"]) && has("read") {
            ModelName::AppendList
        } else if only(&["add", "remove", "contains", "read"])
            && (has("remove") || has("contains") || self.has_read_list)
        {
            ModelName::Set
        } else if only(&["add", "increment", "decrement", "read"])
            && (has("increment") || has("decrement") || self.has_read_number)
        {
            ModelName::Counter
        } else if only(&LEDGER) {
            ModelName::Ledger
        } else if only(&["txn"]) || (only(&["read", "write", "txn"]) && self.has_object) {
            ModelName::MultiRegister
        } else if only(&["read", "write", "cas"]) && !only(&["cas"]) {
            match (self.has_tuple, has("cas")) {
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

    /// Whether functions or values speak of priorities; `push` and `pop` alone are a stack's.
    fn is_priority_queue(&self) -> bool {
        const POPS: [&str; 4] = ["pop-min", "pop-max", "delete-min", "delete-max"];
        let mut functions = self.functions.iter().map(Text::as_str);
        let is_pop = |f: &Text| POPS.contains(&f.as_str());
        let speaks = self.has_priority || self.functions.iter().any(is_pop);
        speaks && functions.all(|f| matches!(f, "insert" | "push" | "pop") || POPS.contains(&f))
    }
}

/// Tells the model from the functions that a history names, and from the shapes of its values.
///
/// # Errors
/// When no model, or more than one, would do.
pub fn guess<'a>(operations: impl IntoIterator<Item = OperationRef<'a>>) -> Result<Guess, NoGuess> {
    let mut signs = Signs::default();
    for OperationRef { f, key, input, outcome, .. } in operations {
        signs.note_question(f, key, input);
        if let Outcome::Ok(answer) = outcome {
            signs.note_answer(f, answer);
        }
    }
    signs.guess()
}

fn has_lock_field(value: &Value) -> bool {
    value.is_object() && FIELDS.iter().any(|field| value.get(field).is_some())
}
