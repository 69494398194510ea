//! The validator of orders: it shares the readers and the models with the engines, and no code.

use std::collections::{HashMap, HashSet};

use super::refusal::Refusal;
use crate::check::dispatch::Subject;
use crate::history::Operation;
use crate::model::{End, Model};

/// An order to be validated: operations by their places in the list.
pub(super) struct Order<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) order: Vec<usize>,
    pub(super) no_effect: Vec<usize>,
}

/// Whether the orders place every answered operation, respect the order in which operations were
/// seen to happen, and lead the model to every answer. Returns how many answers they explain.
pub(super) fn validate<M: Model>(
    subject: &Subject<'_, M>,
    list: &[Operation],
    orders: &[Order<'_>],
) -> Result<usize, Refusal<usize>> {
    let read = |operation: &Operation| {
        (subject.read)(&operation.as_ref()).expect("every operation was read before")
    };
    let readings: Vec<_> = list.iter().map(read).collect();
    let is_answered = |index: usize| matches!(readings[index].end, End::Answered(_));
    let returned = |index: usize| list[index].completed.expect("it was answered");
    let (mut is_named, mut keys) = (vec![false; list.len()], HashSet::new());
    let mut explained = 0;
    for Order { key, order, no_effect } in orders {
        if !keys.insert(*key) {
            return Err(Refusal::Doubled { key: key.map(str::to_owned) });
        }
        for at in order.iter().chain(no_effect).copied() {
            if std::mem::replace(&mut is_named[at], true) {
                return Err(Refusal::Twice { at });
            } else if readings[at].key.as_deref() != *key {
                return Err(Refusal::Stray { at });
            }
        }
        if let Some(at) = no_effect.iter().find(|at| is_answered(**at)) {
            return Err(Refusal::Missing { at: *at });
        }
        // From the last to the first: the earliest return among all that stands later.
        let mut earliest: Option<usize> = None;
        for at in order.iter().rev().copied() {
            if let Some(later) = earliest
                && returned(later).instant < list[at].invoked.instant
            {
                return Err(Refusal::Untimely { at, later });
            }
            if is_answered(at) && earliest.is_none_or(|other| returned(at) < returned(other)) {
                earliest = Some(at);
            }
        }
        let mut latest = HashMap::<u64, usize>::new();
        let mut state = (subject.initial)(*key);
        for at in order.iter().copied() {
            // A process does one thing after the other, even where instants tie.
            let latest = latest.entry(list[at].process).or_insert(at);
            if is_answered(at) && returned(at).event < list[*latest].invoked.event {
                return Err(Refusal::Untimely { at: *latest, later: at });
            }
            *latest = (*latest).max(at);
            let seen = match &readings[at].end {
                End::Refused => return Err(Refusal::Failed { at }),
                End::Answered(seen) => seen.as_ref(),
                End::Open => None,
            };
            let next = state.step(&readings[at].op, seen);
            state = next.ok_or_else(|| Refusal::Illegal { at, state: state.describe() })?;
            let is_free = seen.is_none() && M::is_pure(&readings[at].op, None);
            explained += usize::from(is_answered(at) && !is_free);
        }
    }
    match (0..list.len()).find(|at| !is_named[*at] && readings[*at].end != End::Refused) {
        Some(at) if is_answered(at) => Err(Refusal::Missing { at }),
        Some(at) => Err(Refusal::Fateless { at }),
        None => Ok(explained),
    }
}
