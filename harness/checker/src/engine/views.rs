//! How the engines see the models' entries: each engine knows plain values and spans only.

mod collections;
mod counters;

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::model::Scalar;
use crate::model::append_list::AppendList;
use crate::model::counter::Counter;
use crate::model::fifo_queue::FifoQueue;
use crate::model::kv::{Key, KvAnswer, KvOp};
use crate::model::lock::Lock;
use crate::model::mutex::Mutex;
use crate::model::register::{Register, RegisterAnswer, RegisterOp};
use crate::model::set::Set;
use crate::search::Entry;

use super::register::{self, Access, Accesses, Event};
use super::span::Spans;
use super::{EngineName, PolynomialEngine, Ruling};

/// The engines that know registers.
pub(crate) const REGISTER: &[PolynomialEngine<Register>] = &[
    PolynomialEngine { name: EngineName::UniqueRegister, rule: unique_register },
    PolynomialEngine { name: EngineName::Origins, rule: origins_of_register },
];

/// The engines that know keys of a store.
pub(crate) const KEY: &[PolynomialEngine<Key>] = &[
    PolynomialEngine { name: EngineName::UniqueRegister, rule: unique_key },
    PolynomialEngine { name: EngineName::Origins, rule: origins_of_key },
];

/// The engines that know first-in first-out queues.
pub(crate) const QUEUE: &[PolynomialEngine<FifoQueue>] =
    &[PolynomialEngine { name: EngineName::UniqueQueue, rule: collections::queue }];

/// The engines that know sets.
pub(crate) const SET: &[PolynomialEngine<Set>] =
    &[PolynomialEngine { name: EngineName::GrowOnlySet, rule: collections::set }];

/// The engines that know lists that only grow.
pub(crate) const LIST: &[PolynomialEngine<AppendList>] =
    &[PolynomialEngine { name: EngineName::AppendLog, rule: collections::list }];

/// The engines that know counters.
pub(crate) const COUNTER: &[PolynomialEngine<Counter>] =
    &[PolynomialEngine { name: EngineName::SteadyCounter, rule: counters::counter }];

/// The engines that know locks without holders.
pub(crate) const MUTEX: &[PolynomialEngine<Mutex>] =
    &[PolynomialEngine { name: EngineName::Turns, rule: counters::mutex }];

/// The engines that know locks with owners.
pub(crate) const LOCK: &[PolynomialEngine<Lock>] =
    &[PolynomialEngine { name: EngineName::Holds, rule: counters::lock }];

/// How the engines of one model see some entries, as far as several of them see the same.
#[derive(Debug, Default)]
pub(crate) struct Views {
    accesses: Option<Result<Accesses, Ruling>>,
}

impl Views {
    /// Rules on accesses, which are made for the first who asks.
    fn rule(
        &mut self,
        make: impl FnOnce() -> Result<Accesses, Ruling>,
        rule: fn(&Accesses) -> Ruling,
    ) -> Ruling {
        match self.accesses.get_or_insert_with(make) {
            Ok(accesses) => rule(accesses),
            Err(ruling) => ruling.clone(),
        }
    }
}

/// Gives values numbers.
struct Numbers<'a, V> {
    numbers: FxHashMap<&'a V, u32>,
}

impl<'a, V: Eq + Hash> Numbers<'a, V> {
    fn with_capacity(capacity: usize) -> Self {
        Self { numbers: FxHashMap::with_capacity_and_hasher(capacity, Default::default()) }
    }

    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn of(&mut self, value: &'a V) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(value).or_insert(next)
    }
}

