//! A set to which every element is added once, that is read whole, and never loses anything.
//!
//! What such a set held at any time is a subset of all that it held later. So reads that explain
//! one another form a chain, and an addition stands between the last read without its element and
//! the first one with it: the reads leave no choice but among neighbours. Additions that nobody saw
//! come after all reads, and unknown ones among them need not have happened. The whole takes as long
//! as to look at each element of each read, and to sort.

use super::forced::{self, Ranked};
use super::{Ruling, Span};

#[cfg(test)]
pub(super) mod tests;

/// An element's number.
pub(super) type Element = u32;

/// What was done to a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Add(Element),
    /// The elements, each once.
    Read(Vec<Element>),
}

/// An action and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) span: Span,
    /// Whether it certainly happened; a read always did.
    pub(super) is_certain: bool,
}

/// Judges the actions on a set that is empty at first, of elements below `elements`.
pub(super) fn rule(elements: usize, events: &[Event]) -> Ruling {
    let mut added: Vec<Option<usize>> = vec![None; elements];
    let mut reads: Vec<(&[Element], usize)> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        match &event.action {
            Action::Add(element) => {
                if added[*element as usize].replace(index).is_some() {
                    return Ruling::Unfit("an element may have been added twice");
                }
            }
            Action::Read(elements) => reads.push((elements, index)),
        }
    }
    reads.sort_by_key(|(elements, _)| elements.len());
    // The first read that saw each element, by its place in the chain.
    let mut seen: Vec<Option<usize>> = vec![None; elements];
    // A read's rank is odd, that of the additions that it is the first to see one less.
    let mut ranked = Vec::with_capacity(events.len());
    let mut before: (usize, usize) = (0, 0);
    for (place, (elements, index)) in reads.iter().enumerate() {
        let mut known = 0;
        for element in *elements {
            if added[*element as usize].is_none() {
                return Ruling::NoOrder(vec![*index]);
            }
            match &mut seen[*element as usize] {
                Some(_) => known += 1,
                first => *first = Some(place),
            }
        }
        // All that was seen before was in the read before this one.
        if known < before.0 {
            return Ruling::NoOrder(vec![before.1, *index]);
        }
        before = (elements.len(), *index);
        let is_same = place > 0 && reads[place - 1].0.len() == elements.len();
        let rank = match ranked.last() {
            Some(Ranked { rank, .. }) if is_same => *rank,
            _ => 2 * place + 1,
        };
        ranked.push(Ranked { rank, span: events[*index].span, index: *index });
    }
    for (element, added) in added.iter().enumerate() {
        let Some(index) = *added else { continue };
        let rank = match seen[element] {
            Some(place) => 2 * place,
            None if !events[index].is_certain => continue,
            None => 2 * reads.len(),
        };
        ranked.push(Ranked { rank, span: events[index].span, index });
    }
    match forced::order(ranked) {
        Ok(order) => Ruling::Order(order),
        Err((first, second)) => {
            // Between two additions it is a read that saw the one and not the other that orders them.
            let between = reads.get(first.rank / 2).map(|(_, index)| *index);
            let mut named: Vec<usize> =
                [Some(first.index), Some(second.index), between].into_iter().flatten().collect();
            named.sort_unstable();
            named.dedup();
            Ruling::NoOrder(named)
        }
    }
}
