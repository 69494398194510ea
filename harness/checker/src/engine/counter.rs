//! A counter that grows by equal amounts.
//!
//! An addition of `a` that was answered with what the counter then held, `n·a` above its beginning,
//! is the n-th; a read of `n·a` stands after the n-th and before the next. So an order is made of
//! *slots*: the n-th addition takes effect at some time between
//!
//! - L(n), the latest call of whoever saw less than n, or was itself seen as the n-th or earlier;
//! - U(n), the earliest return of whoever saw n or more,
//!
//! and both never fall as n grows. If L(n) > U(n), who called then and who returned then contradict
//! one another. An addition without an answer can take the n-th slot if its span meets
//! [L(n), U(n)], so it can take slots from some first one to some last one. Such an assignment is
//! found slot by slot (Glover, *Maximum matching in a convex bipartite graph*, 1967): of the
//! additions called by U(n) take the one that returns first. If one returned before L(n) and has no
//! slot, or none can take a slot that is needed, there is none. Slots up to the greatest number that
//! was seen are needed; certain additions beyond it take slots that nobody saw. An unknown addition
//! returns at infinity, so it is taken last and may be left over: it never harms to take a certain
//! one that fits, for in any assignment the two can change places.
//!
//! The assignment is an order true to time. Additions in neighbouring slots could be in the wrong
//! order only if the later one returned before the earlier one was called; but then that one was
//! called by U(n) as well, and would have been taken first.
//!
//! Amounts that differ make the question NP-hard (which of them add up to what was read?), so they
//! are left to the search. A contradiction of many additions together (more were over than anybody
//! saw, or fewer begun) is told by who saw that number.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Ruling, Span};

#[cfg(test)]
pub(super) mod tests;

/// What was done to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Maybe with what the counter held afterwards.
    Add {
        amount: i128,
        after: Option<i128>,
    },
    Read(i128),
}

/// An action and when it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) action: Action,
    pub(super) span: Span,
    /// Whether it certainly happened; whatever has an answer did.
    pub(super) is_certain: bool,
}

/// An event as it counts.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// It takes some slot.
    Free,
    /// It takes this slot, from 1.
    Slot(usize),
    /// It saw so many.
    Seen(usize),
}

/// When a slot can be taken, and who says so.
#[derive(Clone, Copy, Debug)]
struct Slot {
    call: u64,
    called: Option<u32>,
    ret: u64,
    returned: Option<u32>,
    /// The one that was answered so.
    taken: Option<u32>,
}

/// Judges the actions on a counter that begins with `initial`.
pub(super) fn rule(initial: i128, events: &[Event]) -> Ruling {
    let counts = match counts(initial, events) {
        Ok(counts) => counts,
        Err(ruling) => return ruling,
    };
    let mut slots = match slots(events, &counts) {
        Ok(slots) => slots,
        Err(contradiction) => return Ruling::NoOrder(contradiction),
    };
    if let Err(ruling) = assign(events, &counts, &mut slots) {
        return ruling;
    }
    // Readers of a number by their calls, between the slots.
    let mut readers: Vec<(usize, u64, usize)> = Vec::new();
    for (index, count) in counts.iter().enumerate() {
        if let Count::Seen(seen) = count {
            readers.push((*seen, events[index].span.call, index));
        }
    }
    readers.sort_unstable();
    let mut readers = readers.into_iter().peekable();
    let mut order = Vec::with_capacity(events.len());
    for number in 0..=slots.len() {
        if let Some(taken) = number.checked_sub(1).and_then(|slot| slots[slot].taken) {
            order.push(taken as usize);
        }
        while let Some((_, _, index)) = readers.next_if(|(seen, _, _)| *seen == number) {
            order.push(index);
        }
    }
    Ruling::Order(order)
}

/// Numbers what was seen by the slots.
fn counts(initial: i128, events: &[Event]) -> Result<Vec<Count>, Ruling> {
    let mut amounts = events.iter().filter_map(|event| match event.action {
        Action::Add { amount, .. } => Some(amount),
        Action::Read(_) => None,
    });
    let amount = amounts.next().unwrap_or(1);
    if amount == 0 || amounts.any(|other| other != amount) {
        return Err(Ruling::Unfit("the amounts differ"));
    }
    let additions =
        events.iter().filter(|event| matches!(event.action, Action::Add { .. })).count();
    let number = |index: usize, seen: i128, least: i128| {
        let difference = seen.checked_sub(initial).ok_or(Ruling::Unfit(FAR))?;
        let number = difference / amount;
        if difference % amount != 0 {
            return Err(Ruling::NoOrder(vec![index]));
        }
        match usize::try_from(number) {
            Ok(number) if (least..=additions as i128).contains(&(number as i128)) => Ok(number),
            // Nobody can have added so much, or so little.
            _ => Err(Ruling::NoOrder(vec![index])),
        }
    };
    let count = |(index, event): (usize, &Event)| match event.action {
        Action::Add { after: Some(after), .. } => number(index, after, 1).map(Count::Slot),
        Action::Add { after: None, .. } => Ok(Count::Free),
        Action::Read(seen) => number(index, seen, 0).map(Count::Seen),
    };
    events.iter().enumerate().map(count).collect()
}

