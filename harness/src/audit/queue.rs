//! Audits queues into which every element is put once.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **phantom**: nothing is dequeued that nobody had enqueued by then, or that certainly was not.
//! - **duplicated**: nothing is dequeued twice.
//! - **lost**: when the queue was found empty, what had been enqueued before was, or is, dequeued by
//!   somebody; a dequeue with an unknown outcome accounts for one element.
//! - **hidden**: what was enqueued before a queue was found empty is not dequeued after it.
//! - **reordered**: of two elements enqueued one after the other, the later is not dequeued before
//!   the earlier.
//!
//! If acknowledged elements are left and the queue was not found empty after them, or not all of
//! them are accounted for, the history does not say enough to pass.

use std::collections::BTreeMap;

use checker::history::{Operation, Operations, Outcome};
use serde_json::json;

use super::{Audit, Breach, Fault, answered, each_object, precedes};

#[derive(Debug, Default)]
struct Tally {
    enqueued: u64,
    dequeued: u64,
    empty: u64,
    unknown_dequeues: u64,
}

/// An element and who moved it.
struct Element<'a> {
    value: i64,
    enqueue: &'a Operation,
    dequeue: Option<&'a Operation>,
}

/// Audits every queue of a history.
pub fn check(operations: &Operations) -> Audit {
    let mut tally = Tally::default();
    let finding =
        each_object(operations, |key, operations| check_object(key, operations, &mut tally));
    let Tally { enqueued, dequeued, empty, unknown_dequeues } = tally;
    Audit {
        name: "queue",
        finding,
        summary: format!("{enqueued} elements were acknowledged, {dequeued} came out in order"),
        measures: json!({"enqueued": enqueued, "dequeued": dequeued, "empty": empty,
            "unknown_dequeues": unknown_dequeues}),
    }
}

fn check_object(
    key: &str,
    operations: &[&Operation],
    tally: &mut Tally,
) -> Result<Option<String>, Fault> {
    let mut enqueues: BTreeMap<i64, &Operation> = BTreeMap::new();
    let mut dequeues: BTreeMap<i64, &Operation> = BTreeMap::new();
    let mut empties = Vec::new();
    let mut unknown = Vec::new();
    for &operation in operations {
        match (operation.f.as_str(), &operation.outcome) {
            ("enqueue", _) => {
                let value = operation.input.as_i64().ok_or_else(|| Fault::shape(operation))?;
                tally.enqueued += u64::from(answered(operation).is_some());
                enqueues.insert(value, operation);
            }
            ("dequeue", Outcome::Ok(answer)) if answer.is_null() => empties.push(operation),
            ("dequeue", Outcome::Ok(answer)) => {
                let value = answer.as_i64().ok_or_else(|| Fault::shape(operation))?;
                tally.dequeued += 1;
                if let Some(other) = dequeues.insert(value, operation) {
                    let explanation = format!("the element {value} was dequeued twice");
                    let proof = [other, operation];
                    return Err(Breach::new("duplicated", key, explanation, &proof).into());
                }
            }
            ("dequeue", Outcome::Info) => unknown.push(operation),
            _ => {}
        }
    }
    tally.empty += empties.len() as u64;
    tally.unknown_dequeues += unknown.len() as u64;
    check_origins(key, &enqueues, &dequeues)?;
    let mut elements: Vec<Element<'_>> = Vec::with_capacity(enqueues.len());
    for (&value, &enqueue) in &enqueues {
        elements.push(Element { value, enqueue, dequeue: dequeues.get(&value).copied() });
    }
    check_hidden(key, &elements, &empties)?;
    check_order(key, &mut elements)?;
    check_drained(key, &elements, &empties, &unknown)
}

fn check_origins(
    key: &str,
    enqueues: &BTreeMap<i64, &Operation>,
    dequeues: &BTreeMap<i64, &Operation>,
) -> Result<(), Fault> {
    for (value, &dequeue) in dequeues {
        let (why, proof) = match enqueues.get(value) {
            None => ("nobody ever enqueued", vec![dequeue]),
            Some(enqueue) if precedes(dequeue, enqueue) => {
                ("nobody had enqueued by then", vec![dequeue, *enqueue])
            }
            Some(enqueue) if matches!(enqueue.outcome, Outcome::Fail(_)) => {
                ("was certainly not enqueued", vec![*enqueue, dequeue])
            }
            Some(_) => continue,
        };
        let explanation = format!("the element {value} was dequeued, which {why}");
        return Err(Breach::new("phantom", key, explanation, &proof).into());
    }
    Ok(())
}

