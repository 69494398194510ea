//! A register whose values tell who wrote them.
//!
//! Gibbons and Korach, *Testing shared memories* (SIAM Journal on Computing 26, 1997), §4: if every
//! value that was seen can have come from one write only, a history of a register can be judged in
//! O(n log n). A *cluster* is a write and the reads of its value. In any order that explains the
//! reads, clusters stand one after the other, each write before its reads. So a cluster X must come
//! before Y if some operation of X returned before some operation of Y was called: if X's earliest
//! return `f(X)` is before Y's latest call `s(Y)`. If these demands go round in a circle, two
//! clusters already contradict one another: of a circle's clusters let X be the one with the least
//! f, and Z the one before it in the circle; then f(Z) < s(X), and f(X) ≤ f(W) < s(Z) for the W
//! before Z. If none do, sorting by the lesser of f and s gives an order (of equals those with
//! s ≤ f first): let X be such that Y need not also come before it, and f(X) < s(Y). Then
//! f(Y) ≥ s(X), so both of Y's ends are at or after the lesser of X's.
//!
//! What goes beyond the paper:
//!
//! - **Compare-and-set.** One that swapped read one cluster's value and wrote the next one's, and
//!   nothing can stand between. A chain of clusters is a block, and the argument holds for blocks.
//!   Two swaps of one value contradict each other: the value never comes back.
//! - **The initial value** is a write before everything.
//! - **Unknown outcomes.** A write whose value was seen happened, at any time after its call. One
//!   whose value nobody saw can be left out of any order: what reads then see is the write before,
//!   which nobody read between. A swap is the same if it is known of every swap whether it was
//!   one; it is seen by who reads its value, and sees the value that it replaced.
//! - **Repeated values** do no harm as long as nobody saw them.

use super::{Ruling, Span};

mod blocks;
pub(super) mod origins;

#[cfg(test)]
pub(super) mod tests;

/// A value's number.
pub(super) type Value = u32;

/// What was done to the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Write(Value),
    /// Also a compare-and-set that saw a value and changed nothing.
    Read(Value),
    /// One value replaced by another.
    Swap {
        from: Value,
        to: Value,
    },
}

/// An access and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) access: Access,
    pub(super) span: Span,
    /// Whether it certainly happened; a read always did.
    pub(super) is_certain: bool,
}

impl Event {
    fn written(self) -> Option<Value> {
        match self.access {
            Access::Write(value) | Access::Swap { to: value, .. } => Some(value),
            Access::Read(_) => None,
        }
    }

    fn seen(self) -> Option<Value> {
        match self.access {
            Access::Read(value) | Access::Swap { from: value, .. } => Some(value),
            Access::Write(_) => None,
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Nowhere,
    Initial,
    Event(u32),
    Several,
}

/// The accesses of one register, whose values are numbers below `values`.
#[derive(Clone, Debug)]
pub(super) struct Accesses {
    pub(super) initial: Value,
    pub(super) values: usize,
    pub(super) events: Vec<Event>,
}

/// Judges, or says that a value that was seen may come from more than one write.
pub(super) fn rule(accesses: &Accesses) -> Ruling {
    let origins = origins(accesses);
    let happened = match happened(accesses, &origins) {
        Ok(happened) => happened,
        Err(ruling) => return ruling,
    };
    blocks::rule(&accesses.events, &origins, &happened)
}

/// Finds where each value may come from.
fn origins(accesses: &Accesses) -> Vec<Origin> {
    let mut origins = vec![Origin::Nowhere; accesses.values];
    origins[accesses.initial as usize] = Origin::Initial;
    for (index, event) in accesses.events.iter().enumerate() {
        if let Some(value) = event.written() {
            let origin = &mut origins[value as usize];
            *origin = match origin {
                Origin::Nowhere => Origin::Event(index as u32),
                _ => Origin::Several,
            };
        }
    }
    origins
}

/// Finds which events happened: the certain ones, and those of which a value was seen.
fn happened(accesses: &Accesses, origins: &[Origin]) -> Result<Vec<bool>, Ruling> {
    let events = &accesses.events;
    let mut happened: Vec<bool> = events.iter().map(|event| event.is_certain).collect();
    for (index, event) in events.iter().enumerate() {
        // Whoever happened and saw a value makes its writer have happened, and so on.
        let (mut reader, mut seen) = (index, event.seen().filter(|_| event.is_certain));
        while let Some(value) = seen {
            seen = None;
            match origins[value as usize] {
                Origin::Nowhere => return Err(Ruling::NoOrder(vec![reader])),
                Origin::Several => {
                    return Err(Ruling::Unfit(
                        "a value that was seen may come from several writes",
                    ));
                }
                Origin::Initial => {}
                Origin::Event(writer) => {
                    let writer = writer as usize;
                    if !std::mem::replace(&mut happened[writer], true) {
                        (reader, seen) = (writer, events[writer].seen());
                    }
                }
            }
        }
    }
    Ok(happened)
}
