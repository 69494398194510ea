//! Histories that fall apart: operations that have nothing to do with one another are searched
//! apart, and the orders found are merged.
//!
//! Linearizability is local (Herlihy and Wing 1990, Theorem 1): a history has an order exactly if
//! what concerns each object has one. Objects are here the smallest groups of parts of the state
//! (say registers) that no operation connects. What one process did at one and the same instant on
//! two of them connects them as well: that it did the one before the other is not a matter of time
//! any more, and the theorem needs that.

#[cfg(test)]
mod tests;

use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::model::Model;

use super::{Budget, DeadConfiguration, Entry, Found, Place, Searched, shares};

/// Once something is found to have no order, all that is left may together take this part of the
/// time that is left, each group its share: it can only show that another explanation ends even earlier.
const REST_SHARE: u32 = 8;

/// Returns the groups of entries that have nothing to do with one another, each in the order of
/// the entries, or none if that is all of them.
pub(super) fn split<M: Model>(entries: &[Entry<M>]) -> Option<Vec<Vec<u32>>> {
    M::parts(&entries.first()?.step.op)?;
    let mut sets = Sets::new(entries.len());
    let mut by_part = FxHashMap::<&str, usize>::default();
    let mut partless = None;
    for (index, entry) in entries.iter().enumerate() {
        let parts = M::parts(&entry.step.op)?;
        if parts.is_empty() {
            sets.unite(*partless.get_or_insert(index), index);
        }
        for part in parts {
            sets.unite(*by_part.entry(part).or_insert(index), index);
        }
    }
    let mut by_end = FxHashMap::<(u64, u64), usize>::default();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(before) = by_end.get(&(entry.process, entry.invoked)) {
            sets.unite(*before, index);
        }
        if let Some(completed) = entry.completed {
            sets.unite(*by_end.entry((entry.process, completed)).or_insert(index), index);
        }
    }
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut group_of = FxHashMap::<usize, usize>::default();
    for index in 0..entries.len() {
        let group = *group_of.entry(sets.find(index)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(index as u32);
    }
    (groups.len() > 1).then_some(groups)
}

/// Searches each group with `search`, and says what that means for all.
pub(super) fn search_each<M: Model>(
    entries: &[Entry<M>],
    groups: &[Vec<u32>],
    budget: Budget,
    search: impl Fn(&[&Entry<M>], Budget) -> Searched,
) -> Searched {
    let mut orders = Vec::new();
    let (mut configurations, mut completions) = (0, 0);
    let mut stopped = None;
    let mut first_bad: Option<(usize, Vec<DeadConfiguration>)> = None;
    let mut turns = shares(budget.deadline, groups.len());
    let mut place = Place::Here;
    for (index, group) in groups.iter().enumerate() {
        let mine: Vec<&Entry<M>> = group.iter().map(|index| &entries[*index as usize]).collect();
        let certain = mine.iter().filter(|entry| entry.step.is_certain).count();
        let turn = turns.next().expect("there is a turn for each group");
        let searched = search(&mine, Budget { deadline: turn(Instant::now()), ..budget });
        configurations += searched.configurations;
        match searched.found {
            Found::Order(order) => {
                completions += certain;
                orders.push(order.into_iter().map(|entry| group[entry] as usize).collect());
            }
            Found::NoOrder { entry, mut dead } => {
                place = place.min(searched.place);
                if first_bad.is_none() {
                    let rest = budget.part_of(REST_SHARE).deadline;
                    turns = shares(rest, groups.len() - index - 1);
                }
                let entry = group[entry] as usize;
                let ends = |entry: usize| (entries[entry].completed, entries[entry].tie);
                if first_bad.as_ref().is_none_or(|(first, _)| ends(entry) < ends(*first)) {
                    for dead in &mut dead {
                        dead.rename(group);
                        dead.state.push_str(" (as far as these operations are concerned)");
                    }
                    first_bad = Some((entry, dead));
                }
            }
            Found::Stopped { why, entry, completions: passed } => {
                completions += passed;
                place = Place::Anywhere;
                stopped.get_or_insert((why, group[entry] as usize));
            }
            // The search does not say these of a group; were it to, nothing would follow for all.
            Found::Contradiction { .. } | Found::Unfit { .. } | Found::Unproven => {
                return Searched { found: Found::Unproven, configurations, place: Place::Anywhere };
            }
        }
    }
    let found = match (first_bad, stopped) {
        (Some((entry, dead)), _) => Found::NoOrder { entry, dead },
        (None, Some((why, entry))) => Found::Stopped { why, entry, completions },
        (None, None) => Found::Order(merge(entries, orders)),
    };
    Searched { found, configurations, place }
}

/// Merges orders of groups into one of all entries.
///
/// Every entry gets an instant within its time, the earliest that its order allows: the latest
/// call up to it. In the order of these instants nothing comes before what had returned earlier.
fn merge<M: Model>(entries: &[Entry<M>], orders: Vec<Vec<usize>>) -> Vec<usize> {
    let mut at = Vec::with_capacity(entries.len());
    for order in orders {
        let mut instant = 0;
        for entry in order {
            instant = entries[entry].invoked.max(instant);
            at.push((instant, entry));
        }
    }
    // The sort is stable, so that each group keeps its order where instants are the same.
    at.sort_by_key(|(instant, _)| *instant);
    at.into_iter().map(|(_, entry)| entry).collect()
}

/// Disjoint sets of entries.
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    /// Returns the member that stands for the set of another one.
    fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}
