//! A set: elements come and go, and a read returns all of them.
//!
//! `add 5` (ok: `{"added": bool}`; nil, true or an echo says only that it was done) · `remove 5`
//! (ok: `{"removed": bool}`, or as above) · `contains 5` (ok: true or false) · `read` (ok: the list
//! of all elements, in any order). A read that returns an element twice is legal in no state.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::history::Value;
use rpds::RedBlackTreeSetSync;
use stateright::semantics::SequentialSpec;

use super::digest::digest_of;
use super::{Model, Reader, Reading, Scalar, Unreadable, element, end_of, is_mere_done};
use crate::check::NilRead;
use crate::engine::{PolynomialEngine, views};
use crate::history::OperationRef;

/// The elements of a set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    elements: RedBlackTreeSetSync<Scalar>,
    /// The sum of the elements' digests.
    digest: u128,
}

/// What can be asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SetOp {
    Add(Scalar),
    Remove(Scalar),
    Contains(Scalar),
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SetAnswer {
    /// Whether the element was not there before.
    Added(bool),
    /// Whether the element was there before.
    Removed(bool),
    Contains(bool),
    Elements(Elements),
    /// A read returned this element more than once: no set does.
    Twice(Scalar),
}

/// All elements of a set at one time, known by their number and their digests' sum.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    count: usize,
    digest: u128,
    source: Source,
}

/// Where elements come from: a state shares its own, an observation brings a list, which is small.
#[derive(Clone, Debug)]
enum Source {
    State(RedBlackTreeSetSync<Scalar>),
    Seen(Arc<[Scalar]>),
}

impl Elements {
    /// Takes what was read, or returns the element that stands there twice.
    pub(crate) fn seen(mut list: Vec<Scalar>) -> Result<Self, Scalar> {
        list.sort_unstable();
        if let Some(pair) = list.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(pair[0].clone());
        }
        let digest = list.iter().fold(0, |sum: u128, scalar| sum.wrapping_add(digest_of(scalar)));
        Ok(Self { count: list.len(), digest, source: Source::Seen(list.into()) })
    }

    /// The elements in their order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &Scalar> + '_> {
        match &self.source {
            Source::State(elements) => Box::new(elements.iter()),
            Source::Seen(list) => Box::new(list.iter()),
        }
    }
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.digest) == (other.count, other.digest)
    }
}

impl Eq for Elements {}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        (self.elements.size(), self.digest) == (other.elements.size(), other.digest)
    }
}

impl Eq for Set {}

impl Hash for Set {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Set {
    fn has(&self, element: &Scalar) -> bool {
        self.elements.contains(element)
    }

    /// Adds an element, and says whether it was not there before.
    pub(crate) fn add(&mut self, element: &Scalar) -> bool {
        let is_new = !self.has(element);
        if is_new {
            self.elements.insert_mut(element.clone());
            self.digest = self.digest.wrapping_add(digest_of(element));
        }
        is_new
    }
}

impl SequentialSpec for Set {
    type Op = SetOp;
    type Ret = SetAnswer;

    fn invoke(&mut self, op: &SetOp) -> SetAnswer {
        match op {
            SetOp::Add(element) => SetAnswer::Added(self.add(element)),
            SetOp::Remove(element) => {
                let was_there = self.elements.remove_mut(element);
                if was_there {
                    self.digest = self.digest.wrapping_sub(digest_of(element));
                }
                SetAnswer::Removed(was_there)
            }
            SetOp::Contains(element) => SetAnswer::Contains(self.has(element)),
            SetOp::Read => SetAnswer::Elements(Elements {
                count: self.elements.size(),
                digest: self.digest,
                source: Source::State(self.elements.clone()),
            }),
        }
    }
}

/// What a node of the tree with its share of the path above takes, in bytes.
const PATH_BYTES: usize = 1024;

/// How many elements a description names.
const ELEMENTS_SHOWN: usize = 16;

impl Model for Set {
    fn is_pure(op: &SetOp, seen: Option<&SetAnswer>) -> bool {
        match op {
            SetOp::Contains(_) | SetOp::Read => true,
            SetOp::Add(_) => seen == Some(&SetAnswer::Added(false)),
            SetOp::Remove(_) => seen == Some(&SetAnswer::Removed(false)),
        }
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::SET
    }

