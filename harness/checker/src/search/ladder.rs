//! The ladder on which tasks wait: on each rung the furthest goes first, and of equally far ones the
//! latest.
//!
//! A search in depth mostly goes on from where it stands, so that what is put on a rung is mostly
//! further than all that waits there. That much of a rung is a stack, and costs nothing to keep in
//! order; only what comes back to an earlier place is sorted in among others.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// So many tasks without getting on are taken from one rung before another has its turn.
const PATIENCE: u64 = 16;

/// A task in its place among others.
#[derive(Clone, Debug)]
struct Waiting<T> {
    position: u32,
    number: u64,
    task: T,
}

impl<T> Waiting<T> {
    fn key(&self) -> (u32, u64) {
        (self.position, self.number)
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[derive(Debug)]
struct Rung<T> {
    /// The furthest last.
    in_order: Vec<Waiting<T>>,
    /// What was behind the last of those when it came.
    others: BinaryHeap<Waiting<T>>,
}

impl<T> Rung<T> {
    fn new() -> Self {
        Self { in_order: Vec::new(), others: BinaryHeap::new() }
    }

    fn push(&mut self, waiting: Waiting<T>) {
        match self.in_order.last() {
            Some(last) if *last > waiting => self.others.push(waiting),
            _ => self.in_order.push(waiting),
        }
    }

    fn pop(&mut self) -> Option<T> {
        let is_other = match (self.in_order.last(), self.others.peek()) {
            (Some(last), Some(other)) => other > last,
            (last, _) => last.is_none(),
        };
        let waiting = if is_other { self.others.pop() } else { self.in_order.pop() };
        waiting.map(|waiting| waiting.task)
    }

    fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }
}

/// All that waits.
#[derive(Debug)]
pub(super) struct Ladder<T> {
    rungs: Vec<Rung<T>>,
    /// How many tasks were ever put on it.
    waited: u64,
    /// How many tasks were taken since somebody got on.
    idle: u64,
}

impl<T> Ladder<T> {
    pub(super) fn new() -> Self {
        Self { rungs: Vec::new(), waited: 0, idle: 0 }
    }

    pub(super) fn push(&mut self, rung: usize, position: u32, task: T) {
        if self.rungs.len() <= rung {
            self.rungs.resize_with(rung + 1, Rung::new);
        }
        self.waited += 1;
        self.rungs[rung].push(Waiting { position, number: self.waited, task });
    }

    /// Takes the furthest task of the rung whose turn it is: of the lowest one every other turn, of
    /// each one above half as often as of the one below it.
    pub(super) fn pop(&mut self) -> Option<T> {
        let highest = self.rungs.iter().rposition(|rung| rung.len() > 0)?;
        let rung = match self.idle / PATIENCE {
            0 => 0,
            turn => highest.min(turn.trailing_zeros() as usize),
        };
        self.idle += 1;
        let (lower, higher) = self.rungs.split_at_mut(rung);
        higher.iter_mut().chain(lower).find_map(Rung::pop)
    }

    /// Notes that somebody came further than all before.
    pub(super) fn get_on(&mut self) {
        self.idle = 0;
    }

    /// How many tasks wait.
    pub(super) fn len(&self) -> usize {
        self.rungs.iter().map(Rung::len).sum()
    }

    /// Bytes that it takes, but for what the tasks hold on the heap.
    pub(super) fn bytes(&self) -> usize {
        let rungs = self.rungs.iter();
        let room: usize = rungs.map(|rung| rung.in_order.capacity() + rung.others.capacity()).sum();
        room * size_of::<Waiting<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::Ladder;

    /// Pushes tasks at positions, and asserts the order in which they are taken.
    fn check(pushed: &[(usize, u32)], expected: &[usize]) {
        let mut ladder = Ladder::new();
        for (task, (rung, position)) in pushed.iter().enumerate() {
            ladder.push(*rung, *position, task);
        }
        assert_eq!(ladder.len(), pushed.len());
        let taken: Vec<usize> = std::iter::from_fn(|| ladder.pop()).collect();
        assert_eq!(taken, expected, "{pushed:?}");
    }

    #[test]
    fn the_furthest_goes_first_and_of_equals_the_latest() {
        check(&[], &[]);
        check(&[(0, 1), (0, 2), (0, 2), (0, 3)], &[3, 2, 1, 0]);
        check(&[(0, 5), (0, 2), (0, 4), (0, 2), (0, 5), (0, 3)], &[4, 0, 2, 5, 3, 1]);
    }

    #[test]
    fn what_comes_back_is_taken_in_its_place() {
        let mut ladder = Ladder::new();
        ladder.push(0, 3, "behind");
        ladder.push(0, 9, "furthest");
        ladder.push(0, 7, "between");
        assert_eq!(ladder.pop(), Some("furthest"));
        ladder.push(0, 8, "on");
        assert_eq!(
            [ladder.pop(), ladder.pop(), ladder.pop()].map(Option::unwrap),
            ["on", "between", "behind"]
        );
    }

    #[test]
    fn the_lowest_rung_goes_first() {
        check(&[(1, 9), (0, 1), (2, 9)], &[1, 0, 2]);
    }

    #[test]
    fn higher_rungs_have_their_turns_where_nobody_gets_on() {
        let mut ladder = Ladder::new();
        ladder.push(1, 1, usize::MAX);
        (0..100).for_each(|task| ladder.push(0, 1, task));
        let until = |ladder: &mut Ladder<usize>| {
            std::iter::from_fn(|| ladder.pop()).take_while(|task| *task != usize::MAX).count()
        };
        assert_eq!(until(&mut ladder), 32);
        ladder.get_on();
        ladder.push(1, 1, usize::MAX);
        assert_eq!(until(&mut ladder), 32);
    }
}
