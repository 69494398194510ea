//! The register workload: reads, writes and compare-and-sets on a few registers.
//!
//! Every value is written at most once in a run, so a read names the one operation that it saw. A
//! compare-and-set expects a value that was seen lately, so that a good share of them succeeds.

use std::collections::BTreeMap;

use checker::history::Operations;
use checker::model::ModelName;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};

use super::keys::Keys;
use super::{Generator, Invocation, Workload};
use crate::audit::Audit;
use crate::client::{Mapping, Object, Outcome};
use crate::plan::WorkloadPlan;

pub(super) const NAME: &str = "register";

/// How many operations of a hundred are reads, if the plan does not say. Of the others, one half are
/// writes and one half compare and set.
const READS: u8 = 40;

/// How often of a hundred a compare-and-set expects an older value than the latest seen: those
/// should mismatch, and a system that lets one through is caught.
const STALE: u32 = 15;

/// Registers `k0`, `k1` and so on.
#[derive(Clone, Debug)]
pub struct Register {
    keys: u64,
    zipf: f64,
    reads: u8,
}

impl Register {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        let reads = plan.read_percent.unwrap_or(READS);
        Self { keys: plan.keys.max(1), zipf: plan.zipf, reads }
    }
}

impl Workload for Register {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Store(Object::Register)
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        Box::new(Mix {
            random,
            keys: (0..self.keys).map(|number| format!("k{number}")).collect(),
            draw: Keys::new(self.keys, self.zipf),
            reads: self.reads.into(),
            seen: BTreeMap::new(),
            written: 0,
        })
    }

    fn functions(&self) -> Vec<&'static str> {
        super::functions(self.reads, &["read"], &["write", "cas"])
    }

    fn model(&self) -> ModelName {
        ModelName::KvRegister
    }

    fn judge(&self, _: &Operations) -> Vec<Audit> {
        Vec::new()
    }
}

struct Mix {
    random: ChaCha12Rng,
    keys: Vec<String>,
    draw: Keys,
    reads: u32,
    /// The latest value that somebody saw in each register, and the one before it.
    seen: BTreeMap<String, Seen>,
    /// The last value handed out.
    written: u64,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    latest: Value,
    before: Value,
}

impl Mix {
    /// Returns a value that no operation of this run has had.
    fn fresh(&mut self) -> u64 {
        self.written += 1;
        self.written
    }

    fn expected(&mut self, key: &str) -> Value {
        let is_stale = self.random.random_range(0..100) < STALE;
        let seen = self.seen.get(key).cloned().unwrap_or_default();
        if is_stale { seen.before } else { seen.latest }
    }
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let key = self.keys[self.draw.draw(&mut self.random)].clone();
        match self.random.random_range(0..100) {
            draw if draw < self.reads => Invocation::new("read", key, Value::Null),
            draw if draw < self.reads.midpoint(100) => {
                Invocation::new("write", key, json!(self.fresh()))
            }
            _ => {
                let expected = self.expected(&key);
                Invocation::new("cas", key, json!([expected, self.fresh()]))
            }
        }
    }

    fn observe(&mut self, invocation: &Invocation, outcome: &Outcome) {
        let Outcome::Ok { value, .. } = outcome else {
            return;
        };
        let found = match (invocation.f, value) {
            ("cas", Value::Array(pair)) => pair.get(1).cloned(),
            ("cas", mismatch) => mismatch.get("mismatch").cloned(),
            (_, value) => Some(value.clone()),
        };
        let Some(found) = found else { return };
        let seen = self.seen.entry(invocation.key.clone()).or_default();
        if seen.latest != found {
            seen.before = std::mem::replace(&mut seen.latest, found);
        }
    }

    fn final_reads(&self) -> Vec<Invocation> {
        self.keys.iter().map(|key| Invocation::new("read", key, Value::Null)).collect()
    }
}

#[cfg(test)]
mod tests;
