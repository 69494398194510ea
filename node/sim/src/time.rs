//! Virtual time: it passes only from one event to the next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of a run, in nanoseconds since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0 + span.as_nanos() as u64)
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0 - earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}.{:06}", self.0 / 1_000_000_000, self.0 / 1000 % 1_000_000)
    }
}

/// What is to happen, in the order of its times; what falls on one moment, in the order in which it
/// was asked for.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// Time, number, and place of the event: those move a lot in a heap, events need not.
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    count: u64,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), events: vec![], free: vec![], count: 0 }
    }

    pub(crate) fn push(&mut self, time: Time, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.heap.push(Reverse((time, self.count, place)));
        self.count += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((time, _, place)) = self.heap.pop()?;
        self.free.push(place);
        let event = self.events[place].take().expect("what the heap names is there");
        Some((time, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_time_then_of_asking() {
        let mut queue = Queue::new();
        for (time, event) in [(5, 'a'), (3, 'b'), (5, 'c'), (1, 'd'), (3, 'e')] {
            queue.push(Time(time), event);
        }
        assert_eq!(queue.pop(), Some((Time(1), 'd')));
        queue.push(Time(3), 'f');
        let rest: String = std::iter::from_fn(|| queue.pop().map(|(_, event)| event)).collect();
        assert_eq!(rest, "befac");
    }

    #[test]
    fn times_read_as_seconds() {
        assert_eq!(Time(12_345_678_999).to_string(), " 12.345678");
    }
}
