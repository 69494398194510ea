//! Queues, sets and lists as their engines see them.

use crate::engine::span::spans;
use crate::engine::{Ruling, list as lists, queue as queues, set as sets};
use crate::model::append_list::{AppendList, ListAnswer, ListOp};
use crate::model::fifo_queue::{FifoQueue, QueueAnswer, QueueOp};
use crate::model::set::{Set, SetAnswer, SetOp};
use crate::search::Entry;

use super::{Numbers, UNREAD, Views};

const NOT_EMPTY: &str = "it is not empty at first";

pub(super) fn queue(initial: &FifoQueue, entries: &[Entry<FifoQueue>], _: &mut Views) -> Ruling {
    use queues::Action;
    if *initial != FifoQueue::default() {
        return Ruling::Unfit(NOT_EMPTY);
    }
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut numbers = Numbers::with_capacity(entries.len() / 2);
    let mut events = Vec::with_capacity(entries.len());
    for (entry, span) in entries.iter().zip(spans) {
        let action = match (&entry.step.op, &entry.step.seen) {
            (QueueOp::Enqueue(element), _) => Action::Enqueue(numbers.of(element)),
            (QueueOp::Dequeue, Some(QueueAnswer::Dequeued(element))) => {
                Action::Dequeue(numbers.of(element))
            }
            (QueueOp::Dequeue, Some(QueueAnswer::Empty)) => Action::Empty,
            (QueueOp::Dequeue, _) => Action::Lost,
        };
        events.push(queues::Event { action, span, is_certain: entry.step.is_certain });
    }
    queues::rule(&events)
}

pub(super) fn set(initial: &Set, entries: &[Entry<Set>], _: &mut Views) -> Ruling {
    use sets::Action;
    if *initial != Set::default() {
        return Ruling::Unfit(NOT_EMPTY);
    }
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut numbers = Numbers::with_capacity(entries.len() / 2);
    let mut events = Vec::with_capacity(entries.len());
    let mut absurd = None;
    for (index, (entry, span)) in entries.iter().zip(spans).enumerate() {
        let action = match (&entry.step.op, &entry.step.seen) {
            (SetOp::Add(_), Some(SetAnswer::Added(false))) => {
                return Ruling::Unfit("an addition found its element there");
            }
            (SetOp::Add(element), _) => Action::Add(numbers.of(element)),
            (SetOp::Read, Some(SetAnswer::Elements(elements))) => {
                Action::Read(elements.iter().map(|element| numbers.of(element)).collect())
            }
            (SetOp::Read, Some(SetAnswer::Twice(_))) => {
                absurd = absurd.or(Some(index));
                continue;
            }
            (SetOp::Read, _) => return Ruling::Unfit(UNREAD),
            (SetOp::Remove(_), _) => return Ruling::Unfit("something was removed"),
            (SetOp::Contains(_), _) => return Ruling::Unfit("single elements were looked for"),
        };
        events.push(sets::Event { action, span, is_certain: entry.step.is_certain });
    }
    match absurd {
        // No set holds an element twice.
        Some(absurd) => Ruling::NoOrder(vec![absurd]),
        None => sets::rule(numbers.count(), &events),
    }
}

pub(super) fn list(initial: &AppendList, entries: &[Entry<AppendList>], _: &mut Views) -> Ruling {
    use lists::Action;
    if *initial != AppendList::default() {
        return Ruling::Unfit(NOT_EMPTY);
    }
    let spans = match spans(entries) {
        Ok(spans) => spans,
        Err(unfit) => return unfit,
    };
    let mut numbers = Numbers::with_capacity(entries.len() / 2);
    let mut events = Vec::with_capacity(entries.len());
    for (entry, span) in entries.iter().zip(spans) {
        let action = match (&entry.step.op, &entry.step.seen) {
            (ListOp::Append(element), seen) => {
                let length = match seen {
                    Some(ListAnswer::Length(length)) => Some(*length),
                    _ => None,
                };
                Action::Append { element: numbers.of(element), length }
            }
            (ListOp::Read, Some(ListAnswer::Elements(elements))) => match elements.as_seen() {
                Some(list) => {
                    Action::Read(list.iter().map(|element| numbers.of(element)).collect())
                }
                None => return Ruling::Unfit(UNREAD),
            },
            (ListOp::Read, _) => return Ruling::Unfit(UNREAD),
        };
        events.push(lists::Event { action, span, is_certain: entry.step.is_certain });
    }
    lists::rule(numbers.count(), &events)
}
