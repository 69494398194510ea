//! Answers that no write explains.
//!
//! Whoever saw a value saw the latest write before it, one of that value. So for every answer there
//! must be a write of its value, or the initial value, such that the write was called before the
//! answer was there, and no write of another value came certainly after it and certainly before the
//! question: called after the one had returned, and returned before the other was called. That is
//! necessary whatever else happened, repeated values and unknown outcomes included, and not
//! sufficient: where every answer has such a write, nothing is said.
//!
//! It takes O(n log n), and no more than O(n log c) where events come in the order of their calls and
//! c are open at once. Of all answers from long ago, which no other engine knows and the search is
//! slow to refute where many operations are open, most are of this kind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::{Ruling, Span};
use super::{Accesses, Event, Value};

#[cfg(test)]
mod tests;

/// The write of a value that was called last, of some that returned.
#[derive(Clone, Copy, Debug)]
struct Overwrite {
    value: Value,
    called: u64,
    event: u32,
}

/// The latest return of the writes of one value, and whose it is; the initial value has none.
#[derive(Clone, Copy, Debug)]
struct Origin {
    returned: u64,
    event: Option<u32>,
}

/// Finds the answer without a write that was there first; it is named last, after the write of its
/// value that came nearest, and the write of another that came between.
pub(in super::super) fn rule(accesses: &Accesses) -> Ruling {
    let events = &accesses.events;
    let mut calls: Vec<u32> = (0..events.len() as u32).collect();
    calls.sort_by_key(|event| events[*event as usize].span.call);
    let mut walk = Walk::new(accesses);
    for event in calls {
        if let Err(named) = walk.call(event) {
            return Ruling::NoOrder(named);
        }
    }
    match walk.return_all(Span::NEVER) {
        Err(named) => Ruling::NoOrder(named),
        Ok(()) => Ruling::Unfit("every answer has a write that it may have seen"),
    }
}

/// No event.
const NONE: u32 = u32::MAX;

/// What is known at an instant, as calls and returns are gone through in their order.
struct Walk<'a> {
    events: &'a [Event],
    /// The certain events that were called and did not return, the first to return first; of those
    /// that return together the one called first.
    open: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// How many events were called.
    called: u32,
    /// Of the writes of each value that were called.
    origins: Vec<Option<Origin>>,
    /// The two latest calls of different values, of the writes that returned.
    latest: [Option<Overwrite>; 2],
    /// For each event that sees a value, the latest write of another that returned before its call.
    between: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(accesses: &'a Accesses) -> Self {
        let mut origins = vec![None; accesses.values];
        origins[accesses.initial as usize] = Some(Origin { returned: 0, event: None });
        Self {
            events: &accesses.events,
            open: BinaryHeap::new(),
            called: 0,
            origins,
            latest: [None; 2],
            between: vec![NONE; accesses.events.len()],
        }
    }

    /// Goes on to the call of an event; an error is an answer that nothing explains.
    fn call(&mut self, index: u32) -> Result<(), Vec<usize>> {
        let event = &self.events[index as usize];
        self.return_all(event.span.call)?;
        if let Some(written) = event.written() {
            let origin = &mut self.origins[written as usize];
            if origin.is_none_or(|origin| origin.returned <= event.span.ret) {
                *origin = Some(Origin { returned: event.span.ret, event: Some(index) });
            }
        }
        if event.is_certain {
            if let Some(seen) = event.seen() {
                let mut latest = self.latest.iter().flatten();
                let between = latest.find(|overwrite| overwrite.value != seen);
                self.between[index as usize] = between.map_or(NONE, |between| between.event);
            }
            self.open.push(Reverse((event.span.ret, self.called, index)));
        }
        self.called += 1;
        Ok(())
    }

    /// Goes through all returns before an instant.
    fn return_all(&mut self, before: u64) -> Result<(), Vec<usize>> {
        while let Some(&Reverse((returned, _, index))) = self.open.peek()
            && returned < before
        {
            self.open.pop();
            let event = &self.events[index as usize];
            if let Some(seen) = event.seen() {
                self.explain(index, seen)?;
            }
            if let Some(value) = event.written() {
                note(&mut self.latest, Overwrite { value, called: event.span.call, event: index });
            }
        }
        Ok(())
    }

    /// Whether some write of a value that was called by now may be what an answer saw.
    fn explain(&self, index: u32, seen: Value) -> Result<(), Vec<usize>> {
        let nearest = self.origins[seen as usize];
        let between = Some(self.between[index as usize]).filter(|between| *between != NONE);
        let is_explained = nearest.is_some_and(|origin| {
            let called = between.map(|between| self.events[between as usize].span.call);
            called.is_none_or(|called| origin.returned >= called)
        });
        if is_explained {
            return Ok(());
        }
        let between = between.filter(|_| nearest.is_some());
        let nearest = nearest.and_then(|origin| origin.event);
        let named = [nearest, between, Some(index)].into_iter().flatten();
        Err(named.map(|event| event as usize).collect())
    }
}

/// Keeps the write that was called last, and of those of other values the one that was.
fn note(latest: &mut [Option<Overwrite>; 2], new: Overwrite) {
    let is_later = |than: Option<Overwrite>| than.is_none_or(|than| than.called <= new.called);
    let is_of_first = latest[0].is_some_and(|first| first.value == new.value);
    if is_later(latest[0]) {
        // Of two of one value the earlier is of no use any more.
        if !is_of_first {
            latest[1] = latest[0];
        }
        latest[0] = Some(new);
    } else if !is_of_first && is_later(latest[1]) {
        latest[1] = Some(new);
    }
}
