//! The elements of one priority, of which some may be gone without anybody knowing which.
//!
//! A pop whose answer nobody saw took one of the elements that were there. Instead of a state for
//! each that it may have been, the level remembers a *debt*. Elements carry an epoch: how many debts
//! there were when they came. The first n debts together took n elements of the epochs before the
//! n-th, so such elements must never become fewer than n; and where they are just n, all of them
//! are gone. Nothing else limits what may be popped: the epochs lie one within the other, so the
//! debts can always be paid one after the other (Hall's condition for nested sets).

use std::hash::{Hash, Hasher};

use rpds::RedBlackTreeMapSync;

use crate::model::Scalar;
use crate::model::digest::digest_of;

/// The elements of one priority.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// How often each value is there, by the epoch in which it came.
    values: RedBlackTreeMapSync<(Scalar, usize), usize>,
    count: usize,
    /// For each debt, by how much the elements of its epoch and those before outnumber it and the
    /// debts before it. Never 0: such debts are paid.
    slack: Vec<usize>,
    /// The sum of the elements' digests.
    digest: u128,
}

impl Hash for Level {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.count, &self.slack, self.digest).hash(state);
    }
}

impl Level {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many of the elements are gone.
    pub(super) fn missing(&self) -> usize {
        self.slack.len()
    }

    /// The values, those that may be gone among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Scalar> {
        self.values.iter().flat_map(|((value, _), count)| std::iter::repeat_n(value, *count))
    }

    pub(super) fn least(&self) -> &Scalar {
        let (value, _) = self.values.keys().next().expect("an empty level is dropped");
        value
    }

    pub(super) fn insert(&mut self, value: &Scalar) {
        self.put((value.clone(), self.slack.len()), 1);
    }

    fn put(&mut self, element: (Scalar, usize), count: usize) {
        let digest = digest_of(&element).wrapping_mul(count as u128);
        self.digest = self.digest.wrapping_add(digest);
        self.count += count;
        let before = self.values.get(&element).copied().unwrap_or(0);
        self.values.insert_mut(element, before + count);
    }

    /// Takes an element with this value, if there is one: the latest, as that leaves the debts the
    /// most to choose from.
    pub(super) fn take(&mut self, value: &Scalar) -> Option<()> {
        let mut epochs = (0..=self.slack.len()).rev().map(|epoch| (value.clone(), epoch));
        let element = epochs.find(|element| self.values.contains_key(element))?;
        let epoch = element.1;
        self.digest = self.digest.wrapping_sub(digest_of(&element));
        self.count -= 1;
        match self.values.get(&element) {
            Some(count) if *count > 1 => {
                let left = count - 1;
                self.values.insert_mut(element, left);
            }
            _ => _ = self.values.remove_mut(&element),
        }
        for slack in &mut self.slack[epoch..] {
            *slack -= 1;
        }
        self.settle();
        Some(())
    }

    /// Takes nobody knows which.
    pub(super) fn take_any(&mut self) {
        let least = self.least().clone();
        if self.values.size() == 1 {
            // All are alike, so it is known.
            self.take(&least);
            return;
        }
        let debts = self.slack.len() + 1;
        self.slack.push(self.count - debts);
        self.settle();
    }

    /// Pays the debts for which there is nothing to choose any more.
    fn settle(&mut self) {
        let Some(last) = self.slack.iter().rposition(|slack| *slack == 0) else { return };
        let values = std::mem::take(&mut self.values);
        (self.count, self.digest) = (0, 0);
        self.slack.drain(..=last);
        for ((value, epoch), count) in &values {
            if *epoch > last {
                self.put((value.clone(), epoch - last - 1), *count);
            }
        }
    }
}
