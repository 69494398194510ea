//! Stores: what a system must offer for every workload on one object to run on it.
//!
//! A [`Store`] keeps strings under keys and knows three requests. [`StoreClient`] carries out the
//! operations of registers, sets, lists, counters, queues, locks and banks on any store, each
//! [`Object`] being the document under one key; so a system that implements `Store` has all of them.
//!
//! What is no plain read or write is a `get` and a `compare_and_set` of the whole document:
//!
//! - A mismatch proves that this attempt did nothing, so the operation is tried anew on what was
//!   found, until its deadline.
//! - A swap with an unknown end leaves the operation unknown, and nothing is sent after it: an
//!   attempt that followed might do the same again.
//! - What the document alone decides, such as that a queue is empty, is an answer without a swap.
//!
//! Each operation takes effect where its last request does, and has that request's position.

mod object;

use std::time::Instant;

use serde_json::Value;

pub use object::Object;
use object::{Effect, Mistake};

use super::{Client, Outcome};
use crate::client::Cause;
use crate::system::BoxFuture;
use crate::workload::Invocation;

/// Strings under keys.
///
/// Every request ends, not much later than its deadline, as an operation does: `Ok` with its answer;
/// `Fail` only if it certainly did nothing and never will; `Info` if nobody knows. A store may send a
/// request several times, to several nodes, as long as one call stands for at most one effect.
pub trait Store: Send {
    /// Reads the value under the key; none if there is none.
    fn get<'a>(
        &'a mut self,
        key: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Option<String>>>;

    /// Sets the value under the key, whatever it was.
    fn put<'a>(
        &'a mut self,
        key: &'a str,
        value: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<()>>;

    /// Sets the value under the key if it is the expected one.
    fn compare_and_set<'a>(
        &'a mut self,
        key: &'a str,
        change: Change<'a>,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome<Swap>>;
}

/// What a compare-and-set asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// What the value must be; none: there must not be any.
    pub expected: Option<&'a str>,
    /// What it is to be.
    pub value: &'a str,
}

/// What a compare-and-set that was answered came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value was the expected one, and is now the new one.
    Done,
    /// It was this one, and still is. It certainly is not what was expected.
    Mismatch(Option<String>),
}

/// Carries out a workload's operations on the documents of a store.
#[derive(Debug)]
pub struct StoreClient<S> {
    store: S,
    object: Object,
    value_size: usize,
}

impl<S: Store> StoreClient<S> {
    /// Makes a client whose keys hold objects of this kind, in documents of at least so many bytes.
    pub fn new(store: S, object: Object, value_size: usize) -> Self {
        Self { store, object, value_size }
    }

    async fn run(&mut self, invocation: &Invocation, deadline: Instant) -> Outcome {
        let Invocation { f, key, value } = invocation;
        match (self.object, *f) {
            (Object::Register, "write") => self.write(key, value, deadline).await,
            (Object::Register, "cas") => self.cas(key, value, deadline).await,
            _ => self.change(invocation, deadline).await,
        }
    }

    async fn write(&mut self, key: &str, value: &Value, deadline: Instant) -> Outcome {
        if !value.is_i64() {
            return unsendable("a register holds an integer");
        }
        match self.store.put(key, &self.encode(value), deadline).await {
            Outcome::Ok { position, .. } => Outcome::Ok { value: value.clone(), position },
            Outcome::Fail { error } => Outcome::Fail { error },
            Outcome::Info { error } => Outcome::Info { error },
        }
    }

    async fn cas(&mut self, key: &str, value: &Value, deadline: Instant) -> Outcome {
        let pair = value.as_array().map(Vec::as_slice);
        let Some([old @ (Value::Null | Value::Number(_)), new @ Value::Number(_)]) = pair else {
            return unsendable("a compare-and-set has an expected value and a new one");
        };
        let expected = (!old.is_null()).then(|| self.encode(old));
        let change = Change { expected: expected.as_deref(), value: &self.encode(new) };
        match self.store.compare_and_set(key, change, deadline).await {
            Outcome::Ok { value: Swap::Done, position } => {
                Outcome::Ok { value: value.clone(), position }
            }
            Outcome::Ok { value: Swap::Mismatch(found), position } => match object::parse(found) {
                Ok(found) if found == *old => contradiction(),
                Ok(found @ (Value::Null | Value::Number(_))) => {
                    let value = serde_json::json!({ "mismatch": found });
                    Outcome::Ok { value, position }
                }
                Ok(_) | Err(_) => {
                    Outcome::Info { error: Cause::Nonsense("a register that holds no integer") }
                }
            },
            Outcome::Fail { error } => Outcome::Fail { error },
            Outcome::Info { error } => Outcome::Info { error },
        }
    }

    /// Reads the document, and swaps it for what the operation makes of it, if anything.
    async fn change(&mut self, invocation: &Invocation, deadline: Instant) -> Outcome {
        let Invocation { f, key, value: input } = invocation;
        let (mut document, mut position) = match self.store.get(key, deadline).await {
            Outcome::Ok { value, position } => (value, position),
            // A read that nobody answered did nothing all the same.
            Outcome::Fail { error } | Outcome::Info { error } => return Outcome::Fail { error },
        };
        loop {
            let effect = object::parse(document.clone())
                .and_then(|document| self.object.effect(f, input, document));
            let (next, answer) = match effect {
                Ok(Effect::None { answer }) => return Outcome::Ok { value: answer, position },
                Ok(Effect::Document { next, answer }) => (next, answer),
                Err(Mistake::Unsendable(why)) => return unsendable(why),
                // Nothing was swapped up to here, and nothing will be.
                Err(Mistake::Nonsense(what)) => {
                    return Outcome::Fail { error: Cause::Nonsense(what) };
                }
            };
            let change = Change { expected: document.as_deref(), value: &self.encode(&next) };
            match self.store.compare_and_set(key, change, deadline).await {
                Outcome::Ok { value: Swap::Done, position } => {
                    return Outcome::Ok { value: answer, position };
                }
                Outcome::Ok { value: Swap::Mismatch(found), .. } if found == document => {
                    return contradiction();
                }
                Outcome::Ok { value: Swap::Mismatch(found), position: at } => {
                    (document, position) = (found, at);
                }
                Outcome::Fail { error } => return Outcome::Fail { error },
                Outcome::Info { error } => return Outcome::Info { error },
            }
            if Instant::now() >= deadline {
                let error = "others changed it each time before the swap".into();
                return Outcome::Fail { error };
            }
        }
    }

    /// Renders a document. Blanks behind it, which say nothing, bring it to its size.
    fn encode(&self, document: &Value) -> String {
        format!("{:<size$}", document.to_string(), size = self.value_size)
    }
}

/// A mismatch with the very value that was expected: whatever the system did, it was not that.
fn contradiction() -> Outcome {
    Outcome::Info { error: Cause::Nonsense("a mismatch with what was expected") }
}

fn unsendable(why: &str) -> Outcome {
    Outcome::Fail { error: why.into() }
}

impl<S: Store> Client for StoreClient<S> {
    fn execute<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Instant,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(invocation, deadline))
    }
}

#[cfg(test)]
mod tests;