/// What an operation on a register was, as far as can be told.
enum Seen<'a, V> {
    Write(&'a V),
    Read(&'a V),
    Swap(&'a V, &'a V),
    /// An answer that nothing whatsoever explains.
    Absurd,
    Unfit(&'static str),
}

fn unique_register(initial: &Register, entries: &[Entry<Register>], views: &mut Views) -> Ruling {
    views.rule(|| accesses(&initial.0, entries, see_register), register::rule)
}

fn origins_of_register(
    initial: &Register,
    entries: &[Entry<Register>],
    views: &mut Views,
) -> Ruling {
    views.rule(|| accesses(&initial.0, entries, see_register), register::origins::rule)
}

fn see_register(entry: &Entry<Register>) -> Seen<'_, Scalar> {
    match (&entry.step.op, &entry.step.seen) {
        (RegisterOp::Write(value), _) => Seen::Write(value),
        (RegisterOp::Read, Some(RegisterAnswer::Value(value))) => Seen::Read(value),
        (RegisterOp::Cas { expected, new }, seen) => {
            let found = match seen {
                Some(RegisterAnswer::Swapped) => Found::Swapped,
                Some(RegisterAnswer::Mismatch(found)) => Found::Other(found.as_ref()),
                _ => Found::Unknown,
            };
            cas(expected, new, entry.step.is_certain, found)
        }
        (RegisterOp::Read, _) => Seen::Unfit(UNREAD),
    }
}

fn unique_key(initial: &Key, entries: &[Entry<Key>], views: &mut Views) -> Ruling {
    views.rule(|| accesses(&initial.0, entries, see_key), register::rule)
}

fn origins_of_key(initial: &Key, entries: &[Entry<Key>], views: &mut Views) -> Ruling {
    views.rule(|| accesses(&initial.0, entries, see_key), register::origins::rule)
}

fn see_key(entry: &Entry<Key>) -> Seen<'_, Scalar> {
    const NIL: &Scalar = &Scalar::Nil;
    match (&entry.step.op, &entry.step.seen) {
        (KvOp::Put(value), _) => Seen::Write(value),
        (KvOp::Get, Some(KvAnswer::Value(value))) => Seen::Read(value),
        (KvOp::Cas { expected, new }, seen) => {
            let found = match seen {
                Some(KvAnswer::Swapped) => Found::Swapped,
                Some(KvAnswer::Mismatch(found)) => Found::Other(found.as_ref()),
                _ => Found::Unknown,
            };
            cas(expected, new, entry.step.is_certain, found)
        }
        (KvOp::Delete, Some(KvAnswer::Existed(false))) => Seen::Read(NIL),
        (KvOp::Delete, None) => Seen::Write(NIL),
        (KvOp::Delete, Some(_)) => Seen::Unfit("a delete saw that there was some value"),
        (KvOp::Append(_), _) => Seen::Unfit("something was appended"),
        (KvOp::Get, _) => Seen::Unfit(UNREAD),
    }
}

const UNREAD: &str = "a read has no answer";

/// What a compare-and-set found.
enum Found<'a, V> {
    Swapped,
    /// Another value than it expected, maybe with which.
    Other(Option<&'a V>),
    Unknown,
}

fn cas<'a, V: PartialEq>(
    expected: &'a V,
    new: &'a V,
    is_certain: bool,
    found: Found<'a, V>,
) -> Seen<'a, V> {
    match found {
        Found::Swapped if expected == new => Seen::Read(expected),
        Found::Swapped => Seen::Swap(expected, new),
        Found::Other(Some(found)) if found == expected => Seen::Absurd,
        Found::Other(Some(found)) => Seen::Read(found),
        Found::Other(None) => Seen::Unfit("a failed compare-and-set does not say what it found"),
        Found::Unknown if is_certain || expected == new => {
            Seen::Unfit("a compare-and-set does not say whether it swapped")
        }
        Found::Unknown => Seen::Swap(expected, new),
    }
}

/// Sees entries as accesses to a register, unless some of them are none.
fn accesses<'a, M: crate::model::Model, V: Eq + Hash>(
    initial: &'a V,
    entries: &'a [Entry<M>],
    see: impl Fn(&'a Entry<M>) -> Seen<'a, V>,
) -> Result<Accesses, Ruling> {
    let spans = Spans::of(entries)?;
    let mut numbers = Numbers::with_capacity(entries.len() / 2);
    let initial = numbers.of(initial);
    let mut events = Vec::with_capacity(entries.len());
    let mut absurd = None;
    for (index, entry) in entries.iter().enumerate() {
        let access = match see(entry) {
            Seen::Write(value) => Access::Write(numbers.of(value)),
            Seen::Read(value) => Access::Read(numbers.of(value)),
            Seen::Swap(from, to) => Access::Swap { from: numbers.of(from), to: numbers.of(to) },
            Seen::Unfit(why) => return Err(Ruling::Unfit(why)),
            Seen::Absurd => {
                absurd = absurd.or(Some(index));
                continue;
            }
        };
        let span = spans.span(index, entry);
        events.push(Event { access, span, is_certain: entry.step.is_certain });
    }
    match absurd {
        Some(absurd) => Err(Ruling::NoOrder(vec![absurd])),
        None => Ok(Accesses { initial, values: numbers.count(), events }),
    }
}
