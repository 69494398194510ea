//! The set and list workloads: elements are added once each and read all at once.
//!
//! What is read of a collection is all of it, so one that grew for as long as the run takes would
//! slow everything down in the end. There are as many collections at a time as the plan has keys; one
//! that was given its share of elements is left as it is, and a new one takes its place. At the end
//! every one of them is read.

use checker::history::Operations;
use checker::model::ModelName;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};

use super::keys::{Keys, is_read};
use super::{Generator, Invocation, Workload};
use crate::audit::Audit;
use crate::audit::elements::{self, Kind};
use crate::client::{Mapping, Object, Outcome};
use crate::plan::WorkloadPlan;

pub(super) const SET: &str = "set";
pub(super) const LIST: &str = "list";

/// How many operations of a hundred are reads, if the plan does not say.
const READS: u8 = 40;

/// How many elements a collection is given: a read of it stays a small packet.
const ELEMENTS_MAX: u64 = 200;

/// Sets or lists `k0`, `k1` and so on.
#[derive(Clone, Debug)]
pub struct Collection {
    kind: Kind,
    keys: u64,
    zipf: f64,
    reads: u8,
}

impl Collection {
    /// Makes a workload on collections of this kind.
    pub fn new(kind: Kind, plan: &WorkloadPlan) -> Self {
        let reads = plan.read_percent.unwrap_or(READS);
        Self { kind, keys: plan.keys.max(1), zipf: plan.zipf, reads }
    }

    fn addition(&self) -> &'static str {
        match self.kind {
            Kind::Set => "add",
            Kind::List => "append",
        }
    }
}

impl Workload for Collection {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Set => SET,
            Kind::List => LIST,
        }
    }

    fn mapping(&self) -> Mapping {
        Mapping::Store(match self.kind {
            Kind::Set => Object::Set,
            Kind::List => Object::List,
        })
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        Box::new(Mix {
            random,
            addition: self.addition(),
            reads: self.reads,
            draw: Keys::new(self.keys, self.zipf),
            current: (0..self.keys).map(|key| Current { key, elements: 0 }).collect(),
            keys: self.keys,
            element: 0,
        })
    }

    fn functions(&self) -> Vec<&'static str> {
        super::functions(self.reads, &["read"], &[self.addition()])
    }

    fn model(&self) -> ModelName {
        match self.kind {
            Kind::Set => ModelName::Set,
            Kind::List => ModelName::AppendList,
        }
    }

    fn judge(&self, operations: &Operations) -> Vec<Audit> {
        vec![elements::check(self.kind, operations)]
    }
}

struct Mix {
    random: ChaCha12Rng,
    addition: &'static str,
    reads: u8,
    draw: Keys,
    /// The collections that are being filled.
    current: Vec<Current>,
    /// How many collections there were so far.
    keys: u64,
    /// The last element handed out.
    element: u64,
}

struct Current {
    key: u64,
    elements: u64,
}

fn name(key: u64) -> String {
    format!("k{key}")
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let place = self.draw.draw(&mut self.random);
        let is_read = is_read(self.reads, &mut self.random);
        let current = &mut self.current[place];
        if is_read {
            return Invocation::new("read", name(current.key), Value::Null);
        }
        if current.elements == ELEMENTS_MAX {
            *current = Current { key: self.keys, elements: 0 };
            self.keys += 1;
        }
        current.elements += 1;
        self.element += 1;
        Invocation::new(self.addition, name(current.key), json!(self.element))
    }

    fn observe(&mut self, _: &Invocation, _: &Outcome) {}

    fn final_reads(&self) -> Vec<Invocation> {
        (0..self.keys).map(|key| Invocation::new("read", name(key), Value::Null)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn elements_are_new_and_each_collection_has_its_share_and_is_read_at_the_end() {
        let plan = WorkloadPlan { keys: 3, ..WorkloadPlan::default() };
        let workload = Collection::new(Kind::List, &plan);
        let mut generator = workload.generator(Seed::new(1).generator());
        let mut elements = BTreeSet::new();
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        let mut reads = 0;
        for _ in 0..10_000 {
            let invocation = generator.next();
            match invocation.f {
                "read" => reads += 1,
                _ => {
                    assert!(elements.insert(invocation.value.as_u64()), "{invocation:?}");
                    *sizes.entry(invocation.key).or_default() += 1;
                }
            }
        }
        assert!((3_700..4_300).contains(&reads), "{reads}");
        assert!(sizes.values().all(|&size| size <= ELEMENTS_MAX), "{sizes:?}");
        assert!(sizes.len() > 25, "{sizes:?}");
        let read: BTreeSet<String> =
            generator.final_reads().into_iter().map(|read| read.key).collect();
        assert!(sizes.keys().all(|key| read.contains(key)), "{read:?}");
    }

    #[test]
    fn the_share_of_reads_can_be_chosen() {
        for (reads, functions) in [(0, vec!["add"]), (100, vec!["read"]), (50, vec!["read", "add"])]
        {
            let plan = WorkloadPlan { read_percent: Some(reads), ..WorkloadPlan::default() };
            let workload = Collection::new(Kind::Set, &plan);
            assert_eq!(workload.functions(), functions);
            let mut generator = workload.generator(Seed::new(1).generator());
            let asked: BTreeSet<&str> = (0..100).map(|_| generator.next().f).collect();
            assert_eq!(asked, functions.into_iter().collect());
        }
    }
}
