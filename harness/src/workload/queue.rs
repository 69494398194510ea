//! The queue workload: every element is enqueued once, and in the end all queues are drained.
//!
//! Elements are dequeued about as often as they come, so that a queue is empty now and then; one that
//! grew long, because dequeues failed, is dequeued from more often until it is short again.

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

pub(super) const NAME: &str = "queue";

/// From this many elements on a queue is long.
const LONG: i64 = 30;

/// How many operations of a hundred are enqueues: on a short queue, and on a long one.
const ENQUEUES: u32 = 52;
const ENQUEUES_LONG: u32 = 20;

/// Queues `k0`, `k1` and so on.
#[derive(Clone, Debug)]
pub struct Queue {
    keys: u64,
    zipf: f64,
}

impl Queue {
    /// Makes a workload.
    pub fn new(plan: &WorkloadPlan) -> Self {
        Self { keys: plan.keys.max(1), zipf: plan.zipf }
    }
}

impl Workload for Queue {
    fn name(&self) -> &'static str {
        NAME
    }

    fn mapping(&self) -> Mapping {
        Mapping::Store(Object::Queue)
    }

    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator> {
        let lengths = (0..self.keys).map(|_| 0).collect();
        Box::new(Mix { random, draw: Keys::new(self.keys, self.zipf), lengths, element: 0 })
    }

    /// A queue is drained until it is found empty.
    fn final_read_after(&self, read: &Invocation, answer: &Value) -> Option<Invocation> {
        (!answer.is_null()).then(|| read.clone())
    }

    fn functions(&self) -> Vec<&'static str> {
        vec!["enqueue", "dequeue"]
    }

    fn has_reads(&self) -> bool {
        false
    }

    fn model(&self) -> ModelName {
        ModelName::FifoQueue
    }

    fn judge(&self, operations: &Operations) -> Vec<Audit> {
        vec![audit::queue::check(operations)]
    }
}

struct Mix {
    random: ChaCha12Rng,
    draw: Keys,
    /// By queue, how many elements came and did not leave, as far as anybody knows.
    lengths: Vec<i64>,
    /// The last element handed out.
    element: u64,
}

impl Generator for Mix {
    fn next(&mut self) -> Invocation {
        let place = self.draw.draw(&mut self.random);
        let key = format!("k{place}");
        let enqueues = if self.lengths[place] < LONG { ENQUEUES } else { ENQUEUES_LONG };
        if self.random.random_range(0..100) < enqueues {
            self.element += 1;
            return Invocation::new("enqueue", key, json!(self.element));
        }
        Invocation::new("dequeue", key, Value::Null)
    }

    fn observe(&mut self, invocation: &Invocation, outcome: &Outcome) {
        let place = invocation.key.strip_prefix('k').and_then(|place| place.parse::<usize>().ok());
        let Some(length) = place.and_then(|place| self.lengths.get_mut(place)) else {
            return;
        };
        match (invocation.f, outcome) {
            ("enqueue", Outcome::Ok { .. } | Outcome::Info { .. }) => *length += 1,
            ("dequeue", Outcome::Ok { value: Value::Null, .. }) => *length = 0,
            ("dequeue", Outcome::Ok { .. }) => *length = (*length - 1).max(0),
            _ => {}
        }
    }

    fn final_reads(&self) -> Vec<Invocation> {
        let drain = |place| Invocation::new("dequeue", format!("k{place}"), Value::Null);
        (0..self.lengths.len()).map(drain).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::seed::Seed;

    #[test]
    fn queues_are_empty_now_and_then_never_long_and_drained_in_the_end() {
        let workload = Queue::new(&WorkloadPlan { keys: 1, ..WorkloadPlan::default() });
        let mut generator = workload.generator(Seed::new(1).generator());
        let mut queue = VecDeque::new();
        let (mut empty, mut longest) = (0, 0);
        for step in 0..5_000_u32 {
            let invocation = generator.next();
            let value = match invocation.f {
                "enqueue" => {
                    assert!(!queue.contains(&invocation.value), "{invocation:?}");
                    queue.push_back(invocation.value.clone());
                    invocation.value.clone()
                }
                _ => queue.pop_front().unwrap_or_default(),
            };
            empty += u32::from(value.is_null());
            longest = longest.max(queue.len());
            // Some answers are lost.
            let outcome = match step % 20 {
                0 => Outcome::Info { error: "timeout".into() },
                _ => Outcome::Ok { value, position: None },
            };
            generator.observe(&invocation, &outcome);
        }
        assert!(empty > 20, "{empty}");
        assert!((10..100).contains(&longest), "{longest}");
        let mut drain = generator.final_reads();
        assert_eq!(drain.len(), 1);
        let read = drain.remove(0);
        assert_eq!(workload.final_read_after(&read, &json!(7)), Some(read.clone()));
        assert_eq!(workload.final_read_after(&read, &Value::Null), None);
    }
}
