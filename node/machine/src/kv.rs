//! The key-value store: strings by key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{StateMachine, Weigh};

#[cfg(test)]
mod tests;

/// All keys that have a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    values: BTreeMap<String, String>,
}

/// A command and the key that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The key.
    pub key: String,
    /// What to do with it.
    pub operation: Operation,
}

/// What can be done with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value.
    Put {
        /// The new value.
        value: String,
    },
    /// Sets the value if the present one is as expected.
    CompareAndSet {
        /// What must be there; `None` is "no value".
        expected: Option<String>,
        /// The new value.
        value: String,
    },
    /// Adds to the end of the value; no value counts as the empty one.
    Append {
        /// What to add.
        value: String,
    },
    /// Removes the value.
    Delete,
}

/// What a command came to. None is ever rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The value is set.
    Put,
    /// The comparison's result.
    CompareAndSet {
        /// Whether the new value is set.
        swapped: bool,
        /// What was there before.
        found: Option<String>,
    },
    /// The value has grown.
    Append {
        /// The length of the whole value just after, in bytes.
        length: u64,
    },
    /// The key has no value now.
    Delete {
        /// Whether it had one.
        existed: bool,
    },
}

/// A look at one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The key.
    pub key: String,
}

/// The value that a [`Query`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `None` if the key has none.
    pub value: Option<String>,
}

impl StateMachine for Kv {
    type Command = Command;
    type Outcome = Outcome;
    type Query = Query;
    type Answer = Answer;

    fn apply(&mut self, Command { key, operation }: &Command) -> Outcome {
        match operation {
            Operation::Put { value } => {
                self.values.insert(key.clone(), value.clone());
                Outcome::Put
            }
            Operation::CompareAndSet { expected, value } => {
                let found = self.values.get(key).cloned();
                let swapped = found == *expected;
                if swapped {
                    self.values.insert(key.clone(), value.clone());
                }
                Outcome::CompareAndSet { swapped, found }
            }
            Operation::Append { value } => {
                let whole = self.values.entry(key.clone()).or_default();
                whole.push_str(value);
                Outcome::Append { length: whole.len() as u64 }
            }
            Operation::Delete => {
                let existed = self.values.remove(key).is_some();
                Outcome::Delete { existed }
            }
        }
    }

    fn query(&self, Query { key }: &Query) -> Answer {
        Answer { value: self.values.get(key).cloned() }
    }
}

impl Weigh for Outcome {
    fn weight(&self) -> usize {
        match self {
            Self::CompareAndSet { found: Some(found), .. } => found.len(),
            Self::Put
            | Self::CompareAndSet { found: None, .. }
            | Self::Append { .. }
            | Self::Delete { .. } => 0,
        }
    }
}
