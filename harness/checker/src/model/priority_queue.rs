//! A priority queue.
//!
//! `insert 5`, which is its own priority, or `insert {"priority": 1, "value": "a"}` or
//! `insert [1, "a"]` (ok: nil, true or an echo) · `pop-min` and `pop-max` (ok: an element in the same
//! shape, or its value alone; nil if the queue was empty). `push` is `insert`, `pop` and
//! `delete-min` are `pop-min`. Of elements with equal priority any may come first.

mod level;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use crate::history::Value;
use rpds::RedBlackTreeMapSync;
use stateright::semantics::SequentialSpec;

use super::digest::digest_of;
use super::{Model, Reader, Reading, Scalar, Unreadable, done, end_of};
use crate::check::NilRead;
use crate::history::OperationRef;

use level::Level;

/// The queue: its elements by priority.
#[derive(Clone, Debug, Default)]
pub(crate) struct PriorityQueue {
    levels: RedBlackTreeMapSync<Scalar, Level>,
    /// The sum of the levels' digests.
    digest: u128,
}

/// Which end of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Extreme {
    Min,
    Max,
}

/// What can be asked of a priority queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PriorityOp {
    Insert { priority: Scalar, value: Scalar },
    Pop(Extreme),
}

/// What a priority queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PriorityAnswer {
    Inserted,
    /// An element; the priority is none in an observation that does not say.
    Popped {
        priority: Option<Scalar>,
        value: Scalar,
    },
    Empty,
}

impl PartialEq for PriorityQueue {
    fn eq(&self, other: &Self) -> bool {
        (self.levels.size(), self.digest) == (other.levels.size(), other.digest)
    }
}

impl Eq for PriorityQueue {}

impl Hash for PriorityQueue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PriorityQueue {
    /// Adds an element.
    pub(crate) fn insert(&mut self, priority: &Scalar, value: &Scalar) {
        let mut level = self.levels.get(priority).cloned().unwrap_or_default();
        level.insert(value);
        self.replace(priority, level);
    }

    /// The priority that is popped next, and its elements.
    fn extreme(&self, extreme: Extreme) -> Option<(&Scalar, &Level)> {
        match extreme {
            Extreme::Min => self.levels.first(),
            Extreme::Max => self.levels.last(),
        }
    }

    fn replace(&mut self, priority: &Scalar, level: Level) {
        let digest = |level: &Level| digest_of(&(priority, level));
        if let Some(before) = self.levels.get(priority) {
            self.digest = self.digest.wrapping_sub(digest(before));
        }
        if level.is_empty() {
            self.levels.remove_mut(priority);
        } else {
            self.digest = self.digest.wrapping_add(digest(&level));
            self.levels.insert_mut(priority.clone(), level);
        }
    }

    /// The queue after this element was popped, if it could be.
    fn without(&self, from: Extreme, priority: Option<&Scalar>, value: &Scalar) -> Option<Self> {
        let (lowest, level) = self.extreme(from)?;
        if priority.is_some_and(|priority| priority != lowest) {
            return None;
        }
        let mut level = level.clone();
        level.take(value)?;
        let mut next = self.clone();
        next.replace(lowest, level);
        Some(next)
    }

    /// The queue after something was popped of which nobody knows what it was.
    fn without_any(&self, from: Extreme) -> Self {
        let mut next = self.clone();
        if let Some((priority, level)) = self.extreme(from) {
            let mut level = level.clone();
            level.take_any();
            next.replace(priority, level);
        }
        next
    }
}

impl SequentialSpec for PriorityQueue {
    type Op = PriorityOp;
    type Ret = PriorityAnswer;

    /// Of elements with equal priority the one with the least value is popped.
    fn invoke(&mut self, op: &PriorityOp) -> PriorityAnswer {
        match op {
            PriorityOp::Insert { priority, value } => {
                self.insert(priority, value);
                PriorityAnswer::Inserted
            }
            PriorityOp::Pop(extreme) => {
                let Some((priority, level)) = self.extreme(*extreme) else {
                    return PriorityAnswer::Empty;
                };
                let (priority, value) = (priority.clone(), level.least().clone());
                *self = self
                    .without(*extreme, Some(&priority), &value)
                    .expect("what is in the queue can be popped");
                PriorityAnswer::Popped { priority: Some(priority), value }
            }
        }
    }
}

/// What a step adds to what its state shares with the one before, in bytes.
const PATH_BYTES: usize = 2048;

/// How many elements a description names.
const ELEMENTS_SHOWN: usize = 16;

impl Model for PriorityQueue {
    fn is_pure(op: &PriorityOp, seen: Option<&PriorityAnswer>) -> bool {
        matches!(op, PriorityOp::Pop(_)) && seen == Some(&PriorityAnswer::Empty)
    }

