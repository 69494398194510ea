//! The counter workload: positive amounts are added and numbers read.

use checker::history::Operations;
use checker::model::ModelName;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};

use super::keys::{Keys, is_read};
use super::{Generator, Invocation, Workload};
use crate::audit::{self, Audit};
use crate::client::{Mapping, Object, Outcome};
use crate::plan::WorkloadPlan;

pub(super) const NAME: &str = "counter";

/// How many operations of a hundred are reads, if the plan does not say.
const READS: u8 = 40;

/// The largest amount. Different amounts tell apart which additions are missing.
const AMOUNT_MAX: u64 = 9;

/// Counters `k0`, `k1` and so on.
#[derive(Clone, Debug)]
pub struct Counter {
    keys: u64,
    zipf: f64,
    reads: u8,
}

impl Counter {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        let reads = plan.read_percent.unwrap_or(READS);
        Self { keys: plan.keys.max(1), zipf: plan.zipf, reads }
    }
}

impl Workload for Counter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Store(Object::Counter)
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        let Self { keys, zipf, reads } = *self;
        Box::new(Mix { random, keys, reads, draw: Keys::new(keys, zipf) })
    }

    fn functions(&self) -> Vec<&'static str> {
        super::functions(self.reads, &["read"], &["add"])
    }

    fn model(&self) -> ModelName {
        ModelName::Counter
    }

    fn judge(&self, operations: &Operations) -> Vec<Audit> {
        vec![audit::counter::check(operations)]
    }
}

struct Mix {
    random: ChaCha12Rng,
    keys: u64,
    reads: u8,
    draw: Keys,
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let key = format!("k{}", self.draw.draw(&mut self.random));
        if is_read(self.reads, &mut self.random) {
            return Invocation::new("read", key, Value::Null);
        }
        Invocation::new("add", key, json!(self.random.random_range(1..=AMOUNT_MAX)))
    }

    fn observe(&mut self, _: &Invocation, _: &Outcome) {}

    fn final_reads(&self) -> Vec<Invocation> {
        let read = |key| Invocation::new("read", format!("k{key}"), Value::Null);
        (0..self.keys).map(read).collect()
    }
}
