//! The order that the system itself names.
//!
//! Many systems return with an answer where it stands in their own order: a log index, a revision.
//! If that order is true to what preceded what and legal for the model, it is a proof like any
//! other, found without a search. If it is not, nothing is said: the positions may be wrong where
//! the answers are right, or an operation of unknown outcome may have taken effect between.

use crate::model::Model;
use crate::search::Entry;

use super::Ruling;
use super::views::Views;

#[cfg(test)]
mod tests;

/// Orders the certain entries by position: what changes something comes before those who saw it,
/// who bear the same position, and those stand as they were called.
pub(super) fn rule<M: Model>(_initial: &M, entries: &[Entry<M>], _: &mut Views) -> Ruling {
    let mut order = Vec::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.step.is_certain) {
        let Some(position) = entry.position else {
            return Ruling::Unfit("not every answer names its position");
        };
        // Most histories name none, and need no room for them.
        if order.is_empty() {
            order.reserve_exact(entries.len() - index);
        }
        let is_pure = M::is_pure(&entry.step.op, entry.step.seen.as_ref());
        order.push((position, is_pure, entry.invoked, index));
    }
    if order.is_empty() {
        return Ruling::Unfit("no answer names its position");
    }
    order.sort_unstable();
    let order: Vec<usize> = order.into_iter().map(|(_, _, _, index)| index).collect();
    Ruling::Candidate {
        order,
        otherwise: "the order of the positions does not explain the answers",
    }
}