    /// Which of several elements with equal priority comes first is the system's choice, and so
    /// known only from what was seen.
    fn step(&self, op: &PriorityOp, seen: Option<&PriorityAnswer>) -> Option<Self> {
        match (op, seen) {
            (PriorityOp::Insert { priority, value }, None | Some(PriorityAnswer::Inserted)) => {
                let mut next = self.clone();
                next.insert(priority, value);
                Some(next)
            }
            (PriorityOp::Pop(from), Some(PriorityAnswer::Popped { priority, value })) => {
                self.without(*from, priority.as_ref(), value)
            }
            (PriorityOp::Pop(_), Some(PriorityAnswer::Empty)) => {
                self.levels.is_empty().then(|| self.clone())
            }
            (PriorityOp::Pop(from), None) => Some(self.without_any(*from)),
            _ => None,
        }
    }

    /// Any of the first level may come; of those that may be gone already each may be left as well.
    fn would_answer(&self, op: &PriorityOp) -> String {
        let PriorityOp::Pop(extreme) = op else { return "ok".to_owned() };
        let Some((priority, level)) = self.extreme(*extreme) else { return "nil".to_owned() };
        let values: BTreeSet<&Scalar> = level.iter().collect();
        let shown: Vec<String> =
            values.iter().take(ELEMENTS_SHOWN).map(|value| element_of(value, priority)).collect();
        let more = if values.len() > ELEMENTS_SHOWN { ", …" } else { "" };
        match &shown[..] {
            [only] => only.clone(),
            several => format!("one of {}{more}", several.join(", ")),
        }
    }

    fn describe(&self) -> String {
        let elements = self.levels.iter().flat_map(|(priority, level)| {
            level.iter().map(move |value| element_of(value, priority))
        });
        let shown: Vec<String> = elements.take(ELEMENTS_SHOWN + 1).collect();
        let missing: usize = self.levels.values().map(Level::missing).sum();
        let missing = match missing {
            0 => String::new(),
            missing => format!(", less {missing} of them that were popped unseen"),
        };
        match shown.len() {
            0 => "the priority queue is empty".to_owned(),
            len if len > ELEMENTS_SHOWN => {
                format!("the priority queue holds {}, …{missing}", shown[..len - 1].join(", "))
            }
            _ => format!("the priority queue holds {}{missing}", shown.join(", ")),
        }
    }

    fn weight(&self) -> usize {
        if self.levels.is_empty() { 0 } else { PATH_BYTES }
    }
}

/// Names an element; one that is its own priority by its value alone.
fn element_of(value: &Scalar, priority: &Scalar) -> String {
    match value == priority {
        true => value.to_string(),
        false => format!("{value} of priority {priority}"),
    }
}

const ELEMENT: &str =
    "a plain value other than nil, {\"priority\": …, \"value\": …} or a pair of them";

/// Reads an operation on a priority queue.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<PriorityQueue>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "insert" | "push" => {
            let (priority, value) =
                element(operation.input).ok_or_else(|| Unreadable::input(operation, ELEMENT))?;
            let op =
                PriorityOp::Insert { priority: priority.unwrap_or_else(|| value.clone()), value };
            let end = end_of(operation, |value| done(operation, value, PriorityAnswer::Inserted))?;
            (op, end)
        }
        f @ ("pop" | "pop-min" | "delete-min" | "pop-max" | "delete-max") => {
            let extreme = if f.ends_with("max") { Extreme::Max } else { Extreme::Min };
            let answer = |answer: &Value| match (element(answer), answer, reader.nil_read) {
                (Some((priority, value)), ..) => {
                    Ok(Some(PriorityAnswer::Popped { priority, value }))
                }
                (None, Value::Null, NilRead::Absent) => Ok(Some(PriorityAnswer::Empty)),
                (None, Value::Null, NilRead::Unknown) => Ok(None),
                _ => Err(Unreadable::output(operation, answer, ELEMENT)),
            };
            (PriorityOp::Pop(extreme), end_of(operation, answer)?)
        }
        _ => return Err(Unreadable::function(operation, "insert, pop-min and pop-max")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}

/// Reads an element: its priority, if it has one of its own, and its value.
fn element(value: &Value) -> Option<(Option<Scalar>, Scalar)> {
    let scalar = |value| Scalar::read(value).filter(|scalar| *scalar != Scalar::Nil);
    match value {
        Value::Array(pair) => {
            let [priority, value] = &pair[..] else { return None };
            Some((Some(scalar(priority)?), scalar(value)?))
        }
        Value::Object(map) => {
            Some((Some(scalar(map.get("priority")?)?), scalar(map.get("value")?)?))
        }
        value => Some((None, scalar(value)?)),
    }
}
