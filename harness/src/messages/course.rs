//! The way of the messages of one stream: which pass, when, how often and in which order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::frames::Message;
use super::rule::{MessageAction, MessageKind, MessageRule};

/// How long a message that is to change places waits for another.
const REORDER_MAX: Duration = Duration::from_millis(200);

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Those that are due at a time, the earliest first; of one time in the order in which they came.
    due: BinaryHeap<Reverse<(Instant, u64, Bytes)>>,
    /// One that waits to be overtaken, but not for ever.
    overtaken: Option<(Instant, Bytes)>,
    number: u64,
    len: usize,
}

impl Course {
    /// Takes a message in, on which a rule is to be carried out, or none.
    pub(super) fn take_in(
        &mut self,
        message: Message,
        action: Option<MessageAction>,
        now: Instant,
    ) {
        let bytes = message.into_bytes();
        if action == Some(MessageAction::Reorder) && self.overtaken.is_none() {
            self.len += bytes.len();
            self.overtaken = Some((now + REORDER_MAX, bytes));
            return;
        }
        match action {
            Some(MessageAction::Drop) => return,
            Some(MessageAction::Duplicate) => {
                self.add(now, bytes.clone());
                self.add(now, bytes);
            }
            Some(MessageAction::Delay(by)) => self.add(now + by, bytes),
            // Whoever overtakes one that waits has changed places with it.
            Some(MessageAction::Reorder) | None => self.add(now, bytes),
        }
        if let Some((_, bytes)) = self.overtaken.take() {
            self.len -= bytes.len();
            self.add(now, bytes);
        }
    }

    /// Returns the next message that is due.
    pub(super) fn release(&mut self, now: Instant) -> Option<Bytes> {
        if self.overtaken.as_ref().is_some_and(|(until, _)| *until <= now) {
            self.let_go(now);
        }
        let Reverse((due, ..)) = self.due.peek()?;
        if *due > now {
            return None;
        }
        let Reverse((_, _, bytes)) = self.due.pop()?;
        self.len -= bytes.len();
        Some(bytes)
    }

    /// Has everything pass at once.
    pub(super) fn release_all(&mut self, now: Instant) {
        self.let_go(now);
        let due = std::mem::take(&mut self.due).into_sorted_vec();
        // The sorting is that of reversed keys: the latest first.
        for Reverse((_, number, bytes)) in due {
            self.due.push(Reverse((now, number, bytes)));
        }
    }

    /// Returns when there is something to release, if nothing more comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.due.peek().map(|Reverse((due, ..))| *due);
        due.into_iter().chain(self.overtaken.as_ref().map(|(until, _)| *until)).min()
    }

    /// Returns how many bytes are on their way.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Tells whether no message is on its way, not even an empty one.
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.overtaken.is_none()
    }

    fn let_go(&mut self, now: Instant) {
        if let Some((_, bytes)) = self.overtaken.take() {
            self.len -= bytes.len();
            self.add(now, bytes);
        }
    }

    fn add(&mut self, due: Instant, bytes: Bytes) {
        self.len += bytes.len();
        self.number += 1;
        self.due.push(Reverse((due, self.number, bytes)));
    }
}

/// Returns the first of the rules that hits a message of a kind.
pub(super) fn draw(
    rules: &[MessageRule],
    kind: MessageKind,
    generator: &mut impl Rng,
) -> Option<MessageRule> {
    let mut about = rules.iter().filter(|rule| rule.is_about(kind));
    about.find(|rule| generator.random_range(0..100) < rule.percent).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::frames::{Frames, tests::message};
    use crate::seed::Seed;

    const MS: Duration = Duration::from_millis(1);

    /// Sends messages of one byte each a millisecond apart, and returns their bytes as they arrive.
    fn arrivals(actions: &[Option<MessageAction>]) -> Vec<u8> {
        let start = Instant::now();
        let mut course = Course::default();
        let mut arrived = Vec::new();
        let step = |course: &mut Course, arrived: &mut Vec<u8>, now| {
            while let Some(bytes) = course.release(now) {
                arrived.push(bytes[bytes.len() - 1]);
            }
        };
        let mut now = start;
        for (number, action) in actions.iter().enumerate() {
            now = start + MS * number as u32;
            step(&mut course, &mut arrived, now);
            let mut frames = Frames::default();
            frames.push(&message(&[number as u8]));
            course.take_in(frames.next().unwrap().unwrap(), *action, now);
            step(&mut course, &mut arrived, now);
        }
        while let Some(due) = course.next_due() {
            assert!(due > now, "what is due was not released");
            now = due;
            step(&mut course, &mut arrived, now);
        }
        assert_eq!(course.len(), 0);
        arrived
    }

    #[test]
    fn each_action_does_what_it_says() {
        use MessageAction::{Delay, Drop, Duplicate, Reorder};
        let late = Some(Delay(2 * MS));
        for (actions, expected) in [
            (&[None, None, None][..], &[0, 1, 2][..]),
            (&[None, Some(Drop), None], &[0, 2]),
            (&[None, Some(Duplicate), None], &[0, 1, 1, 2]),
            (&[late, None, None, None], &[1, 0, 2, 3]),
            (&[None, late], &[0, 1]),
            (&[late, late, None], &[0, 2, 1]),
            (&[Some(Reorder), None, None], &[1, 0, 2]),
            (&[None, Some(Reorder)], &[0, 1]),
            (&[Some(Reorder), Some(Reorder), None], &[1, 0, 2]),
            (&[Some(Reorder), Some(Drop), None], &[2, 0]),
            (&[Some(Reorder), Some(Duplicate)], &[1, 1, 0]),
        ] {
            assert_eq!(arrivals(actions), expected, "{actions:?}");
        }
    }

    #[test]
    fn all_that_is_held_passes_in_order_when_it_may() {
        let now = Instant::now();
        let mut course = Course::default();
        for (number, action) in
            [MessageAction::Delay(9 * MS), MessageAction::Delay(5 * MS), MessageAction::Reorder]
                .into_iter()
                .enumerate()
        {
            let mut frames = Frames::default();
            frames.push(&message(&[number as u8]));
            course.take_in(frames.next().unwrap().unwrap(), Some(action), now);
        }
        assert_eq!(course.len(), 18);
        assert_eq!(course.release(now), None);
        course.release_all(now);
        let released: Vec<u8> =
            std::iter::from_fn(|| course.release(now)).map(|it| it[5]).collect();
        assert_eq!(released, [0, 1, 2]);
    }

    #[test]
    fn chance_hits_as_many_as_the_rule_says() {
        let mut generator = Seed::new(1).generator();
        for percent in [1, 50, 100] {
            let kind = MessageKind::RequestVote;
            let rule = MessageRule { kind: Some(kind), percent, action: MessageAction::Drop };
            let mut draw = |kind| draw(&[rule], kind, &mut generator);
            assert!((0..100).all(|_| draw(MessageKind::PreVote).is_none()));
            let hit = (0..10_000).filter(|_| draw(kind).is_some()).count();
            assert!(hit.abs_diff(usize::from(percent) * 100) < 200, "{hit} of {percent} %");
        }
    }
}
