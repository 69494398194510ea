//! The replay of a found order: a verdict of "linearizable" rests on nothing else.

use std::borrow::Borrow;

use crate::history::ByProcess;
use crate::model::Model;

use super::Entry;

#[cfg(test)]
mod tests;

/// Whether an order holds every certain entry once, no other twice, is true to what preceded
/// what, and is legal from the initial state.
///
/// This shares nothing with the search but the entries and the model.
pub(crate) fn is_proof<M: Model>(
    initial: &M,
    entries: &[impl Borrow<Entry<M>>],
    order: &[usize],
) -> bool {
    let mut is_placed = vec![false; entries.len()];
    let done = ByProcess::asked(order.len());
    let mut replay = Replay { state: initial.clone(), called_last: 0, done };
    let is_legal = order.iter().all(|index| {
        !std::mem::replace(&mut is_placed[*index], true)
            && replay.place(*index, entries[*index].borrow())
    });
    let is_dispensable = |entry: &Entry<M>| !entry.step.is_certain;
    let mut placed = entries.iter().zip(&is_placed);
    is_legal && placed.all(|(entry, is_placed)| *is_placed || is_dispensable(entry.borrow()))
}

/// An order, one entry after the other.
struct Replay<M> {
    state: M,
    /// The latest call of all that was placed.
    called_last: u64,
    /// Of each process what was placed that comes last among the entries: where that is, and when it
    /// was called.
    done: ByProcess<Option<(usize, u64)>>,
}

impl<M: Model> Replay<M> {
    /// Places an entry after all others, if it can stand there.
    fn place(&mut self, index: usize, entry: &Entry<M>) -> bool {
        // It may not have returned before something was called that stands before it.
        let is_timely = entry.completed.is_none_or(|completed| completed >= self.called_last);
        self.called_last = self.called_last.max(entry.invoked);
        // What one process did, it did in the order of the entries, ties or not.
        let done = self.done.of(entry.process);
        let is_late = done.is_some_and(|(latest, invoked)| {
            latest > index && entry.completed.is_some_and(|completed| completed <= invoked)
        });
        if done.is_none_or(|(latest, _)| latest < index) {
            *done = Some((index, entry.invoked));
        }
        is_timely && !is_late && self.state.advance(&entry.step.op, entry.step.seen.as_ref())
    }
}
