//! The key-value store: appends more than all else, for a value tells the order of all that went into it.

use machine::kv::{Command, Operation as Ask, Outcome, Query};
use serde_json::{Value, json};

use super::{Body, Operation};
use crate::random::Random;

/// Draws operations on keys.
#[derive(Debug)]
pub(crate) struct Mix {
    random: Random,
    keys: u64,
    /// How many values were made up.
    made: u64,
}

impl Mix {
    pub(super) fn new(mut random: Random) -> Self {
        let keys = random.within(1..6);
        Self { random, keys, made: 0 }
    }

    pub(super) fn next(&mut self) -> Operation {
        let key = name(self.random.below(self.keys));
        match self.random.below(100) {
            0..45 => self.append(key),
            45..80 => get(key),
            80..90 => {
                let value = self.fresh();
                ask("put", key, json!(value), Ask::Put { value })
            }
            90..96 => {
                // Mostly too old to be there: what counts is that it is told so.
                let expected = (self.made > 0 && self.random.permille(700))
                    .then(|| format!("<{}>", self.made - self.random.below(self.made.min(5))));
                let value = self.fresh();
                let recorded = json!({"expected": expected, "value": value});
                ask("cas", key, recorded, Ask::CompareAndSet { expected, value })
            }
            _ => ask("delete", key, Value::Null, Ask::Delete),
        }
    }

    pub(super) fn ending(&mut self) -> Vec<Operation> {
        let keys = 0..self.keys;
        keys.flat_map(|key| [self.append(name(key)), get(name(key))]).collect()
    }

    fn append(&mut self, key: String) -> Operation {
        let value = self.fresh();
        ask("append", key, json!(value), Ask::Append { value })
    }

    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("<{}>", self.made)
    }
}

fn name(number: u64) -> String {
    format!("k{number}")
}

fn ask(f: &'static str, key: String, value: Value, operation: Ask) -> Operation {
    let command = Command { key: key.clone(), operation };
    Operation { f, key, value, body: Body::Write(machine::Command::Kv(command)), is_urgent: false }
}

fn get(key: String) -> Operation {
    let query = Query { key: key.clone() };
    Operation {
        f: "get",
        key,
        value: Value::Null,
        body: Body::Read(machine::Query::Kv(query)),
        is_urgent: false,
    }
}

pub(super) fn describe_outcome(operation: &Operation, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Put => operation.value.clone(),
        Outcome::CompareAndSet { swapped: true, .. } => json!({"swapped": true}),
        Outcome::CompareAndSet { swapped: false, found } => json!({"mismatch": found}),
        Outcome::Append { length } => json!({"length": length}),
        Outcome::Delete { existed } => json!({"existed": existed}),
    }
}