const FAR: &str = "numbers are too far apart";

/// Finds when each slot can be taken, or who contradicts whom about it.
fn slots(events: &[Event], counts: &[Count]) -> Result<Vec<Slot>, Vec<usize>> {
    let seen = counts.iter().map(|count| match count {
        Count::Free => 0,
        Count::Slot(number) | Count::Seen(number) => *number,
    });
    let needed = seen.max().unwrap_or(0);
    let open = Slot { call: 0, called: None, ret: Span::NEVER, returned: None, taken: None };
    let mut slots = vec![open; needed + 1];
    for (index, (event, count)) in events.iter().zip(counts).enumerate() {
        let (from, to) = match count {
            Count::Free => continue,
            // Slot n is the n-th entry here; the one after those that were seen comes last.
            Count::Slot(number) => {
                let slot = &mut slots[number - 1];
                if let Some(other) = slot.taken.replace(index as u32) {
                    return Err(vec![other as usize, index]);
                }
                (number - 1, Some(number - 1))
            }
            Count::Seen(number) => (*number, number.checked_sub(1)),
        };
        if slots[from].called.is_none() || slots[from].call < event.span.call {
            (slots[from].call, slots[from].called) = (event.span.call, Some(index as u32));
        }
        if let Some(to) = to
            && (slots[to].returned.is_none() || event.span.ret < slots[to].ret)
        {
            (slots[to].ret, slots[to].returned) = (event.span.ret, Some(index as u32));
        }
    }
    for slot in 1..slots.len() {
        if slots[slot].call < slots[slot - 1].call || slots[slot].called.is_none() {
            (slots[slot].call, slots[slot].called) = (slots[slot - 1].call, slots[slot - 1].called);
        }
    }
    for slot in (1..slots.len()).rev() {
        if slots[slot].ret < slots[slot - 1].ret || slots[slot - 1].returned.is_none() {
            (slots[slot - 1].ret, slots[slot - 1].returned) =
                (slots[slot].ret, slots[slot].returned);
        }
    }
    match slots.iter().find(|slot| slot.ret < slot.call) {
        Some(slot) => Err([slot.called, slot.returned]
            .into_iter()
            .flatten()
            .map(|event| event as usize)
            .collect()),
        None => Ok(slots),
    }
}

/// Gives the additions without an answer their slots; the last slot stands for all that follow.
fn assign(events: &[Event], counts: &[Count], slots: &mut Vec<Slot>) -> Result<(), Ruling> {
    let mut free: Vec<usize> =
        (0..events.len()).filter(|index| matches!(counts[*index], Count::Free)).collect();
    free.sort_unstable_by_key(|index| events[*index].span.call);
    let mut free = free.into_iter().peekable();
    let mut called = BinaryHeap::new();
    let rest = slots.pop().expect("there is a slot after those that were seen");
    for slot in slots.iter_mut() {
        while let Some(index) = free.next_if(|index| events[*index].span.call <= slot.ret) {
            called.push(Reverse((events[index].span.ret, index)));
        }
        match called.peek() {
            // It returned before anybody could still be in this slot or a later one.
            Some(Reverse((ret, index))) if *ret < slot.call => return Err(crowded(slot, *index)),
            _ if slot.taken.is_some() => {}
            None => {
                let returned = slot.returned.map(|index| index as usize);
                return Err(Ruling::NoOrder(returned.into_iter().collect()));
            }
            Some(Reverse((_, index))) => {
                slot.taken = Some(*index as u32);
                called.pop();
            }
        }
    }
    called.extend(free.map(|index| Reverse((events[index].span.ret, index))));
    let mut rest_of: Vec<usize> = Vec::new();
    while let Some(Reverse((ret, index))) = called.pop() {
        if ret < rest.call {
            return Err(crowded(&rest, index));
        }
        if events[index].is_certain {
            rest_of.push(index);
        }
    }
    rest_of.sort_unstable_by_key(|index| events[*index].span.call);
    slots.extend(rest_of.into_iter().map(|index| Slot { taken: Some(index as u32), ..rest }));
    Ok(())
}

/// An addition was over, and somebody who was called later saw too few.
fn crowded(slot: &Slot, index: usize) -> Ruling {
    let called = slot.called.map(|index| index as usize);
    Ruling::NoOrder(called.into_iter().chain([index]).collect())
}
