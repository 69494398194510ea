//! A list that only grows, to which every element is appended once, and that is read whole.
//!
//! Each read is a beginning of the longest one, which gives every element that was seen its place. An
//! append that answered with the length afterwards has its place from there. So places leave no
//! choice, and reads stand behind the last element that they saw. Appends that nobody saw come
//! behind all reads; unknown ones among them need not have happened. If some of those have answers
//! and others have none, or there are gaps between their answers, who fills them is left to the
//! search. The whole takes as long as to look at each element of each read, and to sort.

use super::forced::{self, Ranked};
use super::{Ruling, Span};

#[cfg(test)]
pub(super) mod tests;

/// An element's number.
pub(super) type Element = u32;

/// What was done to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Maybe with the length afterwards.
    Append {
        element: Element,
        length: Option<usize>,
    },
    Read(Vec<Element>),
}

/// An action and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) span: Span,
    /// Whether it certainly happened; whatever has an answer did.
    pub(super) is_certain: bool,
}

/// Judges the actions on a list that is empty at first, of elements below `elements`.
pub(super) fn rule(elements: usize, events: &[Event]) -> Ruling {
    let mut appended: Vec<Option<usize>> = vec![None; elements];
    let mut longest: (&[Element], Option<usize>) = (&[], None);
    for (index, event) in events.iter().enumerate() {
        match &event.action {
            Action::Append { element, .. } => {
                if appended[*element as usize].replace(index).is_some() {
                    return Ruling::Unfit("an element may have been appended twice");
                }
            }
            Action::Read(list) if list.len() > longest.0.len() || longest.1.is_none() => {
                longest = (list, Some(index));
            }
            Action::Read(_) => {}
        }
    }
    let (longest, longest_by) = longest;
    let mut places: Vec<Option<usize>> = vec![None; elements];
    for (place, element) in longest.iter().enumerate() {
        let is_first = places[*element as usize].replace(place + 1).is_none();
        if appended[*element as usize].is_none() || !is_first {
            return Ruling::NoOrder(longest_by.into_iter().collect());
        }
    }
    let ranked = match ranks(events, longest, longest_by, &places) {
        Ok(ranked) => ranked,
        Err(ruling) => return ruling,
    };
    match forced::order(ranked) {
        Ok(order) => Ruling::Order(order),
        Err((first, second)) => {
            let mut named: Vec<usize> =
                [Some(first.index), Some(second.index), longest_by].into_iter().flatten().collect();
            named.sort_unstable();
            named.dedup();
            Ruling::NoOrder(named)
        }
    }
}

/// Ranks appends by their places, and reads behind the last element that they saw.
fn ranks(
    events: &[Event],
    longest: &[Element],
    longest_by: Option<usize>,
    places: &[Option<usize>],
) -> Result<Vec<Ranked>, Ruling> {
    let contradiction =
        |index| Err(Ruling::NoOrder([Some(index), longest_by].into_iter().flatten().collect()));
    let mut ranked = Vec::with_capacity(events.len());
    // Appends that no read saw, with the lengths that they answered.
    let mut unseen: Vec<(Option<usize>, usize)> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let rank = match &event.action {
            Action::Read(list) if longest.starts_with(list) => 2 * list.len() + 1,
            Action::Read(_) => return contradiction(index),
            Action::Append { element, length } => match (places[*element as usize], length) {
                (Some(place), Some(length)) if place != *length => return contradiction(index),
                (Some(place), _) => 2 * place,
                // That place is another's.
                (None, Some(length)) if *length <= longest.len() => return contradiction(index),
                (None, _) if !event.is_certain => continue,
                (None, length) => {
                    unseen.push((*length, index));
                    continue;
                }
            },
        };
        ranked.push(Ranked { rank, span: events[index].span, index });
    }
    let is_any_answered = unseen.iter().any(|(length, _)| length.is_some());
    unseen.sort_unstable();
    for (beyond, (length, index)) in unseen.into_iter().enumerate() {
        let place = longest.len() + 1 + if is_any_answered { beyond } else { 0 };
        if is_any_answered && length != Some(place) {
            return Err(Ruling::Unfit("lengths do not say where every append stands"));
        }
        ranked.push(Ranked { rank: 2 * place, span: events[index].span, index });
    }
    Ok(ranked)
}