/// Checks that no queue was found empty between an element's coming and its going.
fn check_hidden(key: &str, elements: &[Element<'_>], empties: &[&Operation]) -> Result<(), Fault> {
    let mut empties = empties.to_vec();
    empties.sort_by_key(|empty| empty.invoked.instant);
    for element in elements {
        let (Some(over), Some(dequeue)) = (answered(element.enqueue), element.dequeue) else {
            continue;
        };
        // Any that began after the element was in and was over before it was taken.
        let first = empties.partition_point(|empty| empty.invoked.instant <= over);
        let begun_before = empties[first..]
            .iter()
            .take_while(|empty| empty.invoked.instant < dequeue.invoked.instant);
        if let Some(empty) = begun_before.into_iter().find(|empty| precedes(empty, dequeue)) {
            let value = element.value;
            let explanation = format!("the queue was found empty while {value} was in it");
            let proof = [element.enqueue, *empty, dequeue];
            return Err(Breach::new("hidden", key, explanation, &proof).into());
        }
    }
    Ok(())
}

/// Checks each dequeued element against all that were enqueued before it and dequeued after it.
fn check_order(key: &str, elements: &mut [Element<'_>]) -> Result<(), Fault> {
    elements.sort_by_key(|element| element.enqueue.invoked.instant);
    let mut by_end: Vec<&Element<'_>> = elements
        .iter()
        .filter(|it| it.dequeue.is_some() && answered(it.enqueue).is_some())
        .collect();
    by_end.sort_by_key(|element| answered(element.enqueue));
    let taken = |element: &Element<'_>| element.dequeue.map(|dequeue| dequeue.invoked.instant);
    let mut before = by_end.into_iter().peekable();
    // Of those that were in before the present one came, the one that was taken last.
    let mut last: Option<&Element<'_>> = None;
    for later in elements.iter() {
        while let Some(earlier) = before.next_if(|earlier| precedes(earlier.enqueue, later.enqueue))
        {
            if last.is_none_or(|last| taken(last) < taken(earlier)) {
                last = Some(earlier);
            }
        }
        if let (Some(earlier), Some(taken_later)) = (last, later.dequeue)
            && let Some(taken_earlier) = earlier.dequeue
            && precedes(taken_later, taken_earlier)
        {
            let explanation = format!(
                "the element {} came after {} and was dequeued before it",
                later.value, earlier.value
            );
            let proof = [earlier.enqueue, later.enqueue, taken_later, taken_earlier];
            return Err(Breach::new("reordered", key, explanation, &proof).into());
        }
    }
    Ok(())
}

/// Checks that what went in came out, as far as the queue was drained.
fn check_drained(
    key: &str,
    elements: &[Element<'_>],
    empties: &[&Operation],
    unknown: &[&Operation],
) -> Result<Option<String>, Fault> {
    let left: Vec<&Element<'_>> = elements
        .iter()
        .filter(|element| element.dequeue.is_none() && answered(element.enqueue).is_some())
        .collect();
    let last_empty = empties.iter().max_by_key(|empty| empty.invoked.instant);
    let gone: Vec<&&Element<'_>> = left
        .iter()
        .filter(|element| last_empty.is_some_and(|empty| precedes(element.enqueue, empty)))
        .collect();
    if let (Some(element), Some(empty)) = (gone.first(), last_empty)
        && gone.len() > unknown.len()
    {
        let explanation = format!(
            "the queue was found empty, {} elements that had come never left, {} among them, and \
             only {} dequeues have an unknown outcome",
            gone.len(),
            element.value,
            unknown.len()
        );
        return Err(Breach::new("lost", key, explanation, &[element.enqueue, empty]).into());
    }
    let inside = left.len() - gone.len();
    Ok((inside > 0).then(|| format!("{inside} acknowledged elements of {key} were never dequeued")))
}

#[cfg(test)]
mod tests;
