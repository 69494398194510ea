//! Workloads: what clients do to a system, and by what rules their history is judged.
//!
//! A workload is three things. A *pure generator* turns a seeded stream of random numbers and what
//! the clients have seen into the next invocation; it never touches a socket. A *client mapping*,
//! named by [`Workload::mapping`] and carried out in [`crate::client`], runs an invocation against the
//! system and says which error means `fail` and which `info`. And its *checkers*: the model by
//! which the history must be linearizable, and judges of its own.

mod bank;
mod collection;
mod counter;
mod keys;
pub(crate) mod ledger;
mod lock;
mod queue;
mod register;

use std::fmt::Debug;

use checker::history::Operations;
use checker::model::ModelName;
use rand_chacha::ChaCha12Rng;
use serde_json::Value;

pub use bank::Bank;
pub use collection::Collection;
pub use counter::Counter;
pub use ledger::Ledger;
pub use lock::Lock;
pub use queue::Queue;
pub use register::Register;

use crate::audit::Audit;
use crate::audit::elements::Kind;
use crate::client::{Mapping, Outcome};
use crate::plan::WorkloadPlan;

/// What a client asks of the system.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The function, such as `trade`.
    pub f: &'static str,
    /// The independent object that it is about, such as a book.
    pub key: String,
    /// The argument.
    pub value: Value,
}

impl Invocation {
    /// Makes an invocation.
    pub fn new(f: &'static str, key: impl Into<String>, value: Value) -> Self {
        Self { f, key: key.into(), value }
    }
}

/// What clients do, and how it is judged.
pub trait Workload: Debug + Send + Sync {
    /// Returns the name by which plans ask for it.
    fn name(&self) -> &'static str;

    /// Returns the client mapping that its invocations are meant for.
    fn mapping(&self) -> Mapping;

    /// Returns what must have happened before the load begins; see [`Workload::is_set_up`].
    fn set_up(&self) -> Vec<Invocation> {
        Vec::new()
    }

    /// Tells whether this answer to an invocation of the set-up means that it is done.
    fn is_set_up(&self, _answer: &Value) -> bool {
        true
    }

    /// Returns a generator of the load. The same random numbers and the same observations give the
    /// same invocations.
    fn generator(&self, random: ChaCha12Rng) -> Box<dyn Generator>;

    /// Returns the read that follows this answered one in its chain, or none at the chain's end. See
    /// [`Generator::final_reads`].
    fn final_read_after(&self, _read: &Invocation, _answer: &Value) -> Option<Invocation> {
        None
    }

    /// Returns the functions that the generator uses. A run in whose storm one of them never did what
    /// it is for is not a pass.
    fn functions(&self) -> Vec<&'static str>;

    /// Tells whether there are reads in its mix, of which there can be more or fewer.
    fn has_reads(&self) -> bool {
        true
    }

    /// Returns the model by which the history must be linearizable.
    fn model(&self) -> ModelName;

    /// Judges the history by rules of its own, each independent of the model.
    fn judge(&self, operations: &Operations) -> Vec<Audit>;
}

/// A stream of invocations. Pure: it has no clock, and no randomness but the seed's.
pub trait Generator: Send {
    /// Returns what to do next.
    fn next(&mut self) -> Invocation;

    /// Learns how an operation ended, so that what comes next can make sense.
    fn observe(&mut self, invocation: &Invocation, outcome: &Outcome);

    /// Returns what a run ends with: reads of every object, or whatever shows what is in it. Each may
    /// be the first of a chain.
    fn final_reads(&self) -> Vec<Invocation>;
}

/// The names of all workloads; the first is the default.
pub const NAMES: [&str; 8] = [
    ledger::NAME,
    register::NAME,
    collection::SET,
    collection::LIST,
    counter::NAME,
    queue::NAME,
    lock::NAME,
    bank::NAME,
];

/// Returns the workload that the plan names, or none if there is none of that name.
pub fn by_name(plan: &WorkloadPlan) -> Option<Box<dyn Workload>> {
    Some(match plan.name.as_str() {
        ledger::NAME => Box::new(Ledger::new(plan)),
        register::NAME => Box::new(Register::new(plan)),
        collection::SET => Box::new(Collection::new(Kind::Set, plan)),
        collection::LIST => Box::new(Collection::new(Kind::List, plan)),
        counter::NAME => Box::new(Counter::new(plan)),
        queue::NAME => Box::new(Queue::new(plan)),
        lock::NAME => Box::new(Lock::new(plan)),
        bank::NAME => Box::new(Bank::new(plan)),
        _ => return None,
    })
}

/// Tells whether an answer says that the system refused: a rejection or a mismatch. It happened, and
/// changed nothing.
pub fn is_refusal(answer: &Value) -> bool {
    is_refused(|field| answer.get(field).is_some())
}

/// The same of an answer in whatever form, of which one can tell whether it has a field.
pub(crate) fn is_refused(mut has: impl FnMut(&str) -> bool) -> bool {
    ["rejected", "mismatch"].iter().any(|refusal| has(refusal))
}

/// Tells whether the operation was answered and yet did not do what it is for: it was refused, the lock
/// was another's, the queue was empty.
pub fn is_in_vain(f: &str, answer: &Value) -> bool {
    match f {
        "dequeue" => answer.is_null(),
        "acquire" | "release" => *answer == Value::Bool(false),
        _ => is_refusal(answer),
    }
}

/// Returns the functions of a mix with so many reads in a hundred operations.
fn functions(
    read_percent: u8,
    reads: &[&'static str],
    mutations: &[&'static str],
) -> Vec<&'static str> {
    let reads = reads.iter().filter(|_| read_percent > 0);
    let mutations = mutations.iter().filter(|_| read_percent < 100);
    reads.chain(mutations).copied().collect()
}
