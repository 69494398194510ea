//! The replay of a found order: a verdict of "linearizable" rests on nothing else.

use rustc_hash::FxHashMap;

use crate::model::Model;

use super::Entry;

/// Whether an order holds every certain entry once, no other twice, is true to what preceded
/// what, and is legal from the initial state.
///
/// This shares nothing with the search but the entries and the model.
pub(crate) fn is_proof<M: Model>(initial: &M, entries: &[&Entry<M>], order: &[usize]) -> bool {
    let mut is_placed = vec![false; entries.len()];
    for index in order {
        if std::mem::replace(&mut is_placed[*index], true) {
            return false;
        }
    }
    let is_whole = entries
        .iter()
        .zip(&is_placed)
        .all(|(entry, is_placed)| *is_placed || !entry.step.is_certain);
    is_whole && is_true_to_time(entries, order) && is_legal(initial, entries, order)
}

fn is_true_to_time<M: Model>(entries: &[&Entry<M>], order: &[usize]) -> bool {
    // Nothing that comes later in the order may have returned before an earlier one was called.
    let mut completed_first = u64::MAX;
    for index in order.iter().rev() {
        if completed_first < entries[*index].invoked {
            return false;
        }
        completed_first = completed_first.min(entries[*index].completed.unwrap_or(u64::MAX));
    }
    // What one process did, it did in the order of the entries, ties or not.
    let mut latest = FxHashMap::<u64, usize>::default();
    order.iter().all(|index| {
        let latest = latest.entry(entries[*index].process).or_insert(*index);
        let is_late = *latest > *index
            && entries[*index]
                .completed
                .is_some_and(|completed| completed <= entries[*latest].invoked);
        *latest = (*latest).max(*index);
        !is_late
    })
}

fn is_legal<M: Model>(initial: &M, entries: &[&Entry<M>], order: &[usize]) -> bool {
    let mut state = initial.clone();
    order.iter().all(|index| {
        let step = &entries[*index].step;
        state.advance(&step.op, step.seen.as_ref())
    })
}
