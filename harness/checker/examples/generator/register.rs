//! Histories of one register, or of ten that are judged together.

use checker::history::EventType;
use serde_json::{Value, json};

use super::{Called, Kind, Question, Random, Reference};

/// How many registers [`Kind::Keys`] has.
const KEYS: u64 = 10;

/// A write that was answered.
struct Written {
    value: u64,
    called: Called,
    answered: u64,
}

/// Registers; all kinds but [`Kind::Keys`] have one.
pub(crate) struct Register {
    kind: Kind,
    values: [u64; KEYS as usize],
    /// How many questions were asked.
    asked: u64,
    written: Vec<Written>,
}

impl Register {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, values: [0; KEYS as usize], asked: 0, written: Vec::new() }
    }

    /// Wraps a value in a map that names its register, where there is more than one.
    fn keyed(&self, key: u64, value: Value) -> Value {
        match self.kind {
            Kind::Keys => json!({ (format!("k{key}")): value }),
            _ => value,
        }
    }

    fn key_of(question: &Question) -> usize {
        let name = question.value.as_object().and_then(|map| map.keys().next());
        name.and_then(|name| name[1..].parse().ok()).unwrap_or(0)
    }
}

/// The number in a value, or in the map around it.
fn number(value: &Value) -> u64 {
    let inner = value.as_object().and_then(|map| map.values().next()).unwrap_or(value);
    inner.as_u64().expect("an integer was asked for")
}

impl Reference for Register {
    fn ask(&mut self, random: &mut Random) -> Question {
        let functions = if self.kind == Kind::Cas { 3 } else { 2 };
        let f = ["read", "write", "cas"][random.below(functions) as usize];
        self.asked += 1;
        let key = if self.kind == Kind::Keys { random.below(KEYS) } else { 0 };
        let value = match (f, self.kind) {
            ("read", _) => Value::Null,
            ("write", Kind::Unique) => json!(self.asked),
            ("write", _) => json!(1 + random.below(5)),
            _ => json!([1 + random.below(5), 1 + random.below(5)]),
        };
        Question { key: None, f, value: self.keyed(key, value), is_mutation: f != "read" }
    }

    fn apply(&mut self, question: &Question) -> (EventType, Value) {
        let key = Self::key_of(question);
        let value = &question.value;
        let held = &mut self.values[key];
        match question.f {
            "read" => {
                let held = json!(*held);
                return (EventType::Ok, self.keyed(key as u64, held));
            }
            "write" => *held = number(value),
            _ if value[0] == *held => *held = number(&value[1]),
            _ => return (EventType::Fail, value.clone()),
        }
        (EventType::Ok, value.clone())
    }

    fn note(&mut self, question: &Question, called: Called, answered: u64) {
        if self.kind == Kind::Unique && question.f == "write" {
            self.written.push(Written { value: number(&question.value), called, answered });
        }
    }

    fn stale(&mut self, question: &Question, called: Called) -> Option<Value> {
        if question.f != "read" {
            return None;
        }
        if self.kind != Kind::Unique {
            // What nobody ever writes.
            return Some(self.keyed(Self::key_of(question) as u64, json!(0)));
        }
        // The newest value that was overwritten by a write that was answered before the read.
        let before = self.written.iter().filter(|write| write.answered < called);
        let latest_call = before.map(|write| write.called).max()?;
        let overwritten = self.written.iter().filter(|write| write.answered < latest_call);
        overwritten.max_by_key(|write| write.answered).map(|write| json!(write.value))
    }
}
