//! The lock workload: owners acquire locks under fencing tokens and release them.
//!
//! Owners are names and no processes, so that whoever may hold a lock after an unknown outcome can
//! still release it. Most operations make sense: a release by who is thought to hold it, an
//! acquisition of what is thought to be free. Some do not, and must be refused.

use std::collections::BTreeMap;

use checker::history::Operations;
use checker::model::ModelName;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};

use super::keys::Keys;
use super::{Generator, Invocation, Workload};
use crate::audit::{self, Audit};
use crate::client::{Mapping, Object, Outcome};
use crate::plan::WorkloadPlan;

pub(super) const NAME: &str = "lock";

/// Who asks for locks. With three of them, somebody who guesses who holds one is right often enough.
const OWNERS: [&str; 3] = ["a", "b", "c"];

/// Who acquires each lock in the end.
const LAST_OWNER: &str = "last";

/// How many operations of a hundred make sense, as far as anybody knows.
const SENSIBLE: u32 = 60;

/// Locks `k0`, `k1` and so on.
#[derive(Clone, Debug)]
pub struct Lock {
    keys: u64,
    zipf: f64,
}

impl Lock {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        Self { keys: plan.keys.max(1), zipf: plan.zipf }
    }
}

fn ask(f: &'static str, key: String, owner: &str) -> Invocation {
    Invocation::new(f, key, json!({ "owner": owner }))
}

impl Workload for Lock {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Store(Object::Lock)
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        let draw = Keys::new(self.keys, self.zipf);
        Box::new(Mix { random, draw, keys: self.keys, holders: BTreeMap::new() })
    }

    /// Every owner in turn lets go, and then the lock is acquired: it must be free.
    fn final_read_after(&self, read: &Invocation, _: &Value) -> Option<Invocation> {
        let owner = read.value["owner"].as_str()?;
        let place = OWNERS.iter().position(|name| *name == owner)?;
        let key = read.key.clone();
        Some(match OWNERS.get(place + 1) {
            Some(next) => ask("release", key, next),
            None => ask("acquire", key, LAST_OWNER),
        })
    }

    fn functions(&self) -> Vec<&'static str> {
        vec!["acquire", "release"]
    }

    fn has_reads(&self) -> bool {
        false
    }

    fn model(&self) -> ModelName {
        ModelName::Lock
    }

    fn judge(&self, operations: &Operations) -> Vec<Audit> {
        vec![audit::lock::check(operations)]
    }
}

struct Mix {
    random: ChaCha12Rng,
    draw: Keys,
    keys: u64,
    /// Who is thought to hold which lock.
    holders: BTreeMap<String, String>,
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let key = format!("k{}", self.draw.draw(&mut self.random));
        let anybody = OWNERS[self.random.random_range(0..OWNERS.len())];
        if self.random.random_range(0..100) < SENSIBLE {
            return match self.holders.get(&key) {
                Some(holder) => ask("release", key, &holder.clone()),
                None => ask("acquire", key, anybody),
            };
        }
        let f = if self.random.random_bool(0.5) { "acquire" } else { "release" };
        ask(f, key, anybody)
    }

    fn observe(&mut self, invocation: &Invocation, outcome: &Outcome) {
        let owner = invocation.value["owner"].as_str().unwrap_or_default();
        let is_refused = matches!(outcome, Outcome::Ok { value: Value::Bool(false), .. });
        match (invocation.f, outcome) {
            ("acquire", Outcome::Ok { .. }) if !is_refused => {
                self.holders.insert(invocation.key.clone(), owner.into());
            }
            // It went, or it was not there: either way this owner does not hold it.
            ("release", Outcome::Ok { .. } | Outcome::Info { .. })
                if self.holders.get(&invocation.key).is_some_and(|holder| holder == owner) =>
            {
                self.holders.remove(&invocation.key);
            }
            _ => {}
        }
    }

    fn final_reads(&self) -> Vec<Invocation> {
        (0..self.keys).map(|key| ask("release", format!("k{key}"), OWNERS[0])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn most_operations_succeed_some_are_refused_and_doubt_does_not_last() {
        let workload = Lock::new(&WorkloadPlan { keys: 2, ..WorkloadPlan::default() });
        let mut generator = workload.generator(Seed::new(1).generator());
        let mut held: BTreeMap<String, Value> = BTreeMap::new();
        let mut counts: BTreeMap<(&str, bool), u32> = BTreeMap::new();
        for step in 0..2_000_u32 {
            let invocation = generator.next();
            let owner = invocation.value["owner"].clone();
            let is_done = match (invocation.f, held.get(&invocation.key)) {
                ("acquire", None) => held.insert(invocation.key.clone(), owner).is_none(),
                ("release", Some(holder)) if *holder == owner => {
                    held.remove(&invocation.key).is_some()
                }
                _ => false,
            };
            *counts.entry((invocation.f, is_done)).or_default() += 1;
            let outcome = match (step % 20, is_done) {
                (0, _) => Outcome::Info { error: "timeout".into() },
                (_, true) => Outcome::Ok { value: json!({"token": step}), position: None },
                (_, false) => Outcome::Ok { value: json!(false), position: None },
            };
            generator.observe(&invocation, &outcome);
        }
        for f in ["acquire", "release"] {
            assert!(counts[&(f, true)] > 300 && counts[&(f, false)] > 100, "{counts:?}");
        }
    }

    #[test]
    fn in_the_end_all_let_go_and_the_lock_is_acquired() {
        let workload = Lock::new(&WorkloadPlan { keys: 1, ..WorkloadPlan::default() });
        let generator = workload.generator(Seed::new(1).generator());
        let mut chain = generator.final_reads();
        while let Some(next) = workload.final_read_after(chain.last().unwrap(), &json!(false)) {
            chain.push(next);
        }
        let told: Vec<String> =
            chain.iter().map(|it| format!("{} {}", it.f, it.value["owner"])).collect();
        let expected = ["release \"a\"", "release \"b\"", "release \"c\"", "acquire \"last\""];
        assert_eq!(told, expected);
    }
}
