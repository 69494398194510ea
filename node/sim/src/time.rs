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
    /// Those move a lot in a heap, events need not.
    heap: BinaryHeap<Reverse<Key>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    count: u32,
}

/// Time, number and place of an event, from the highest bits down: compared in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Key {
    fn new(time: Time, number: u32, place: u32) -> Self {
        Self(u128::from(time.0) << 64 | u128::from(number) << 32 | u128::from(place))
    }

    fn time(self) -> Time {
        Time((self.0 >> 64) as u64)
    }

    fn place(self) -> usize {
        self.0 as u32 as usize
    }
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), events: vec![], free: vec![], count: 0 }
    }

    pub(crate) fn push(&mut self, time: Time, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() as u32 - 1
        });
        self.events[place as usize] = Some(event);
        self.heap.push(Reverse(Key::new(time, self.count, place)));
        self.count = self.count.checked_add(1).expect("a run ends long before so many events");
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse(key) = self.heap.pop()?;
        self.free.push(key.place() as u32);
        let event = self.events[key.place()].take().expect("what the heap names is there");
        Some((key.time(), event))
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
