//! Audits sets and lists to which every element is added once: what became of each of them.
//!
//! An element is *known* from the instant on at which its addition was acknowledged, or a read that
//! saw it was answered, whichever came first. It is in the collection for good from then on. For each
//! element there are the last read that saw it and the last read that did not; reads count from their
//! invocation, because what they see is not older.
//!
//! The rules, by the names that witnesses carry:
//!
//! - **lost**: no read that began after an element was known lacks it, unless a later one has it again.
//! - **stale**: not even then; how long it was away is told.
//! - **duplicated**: no read has an element twice.
//! - **phantom**: no read has an element that nobody had asked for by then, or that was certainly not
//!   added.
//! - **reordered**: of two reads of a list, one is the beginning of the other, and an element stands
//!   where its acknowledgement said.
//!
//! An element that was acknowledged and that no read could have shown is *never read*: then the
//! history does not say enough to pass.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use checker::history::{Operation, Operations, Outcome, Value};
use serde_json::json;

use super::{Audit, Breach, Fault, answered, each_object, milliseconds};

/// What is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `add` and `read`, in any order.
    Set,
    /// `append` and `read`, in the order of the appends.
    List,
}

impl Kind {
    fn addition(self) -> &'static str {
        match self {
            Self::Set => "add",
            Self::List => "append",
        }
    }
}

/// How many missing elements are told one by one.
const TOLD_MAX: usize = 20;

/// What became of all elements.
#[derive(Debug, Default)]
struct Tally {
    attempted: u64,
    acknowledged: u64,
    /// Seen by a read, whether or not they were acknowledged.
    seen: u64,
    never_read: u64,
    lost: u64,
    stale: u64,
    /// The longest time that a known element was away, in nanoseconds.
    stale_max: u64,
    missing: Vec<serde_json::Value>,
}

struct Read<'a> {
    operation: &'a Operation,
    list: Vec<i64>,
    elements: HashSet<i64>,
    /// When it was answered.
    over: u64,
}

/// Audits every set or list of a history.
pub fn check(kind: Kind, operations: &Operations) -> Audit {
    let mut tally = Tally::default();
    let finding = each_object(operations, |key, operations| {
        let never_read = tally.never_read;
        check_object(kind, key, operations, &mut tally)?;
        let never_read = tally.never_read - never_read;
        Ok((never_read > 0)
            .then(|| format!("{never_read} acknowledged elements of {key} were never read")))
    });
    let Tally { attempted, acknowledged, seen, never_read, lost, stale, .. } = tally;
    Audit {
        name: "elements",
        finding,
        summary: format!(
            "{acknowledged} elements were acknowledged and {seen} seen, none was away"
        ),
        measures: json!({
            "attempted": attempted,
            "acknowledged": acknowledged,
            "seen": seen,
            "never_read": never_read,
            "lost": lost,
            "stale": stale,
            "stale_max_ns": tally.stale_max,
            "missing": tally.missing,
        }),
    }
}

fn check_object(
    kind: Kind,
    key: &str,
    operations: &[&Operation],
    tally: &mut Tally,
) -> Result<(), Fault> {
    let mut additions: BTreeMap<i64, &Operation> = BTreeMap::new();
    let mut reads = Vec::new();
    for &operation in operations {
        if operation.f == kind.addition() {
            let shape = || Fault::shape(operation);
            additions.insert(operation.input.as_i64().ok_or_else(shape)?, operation);
        } else if operation.f == "read"
            && let Some(over) = answered(operation)
        {
            reads.push(read(key, operation, over)?);
        }
    }
    for read in &reads {
        check_origins(key, read, &additions)?;
    }
    let missing = find_missing(key, &additions, &reads, tally);
    if kind == Kind::List {
        check_order(key, &additions, &mut reads)?;
    }
    // What is missing for good says more than what came back.
    let worst = missing.into_iter().min_by_key(|(rule, _)| *rule != "lost");
    worst.map_or(Ok(()), |(_, breach)| Err(breach.into()))
}

fn read<'a>(key: &str, operation: &'a Operation, over: u64) -> Result<Read<'a>, Fault> {
    let answer = match &operation.outcome {
        Outcome::Ok(answer) => answer.as_array(),
        _ => None,
    };
    let list = answer.and_then(|list| list.iter().map(Value::as_i64).collect::<Option<Vec<_>>>());
    let list = list.ok_or_else(|| Fault::shape(operation))?;
    let mut elements = HashSet::with_capacity(list.len());
    for &element in &list {
        if !elements.insert(element) {
            let explanation = format!("a read has the element {element} twice");
            return Err(Breach::new("duplicated", key, explanation, &[operation]).into());
        }
    }
    Ok(Read { operation, list, elements, over })
}

