//! Registers over the key-value store: every value is written at most once, so a read names the one
//! operation that it saw. A compare-and-set expects a value that was seen lately.

use std::collections::BTreeMap;

use machine::kv::{Command, Operation as Ask, Outcome, Query};
use serde_json::{Value, json};

use super::{Body, Operation};
use crate::random::Random;

/// Hundredths of the operations that read, and that write; the rest compare and set.
const READS: u64 = 40;
const WRITES: u64 = 30;
/// Hundredths of the compare-and-sets that expect an older value than the latest seen.
const STALE: u64 = 15;

/// Draws operations on registers.
#[derive(Debug)]
pub(crate) struct Mix {
    random: Random,
    keys: u64,
    /// The latest value that somebody saw in each register, and the one before it.
    seen: BTreeMap<String, (Value, Value)>,
    /// The last value handed out.
    written: u64,
}

impl Mix {
    pub(super) fn new(mut random: Random) -> Self {
        let keys = random.within(1..6);
        Self { random, keys, seen: BTreeMap::new(), written: 0 }
    }

    pub(super) fn next(&mut self) -> Operation {
        let key = name(self.random.below(self.keys));
        match self.random.below(100) {
            draw if draw < READS => read(key),
            draw if draw < READS + WRITES => self.write(key),
            _ => {
                let (latest, before) = self.seen.get(&key).cloned().unwrap_or_default();
                let is_stale = self.random.below(100) < STALE;
                let expected = if is_stale { before } else { latest };
                let new = self.fresh();
                let value = json!([expected, new]);
                let expected = expected.as_u64().map(|number| number.to_string());
                ask("cas", key, value, Ask::CompareAndSet { expected, value: new.to_string() })
            }
        }
    }

    pub(super) fn ending(&mut self) -> Vec<Operation> {
        let keys = 0..self.keys;
        keys.flat_map(|key| [self.write(name(key)), read(name(key))]).collect()
    }

    fn write(&mut self, key: String) -> Operation {
        let value = self.fresh();
        ask("write", key, json!(value), Ask::Put { value: value.to_string() })
    }

    fn fresh(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    pub(super) fn observe(&mut self, operation: &Operation, answer: &Value) {
        let found = match (operation.f, answer) {
            ("cas", Value::Array(pair)) => pair.get(1).cloned(),
            ("cas", mismatch) => mismatch.get("mismatch").cloned(),
            (_, value) => Some(value.clone()),
        };
        let Some(found) = found else { return };
        let seen = self.seen.entry(operation.key.clone()).or_default();
        if seen.0 != found {
            seen.1 = std::mem::replace(&mut seen.0, found);
        }
    }
}

fn name(number: u64) -> String {
    format!("k{number}")
}

fn ask(f: &'static str, key: String, value: Value, operation: Ask) -> Operation {
    let command = Command { key: key.clone(), operation };
    Operation { f, key, value, body: Body::Write(machine::Command::Kv(command)), is_urgent: false }
}

fn read(key: String) -> Operation {
    let query = Query { key: key.clone() };
    Operation {
        f: "read",
        key,
        value: Value::Null,
        body: Body::Read(machine::Query::Kv(query)),
        is_urgent: false,
    }
}

pub(super) fn describe_outcome(operation: &Operation, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::CompareAndSet { swapped: false, found } => {
            json!({"mismatch": describe_value(found)})
        }
        _ => operation.value.clone(),
    }
}

/// Returns what the store holds as the number that was written.
pub(super) fn describe_value(value: &Option<String>) -> Value {
    let Some(text) = value else { return Value::Null };
    text.parse::<u64>().map_or_else(|_| Value::String(text.clone()), Value::from)
}