    fn would_answer(&self, op: &SetOp) -> String {
        match self.clone().invoke(op) {
            SetAnswer::Added(added) => format!("that it was not there before: {added}"),
            SetAnswer::Removed(removed) => format!("that it was there before: {removed}"),
            SetAnswer::Contains(contains) => contains.to_string(),
            SetAnswer::Elements(_) | SetAnswer::Twice(_) => {
                let shown = self.elements.iter().take(ELEMENTS_SHOWN).map(Scalar::to_string);
                let more = if self.elements.size() > ELEMENTS_SHOWN { ", …" } else { "" };
                format!("[{}{more}]", shown.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn describe(&self) -> String {
        let count = self.elements.size();
        let shown: Vec<String> =
            self.elements.iter().take(ELEMENTS_SHOWN).map(Scalar::to_string).collect();
        match count {
            0 => "the set is empty".to_owned(),
            count if count > ELEMENTS_SHOWN => {
                format!("the set holds {count} elements: {}, …", shown.join(", "))
            }
            _ => format!("the set holds {}", shown.join(", ")),
        }
    }

    fn weight(&self) -> usize {
        if self.elements.is_empty() { 0 } else { PATH_BYTES }
    }
}

const LIST: &str = "a list of strings, integers, true, false or nil";

/// Reads an operation on a set.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<Set>, Unreadable> {
    let input = || element(operation);
    let (op, end) = match operation.f.as_str() {
        "add" => {
            (SetOp::Add(input()?), end_of(operation, |value| flag(operation, value, "added"))?)
        }
        "remove" => {
            (SetOp::Remove(input()?), end_of(operation, |value| flag(operation, value, "removed"))?)
        }
        "contains" => {
            let answer = |value: &Value| match value {
                Value::Bool(is_there) => Ok(Some(SetAnswer::Contains(*is_there))),
                _ => Err(Unreadable::output(operation, value, "true or false")),
            };
            (SetOp::Contains(input()?), end_of(operation, answer)?)
        }
        "read" => {
            (SetOp::Read, end_of(operation, |value| elements(operation, value, reader.nil_read))?)
        }
        _ => return Err(Unreadable::function(operation, "add, remove, contains and read")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}

/// Reads whether an element came or went.
fn flag(
    operation: &OperationRef<'_>,
    value: &Value,
    name: &str,
) -> Result<Option<SetAnswer>, Unreadable> {
    match value.get(name) {
        Some(Value::Bool(added)) if name == "added" => Ok(Some(SetAnswer::Added(*added))),
        Some(Value::Bool(removed)) => Ok(Some(SetAnswer::Removed(*removed))),
        _ if is_mere_done(operation, value) => Ok(None),
        _ => {
            let expected = format!("{{\"{name}\": true or false}}, what was asked, true or nil");
            Err(Unreadable::output(operation, value, &expected))
        }
    }
}

fn elements(
    operation: &OperationRef<'_>,
    value: &Value,
    nil_read: NilRead,
) -> Result<Option<SetAnswer>, Unreadable> {
    let list = match (value, nil_read) {
        (Value::Null, NilRead::Unknown) => return Ok(None),
        (Value::Null, NilRead::Absent) => Vec::new(),
        (Value::Array(list), _) => list
            .iter()
            .map(Scalar::read)
            .collect::<Option<_>>()
            .ok_or_else(|| Unreadable::output(operation, value, LIST))?,
        _ => return Err(Unreadable::output(operation, value, LIST)),
    };
    Ok(Some(match Elements::seen(list) {
        Ok(elements) => SetAnswer::Elements(elements),
        Err(element) => SetAnswer::Twice(element),
    }))
}