/// Checks that what was read had been asked for.
fn check_origins(
    key: &str,
    read: &Read<'_>,
    additions: &BTreeMap<i64, &Operation>,
) -> Result<(), Fault> {
    for element in &read.list {
        let (why, proof) = match additions.get(element) {
            None => ("nobody ever added", vec![read.operation]),
            Some(addition) if addition.invoked.instant > read.over => {
                ("nobody had added by then", vec![read.operation, *addition])
            }
            Some(addition) if matches!(addition.outcome, Outcome::Fail(_)) => {
                ("was certainly not added", vec![*addition, read.operation])
            }
            Some(_) => continue,
        };
        let explanation = format!("a read has the element {element}, which {why}");
        return Err(Breach::new("phantom", key, explanation, &proof).into());
    }
    Ok(())
}

/// Finds elements that were known and then not there, and counts what became of all.
fn find_missing(
    key: &str,
    additions: &BTreeMap<i64, &Operation>,
    reads: &[Read<'_>],
    tally: &mut Tally,
) -> Vec<(&'static str, Box<Breach>)> {
    let mut breaches = Vec::new();
    for (&element, &addition) in additions {
        let acknowledged = answered(addition);
        tally.attempted += 1;
        tally.acknowledged += u64::from(acknowledged.is_some());
        let (with, without): (Vec<&Read<'_>>, Vec<&Read<'_>>) =
            reads.iter().partition(|read| read.elements.contains(&element));
        tally.seen += u64::from(!with.is_empty());
        let first = with.iter().min_by_key(|read| read.over);
        let by_read = first.map(|read| (read.over, read.operation));
        let by_answer = acknowledged.map(|over| (over, addition));
        let Some((known, witness)) =
            by_answer.into_iter().chain(by_read).min_by_key(|(known, _)| *known)
        else {
            continue;
        };
        let begun = |read: &&&Read<'_>| read.operation.invoked.instant;
        let present = with.iter().max_by_key(begun);
        let Some(absent) = without.iter().max_by_key(begun).filter(|read| begun(read) > known)
        else {
            tally.never_read += u64::from(with.is_empty());
            continue;
        };
        let is_lost = present.is_none_or(|present| begun(&present) < begun(&absent));
        let away = absent.operation.invoked.instant - known;
        let (rule, explanation) = if is_lost {
            tally.lost += 1;
            let explanation = format!("the element {element} was there, and a later read lacks it");
            ("lost", explanation)
        } else {
            tally.stale += 1;
            tally.stale_max = tally.stale_max.max(away);
            let away = milliseconds(away);
            let explanation = format!(
                "the element {element} was there, {away} later a read lacks it, and then it is there again"
            );
            ("stale", explanation)
        };
        if tally.missing.len() < TOLD_MAX {
            tally.missing.push(json!({
                "key": key,
                "element": element,
                "rule": rule,
                "known_ns": known,
                "absent_ns": absent.operation.invoked.instant,
                "present_ns": present.map(|read| read.operation.invoked.instant),
            }));
        }
        let breach = Breach::new(rule, key, explanation, &[witness, absent.operation]);
        breaches.push((rule, breach));
    }
    breaches
}

/// Checks that all reads of a list are beginnings of one and the same, and that elements are where
/// they are said to be.
fn check_order(
    key: &str,
    additions: &BTreeMap<i64, &Operation>,
    reads: &mut [Read<'_>],
) -> Result<(), Fault> {
    reads.sort_by_key(|read| read.list.len());
    for pair in reads.windows(2) {
        if !pair[1].list.starts_with(&pair[0].list) {
            let explanation = "two reads have elements in different orders".to_owned();
            let proof = [pair[0].operation, pair[1].operation];
            return Err(Breach::new("reordered", key, explanation, &proof).into());
        }
    }
    let Some(longest) = reads.last() else { return Ok(()) };
    let mut places = BTreeSet::new();
    for (element, addition) in additions {
        let Outcome::Ok(answer) = &addition.outcome else { continue };
        let Some(length) = answer.get("length").and_then(Value::as_u64) else { continue };
        let place = usize::try_from(length).ok().and_then(|length| length.checked_sub(1));
        let found = place.and_then(|place| longest.list.get(place));
        let is_elsewhere = found.is_some_and(|found| found != element);
        if is_elsewhere || !places.insert(length) {
            let explanation = format!("the element {element} is not the one at place {length}");
            let proof = [*addition, longest.operation];
            return Err(Breach::new("reordered", key, explanation, &proof).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
