//! Counters and locks as their engines see them.

use crate::engine::span::spans;
use crate::engine::{Ruling, counter as counts, lock as locks, mutex as turns};
use crate::model::counter::{Counter, CounterOp};
use crate::model::lock::{Lock, LockAnswer, LockOp};
use crate::model::mutex::{Mutex, MutexOp};
use crate::search::Entry;

use super::{Numbers, UNREAD, Views};

pub(super) fn counter(initial: &Counter, entries: &[Entry<Counter>], _: &mut Views) -> Ruling {
    use counts::Action;
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut events = Vec::with_capacity(entries.len());
    for (entry, span) in entries.iter().zip(spans) {
        let action = match (entry.step.op, entry.step.seen) {
            // Adding nothing is a read.
            (CounterOp::Read | CounterOp::Add(0), Some(seen)) => Action::Read(seen),
            (CounterOp::Read | CounterOp::Add(0), None) => return Ruling::Unfit(UNREAD),
            (CounterOp::Add(amount), after) => Action::Add { amount, after },
        };
        events.push(counts::Event { action, span, is_certain: entry.step.is_certain });
    }
    counts::rule(initial.0, &events)
}

const REFUSED: &str = "somebody saw that the lock was not to be had";
const UNTOLD: &str = "an answer does not say whether it was done";

pub(super) fn mutex(initial: &Mutex, entries: &[Entry<Mutex>], _: &mut Views) -> Ruling {
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut events = Vec::with_capacity(entries.len());
    for (entry, span) in entries.iter().zip(spans) {
        let is_certain = entry.step.is_certain;
        match entry.step.seen {
            Some(false) => return Ruling::Unfit(REFUSED),
            None if is_certain => return Ruling::Unfit(UNTOLD),
            _ => {}
        }
        events.push(turns::Event { acquires: entry.step.op == MutexOp::Acquire, span, is_certain });
    }
    turns::rule(initial.is_held, &events)
}

pub(super) fn lock(initial: &Lock, entries: &[Entry<Lock>], _: &mut Views) -> Ruling {
    if *initial != Lock::default() {
        return Ruling::Unfit("it is held at first, or tokens were given out before");
    }
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut numbers = Numbers::with_capacity(64);
    let mut events = Vec::with_capacity(entries.len());
    for (entry, span) in entries.iter().zip(spans) {
        let is_certain = entry.step.is_certain;
        let (owner, acquires) = match &entry.step.op {
            LockOp::Acquire(owner) => (numbers.of(owner), true),
            LockOp::Release(owner) => (numbers.of(owner), false),
        };
        let token = match entry.step.seen {
            Some(LockAnswer::Refused) => return Ruling::Unfit(REFUSED),
            None if is_certain => return Ruling::Unfit(UNTOLD),
            Some(LockAnswer::Token(token)) => Some(token).filter(|_| acquires),
            Some(LockAnswer::Done) | None => None,
        };
        events.push(locks::Event { owner, acquires, token, span, is_certain });
    }
    locks::rule(&events)
}
