//! A list that only grows, such as a log: `append` at its end, `read` all of it.
//!
//! `append 5` (ok: `{"length": after}` or `{"index": place, from 0}`; nil, true or an echo says only
//! that it was done) · `read` (ok: the whole list).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::history::Value;
use rpds::ListSync;
use stateright::semantics::SequentialSpec;

use super::digest::digest_after;
use super::{Model, Reader, Reading, Scalar, Unreadable, element, end_of, is_mere_done};
use crate::check::NilRead;
use crate::engine::{PolynomialEngine, views};
use crate::history::OperationRef;

/// The list, the latest element first.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppendList {
    elements: ListSync<Scalar>,
    digest: u128,
}

/// What can be asked of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ListOp {
    Append(Scalar),
    Read,
}

/// What a list answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ListAnswer {
    /// The length afterwards.
    Length(usize),
    Elements(Elements),
}

/// The whole list at one time, known by its length and digest.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    length: usize,
    digest: u128,
    source: Source,
}

/// Where elements come from.
#[derive(Clone, Debug)]
enum Source {
    /// A state shares its own, the latest first.
    State(ListSync<Scalar>),
    /// An observation brings a list, with the digests of its beginnings, the empty one first.
    Seen { list: Arc<[Scalar]>, digests: Arc<[u128]> },
}

impl Elements {
    /// Takes what was read.
    pub(crate) fn seen(list: Vec<Scalar>) -> Self {
        let mut digest = 0;
        let mut digests = vec![digest];
        for element in &list {
            digest = digest_after(digest, element);
            digests.push(digest);
        }
        let length = list.len();
        let source = Source::Seen { list: list.into(), digests: digests.into() };
        Self { length, digest, source }
    }

    /// The elements, the first first.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare answers by it"))]
    pub(crate) fn list(&self) -> Vec<Scalar> {
        match &self.source {
            Source::State(elements) => {
                let mut list: Vec<Scalar> = elements.iter().cloned().collect();
                list.reverse();
                list
            }
            Source::Seen { list, .. } => list.to_vec(),
        }
    }

    /// What was read, the first element first; none if this is no observation.
    pub(crate) fn as_seen(&self) -> Option<&[Scalar]> {
        match &self.source {
            Source::State(_) => None,
            Source::Seen { list, .. } => Some(list),
        }
    }

    /// Whether it begins with all of a list.
    fn begins_with(&self, list: &AppendList) -> bool {
        match &self.source {
            Source::State(_) => self.length >= list.elements.len(),
            Source::Seen { digests, .. } => digests.get(list.elements.len()) == Some(&list.digest),
        }
    }
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        (self.length, self.digest) == (other.length, other.digest)
    }
}

impl Eq for Elements {}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for AppendList {
    fn eq(&self, other: &Self) -> bool {
        (self.elements.len(), self.digest) == (other.elements.len(), other.digest)
    }
}

impl Eq for AppendList {}

impl Hash for AppendList {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl AppendList {
    /// Puts an element at the end.
    pub(crate) fn append(&mut self, element: &Scalar) {
        self.elements.push_front_mut(element.clone());
        self.digest = digest_after(self.digest, element);
    }
}

impl SequentialSpec for AppendList {
    type Op = ListOp;
    type Ret = ListAnswer;

    fn invoke(&mut self, op: &ListOp) -> ListAnswer {
        match op {
            ListOp::Append(element) => {
                self.append(element);
                ListAnswer::Length(self.elements.len())
            }
            ListOp::Read => ListAnswer::Elements(Elements {
                length: self.elements.len(),
                digest: self.digest,
                source: Source::State(self.elements.clone()),
            }),
        }
    }
}

/// What a step adds to what its state shares with the one before, in bytes.
const LINK_BYTES: usize = 80;

/// How many elements a description names.
const ELEMENTS_SHOWN: usize = 16;

impl Model for AppendList {
    const HAS_HOPELESS: bool = true;

    fn is_pure(op: &ListOp, _seen: Option<&ListAnswer>) -> bool {
        *op == ListOp::Read
    }

    /// A list only grows: what was read is still to come, or it never will.
    fn is_hopeless(&self, _op: &ListOp, seen: Option<&ListAnswer>) -> bool {
        match seen {
            None => false,
            Some(ListAnswer::Length(length)) => *length <= self.elements.len(),
            Some(ListAnswer::Elements(elements)) => !elements.begins_with(self),
        }
    }

    fn engines() -> &'static [PolynomialEngine<Self>] {
        views::LIST
    }

    fn would_answer(&self, op: &ListOp) -> String {
        match self.clone().invoke(op) {
            ListAnswer::Length(length) => format!("a length of {length}"),
            ListAnswer::Elements(_) => {
                let latest = self.elements.iter().take(ELEMENTS_SHOWN).map(Scalar::to_string);
                let latest: Vec<String> = latest.collect::<Vec<_>>().into_iter().rev().collect();
                let more = if self.elements.len() > ELEMENTS_SHOWN { "…, " } else { "" };
                format!("[{more}{}]", latest.join(", "))
            }
        }
    }

    fn describe(&self) -> String {
        let length = self.elements.len();
        let mut latest: Vec<String> =
            self.elements.iter().take(ELEMENTS_SHOWN).map(Scalar::to_string).collect();
        latest.reverse();
        match length {
            0 => "the list is empty".to_owned(),
            length if length > ELEMENTS_SHOWN => {
                format!("the list has {length} elements and ends with …, {}", latest.join(", "))
            }
            _ => format!("the list is {}", latest.join(", ")),
        }
    }

    fn weight(&self) -> usize {
        if self.elements.is_empty() { 0 } else { LINK_BYTES }
    }
}

const LIST: &str = "a list of strings, integers, true, false or nil";
const ANSWER: &str = "{\"length\": after}, {\"index\": place}, what was asked, true or nil";

/// Reads an operation on a list.
pub(crate) fn read(
    operation: &OperationRef<'_>,
    reader: &Reader,
) -> Result<Reading<AppendList>, Unreadable> {
    let (op, end) = match operation.f.as_str() {
        "append" => (
            ListOp::Append(element(operation)?),
            end_of(operation, |value| {
                let field = |name| value.get(name).and_then(Value::as_u64);
                match (field("length"), field("index")) {
                    (Some(length), _) => Ok(Some(ListAnswer::Length(length as usize))),
                    (None, Some(index)) => {
                        Ok(Some(ListAnswer::Length((index as usize).saturating_add(1))))
                    }
                    _ if is_mere_done(operation, value) => Ok(None),
                    _ => Err(Unreadable::output(operation, value, ANSWER)),
                }
            })?,
        ),
        "read" => {
            let answer = |value: &Value| {
                let list = match (value, reader.nil_read) {
                    (Value::Null, NilRead::Unknown) => return Ok(None),
                    (Value::Null, NilRead::Absent) => Some(Vec::new()),
                    (Value::Array(list), _) => list.iter().map(Scalar::read).collect(),
                    _ => None,
                };
                let list = list.ok_or_else(|| Unreadable::output(operation, value, LIST))?;
                Ok(Some(ListAnswer::Elements(Elements::seen(list))))
            };
            (ListOp::Read, end_of(operation, answer)?)
        }
        _ => return Err(Unreadable::function(operation, "append and read")),
    };
    Ok(Reading { key: operation.key.cloned(), op, end })
}
