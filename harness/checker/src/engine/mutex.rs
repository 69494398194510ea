//! A lock that does not know its holder, of which nobody saw that it was not to be had.
//!
//! Acquisitions and releases take turns, so all that matters is how many of each are done at any
//! time: with a lock that is free at first, as many releases as acquisitions or one less. By any
//! time so many of each must be done as have returned, and so many can be as were called. Of all
//! ways to meet this there is one that does the fewest of both at every time, because the lesser
//! of two ways is a way too (the bounds, and that the difference is 0 or 1, survive it). So it is
//! enough to do nothing before it must be done: when an operation returns, it is done, and if it
//! is not its kind's turn, one of the other kind before it; if none of that kind is open, there is
//! no order. Which one of a kind is done makes no difference but to when it must be done, so it is
//! the one that returns first, and an unknown one, which never returns, last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Ruling, Span};

#[cfg(test)]
pub(super) mod tests;

/// An operation that was done, or maybe done, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Whether it acquired or released.
    pub(super) acquires: bool,
    pub(super) span: Span,
    /// Whether it certainly happened.
    pub(super) is_certain: bool,
}

/// Judges the operations on a lock that is held at first or not.
pub(super) fn rule(is_held: bool, events: &[Event]) -> Ruling {
    let mut points: Vec<(u64, bool, usize)> = Vec::with_capacity(events.len() * 2);
    for (index, event) in events.iter().enumerate() {
        points.push((event.span.call, false, index));
        if event.is_certain {
            points.push((event.span.ret, true, index));
        }
    }
    // Calls come before returns of the same instant.
    points.sort_unstable();
    let mut is_done = vec![false; events.len()];
    // The open releases and acquisitions, the one that returns first on top.
    let mut open: [BinaryHeap<Reverse<(u64, usize)>>; 2] = Default::default();
    let mut state = is_held;
    let mut order: Vec<usize> = Vec::with_capacity(events.len());
    for (_, is_return, index) in points {
        let event = events[index];
        if !is_return {
            open[usize::from(event.acquires)].push(Reverse((event.span.ret, index)));
            continue;
        }
        while !is_done[index] {
            // If the lock is held, it is a release's turn.
            let Some(Reverse((_, next))) = open[usize::from(!state)].pop() else {
                let mut named = Vec::from_iter(order.last().copied());
                named.push(index);
                return Ruling::NoOrder(named);
            };
            is_done[next] = true;
            order.push(next);
            state = !state;
        }
    }
    Ruling::Order(order)
}
